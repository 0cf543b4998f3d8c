//! Kafka's command-line tools, unchanged, by their classes: what they print about our broker.

use std::time::Duration;

use super::check::{Checks, Failure, Outcome, awaited};
use super::kafka::Tools;
use super::place::Place;
use super::server::{Server, Subject};

pub(super) const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
const DELETE_RECORDS: &str = "org.apache.kafka.tools.DeleteRecordsCommand";
const LOG_DIRS: &str = "org.apache.kafka.tools.LogDirsCommand";
pub(super) const QUORUM: &str = "org.apache.kafka.tools.MetadataQuorumCommand";
pub(super) const FEATURES: &str = "org.apache.kafka.tools.FeatureCommand";
pub(super) const ELECTION: &str = "org.apache.kafka.tools.LeaderElectionCommand";
const CLUSTER: &str = "org.apache.kafka.tools.ClusterTool";
const API_VERSIONS: &str = "org.apache.kafka.tools.BrokerApiVersionsCommand";
const PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";
pub(super) const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
pub(super) const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
pub(super) const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
pub(super) const TRANSACTIONS: &str = "org.apache.kafka.tools.TransactionsCommand";
pub(super) const REASSIGNMENT: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";

/// How long copies may take to move.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the tools.
///
/// # Errors
/// When one of them says something else.
pub fn run(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let tools = Tools::install(place)?;
    let server = Server::start(place, subject, "tools")?;
    let scratch = place.scratch("tools-files")?;
    let mut session = Session::new(tools, &server, scratch.path(), checks);
    session.topics()?;
    session.configs()?;
    session.console()?;
    session.offsets()?;
    session.records_and_dirs()?;
    session.groups()?;
    session.moved_offsets()?;
    session.transactions()?;
    session.cluster()?;
    session.elections()?;
    session.deletion()
}

/// Tools, the broker that they talk to, and what they said so far.
pub(super) struct Session<'s> {
    pub(super) tools: Tools,
    pub(super) address: String,
    /// How many copies a topic has that says nothing of them, which is also how many brokers are.
    copies: usize,
    /// Where files are put for them.
    pub(super) files: &'s std::path::Path,
    pub(super) checks: &'s mut Checks,
}

impl<'s> Session<'s> {
    /// Tools that talk to this broker.
    pub(super) fn new(
        tools: Tools,
        server: &Server,
        files: &'s std::path::Path,
        checks: &'s mut Checks,
    ) -> Self {
        let address = server.address().to_owned();
        Self { tools, address, copies: server.copies(), files, checks }
    }

    /// What a tool prints, to both outputs; it must end well.
    pub(super) fn run(&self, class: &str, arguments: &[&str]) -> Outcome<String> {
        self.run_for(class, arguments, "")
    }

    /// The same, with an input.
    pub(super) fn run_for(&self, class: &str, arguments: &[&str], input: &str) -> Outcome<String> {
        let words = self
            .tools
            .tool(class)
            .args(["--bootstrap-server", &self.address])
            .args(arguments)
            .words_for(input)?;
        if words.is_success {
            return Ok(words.out + &words.err);
        }
        Err(Failure::new(format!("{class} {arguments:?} failed:\n{}", words.shown())))
    }

    /// What a tool prints when it must fail.
    pub(super) fn refused(&self, class: &str, arguments: &[&str]) -> Outcome<String> {
        let words = self
            .tools
            .tool(class)
            .args(["--bootstrap-server", &self.address])
            .args(arguments)
            .words()?;
        if !words.is_success {
            return Ok(words.out + &words.err);
        }
        Err(Failure::new(format!("{class} {arguments:?} did not fail:\n{}", words.shown())))
    }

    /// The name of a new file with this text.
    pub(super) fn file(&self, name: &str, text: &str) -> Outcome<String> {
        let path = self.files.join(name);
        std::fs::write(&path, text)
            .map_err(Failure::while_doing(format!("cannot write {}", path.display())))?;
        Ok(path.display().to_string())
    }

