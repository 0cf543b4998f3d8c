//! Scenarios: commands and the transcript that they must give.
//!
//! In `scenarios/*.txt` a line that begins with `>` is a command, what follows it is what it must
//! print, and `#` is a remark. `UPDATE=1 cargo test -p milena-cluster` rewrites the transcripts.

mod beginning;
mod node;

use std::fmt::Write as _;

use milena_cluster::configs::Values;
use milena_cluster::controller::alter_configs::{Alteration, Operation};
use milena_cluster::controller::brokers::{Application, Registration};
use milena_cluster::controller::directories::Placed;
use milena_cluster::controller::features::{FeatureUpdate, SUPPORTED};
use milena_cluster::controller::heartbeats::Heartbeat;
use milena_cluster::controller::isr::IsrChange;
use milena_cluster::controller::reassign::{self, Reassignment};
use milena_cluster::controller::topics::{MorePartitions, NewTopic, TopicRef};
use milena_cluster::controller::{Controller, Decision, Refused, Sessions};
use milena_cluster::metadata::image::{ConfigResource, EndpointImage};
use milena_cluster::time::Instant;
use milena_protocol::codec::Text;
use milena_protocol::ids::{BrokerEpoch, NodeId, Offset, PartitionIndex, Uuid};
use milena_protocol::metadata_record::MetadataRecord;
use node::Node;

/// A rule of the controller would have changed without anybody noticing.
#[test]
fn transcripts_are_as_written() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let expected = std::fs::read_to_string(&path).unwrap();
        let actual = play(&expected);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, actual).unwrap();
        } else {
            assert_eq!(actual, expected, "{}", path.display());
        }
    }
}

/// Runs the commands of a scenario; answers the transcript.
fn play(text: &str) -> String {
    let mut stage = Stage::new(Values::new());
    let mut out = String::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            writeln!(out, "{line}").unwrap();
            stage.run(command, &mut out);
        } else if line.starts_with('#') || line.is_empty() {
            writeln!(out, "{line}").unwrap();
        }
    }
    out
}

struct Stage {
    node: Node,
    sessions: Sessions,
    now: Instant,
    next_topic: u128,
}

