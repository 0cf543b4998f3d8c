//! Transactions and groups over three real nodes, for librdkafka: what is written lies with all of
//! them, and each of them may be killed.

mod process;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use milena_protocol::api::find_coordinator::FindCoordinatorRequest;
use milena_protocol::error_code::ErrorCode;
use process::broker::{create_replicated, until};
use process::cluster::{Cluster, topic};
use process::moment;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PARTITIONS: i32 = 3;
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// What kind of key a coordinator is looked for by.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const ROUNDS: i32 = 6;

const SETTINGS: [&str; 5] = [
    "group.initial.rebalance.delay.ms=0",
    "offsets.topic.num.partitions=6",
    "transaction.state.log.num.partitions=6",
    "transaction.state.log.min.isr=2",
    "min.insync.replicas=2",
];

fn cluster() -> Cluster {
    let cluster = Cluster::start(3, &SETTINGS);
    cluster.until_live(&[1, 2, 3]);
    for name in ["t", "out"] {
        until("a topic is made", || {
            let mut connection = cluster.connect();
            let code = create_replicated(&mut connection, name, PARTITIONS, 3, &[]);
            matches!(code, ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS)
        });
        for node in &cluster.nodes {
            let mut connection = node.connect();
            until("the topic is led", || {
                let found = topic(&mut connection, name);
                let leaders: BTreeSet<i32> =
                    found.partitions.iter().map(|p| p.leader_id.0).collect();
                leaders == BTreeSet::from([1, 2, 3])
            });
        }
    }
    cluster
}

fn config(cluster: &Cluster, settings: &[(&str, &str)]) -> ClientConfig {
    let servers: Vec<&str> = cluster.up().map(|node| node.process().address.as_str()).collect();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers.join(","));
    config.set("reconnect.backoff.max.ms", "500");
    config.set("topic.metadata.refresh.interval.ms", "2000");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

fn producer(cluster: &Cluster, settings: &[(&str, &str)]) -> BaseProducer {
    config(cluster, settings).set("linger.ms", "0").create().unwrap()
}

fn transactional(cluster: &Cluster, id: &str) -> BaseProducer {
    let settings = [("transactional.id", id), ("transaction.timeout.ms", "60000")];
    let producer = producer(cluster, &settings);
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn consumer(cluster: &Cluster, group: &str) -> BaseConsumer {
    let settings = [("group.id", group), ("isolation.level", "read_committed")];
    config(cluster, &settings)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "10000")
        .create()
        .unwrap()
}

/// Writes a value to each partition, and waits until all of them are acknowledged.
fn write(producer: &BaseProducer, topic: &str, value: &str) -> KafkaResult<()> {
    for partition in 0..PARTITIONS {
        let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    producer.flush(PATIENCE)
}

/// The values that readers of committed records see: all that there are, by partition, in order.
fn committed(cluster: &Cluster, topic: &str) -> Vec<Vec<String>> {
    let consumer = consumer(cluster, "nobody");
    let mut list = TopicPartitionList::new();
    let mut ends = Vec::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        let end = || consumer.fetch_watermarks(topic, partition, PATIENCE);
        let mut found = end();
        until("the end of the partition", || {
            found = end();
            found.is_ok()
        });
        ends.push(found.unwrap().1);
    }
    consumer.assign(&list).unwrap();
    let mut values = vec![Vec::new(); PARTITIONS as usize];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let positions = consumer.position().unwrap();
        let is_read = (0..PARTITIONS).all(|partition| {
            let position = positions.find_partition(topic, partition).map(|at| at.offset());
            let end = ends[partition as usize];
            matches!(position, Some(Offset::Offset(at)) if at >= end) || end == 0
        });
        if is_read {
            return values;
        }
        assert!(Instant::now() < deadline, "not everything is decided: {positions:?} of {ends:?}");
        // Where a partition ends in a marker the position moves with the next record or not at all.
        if let Some(Ok(message)) = consumer.poll(POLL) {
            let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            values[message.partition() as usize].push(value);
        }
    }
}

/// The node that coordinates a group or a transaction, as a node that runs says.
fn coordinator(cluster: &Cluster, key_type: i8, key: &str) -> i32 {
    let mut found = -1;
    until("a coordinator that lives", || {
        let request = FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec![key.into()],
            ..Default::default()
        };
        let answer = cluster.connect().ask(&request, 4).coordinators.remove(0);
        found = answer.node_id.0;
        let at = format!("{}:{}", &*answer.host, answer.port);
        cluster.up().any(|node| node.id == found && node.process().address == at)
    });
    found
}

/// A key of the given kind that this node coordinates.
fn key_of(cluster: &Cluster, key_type: i8, node: i32) -> String {
    let keys = (0..100).map(|number| format!("key-{number}"));
    let mut of_node = keys.filter(|key| coordinator(cluster, key_type, key) == node);
    of_node.next().expect("a key of each node")
}

/// Ends a transaction, again while the client says that it may.
fn end(mut ask: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                assert!(Instant::now() < deadline, "never ended: {error}");
            }
            ended => return ended,
        }
    }
}

/// Commits a value to all partitions of a topic, in as many transactions as it takes.
fn commit(producer: &BaseProducer, topic: &str, value: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        producer.begin_transaction().unwrap();
        let written = write(producer, topic, value);
        let ended = written.and_then(|()| end(|| producer.commit_transaction(PATIENCE)));
        let Err(error) = ended else { return };
        assert!(Instant::now() < deadline, "never committed: {error}");
        end(|| producer.abort_transaction(PATIENCE)).unwrap();
    }
}