    fn topics(&mut self) -> Outcome {
        let new = ["--create", "--topic", "events", "--partitions", "3", "--config"];
        let said = self.run(TOPICS, &[&new[..], &["retention.ms=600000"]].concat())?;
        self.checks.says("kafka-topics creates", &["Created topic events."], &said)?;
        let said = self.run(TOPICS, &["--list"])?;
        self.checks.same("kafka-topics lists", "events", said.trim())?;
        let said = self.run(TOPICS, &["--describe", "--topic", "events"])?;
        let counts = format!("PartitionCount: 3\tReplicationFactor: {}\tConfigs: ", self.copies);
        let expected = [&counts, "retention.ms=600000", "\tElr: \tLastKnownElr: "];
        self.checks.says("kafka-topics describes", &expected, &said)?;
        let led = said.lines().filter_map(copies_of).filter(|of| of == &vec![self.copies; 2]);
        self.checks.same("every copy is in sync", 3, led.count())?;
        self.run(TOPICS, &["--alter", "--topic", "events", "--partitions", "5"])?;
        let said = self.run(TOPICS, &["--describe", "--topic", "events"])?;
        self.checks.says("kafka-topics adds partitions", &["PartitionCount: 5"], &said)?;
        let said = self.refused(TOPICS, &["--create", "--topic", "events"])?;
        self.checks.says(
            "a topic exists",
            &["Error while executing topic command", "exists"],
            &said,
        )?;
        let said = self.run(TOPICS, &["--describe", "--under-replicated-partitions"])?;
        self.checks.same("no partition is under-replicated", "", said.trim())
    }

    fn configs(&mut self) -> Outcome {
        let topic = ["--entity-type", "topics", "--entity-name", "events"];
        let alter =
            ["--alter", "--add-config", "max.message.bytes=70000,cleanup.policy=[compact,delete]"];
        let said = self.run(CONFIGS, &[&topic[..], &alter].concat())?;
        self.checks.says(
            "kafka-configs alters",
            &["Completed updating config for topic"],
            &said,
        )?;
        let said = self.run(CONFIGS, &[&topic[..], &["--describe"]].concat())?;
        let expected = [
            "max.message.bytes=70000 sensitive=false synonyms={\
             DYNAMIC_TOPIC_CONFIG:max.message.bytes=70000, \
             DEFAULT_CONFIG:message.max.bytes=1048588}",
            "cleanup.policy=compact,delete",
        ];
        self.checks.says("kafka-configs describes", &expected, &said)?;
        let delete = ["--alter", "--delete-config", "max.message.bytes,cleanup.policy"];
        self.run(CONFIGS, &[&topic[..], &delete].concat())?;
        let said = self.run(CONFIGS, &[&topic[..], &["--describe", "--all"]].concat())?;
        let expected =
            ["max.message.bytes=1048588", "retention.ms=600000", "cleanup.policy=delete"];
        self.checks.says("kafka-configs deletes", &expected, &said)?;
        let brokers = ["--entity-type", "brokers", "--entity-default"];
        let alter = ["--alter", "--add-config", "log.retention.ms=86400000"];
        self.run(CONFIGS, &[&brokers[..], &alter].concat())?;
        let said = self.run(CONFIGS, &[&brokers[..], &["--describe"]].concat())?;
        let expected = ["log.retention.ms=86400000 sensitive=false synonyms={\
             DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=86400000}"];
        self.checks.says("kafka-configs sets what holds for all brokers", &expected, &said)?;
        let said = self.run(
            CONFIGS,
            &["--entity-type", "brokers", "--entity-name", "1", "--describe", "--all"],
        )?;
        let expected = ["log.retention.ms=86400000", "node.id=1", "num.partitions=1"];
        self.checks.says("kafka-configs shows a broker", &expected, &said)?;
        self.rates()?;
        for (name, wrong) in [
            ("a wrong value is refused", "retention.ms=soon"),
            ("and a wrong replica", "leader.replication.throttled.replicas=[0:1,1-2]"),
        ] {
            let alter = ["--alter", "--add-config", wrong];
            let said = self.refused(CONFIGS, &[&topic[..], &alter].concat())?;
            self.checks.says(name, &["InvalidConfigurationException"], &said)?;
        }
        Ok(())
    }

    /// Rates of throttled replicas are there only while somebody has set them.
    fn rates(&mut self) -> Outcome {
        let broker = ["--entity-type", "brokers", "--entity-name", "1"];
        let shown = || self.run(CONFIGS, &[&broker[..], &["--describe", "--all"]].concat());
        let before = shown()?;
        let rate = "leader.replication.throttled.rate";
        let add = format!("{rate}=5000000");
        self.run(CONFIGS, &[&broker[..], &["--alter", "--add-config", &add]].concat())?;
        let set = shown()?;
        self.run(CONFIGS, &[&broker[..], &["--alter", "--delete-config", rate]].concat())?;
        let after = shown()?;
        let all = [before, after].concat();
        self.checks.same("rates are hidden", false, all.contains("throttled"))?;
        let expected = format!("{add} sensitive=false synonyms={{DYNAMIC_BROKER_CONFIG:{add}}}");
        self.checks.says("until they are set", &[&expected], &set)
    }