/// `key=value` among the words of a command.
fn option<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// `key=N,M` as directories; `key=` is none.
fn directories(words: &[&str], key: &str) -> Option<Vec<Uuid>> {
    let numbers = option(words, key)?.split(',').filter(|number| !number.is_empty());
    Some(numbers.map(|number| Uuid::from_u128(number.parse().unwrap())).collect())
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(words: &[&str], key: &str, default: T) -> T {
    option(words, key).map_or(default, |value| value.parse().unwrap())
}

impl Stage {
    fn new(static_values: Values) -> Self {
        let node = Node::new(static_values);
        let now = Instant(0);
        let timeout = node.controller.session_timeout();
        let sessions = Sessions::begin(now, timeout, &node.image);
        Self { node, sessions, now, next_topic: 0 }
    }

    fn decide<A>(&mut self, decide: impl FnOnce(&Controller) -> Decision<A>) -> Decision<A> {
        let decision = self.node.decide(decide);
        self.sessions.follow(self.now, &self.node.image);
        self.sessions.check_invariants(&self.node.image);
        decision
    }

    fn run(&mut self, command: &str, out: &mut String) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let dry = words.contains(&"validate-only");
        match words[0] {
            "static" => {
                let (key, value) = words[1].split_once('=').unwrap();
                *self = Self::new(Values::from([(key.to_owned(), value.to_owned())]));
            }
            "bootstrap" if words.contains(&"without-eligible") => {
                self.node.append(beginning::without_eligible());
            }
            "bootstrap" => self.node.append(self.node.controller.bootstrap()),
            "register" => self.register(&words, out),
            "heartbeat" => self.heartbeat(&words, out),
            "wait" => {
                self.now = self.now.plus(std::time::Duration::from_secs(words[1].parse().unwrap()));
            }
            "gone" => self.sessions.expire(NodeId(words[1].parse().unwrap())),
            "check-sessions" => {
                let (now, sessions) = (self.now, self.sessions.clone());
                let decision = self.decide(|controller| controller.fence_stale(now, &sessions));
                show(&decision.records, out);
            }
            "another-controller" => {
                let timeout = self.node.controller.session_timeout();
                self.sessions = Sessions::begin(self.now, timeout, &self.node.image);
            }
            "fence" => {
                let id = NodeId(words[1].parse().unwrap());
                let decision = self.decide(|controller| controller.fence_broker(id));
                show(&decision.records, out);
            }
            "unregister" => {
                let id = NodeId(words[1].parse().unwrap());
                let decision = self.decide(|controller| controller.unregister_broker(id));
                finish(decision, out);
            }
            "producer-ids" => {
                let id = NodeId(words[1].parse().unwrap());
                let decision = self.decide(|controller| controller.allocate_producer_ids(id));
                finish(decision, out);
            }
            "create" => self.create(&words, dry, out),
            "delete" => {
                let topics: Vec<TopicRef> = words[1..]
                    .iter()
                    .map(|word| match word.strip_prefix("id=") {
                        Some(id) => TopicRef::Id(Uuid::from_u128(id.parse().unwrap())),
                        None => TopicRef::Name((*word).into()),
                    })
                    .collect();
                let decision = self.decide(|controller| controller.delete_topics(&topics));
                each(decision, out);
            }
            "grow" => {
                let more = [MorePartitions {
                    name: words[1].into(),
                    count: words[2].parse().unwrap(),
                    assignments: option(&words, "assign")
                        .map(|text| text.split(';').map(ids).collect()),
                }];
                let decision = self.decide(|controller| controller.create_partitions(&more, dry));
                each(decision, out);
            }
            "alter" | "replace" => self.alter(&words, dry, out),
            "elect" => {
                let wanted: Vec<_> = words
                    .iter()
                    .filter_map(|word| word.rsplit_once(':'))
                    .map(|(name, index)| (name.into(), PartitionIndex(index.parse().unwrap())))
                    .collect();
                let unclean = words.contains(&"unclean");
                let named = (!wanted.is_empty()).then_some(wanted.as_slice());
                let decision = self.decide(|controller| controller.elect_leaders(named, unclean));
                show(&decision.records, out);
                for (name, index, result) in decision.answer {
                    writeln!(out, "  {name}:{index} {}", outcome(&result)).unwrap();
                }
            }
            "move" => self.reassign(&words, out),
            "moving" => {
                for it in reassign::moving(&self.node.image, None) {
                    let (all, adding) = (list(&it.replicas), list(&it.adding));
                    let removing = list(&it.removing);
                    let (name, index) = (it.topic, it.partition);
                    writeln!(out, "  {name}:{index} {all} adding {adding} removing {removing}")
                        .unwrap();
                }
            }
            "propose" => self.propose(&words, out),
            "placed" => self.placed(&words, out),
            "in-sync" => self.in_sync(&words, out),
            "balance" => {
                let percent = number(&words, "percent", 0);
                let decision =
                    self.node.decide(|controller| controller.balance_leaders(percent, 1000));
                show(&decision.records, out);
            }
            "feature" => {
                let updates = [FeatureUpdate {
                    name: words[1].into(),
                    level: words[2].parse().unwrap(),
                    upgrade_type: number(&words, "type", 1),
                }];
                let decision = self.decide(|controller| controller.update_features(&updates, dry));
                show(&decision.records, out);
                for (name, result) in decision.answer {
                    writeln!(out, "  {name} {}", outcome(&result)).unwrap();
                }
            }
            "snapshot" => show(&self.node.take_snapshot(), out),
            "restart" => self.node.restart(),
            other => panic!("there is no command {other}"),
        }
    }

    fn register(&mut self, words: &[&str], out: &mut String) {
        let id: i32 = words[1].parse().unwrap();
        let known = self.node.image.broker(NodeId(id)).map(|broker| broker.epoch);
        let registration = Registration {
            id: NodeId(id),
            incarnation_id: Uuid::from_u128(number(words, "incarnation", 500)),
            previous_epoch: option(words, "after")
                .map(|it| BrokerEpoch(it.parse().unwrap()))
                .or(known.filter(|_| words.contains(&"lossless"))),
            endpoints: vec![EndpointImage {
                name: "PLAINTEXT".into(),
                host: "localhost".into(),
                port: 9092,
                security_protocol: 0,
            }],
            rack: option(words, "rack").map(Text::from),
            log_dirs: directories(words, "dir")
                .unwrap_or_else(|| vec![Uuid::from_u128(1000 + id as u128)]),
        };
        let application = Application {
            registration,
            features: SUPPORTED
                .iter()
                .map(|it| (it.name.into(), it.min_level, number(words, it.name, it.max_level)))
                .collect(),
            is_migrating: words.contains(&"migrating"),
        };
        let (now, sessions) = (self.now, self.sessions.clone());
        let decision =
            self.decide(|controller| controller.admit_broker(now, &application, &sessions));
        finish(decision, out);
    }

    fn heartbeat(&mut self, words: &[&str], out: &mut String) {
        let id = NodeId(words[1].parse().unwrap());
        let epoch = self.node.image.broker(id).map_or(BrokerEpoch(-1), |broker| broker.epoch);
        let beat = Heartbeat {
            id,
            epoch: BrokerEpoch(number(words, "epoch", epoch.0)),
            metadata_offset: Offset(number(words, "offset", self.node.image.offset().0)),
            wants_fence: words.contains(&"wants-fence"),
            wants_shut_down: words.contains(&"wants-shut-down"),
            offline_log_dirs: directories(words, "offline").unwrap_or_default(),
            cordoned_log_dirs: directories(words, "cordoned"),
        };
        self.sessions.heard(self.now, beat.id, beat.epoch, beat.metadata_offset);
        let sessions = self.sessions.clone();
        let decision = self.decide(|controller| controller.heartbeat(&beat, &sessions));
        finish(decision, out);
    }

    /// `move t:0 1,2,3`, `move t:0` to give it up.
    fn reassign(&mut self, words: &[&str], out: &mut String) {
        let (topic, index) = words[1].split_once(':').unwrap();
        let wanted = [Reassignment {
            topic: topic.into(),
            partition: PartitionIndex(index.parse().unwrap()),
            replicas: words.get(2).filter(|word| **word != "same-factor").map(|text| ids(text)),
        }];
        let may_change_factor = !words.contains(&"same-factor");
        let decision = self.decide(|controller| controller.reassign(&wanted, may_change_factor));
        each(decision, out);
    }

    /// `propose t:0 1,2,3` by its leader.
    fn propose(&mut self, words: &[&str], out: &mut String) {
        let (topic, index) = words[1].split_once(':').unwrap();
        let image = self.node.image.clone();
        let topic = image.topic(topic).unwrap();
        let index = PartitionIndex(index.parse().unwrap());
        let partition = topic.partition(index).unwrap();
        let epoch = |id: NodeId| image.broker(id).map(|broker| broker.epoch);
        let wanted = IsrChange {
            topic_id: topic.id(),
            partition: index,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr: ids(words[2]).into_iter().map(|id| (id, epoch(id))).collect(),
            is_recovering: false,
        };
        let (leader, epoch) = (partition.leader, epoch(partition.leader).unwrap());
        let Decision { records, answer } =
            self.decide(|controller| controller.alter_partitions(leader, epoch, &[wanted]));
        show(&records, out);
        match answer.unwrap().remove(0) {
            Ok(it) => {
                let (isr, leader, epoch) = (list(&it.isr), it.leader, it.leader_epoch);
                writeln!(out, "  ok isr {isr} leader {leader} epoch {epoch}").unwrap();
            }
            Err(refused) => writeln!(out, "  {}", refusal(&refused)).unwrap(),
        }
    }

    /// `placed 1 t:0 dir=N` by a broker.
    fn placed(&mut self, words: &[&str], out: &mut String) {
        let id = NodeId(words[1].parse().unwrap());
        let (topic, index) = words[2].split_once(':').unwrap();
        let placed = [Placed {
            directory: directories(words, "dir").unwrap()[0],
            topic_id: self.node.image.topic(topic).map_or(Uuid::ZERO, |topic| topic.id()),
            partition: PartitionIndex(index.parse().unwrap()),
        }];
        let epoch = self.node.image.broker(id).map_or(BrokerEpoch(-1), |broker| broker.epoch);
        let Decision { records, answer } =
            self.decide(|controller| controller.place_replicas(id, epoch, &placed));
        show(&records, out);
        let answer = answer.and_then(|mut answers| answers.remove(0));
        writeln!(out, "  {}", outcome(&answer)).unwrap();
    }

    /// `in-sync topic:0 1,2`: the leader proposes who is in sync, in the epochs in force.
    fn in_sync(&mut self, words: &[&str], out: &mut String) {
        let (name, index) = words[1].rsplit_once(':').unwrap();
        let partition = PartitionIndex(index.parse().unwrap());
        let topic = self.node.image.topic(name).unwrap();
        let known = topic.partition(partition).unwrap();
        let leader = known.leader;
        let change = IsrChange {
            topic_id: topic.id(),
            partition,
            leader_epoch: known.leader_epoch,
            partition_epoch: known.partition_epoch,
            isr: ids(words[2]).into_iter().map(|id| (id, None)).collect(),
            is_recovering: false,
        };
        let epoch = self.node.image.broker(leader).unwrap().epoch;
        let decision =
            self.node.decide(|controller| controller.alter_partitions(leader, epoch, &[change]));
        show(&decision.records, out);
        for result in decision.answer.unwrap() {
            writeln!(out, "  {}", outcome(&result)).unwrap();
        }
    }

    fn create(&mut self, words: &[&str], dry: bool, out: &mut String) {
        let names = words[1].split(',');
        let topics: Vec<NewTopic> = names
            .map(|name| {
                self.next_topic += 1;
                NewTopic {
                    name: name.into(),
                    id: Uuid::from_u128(self.next_topic << 8),
                    partitions: number(words, "partitions", -1),
                    replication_factor: number(words, "factor", -1),
                    assignments: option(words, "assign")
                        .into_iter()
                        .flat_map(|text| text.split(';'))
                        .map(|part| {
                            let (index, replicas) = part.split_once(':').unwrap();
                            (PartitionIndex(index.parse().unwrap()), ids(replicas))
                        })
                        .collect(),
                    configs: option(words, "config")
                        .into_iter()
                        .map(|entry| match entry.split_once(':') {
                            Some((key, value)) => (key.into(), Some(value.into())),
                            None => (entry.into(), None),
                        })
                        .collect(),
                }
            })
            .collect();
        let decision = self.decide(|controller| controller.create_topics(&topics, dry));
        show(&decision.records, out);
        for result in decision.answer {
            match result {
                Ok(it) => {
                    let (count, factor) = (it.partitions, it.replication_factor);
                    writeln!(out, "  ok {count} partitions, factor {factor}").unwrap();
                }
                Err(refused) => writeln!(out, "  {}", refusal(&refused)).unwrap(),
            }
        }
    }

    /// `alter topic:t set:key:value append:key:value delete:key`, `replace topic:t key:value`.
    fn alter(&mut self, words: &[&str], dry: bool, out: &mut String) {
        let (kind, name) = words[1].split_once(':').unwrap();
        let kind = match kind {
            "topic" => ConfigResource::TOPIC,
            "broker" => ConfigResource::BROKER,
            "group" => ConfigResource::GROUP,
            _ => ConfigResource::BROKER_LOGGER,
        };
        let resource = ConfigResource { kind, name: name.into() };
        let entries = words[2..].iter().filter(|word| word.contains(':'));
        let decision = if words[0] == "replace" {
            let values = entries
                .map(|entry| entry.split_once(':').unwrap())
                .map(|(key, value)| (key.into(), Some(value.into())))
                .collect();
            let all = [(resource, values)];
            self.decide(|controller| controller.replace_configs(&all, dry))
        } else {
            let changes = entries
                .map(|entry| {
                    let mut parts = entry.splitn(3, ':');
                    let operation = match parts.next().unwrap() {
                        "set" => Some(Operation::Set),
                        "delete" => Some(Operation::Delete),
                        "append" => Some(Operation::Append),
                        "subtract" => Some(Operation::Subtract),
                        _ => None,
                    };
                    (parts.next().unwrap().into(), operation, parts.next().map(Text::from))
                })
                .collect();
            let all = [Alteration { resource, changes }];
            self.decide(|controller| controller.incremental_alter_configs(&all, dry))
        };
        each(decision, out);
    }
}

