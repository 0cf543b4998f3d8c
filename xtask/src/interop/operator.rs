//! What an operator does with Kafka's tools while others are at work: groups that have members, and
//! transactions that somebody left open.

use std::process::{Child, Stdio};
use std::time::Duration;

use super::check::{Checks, Failure, Outcome, awaited};
use super::kafka::{self, Tools};
use super::packages;
use super::place::Place;
use super::server::{Server, Subject};
use super::tools::{CONSUMER, GROUPS, PRODUCER, Session, TRANSACTIONS, row, words};

const GROUP_LIST: &str = "org.apache.kafka.tools.GroupsCommand";
const CONSUMER_PERFORMANCE: &str = "org.apache.kafka.tools.ConsumerPerformance";
const VERIFIABLE_PRODUCER: &str = "org.apache.kafka.tools.VerifiableProducer";
const VERIFIABLE_CONSUMER: &str = "org.apache.kafka.tools.VerifiableConsumer";
const COPIER: &str = "org.apache.kafka.tools.TransactionalMessageCopier";

/// How long something may take to come, or to leave.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the program that leaves transactions may take.
const LIMIT: Duration = Duration::from_secs(60);
/// A transaction that hangs cannot be begun where the coordinator is asked.
const UNVERIFIED: [&str; 1] = ["transaction.partition.verification.enable=false"];
/// What is read of a topic once nothing is open there.
const ALL_COMMITTED: &str = "before behind";
/// How many records the groups have to read.
const RECORDS: usize = 500;

/// Runs the tools.
///
/// # Errors
/// When one of them says something else.
pub fn run(place: &Place, subject: Subject, checks: &mut Checks) -> Outcome {
    let tools = Tools::install(place)?;
    let class_path = packages::java_classes(place, "java")?;
    let server = Server::start_with(place, subject, "operator", &UNVERIFIED)?;
    let scratch = place.scratch("operator-files")?;
    kafka::java(&class_path, "Open", LIMIT)
        .args([server.address(), "left", "hanging"])
        .checks(checks)?;
    let mut session = Session::new(tools, &server, scratch.path(), checks);
    session.open_transactions()?;
    session.hanging_transactions()?;
    session.records()?;
    for protocol in ["classic", "consumer"] {
        session.members(protocol)?;
        session.plans(protocol)?;
    }
    session.several_groups()?;
    session.verifiable()?;
    session.copier()
}

/// A tool that runs meanwhile; killed when it is dropped.
struct Meanwhile(Child);

impl Drop for Meanwhile {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Session<'_> {
    /// What a console consumer finds in the first partition of a topic.
    fn read(&self, topic: &str, level: &str) -> Outcome<String> {
        let which = ["--topic", topic, "--partition", "0", "--offset", "earliest"];
        let how = ["--isolation-level", level, "--timeout-ms", "1500"];
        let said = self.run(CONSUMER, &[&which[..], &how].concat())?;
        let values =
            said.lines().filter(|line| ["before", "open", "hanging", "behind"].contains(line));
        Ok(values.collect::<Vec<_>>().join(" "))
    }

    /// The same once an end is put to what was open, which may take a moment.
    fn read_all(&self, topic: &str) -> String {
        awaited(ALL_COMMITTED, PATIENCE, || self.read(topic, "read_committed"))
    }

    /// The state of a transactional id.
    fn state(&self, id: &str) -> Outcome<String> {
        let said = self.run(TRANSACTIONS, &["list"])?;
        Ok(row(&said, id).split(' ').next_back().unwrap_or_default().to_owned())
    }

    fn open_transactions(&mut self) -> Outcome {
        let found = self.read("left", "read_uncommitted")?;
        self.checks.same("everything is read uncommitted", "before open behind", found)?;
        let found = self.read("left", "read_committed")?;
        self.checks.same("up to an open transaction committed", "before", found)?;
        let found = self.state("dead")?;
        self.checks.same("a dead producer's transaction is listed", "Ongoing", found)?;
        let said = self.run(TRANSACTIONS, &["find-hanging", "--topic", "left"])?;
        self.checks.same("it does not hang", 1, said.lines().count())?;
        let which = ["forceTerminateTransaction", "--transactionalId", "dead"];
        self.run(TRANSACTIONS, &which)?;
        let found = self.read_all("left");
        self.checks.same("it is terminated", ALL_COMMITTED, found)?;
        let found = self.state("dead")?;
        self.checks.same("its producer may begin anew", "Empty", found)
    }

