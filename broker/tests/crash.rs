//! Kills at any moment lose nothing, against real broker processes.

mod process;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use milena_protocol::api::create_topics::{
    CreateTopicsConfig, CreateTopicsRequest, CreateTopicsTopic,
};
use milena_protocol::api::delete_topics::DeleteTopicsRequest;
use milena_protocol::api::produce::ProduceRequest;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::record::batch::patch;
use milena_protocol::record::run::Batches;
use milena_protocol::record::{BatchBuilder, BatchOptions};
use process::broker::{
    create, fetch_request, idempotent, list, produce, produce_request, records_of,
};
use process::{Connection, Process, moment};

/// Files are gone at once, so that a kill may come between any two of them.
const SETTINGS: &[&str] = &["log.segment.delete.delay.ms=0"];

/// What was acknowledged would be lost by a kill, or a deleted topic come back.
#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for round in 0..5 {
        let process = Process::start(directory.path(), &[]);
        let mut connection = process.connect();
        if round == 0 {
            assert!(create(&mut connection, "kept", 3, &[("retention.ms", "-1")]).is_none());
            assert!(create(&mut connection, "gone", 1, &[]).is_none());
        }
        if round == 1 {
            let request = DeleteTopicsRequest {
                topic_names: vec!["gone".into()],
                timeout_ms: 10_000,
                ..Default::default()
            };
            assert!(connection.ask(&request, 4).responses[0].error_code.is_none());
        }
        assert_eq!(list(&mut connection, "kept", -1, 11).offset, Offset(expected));
        for _ in 0..20 {
            let answer = produce(&mut connection, "kept", idempotent(7, 0, expected as i32), -1);
            assert_eq!(answer.base_offset, Offset(expected), "{answer:?}");
            expected += 1;
        }
        // A retry across the restart is recognised.
        let again = produce(&mut connection, "kept", idempotent(7, 0, expected as i32 - 1), -1);
        assert_eq!(again.base_offset, Offset(expected - 1));
        let gone = list(&mut connection, "gone", -1, 11).error_code;
        assert_eq!(gone.is_none(), round == 0);
        process.kill();
    }
}

/// Topics by name that the rounds make and drop again and again.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Three of these fill a segment.
const VALUE_BYTES: usize = 300_000;
const ROUNDS: usize = 25;

/// A generator that gives the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }

    fn moment(&mut self, below: Duration) -> Duration {
        Duration::from_micros(self.below(below.as_micros() as u64))
    }
}

/// What is known of a topic.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Records that were acknowledged.
    acknowledged: i64,
    /// Records that were sent.
    sent: i64,
    /// Whether it may be missing: its creation or deletion was sent and not answered.
    is_in_doubt: bool,
}