/// A marker would never come where the coordinator does not lead, and readers wait for ever.
#[test]
fn what_is_committed_on_all_nodes_is_read_and_what_is_aborted_is_not() {
    let cluster = cluster();
    // Whichever node coordinates, the partitions of the others are led elsewhere.
    for node in [1, 2, 3] {
        let producer = transactional(&cluster, &key_of(&cluster, TRANSACTION, node));
        for (value, is_commit) in [("aborted", false), ("committed", true), ("aborted", false)] {
            producer.begin_transaction().unwrap();
            write(&producer, "t", value).unwrap();
            match is_commit {
                true => producer.commit_transaction(PATIENCE).unwrap(),
                false => producer.abort_transaction(PATIENCE).unwrap(),
            }
        }
        commit(&producer, "t", "last");
    }
    let once = ["committed", "last"].repeat(3);
    assert_eq!(committed(&cluster, "t"), vec![once; PARTITIONS as usize]);
}

/// A decision would be lost with its coordinator, or told to a part of the partitions only.
#[test]
fn transactions_are_whole_though_their_coordinator_is_killed() {
    let mut cluster = cluster();
    let producer = transactional(&cluster, "x");
    let mut expected = Vec::new();
    for round in 0..ROUNDS {
        let value = format!("{round} before");
        commit(&producer, "t", &value);
        expected.push(value);
        let value = format!("{round} through");
        let victim = coordinator(&cluster, TRANSACTION, "x");
        producer.begin_transaction().unwrap();
        write(&producer, "t", &value).unwrap();
        // Before it is asked, or wherever it is by then: deciding, or sending markers.
        let after = Duration::from_millis(u64::try_from(round).unwrap());
        let ended = std::thread::scope(|scope| {
            let victim = cluster.node(victim);
            scope.spawn(move || {
                moment(after);
                victim.kill();
            });
            end(|| producer.commit_transaction(PATIENCE))
        });
        match ended {
            Ok(()) => expected.push(value),
            Err(error) => {
                eprintln!("round {round}: {error}");
                end(|| producer.abort_transaction(PATIENCE)).unwrap();
            }
        }
        let value = format!("{round} after");
        commit(&producer, "t", &value);
        expected.push(value);
        cluster.node(victim).start();
        cluster.until_live(&[1, 2, 3]);
    }
    assert_eq!(committed(&cluster, "t"), vec![expected; PARTITIONS as usize]);
}

/// Offsets would be undecided for ever where the group's coordinator is not the transaction's.
#[test]
fn offsets_count_with_a_transaction_that_another_node_coordinates() {
    let cluster = cluster();
    write(&producer(&cluster, &[]), "t", "0").unwrap();
    for (of_group, of_transaction) in [(1, 2), (2, 3), (3, 1)] {
        let group = key_of(&cluster, GROUP, of_group);
        let reader = consumer(&cluster, &group);
        reader.subscribe(&["t"]).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut offsets = TopicPartitionList::new();
        while offsets.count() < PARTITIONS as usize {
            assert!(Instant::now() < deadline, "the group reads");
            if let Some(Ok(message)) = reader.poll(POLL) {
                let next = Offset::Offset(message.offset() + 1);
                offsets.add_partition_offset("t", message.partition(), next).unwrap();
            }
        }
        let producer = transactional(&cluster, &key_of(&cluster, TRANSACTION, of_transaction));
        let metadata = reader.group_metadata().unwrap();
        for is_commit in [false, true] {
            producer.begin_transaction().unwrap();
            write(&producer, "out", &group).unwrap();
            producer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE).unwrap();
            let expected = if is_commit {
                producer.commit_transaction(PATIENCE).unwrap();
                Offset::Offset(1)
            } else {
                producer.abort_transaction(PATIENCE).unwrap();
                Offset::Invalid
            };
            let list = reader.committed(PATIENCE).unwrap();
            assert!(list.elements().iter().all(|at| at.offset() == expected), "{list:?}");
        }
    }
}

/// Members would wait for a coordinator that is dead, or read again what was committed.
#[test]
fn a_group_goes_on_after_its_coordinator_is_killed() {
    let mut cluster = cluster();
    let writer = producer(&cluster, &[]);
    let reader = consumer(&cluster, "g");
    reader.subscribe(&["t"]).unwrap();
    for round in 0..3 {
        let value = format!("{round}");
        write(&writer, "t", &value).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut seen = BTreeSet::new();
        while seen.len() < PARTITIONS as usize {
            assert!(Instant::now() < deadline, "round {round}: the group reads");
            if let Some(Ok(message)) = reader.poll(POLL) {
                assert_eq!(message.payload().unwrap(), value.as_bytes(), "what comes next");
                assert!(seen.insert(message.partition()), "once");
            }
        }
        until("the offsets are committed", || {
            reader.commit_consumer_state(CommitMode::Sync).is_ok()
        });
        let victim = coordinator(&cluster, GROUP, "g");
        cluster.node(victim).kill();
        assert_ne!(coordinator(&cluster, GROUP, "g"), victim);
        until("the next coordinator knows the offsets", || {
            let found = reader.committed(POLL);
            found.is_ok_and(|list| {
                list.count() > 0
                    && list.elements().iter().all(|at| at.offset() == Offset::Offset(round + 1))
            })
        });
        cluster.node(victim).start();
        cluster.until_live(&[1, 2, 3]);
    }
}
