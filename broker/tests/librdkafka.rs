//! librdkafka, which nobody here wrote, against a real process: what it sends and expects is what
//! most clients outside of Java do. The longer suites are those of `cargo xtask interop`.

mod process;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use milena_protocol::error_code::ErrorCode;
use process::broker::{Broker, create};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PARTITIONS: i32 = 3;
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A record as a consumer sees it: where it is, and what it says.
type Seen = BTreeMap<(i32, i64), String>;

fn broker() -> Broker {
    let mut broker = Broker::start(&["group.initial.rebalance.delay.ms=0"]);
    for topic in ["t", "out"] {
        assert!(create(&mut broker.connection, topic, PARTITIONS, &[]).is_none());
    }
    broker
}

fn config(broker: &Broker, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker.process.address);
    settings.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    config
}

fn producer(broker: &Broker, settings: &[(&str, &str)]) -> BaseProducer {
    config(broker, settings).set("linger.ms", "0").create().unwrap()
}

fn consumer(broker: &Broker, settings: &[(&str, &str)]) -> BaseConsumer {
    config(broker, settings)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap()
}

/// Writes numbers to all partitions in turn, each with its partition's number before it.
fn write(producer: &BaseProducer, topic: &str, numbers: std::ops::Range<i32>) {
    for number in numbers {
        let value = format!("{number}");
        let record = BaseRecord::<(), str>::to(topic);
        let record = record.partition(number % PARTITIONS).payload(value.as_str());
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Reads until there are so many records.
fn read(consumers: &[&BaseConsumer], count: usize) -> Seen {
    let mut seen = Seen::new();
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < count {
        assert!(Instant::now() < deadline, "only {} of {count} records came", seen.len());
        for consumer in consumers {
            while let Some(message) = consumer.poll(POLL) {
                let message = message.unwrap();
                let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
                let place = (message.partition(), message.offset());
                assert_eq!(seen.insert(place, value), None, "{place:?} was read twice");
            }
        }
    }
    seen
}

fn values(seen: &Seen) -> Vec<String> {
    let mut values: Vec<String> = seen.values().cloned().collect();
    values.sort_by_key(|value| value.parse::<i32>().unwrap());
    values
}

fn numbers(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Reads all partitions from their beginnings, outside of a group.
fn everything(broker: &Broker, topic: &str, isolation: &str, count: usize) -> Seen {
    let settings = [("group.id", "nobody"), ("isolation.level", isolation)];
    let consumer = consumer(broker, &settings);
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    read(&[&consumer], count)
}

/// Polls until it has partitions assigned; nothing may come meanwhile but errors that pass.
fn joined(consumers: &[&BaseConsumer]) -> Vec<usize> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the group does not settle");
        for consumer in consumers {
            assert!(consumer.poll(POLL).is_none(), "there is nothing to read");
        }
        let counts: Vec<usize> =
            consumers.iter().map(|consumer| consumer.assignment().unwrap().count()).collect();
        let all: usize = counts.iter().sum();
        if all == PARTITIONS as usize && counts.iter().all(|count| *count > 0) {
            return counts;
        }
    }
}

/// Batches of each codec that it is built with, in order and each once.
#[test]
fn what_is_produced_is_consumed() {
    let broker = broker();
    for (index, codec) in (0..).zip(["none", "snappy", "lz4"]) {
        let settings = [("enable.idempotence", "true"), ("compression.type", codec)];
        write(&producer(&broker, &settings), "t", index * 3_000..(index + 1) * 3_000);
    }
    let seen = everything(&broker, "t", "read_uncommitted", 9_000);
    assert_eq!(values(&seen), numbers(0..9_000));
    for partition in 0..PARTITIONS {
        let here = seen.iter().filter(|((at, _), _)| *at == partition);
        let order: Vec<i32> = here.map(|(_, value)| value.parse().unwrap()).collect();
        assert!(order.is_sorted(), "partition {partition} is in order");
    }
}

/// Commits the beginning of each partition for a group that nobody is in.
///
/// A member that finds nothing committed asks for the beginning, and librdkafka 2.12 may do so once
/// more half a second later, when a rebalance came in between: it would read everything twice.
fn commit_the_beginning(broker: &Broker, group: &str) {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("t", partition, Offset::Offset(0)).unwrap();
    }
    consumer(broker, &[("group.id", group)]).commit(&list, CommitMode::Sync).unwrap();
}