/// One thing that a client does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Create(&'static str),
    Delete(&'static str),
    Produce(&'static str),
}

/// What a client knows of a broker that is killed again and again.
#[derive(Debug, Default)]
struct History {
    topics: BTreeMap<&'static str, Known>,
}

impl History {
    fn choose(&self, random: &mut Random) -> Step {
        let name = NAMES[random.below(NAMES.len() as u64) as usize];
        match self.topics.contains_key(name) {
            false => Step::Create(name),
            true if random.below(8) == 0 => Step::Delete(name),
            true => Step::Produce(name),
        }
    }

    /// Sends what a step asks for.
    fn send(&mut self, connection: &mut Connection, step: Step) {
        match step {
            Step::Create(name) => {
                let known = Known { acknowledged: 0, sent: 0, is_in_doubt: true };
                self.topics.insert(name, known);
                connection.send(&create_request(name), 7);
            }
            Step::Delete(name) => {
                self.known(name).is_in_doubt = true;
                let topic_names = vec![name.into()];
                let request =
                    DeleteTopicsRequest { topic_names, timeout_ms: 10_000, ..Default::default() };
                connection.send(&request, 4);
            }
            Step::Produce(name) => {
                let known = self.known(name);
                connection.send(&produce_request(name, numbered(known.sent), -1), 12);
                known.sent += 1;
            }
        }
    }

    /// Takes the answer.
    fn receive(&mut self, connection: &mut Connection, step: Step) {
        match step {
            Step::Create(name) => {
                let answer = connection.receive::<CreateTopicsRequest>(7);
                assert!(answer.topics[0].error_code.is_none(), "{answer:?}");
                self.known(name).is_in_doubt = false;
            }
            Step::Delete(name) => {
                let answer = connection.receive::<DeleteTopicsRequest>(4);
                assert!(answer.responses[0].error_code.is_none(), "{answer:?}");
                self.topics.remove(name);
            }
            Step::Produce(name) => {
                let answer = connection.receive::<ProduceRequest>(12);
                let answer = &answer.responses[0].partition_responses[0];
                let known = self.known(name);
                let expected = (ErrorCode::NONE, Offset(known.acknowledged));
                assert_eq!((answer.error_code, answer.base_offset), expected, "{name}");
                known.acknowledged += 1;
            }
        }
    }

    fn known(&mut self, name: &str) -> &mut Known {
        self.topics.get_mut(name).expect("steps are chosen among the topics there are")
    }

    /// Compares what a broker serves with what is known, and settles what was in doubt.
    fn check(&mut self, connection: &mut Connection) {
        for name in NAMES {
            let found = list(connection, name, -1, 11);
            let Some(known) = self.topics.get_mut(name) else {
                assert_eq!(found.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "{name}");
                continue;
            };
            if known.is_in_doubt && found.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                self.topics.remove(name);
                continue;
            }
            assert_eq!(found.error_code, ErrorCode::NONE, "{name}: {known:?}");
            let end = found.offset.0;
            assert!((known.acknowledged..=known.sent).contains(&end), "{name}: {end}, {known:?}");
            *known = Known { acknowledged: end, sent: end, is_in_doubt: false };
            assert_holds(connection, name, end);
        }
    }
}

fn create_request(name: &str) -> CreateTopicsRequest {
    let config = |name: &str, value: &str| CreateTopicsConfig {
        name: name.into(),
        value: Some(value.into()),
    };
    CreateTopicsRequest {
        topics: vec![CreateTopicsTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: vec![config("segment.bytes", "1048576"), config("retention.ms", "-1")],
            ..Default::default()
        }],
        timeout_ms: 10_000,
        validate_only: false,
    }
}

/// A batch of one large record that tells its own offset.
fn numbered(offset: i64) -> Bytes {
    let mut value = vec![offset as u8; VALUE_BYTES];
    value[..8].copy_from_slice(&offset.to_be_bytes());
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(offset), None, Some(&value), &[]);
    builder.build().unwrap()
}

/// Every record below `end` is there, at its offset, whole.
fn assert_holds(connection: &mut Connection, name: &str, end: i64) {
    let mut next = 0;
    while next < end {
        let answer = connection.ask(&fetch_request(name, next, 0), 12);
        let answer = &answer.responses[0].partitions[0];
        assert!(answer.error_code.is_none(), "{name} at {next}: {}", answer.error_code);
        let before = next;
        for batch in Batches::new(&records_of(answer)) {
            let mut expected = numbered(next).to_vec();
            patch::place(&mut expected, Offset(next), batch.leader_epoch());
            assert!(batch.bytes() == expected, "{name} at {next}");
            next += 1;
        }
        assert!(next > before, "{name} has nothing at {next} of {end}");
    }
}

/// A kill while the broker starts, makes or drops a topic, or begins a segment would lose what was
/// acknowledged, bring back what was deleted, or keep the next start from succeeding.
#[test]
fn kills_at_random_moments_lose_nothing() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    let mut random = Random(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::default();
    for _ in 0..ROUNDS {
        while random.below(3) == 0 {
            let after = random.moment(Duration::from_millis(40));
            Process::interrupted(directory.path(), SETTINGS, after);
        }
        let process = Process::start(directory.path(), SETTINGS);
        let mut connection = process.connect();
        history.check(&mut connection);
        for _ in 0..random.below(12) {
            let step = history.choose(&mut random);
            history.send(&mut connection, step);
            history.receive(&mut connection, step);
        }
        let last = history.choose(&mut random);
        history.send(&mut connection, last);
        moment(random.moment(Duration::from_millis(3)));
        process.kill();
    }
    let process = Process::start(directory.path(), SETTINGS);
    history.check(&mut process.connect());
}