fn ids(text: &str) -> Vec<NodeId> {
    text.split(',').map(|id| NodeId(id.parse().unwrap())).collect()
}

fn refusal(refused: &Refused) -> String {
    format!("{:?}: {}", refused.code, refused.message)
}

fn outcome<T>(result: &Result<T, Refused>) -> String {
    result.as_ref().map_or_else(refusal, |_| "ok".to_owned())
}

fn finish<A: std::fmt::Debug>(decision: Decision<Result<A, Refused>>, out: &mut String) {
    show(&decision.records, out);
    match decision.answer {
        Ok(answer) => writeln!(out, "  ok {answer:?}").unwrap(),
        Err(refused) => writeln!(out, "  {}", refusal(&refused)).unwrap(),
    }
}

fn each<A>(decision: Decision<Vec<Result<A, Refused>>>, out: &mut String) {
    show(&decision.records, out);
    for result in &decision.answer {
        writeln!(out, "  {}", outcome(result)).unwrap();
    }
}

fn list(nodes: &[NodeId]) -> String {
    let ids: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    format!("[{}]", ids.join(","))
}

/// Ids as the numbers that they were made of.
fn numbers(ids: &[Uuid]) -> String {
    let numbers: Vec<String> = ids.iter().map(|id| u128::from_be_bytes(id.0).to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// Prints records with what matters in them.
fn show(records: &[MetadataRecord], out: &mut String) {
    for record in records {
        let line = match record {
            MetadataRecord::Topic(it) => format!("Topic {}", it.name),
            MetadataRecord::RemoveTopic(_) => "RemoveTopic".to_owned(),
            MetadataRecord::Partition(it) => format!(
                "Partition {} replicas {} isr {} leader {} epoch {}",
                it.partition_id,
                list(&it.replicas),
                list(&it.isr),
                it.leader,
                it.leader_epoch
            ),
            MetadataRecord::PartitionChange(it) => {
                let mut line = format!("PartitionChange {}", it.partition_id);
                if it.leader != NodeId(-2) {
                    write!(line, " leader {}", it.leader).unwrap();
                }
                for (what, nodes) in [
                    ("isr", &it.isr),
                    ("elr", &it.eligible_leader_replicas),
                    ("last-known", &it.last_known_elr),
                    ("replicas", &it.replicas),
                    ("adding", &it.adding_replicas),
                    ("removing", &it.removing_replicas),
                ] {
                    if let Some(nodes) = nodes {
                        write!(line, " {what} {}", list(nodes)).unwrap();
                    }
                }
                if let Some(directories) = &it.directories {
                    write!(line, " directories {}", numbers(directories)).unwrap();
                }
                if it.leader_recovery_state >= 0 {
                    write!(line, " recovery {}", it.leader_recovery_state).unwrap();
                }
                line
            }
            MetadataRecord::Config(it) => format!(
                "Config {}:{} {} = {}",
                it.resource_type,
                it.resource_name,
                it.name,
                it.value.as_deref().unwrap_or("(removed)")
            ),
            MetadataRecord::RegisterBroker(it) => format!(
                "RegisterBroker {} epoch {} fenced {}",
                it.broker_id, it.broker_epoch, it.fenced
            ),
            MetadataRecord::BrokerRegistrationChange(it) => {
                let mut line = format!(
                    "BrokerRegistrationChange {} fenced {} shutdown {}",
                    it.broker_id, it.fenced, it.in_controlled_shutdown
                );
                if !it.log_dirs.is_empty() {
                    write!(line, " directories {}", numbers(&it.log_dirs)).unwrap();
                }
                if let Some(cordoned) = &it.cordoned_log_dirs {
                    write!(line, " cordoned {}", numbers(cordoned)).unwrap();
                }
                line
            }
            MetadataRecord::UnregisterBroker(it) => format!("UnregisterBroker {}", it.broker_id),
            MetadataRecord::FeatureLevel(it) => {
                format!("FeatureLevel {} {}", it.name, it.feature_level)
            }
            MetadataRecord::ProducerIds(it) => format!("ProducerIds next {}", it.next_producer_id),
            MetadataRecord::ClearElr(it) => format!("ClearElr '{}'", it.topic_name),
            other => format!("{other:?}"),
        };
        writeln!(out, "  + {line}").unwrap();
    }
}