/// Two members share the partitions; the next one goes on where the last commit says.
fn a_group_shares_and_goes_on(protocol: &str) {
    let broker = broker();
    commit_the_beginning(&broker, "g");
    let settings = [("group.id", "g"), ("group.protocol", protocol)];
    let (one, other) = (consumer(&broker, &settings), consumer(&broker, &settings));
    one.subscribe(&["t"]).unwrap();
    other.subscribe(&["t"]).unwrap();
    joined(&[&one, &other]);
    let producer = producer(&broker, &[]);
    write(&producer, "t", 0..300);
    assert_eq!(values(&read(&[&one, &other], 300)), numbers(0..300));
    one.commit_consumer_state(CommitMode::Sync).unwrap();
    other.commit_consumer_state(CommitMode::Sync).unwrap();
    // Whoever goes leaves its part to the other.
    drop(one);
    joined(&[&other]);
    write(&producer, "t", 300..600);
    assert_eq!(values(&read(&[&other], 300)), numbers(300..600));
    // Not committed: the next one reads them again.
    drop(other);
    let next = consumer(&broker, &settings);
    next.subscribe(&["t"]).unwrap();
    assert_eq!(values(&read(&[&next], 300)), numbers(300..600));
}

#[test]
fn a_classic_group_shares_and_goes_on() {
    a_group_shares_and_goes_on("classic");
}

#[test]
fn a_group_of_the_new_protocol_shares_and_goes_on() {
    a_group_shares_and_goes_on("consumer");
}

fn transactional(broker: &Broker) -> BaseProducer {
    let producer = producer(broker, &[("transactional.id", "x")]);
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

/// Copies what a consumer has read, with its offsets, in one transaction.
fn copy(producer: &BaseProducer, seen: &Seen, group: &ConsumerGroupMetadata) -> KafkaResult<()> {
    producer.begin_transaction()?;
    let mut offsets = TopicPartitionList::new();
    for ((partition, offset), value) in seen {
        let record = BaseRecord::<(), str>::to("out").partition(*partition).payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
        let next = Offset::Offset(offset + 1);
        match offsets.find_partition("t", *partition) {
            Some(_) => offsets.set_partition_offset("t", *partition, next)?,
            None => offsets.add_partition_offset("t", *partition, next)?,
        }
    }
    // It takes reports of deliveries only while it is polled.
    producer.flush(PATIENCE)?;
    producer.send_offsets_to_transaction(&offsets, group, PATIENCE)
}

/// What is aborted nobody reads who reads what is committed, and its offsets do not count.
#[test]
fn a_transaction_counts_as_a_whole_or_not_at_all() {
    let broker = broker();
    write(&producer(&broker, &[]), "t", 0..30);
    let settings = [("group.id", "g"), ("isolation.level", "read_committed")];
    let reader = consumer(&broker, &settings);
    reader.subscribe(&["t"]).unwrap();
    let seen = read(&[&reader], 30);
    let group = reader.group_metadata().unwrap();
    let producer = transactional(&broker);
    copy(&producer, &seen, &group).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    let list = reader.committed(PATIENCE).unwrap();
    assert!(list.elements().iter().all(|at| at.offset() == Offset::Invalid), "{list:?}");
    copy(&producer, &seen, &group).unwrap();
    producer.commit_transaction(PATIENCE).unwrap();
    let list = reader.committed(PATIENCE).unwrap();
    assert!(list.elements().iter().all(|at| at.offset() == Offset::Offset(10)), "{list:?}");
    assert_eq!(values(&everything(&broker, "out", "read_committed", 30)), numbers(0..30));
    assert_eq!(everything(&broker, "out", "read_uncommitted", 60).len(), 60);
}

/// The one before would write into the transactions of the next.
#[test]
fn the_next_producer_of_an_id_fences_the_one_before() {
    let broker = broker();
    let old = transactional(&broker);
    old.begin_transaction().unwrap();
    write(&old, "t", 0..3);
    let new = transactional(&broker);
    let refused = old.commit_transaction(PATIENCE).unwrap_err();
    let KafkaError::Transaction(error) = refused else { panic!("{refused}") };
    assert!(error.is_fatal(), "{error}");
    assert_eq!(error.code(), RDKafkaErrorCode::Fenced);
    new.begin_transaction().unwrap();
    write(&new, "t", 3..6);
    new.commit_transaction(PATIENCE).unwrap();
    assert_eq!(values(&everything(&broker, "t", "read_committed", 3)), numbers(3..6));
}

/// The connection of a test and those of librdkafka are served side by side.
#[test]
fn what_it_makes_is_seen_by_others() {
    let mut broker = broker();
    write(&producer(&broker, &[]), "t", 0..3);
    let found = broker.fetch("t", 0);
    assert_eq!((found.error_code, found.high_watermark.0), (ErrorCode::NONE, 1));
}