    fn console(&mut self) -> Outcome {
        let properties =
            ["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"];
        self.run_for(
            PRODUCER,
            &[&["--topic", "events"], &properties[..]].concat(),
            "a:one\nb:two\na:three\n",
        )?;
        let mut said = String::new();
        for partition in ["0", "1", "2", "3", "4"] {
            let read = ["--topic", "events", "--partition", partition, "--offset", "earliest"];
            let until = ["--timeout-ms", "1500", "--formatter-property", "print.key=true"];
            said += &self.run(CONSUMER, &[&read[..], &until].concat())?;
        }
        self.checks.says(
            "the console consumer reads what the console producer wrote",
            &["a\tone\na\tthree\n", "b\ttwo\n"],
            &said,
        )?;
        let load = ["--topic", "perf", "--num-records", "50000", "--record-size", "200"];
        let rate = ["--throughput", "-1", "--command-property", "linger.ms=5"];
        let said = self.run(PERFORMANCE, &[&load[..], &rate].concat())?;
        self.checks.says("kafka-producer-perf-test", &["50000 records sent"], &said)
    }

    fn offsets(&mut self) -> Outcome {
        for (time, expected) in [
            ("latest", "perf:0:50000"),
            ("earliest", "perf:0:0"),
            ("earliest-local", "perf:0:0"),
            ("latest-tiered", ""),
            ("-1", "perf:0:50000"),
            ("-2", "perf:0:0"),
            ("0", "perf:0:0"),
        ] {
            let said = self.run(OFFSETS, &["--topic", "perf", "--time", time])?;
            self.checks.same(&format!("kafka-get-offsets --time {time}"), expected, said.trim())?;
        }
        let said = self.run(OFFSETS, &["--topic", "perf", "--time", "max-timestamp"])?;
        self.checks.says("kafka-get-offsets --time max-timestamp", &["perf:0:"], &said)
    }

    fn records_and_dirs(&mut self) -> Outcome {
        let json = r#"{"version":1,"partitions":[{"topic":"perf","partition":0,"offset":49000}]}"#;
        let file = self.file("delete.json", json)?;
        let said = self.run(DELETE_RECORDS, &["--offset-json-file", &file])?;
        let expected = ["partition: perf-0\tlow_watermark: 49000"];
        self.checks.says("kafka-delete-records", &expected, &said)?;
        let said = self.run(LOG_DIRS, &["--describe", "--topic-list", "perf"])?;
        let expected =
            ["\"partition\":\"perf-0\"", "\"offsetLag\":0,\"isFuture\":false", "\"error\":null"];
        self.checks.says("kafka-log-dirs", &expected, &said)?;
        self.reassign()?;
        let said = self.run(REASSIGNMENT, &["--list"])?;
        let expected = ["No partition reassignments found."];
        self.checks.says("kafka-reassign-partitions lists", &expected, &said)
    }

    /// Gives the copies of a partition another order, which is no other where there is one.
    fn reassign(&mut self) -> Outcome {
        let replicas: Vec<String> = (1..=self.copies).rev().map(|id| id.to_string()).collect();
        let json = format!(
            r#"{{"version":1,"partitions":[{{"topic":"perf","partition":0,"replicas":[{}]}}]}}"#,
            replicas.join(",")
        );
        let file = self.file("reassign.json", &json)?;
        let which = ["--reassignment-json-file", &file];
        if self.copies > 1 {
            let said = self.run(REASSIGNMENT, &[&["--execute"], &which[..]].concat())?;
            let expected = ["Successfully started partition reassignment for perf-0"];
            self.checks.says("kafka-reassign-partitions executes", &expected, &said)?;
        }
        let expected = "Reassignment of partition perf-0 is completed.";
        let found = awaited(expected, PATIENCE, || {
            let said = self.run(REASSIGNMENT, &[&["--verify"], &which[..]].concat())?;
            Ok(said.lines().find(|line| line.contains("perf-0")).unwrap_or_default().to_owned())
        });
        self.checks.same("kafka-reassign-partitions verifies", expected, found.trim())?;
        match self.copies {
            3 => self.throttled_move(),
            _ => Ok(()),
        }
    }