    fn hanging_transactions(&mut self) -> Outcome {
        let find = ["find-hanging", "--topic", "hanging"];
        let said = self.run(TRANSACTIONS, &find)?;
        let found = row(&said, "hanging");
        let found: Vec<&str> = found.split(' ').take(6).collect();
        let name = "one hangs";
        self.checks.same(name, "hanging 0 987654 0 -1 1", found.join(" "))?;
        let found = self.read("hanging", "read_committed")?;
        self.checks.same("and stops those who read committed", "before", found)?;
        let which = ["abort", "--topic", "hanging", "--partition", "0", "--start-offset"];
        let said = self.refused(TRANSACTIONS, &[&which[..], &["0"]].concat())?;
        let expected = ["Could not find any open transactions starting at offset 0"];
        self.checks.says("there is none elsewhere", &expected, &said)?;
        self.run(TRANSACTIONS, &[&which[..], &["1"]].concat())?;
        let found = self.read_all("hanging");
        self.checks.same("it is aborted", ALL_COMMITTED, found)?;
        let said = self.run(TRANSACTIONS, &find)?;
        self.checks.same("none hangs", 1, said.lines().count())
    }

    fn records(&mut self) -> Outcome {
        let lines: String =
            (0..RECORDS).map(|number| format!("h:{number}\tk:v{number}\n")).collect();
        let properties = ["--reader-property", "parse.headers=true", "--reader-property"];
        let key = ["parse.key=true", "--reader-property", "key.separator=:"];
        let how = ["--compression-codec", "zstd", "--topic", "work"];
        self.run_for(PRODUCER, &[&properties[..], &key, &how].concat(), &lines)?;
        let which = ["--topic", "work", "--partition", "0", "--offset", "499"];
        let show = ["--formatter-property", "print.headers=true", "--max-messages", "1"];
        let said = self.run(CONSUMER, &[&which[..], &show].concat())?;
        self.checks.says("consoles write and read headers", &["h:499\tv499"], &said)
    }

    fn group(&self, group: &str, arguments: &[&str]) -> Outcome<String> {
        self.run(GROUPS, &[&["--group", group], arguments].concat())
    }