    /// Moves a copy, only so fast; the throttle is there until the tool sees that the move is over.
    fn throttled_move(&mut self) -> Outcome {
        self.run(TOPICS, &["--create", "--topic", "moved", "--replica-assignment", "1:2"])?;
        let load = ["--topic", "moved", "--num-records", "20000", "--record-size", "200"];
        self.run(PERFORMANCE, &[&load[..], &["--throughput", "-1"]].concat())?;
        let json =
            r#"{"version":1,"partitions":[{"topic":"moved","partition":0,"replicas":[3,2]}]}"#;
        let file = self.file("move.json", json)?;
        let which = ["--reassignment-json-file", &file];
        let execute = ["--execute", "--throttle", "2000000"];
        let said = self.run(REASSIGNMENT, &[&execute[..], &which].concat())?;
        let expected = [
            "Warning: You must run --verify periodically, until the reassignment completes, to \
             ensure the throttle is removed.",
            "The inter-broker throttle limit was set to 2000000 B/s",
            "Successfully started partition reassignment for moved-0",
        ];
        self.checks.says("kafka-reassign-partitions --throttle", &expected, &said)?;
        let topic = ["--entity-type", "topics", "--entity-name", "moved", "--describe"];
        let said = self.run(CONFIGS, &topic)?;
        let expected = [
            "leader.replication.throttled.replicas=0:1,0:2 sensitive",
            "follower.replication.throttled.replicas=0:3 sensitive",
        ];
        self.checks.says("throttles who gives and who takes", &expected, &said)?;
        let broker = ["--entity-type", "brokers", "--entity-name", "3", "--describe"];
        let said = self.run(CONFIGS, &broker)?;
        let expected = [
            "leader.replication.throttled.rate=2000000 sensitive",
            "follower.replication.throttled.rate=2000000 sensitive",
        ];
        self.checks.says("on every broker", &expected, &said)?;
        let expected = "Status of partition reassignment: \
             Reassignment of partition moved-0 is completed. \
             Clearing broker-level throttles on brokers 1,2,3 \
             Clearing topic-level throttles on topic moved";
        let found = awaited(expected, PATIENCE, || {
            let said = self.run(REASSIGNMENT, &[&["--verify"], &which[..]].concat())?;
            Ok(words(&said))
        });
        self.checks.same("until the move is verified", expected, found)?;
        let said = [self.run(CONFIGS, &topic)?, self.run(CONFIGS, &broker)?].concat();
        self.checks.same("and no longer", false, said.contains("throttled"))?;
        let said = self.run(TOPICS, &["--describe", "--topic", "moved"])?;
        let expected = ["Replicas: 3,2\tIsr: "];
        self.checks.says("the copy has moved", &expected, &said)?;
        self.run(TOPICS, &["--delete", "--topic", "moved"])?;
        Ok(())
    }

    fn groups(&mut self) -> Outcome {
        for protocol in ["classic", "consumer"] {
            let group = format!("console-{protocol}");
            let property = format!("group.protocol={protocol}");
            let read = ["--topic", "perf", "--group", &group, "--from-beginning"];
            let how = ["--max-messages", "600", "--timeout-ms", "30000"];
            let settings = ["--command-property", &property];
            let said = self.run(CONSUMER, &[&read[..], &how, &settings].concat())?;
            let expected = ["Processed a total of 600 messages"];
            let name = format!("a console consumer in a {protocol} group");
            self.checks.says(&name, &expected, &said)?;
            let said = self.run(GROUPS, &["--describe", "--group", &group])?;
            let row = row(&said, &group);
            self.checks.same(
                &format!("kafka-consumer-groups describes what a {protocol} group left"),
                format!("{group} perf 0 49600 50000 400 - - -"),
                row,
            )?;
            let said = self.run(GROUPS, &["--describe", "--group", &group, "--state"])?;
            let expected = ["Empty"];
            self.checks.says(&format!("the state of a {protocol} group"), &expected, &said)?;
            let said = self.run(GROUPS, &["--describe", "--group", &group, "--members"])?;
            let expected = ["has no active members"];
            self.checks.says(&format!("a {protocol} group is left"), &expected, &said)?;
        }
        let said = self.run(GROUPS, &["--list"])?;
        let expected = ["console-classic", "console-consumer"];
        self.checks.says("kafka-consumer-groups lists", &expected, &said)?;
        let said = self.run(GROUPS, &["--list", "--state", "Empty", "--type", "consumer"])?;
        self.checks.same(
            "by state and type",
            "console-consumer Consumer Empty",
            said.lines().map(words).find(|row| row.starts_with("console")).unwrap_or_default(),
        )?;
        let said = self.run(GROUPS, &["--list", "--state", "stable"])?;
        self.checks.same("not by another", false, said.contains("console"))?;
        let said = self.run(GROUPS, &["--describe", "--group", "nobody"])?;
        self.checks.says("an unknown group", &["GroupIdNotFoundException"], &said)
    }

    fn moved_offsets(&mut self) -> Outcome {
        for group in ["console-classic", "console-consumer"] {
            let reset = ["--reset-offsets", "--group", group, "--topic", "perf"];
            for (how, expected) in [
                (&["--to-offset", "49700", "--dry-run"][..], "49700"),
                (&["--to-earliest", "--execute"], "49000"),
                (&["--shift-by", "10", "--execute"], "49010"),
                (&["--to-latest", "--execute"], "50000"),
                (&["--to-datetime", "2000-01-01T00:00:00.000", "--execute"], "49000"),
                (&["--to-offset", "1", "--execute"], "49000"),
                (&["--to-current", "--execute"], "49000"),
            ] {
                let said = self.run(GROUPS, &[&reset[..], how].concat())?;
                let name = format!("{group} is reset {}", how.join(" "));
                self.checks.same(&name, format!("{group} perf 0 {expected}"), row(&said, group))?;
            }
            let said = self.run(GROUPS, &["--describe", "--group", group, "--offsets"])?;
            let expected = format!("{group} perf 0 49000 50000 1000 - - -");
            let found = row(&said, group);
            self.checks.same("and described", expected, found)?;
            let delete = ["--delete-offsets", "--group", group, "--topic", "perf"];
            let said = self.run(GROUPS, &delete)?;
            let expected = ["Request succeeded for deleting offsets"];
            self.checks.says(&format!("offsets of {group} are deleted"), &expected, &said)?;
            let said = self.run(GROUPS, &["--delete", "--group", group])?;
            let expected = ["Deletion of requested consumer groups"];
            self.checks.says(&format!("{group} is deleted"), &expected, &said)?;
        }
        let said = self.run(GROUPS, &["--list"])?;
        self.checks.same("no group is left", "", said.trim())
    }

    fn transactions(&mut self) -> Outcome {
        let load = ["--topic", "perf", "--num-records", "2000", "--record-size", "10"];
        let how = ["--throughput", "-1", "--transactional-id", "perf", "--transaction-duration-ms"];
        let said = self.run(PERFORMANCE, &[&load[..], &how, &["50"]].concat())?;
        self.checks.says("kafka-producer-perf-test in transactions", &["2000 records"], &said)?;
        let said = self.run(TRANSACTIONS, &["list"])?;
        let row = said.lines().map(words).find(|row| row.starts_with("perf")).unwrap_or_default();
        let state = row.split(' ').next_back().unwrap_or_default().to_owned();
        self.checks.same("kafka-transactions lists", "CompleteCommit", state)?;
        let said = self.run(TRANSACTIONS, &["describe", "--transactional-id", "perf"])?;
        self.checks.says("kafka-transactions describes", &["CompleteCommit", "60000"], &said)?;
        let which = ["--topic", "perf", "--partition", "0"];
        let said = self.run(TRANSACTIONS, &[&["describe-producers"][..], &which].concat())?;
        self.checks.says(
            "kafka-transactions describes producers",
            &["ProducerId", "CurrentTransactionStartOffset", "None"],
            &said,
        )?;
        let said = self.run(TRANSACTIONS, &["find-hanging", "--broker-id", "1"])?;
        self.checks.same("kafka-transactions finds no hanging one", 1, said.lines().count())?;
        let until = ["--timeout-ms", "3000", "--offset", "earliest"];
        let level = ["--isolation-level", "read_committed"];
        let said = self.run(CONSUMER, &[&which[..], &until, &level].concat())?;
        let expected = ["Processed a total of 3000 messages"];
        self.checks.says("a console consumer reads what is committed", &expected, &said)
    }