    /// A group with a member that reads.
    fn members(&mut self, protocol: &str) -> Outcome {
        let group = format!("at-work-{protocol}");
        let mut member = Meanwhile(
            self.tools
                .service(CONSUMER)
                .args(["--bootstrap-server", &self.address, "--topic", "work", "--group", &group])
                .args(["--from-beginning", "--command-property", "auto.commit.interval.ms=200"])
                .args(["--command-property", &format!("group.protocol={protocol}")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(Failure::while_doing("cannot run java"))?,
        );
        let expected = format!("{group} work 0 {RECORDS} {RECORDS} 0, console-consumer");
        let name = format!("a {protocol} group at work is described");
        let found = awaited(&expected, PATIENCE, || {
            let row = row(&self.group(&group, &["--describe"])?, &group);
            let columns: Vec<&str> = row.split(' ').collect();
            let (offsets, client) = (columns.iter().take(6), columns.last().unwrap_or(&""));
            Ok(format!("{}, {client}", offsets.copied().collect::<Vec<_>>().join(" ")))
        });
        self.checks.same(&name, &expected, found)?;
        let said = self.group(&group, &["--describe", "--members", "--verbose"])?;
        self.checks.says("with what its member has", &["console-consumer", "work:0"], &said)?;
        let said = self.group(&group, &["--describe", "--state"])?;
        self.checks.says("and its state", &["Stable"], &said)?;
        let said = self.group(&group, &["--delete"])?;
        self.checks.says("it is not deleted", &["GroupNotEmptyException"], &said)?;
        let said = self.group(&group, &["--delete-offsets", "--topic", "work"])?;
        let expected = ["GroupSubscribedToTopicException"];
        self.checks.says("nor are its offsets", &expected, &said)?;
        let reset = ["--reset-offsets", "--to-earliest", "--execute", "--topic", "work"];
        let said = self.group(&group, &reset)?;
        let expected = ["Assignments can only be reset if the group", "Stable"];
        self.checks.says("nor moved", &expected, &said)?;
        kafka::stop(&mut member.0, "a console consumer")?;
        let said = self.group(&group, &["--describe", "--state"])?;
        self.checks.says("it is left", &["Empty"], &said)
    }

    /// Offsets that are moved by a plan in a file.
    fn plans(&mut self, protocol: &str) -> Outcome {
        let group = format!("at-work-{protocol}");
        let reset = ["--reset-offsets", "--all-topics", "--export"];
        let how = ["--to-offset", "123", "--dry-run"];
        let plan = self.group(&group, &[&reset[..], &how].concat())?;
        self.checks.same(&format!("a plan for {group}"), "work,0,123", plan.trim())?;
        let file = self.file("plan.csv", &plan)?;
        let said = self.group(&group, &["--reset-offsets", "--from-file", &file, "--execute"])?;
        self.checks.same("is executed", format!("{group} work 0 123"), row(&said, &group))?;
        for (how, expected) in [
            (["--by-duration", "PT1H", "--execute"], "0"),
            (["--shift-by", "-7", "--execute"], "0"),
            (["--to-offset", "200", "--execute"], "200"),
            (["--shift-by", "-7", "--execute"], "193"),
        ] {
            let said = self
                .group(&group, &[&["--reset-offsets", "--topic", "work:0"], &how[..]].concat())?;
            let name = format!("{group} is reset {}", how.join(" "));
            self.checks.same(&name, format!("{group} work 0 {expected}"), row(&said, &group))?;
        }
        let read = ["--topic", "work", "--group", &group, "--max-messages", "1"];
        let property = format!("group.protocol={protocol}");
        let how = ["--timeout-ms", "30000", "--command-property", &property];
        let said = self.run(CONSUMER, &[&read[..], &how].concat())?;
        self.checks.says("a consumer goes on there", &["v193"], &said)
    }

    fn several_groups(&mut self) -> Outcome {
        let said = self.run(GROUP_LIST, &["--list"])?;
        for (group, kind) in [("at-work-classic", "Classic"), ("at-work-consumer", "Consumer")] {
            let expected = format!("{group} {kind} consumer");
            self.checks.same("kafka-groups lists", expected, row(&said, group))?;
        }
        let all = ["--all-groups", "--reset-offsets", "--all-topics", "--to-latest", "--execute"];
        let said = self.run(GROUPS, &all)?;
        for group in ["at-work-classic", "at-work-consumer"] {
            let expected = format!("{group} work 0 {RECORDS}");
            self.checks.same("all groups are reset", expected, row(&said, group))?;
        }
        let said = self.run(GROUPS, &["--all-groups", "--delete"])?;
        let expected =
            ["Deletion of requested consumer groups", "at-work-classic", "at-work-consumer"];
        self.checks.says("all are deleted", &expected, &said)?;
        let said = self.run(GROUPS, &["--list"])?;
        self.checks.same("none is left", "", said.trim())
    }

    fn verifiable(&mut self) -> Outcome {
        let said =
            self.run(VERIFIABLE_PRODUCER, &["--topic", "verified", "--max-messages", "1000"])?;
        self.checks.says("kafka-verifiable-producer", &["\"sent\":1000,\"acked\":1000"], &said)?;
        for protocol in ["classic", "consumer"] {
            let group = format!("verified-{protocol}");
            let which = ["--topic", "verified", "--group-id", &group, "--max-messages", "1000"];
            let how = ["--group-protocol", protocol, "--reset-policy", "earliest"];
            let said = self.run(VERIFIABLE_CONSUMER, &[&which[..], &how].concat())?;
            let expected = ["\"count\":", "\"offset\":1000", "shutdown_complete"];
            let name = format!("kafka-verifiable-consumer in a {protocol} group");
            self.checks.says(&name, &expected, &said)?;
        }
        let which = ["--topic", "verified", "--num-records", "1000", "--timeout", "20000"];
        let said = self.run(CONSUMER_PERFORMANCE, &which)?;
        let columns = said.lines().map(words).filter(|line| line.contains(", 1000, "));
        self.checks.same("kafka-consumer-perf-test", 1, columns.count())
    }

    /// Kafka's own exactly-once copier, which its system tests use.
    fn copier(&mut self) -> Outcome {
        let from =
            ["--input-topic", "verified", "--input-partition", "0", "--max-messages", "1000"];
        let to = ["--output-topic", "copied", "--transactional-id", "copier"];
        let how = ["--consumer-group", "copiers", "--transaction-size", "100"];
        let more = ["--use-group-metadata", "--enable-random-aborts"];
        let said = self
            .tools
            .tool(COPIER)
            .args(["--broker-list", &self.address])
            .args([&from[..], &to, &how, &more].concat())
            .out()?;
        self.checks.says("TransactionalMessageCopier", &["\"remaining\":0"], &said)?;
        let which = ["--topic", "copied", "--partition", "0", "--offset", "earliest"];
        let level = ["--isolation-level", "read_committed", "--timeout-ms", "1500"];
        let said = self.run(CONSUMER, &[&which[..], &level].concat())?;
        let numbers = said.lines().filter_map(|line| line.parse::<u32>().ok());
        let expected: Vec<u32> = (0..1000).collect();
        let found: Vec<u32> = numbers.collect();
        self.checks.same("copies once and in order", true, found == expected)
    }
}