    fn cluster(&mut self) -> Outcome {
        let said = self.run(QUORUM, &["describe", "--status"])?;
        let expected = ["LeaderId:  ", "MaxFollowerLag:  ", "CurrentObservers:       []"];
        self.checks.says("kafka-metadata-quorum shows the state", &expected, &said)?;
        let said = self.run(QUORUM, &["describe", "--replication"])?;
        let count = |role| said.lines().filter(|line| words(line).ends_with(role)).count();
        let found = format!("{} and {}", count("Leader"), count("Follower"));
        let expected = format!("1 and {}", self.copies - 1);
        self.checks.same("kafka-metadata-quorum shows voters", expected, found)?;
        let said = self.run(FEATURES, &["describe"])?;
        let expected = ["Feature: metadata.version", "FinalizedVersionLevel: 4.3-IV0"];
        self.checks.says("kafka-features describes", &expected, &said)?;
        let eligible = said.lines().map(words).find(|line| line.contains("eligible.leader"));
        let eligible = eligible.unwrap_or_default();
        let expected = ["FinalizedVersionLevel: 1 "];
        self.checks.says("leaders are eligible in a new cluster", &expected, &eligible)?;
        let brokers = ["--entity-type", "brokers", "--entity-default", "--describe"];
        let said = self.run(CONFIGS, &brokers)?;
        let expected = ["DYNAMIC_DEFAULT_BROKER_CONFIG:min.insync.replicas="];
        self.checks.says("with a minimum in sync for all brokers", &expected, &said)?;
        let said = self.refused(FEATURES, &["upgrade", "--feature", "metadata.version=99"])?;
        self.checks.says("kafka-features refuses", &["Could not upgrade"], &said)?;
        let said = self.run(FEATURES, &["downgrade", "--feature", "group.version=0"])?;
        self.checks.says(
            "kafka-features downgrades",
            &["group.version was downgraded to 0."],
            &said,
        )?;
        let said = self.run(FEATURES, &["upgrade", "--feature", "group.version=1"])?;
        self.checks.says(
            "kafka-features upgrades",
            &["group.version was upgraded to 1."],
            &said,
        )?;
        let words = self
            .tools
            .tool(CLUSTER)
            .args(["cluster-id", "--bootstrap-server", &self.address])
            .out()?;
        self.checks.says("kafka-cluster knows the id", &["Cluster ID: "], &words)?;
        let words = self
            .tools
            .tool(CLUSTER)
            .args(["list-endpoints", "--bootstrap-server", &self.address])
            .out()?;
        self.checks.says("kafka-cluster lists endpoints", &["127.0.0.1", "unfenced"], &words)?;
        let said = self.run(API_VERSIONS, &[])?;
        // The nodes of a cluster are in racks (see `cluster`); one node is in none.
        let rack = if self.copies == 1 { "null" } else { "RACK1" };
        let first = format!("(id: 1 rack: {rack} isFenced: false)");
        let expected =
            [first.as_str(), "Produce(0): 0 to 13 [usable: 13]", "Fetch(1): 4 to 18 [usable: 18]"];
        self.checks.says("kafka-broker-api-versions", &expected, &said)
    }

    fn elections(&mut self) -> Outcome {
        let said = self.run(
            ELECTION,
            &["--election-type", "preferred", "--topic", "perf", "--partition", "0"],
        )?;
        // Where its copies were given another order, the leader is another now.
        let expected = match self.copies {
            1 => "Valid replica already elected for partitions perf-0",
            _ => "perf-0",
        };
        self.checks.says("kafka-leader-election", &[expected], &said)?;
        let said = self.run(TOPICS, &["--describe", "--topic", "perf"])?;
        let leader = format!("Leader: {}\t", self.copies);
        self.checks.says("who is preferred leads", &[&leader], &said)?;
        self.run(ELECTION, &["--election-type", "preferred", "--all-topic-partitions"])?;
        self.checks.pass("kafka-leader-election of every partition");
        Ok(())
    }

    fn deletion(&mut self) -> Outcome {
        self.run(TOPICS, &["--delete", "--topic", "events"])?;
        let said = self.run(TOPICS, &["--list"])?;
        self.checks.same("kafka-topics deletes", false, said.contains("events"))?;
        let said = self.refused(TOPICS, &["--delete", "--topic", "events"])?;
        self.checks.says("an unknown topic", &["Topic 'events' does not exist"], &said)
    }
}

/// Of a partition's line, how many copies it has, and how many of them are in sync.
fn copies_of(line: &str) -> Option<Vec<usize>> {
    let count = |name: &str| {
        let list = line.split_once(name)?.1.split('\t').next()?;
        Some(list.split(',').count())
    };
    ["Replicas: ", "Isr: "].map(count).into_iter().collect()
}

/// The words of a line of a table.
pub(super) fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first line of a table that is about this group.
pub(super) fn row(table: &str, group: &str) -> String {
    table.lines().map(words).find(|row| row.split(' ').next() == Some(group)).unwrap_or_default()
}
