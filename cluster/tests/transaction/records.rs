//! Records of `__transaction_state` are Kafka's. The bytes here were written by Kafka 4.3.1.

use bytes::Bytes;
use milena_cluster::coordinator::{Record, Replayed};
use milena_cluster::transaction::{Settings, State, record};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, ProducerId};

use crate::node::{ID, Node, add, end, init, partition, producer};

const KEY: &str = "0000000574786e2d31";

/// One transaction under version 2: begun, two partitions added, committed, begun anew.
const VERSION_2: [&str; 6] = [
    "0001000000000000126700000000ea60000000000000000003e8ffffffffffffffff0100080000000000001267",
    "0001000000000000126700000000ea600102027402000000000000000000000007d000000000000007d0020008\
     000000000000126702020002",
    "0001000000000000126700000000ea60010202740300000000000000060000000000000009c400000000000007\
     d0020008000000000000126702020002",
    "0001000000000000126700010000ea6002020274030000000000000006000000000000000bb800000000000007\
     d0020008000000000000126702020002",
    "0001000000000000126700010000ea6004010000000000000fa000000000000007d00200080000000000001267\
     02020002",
    "0001000000000000126700020000753000000000000000001388ffffffffffffffff0200080000000000001267\
     02020002",
];

/// The same where transactions have no version.
const VERSION_0: [&str; 6] = [
    "0000000000000000126700000000ea6000ffffffff00000000000003e8ffffffffffffffff",
    "0000000000000000126700000000ea600100000001000174000000010000000000000000000007d00000000000\
     0007d0",
    "0000000000000000126700000000ea60010000000100017400000002000000000000000600000000000009c400\
     000000000007d0",
    "0000000000000000126700000000ea6002000000010001740000000200000000000000060000000000000bb800\
     000000000007d0",
    "0000000000000000126700000000ea6004000000000000000000000fa000000000000007d0",
    "0000000000000000126700010000753000ffffffff0000000000001388ffffffffffffffff",
];

/// The end of a transaction with the last epoch, and of its markers.
const ROTATING: [&str; 2] = [
    "000100000000000012677fff0000ea60030202740200000000000000000000000bb800000000000007d0030008\
     00000000000012670108000000000000138802020002",
    "0001000000000000138800000000ea6005010000000000000fa000000000000007d00200080000000000001267\
     02020002",
];

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16).expect("a digit") as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>().into()
}

fn kafkas(values: &[&str]) -> Vec<Record> {
    values.iter().map(|value| Record { key: bytes(KEY), value: Some(bytes(value)) }).collect()
}

/// A log of Kafka would not be understood, or one of ours not by Kafka.
#[test]
fn every_record_of_kafka_is_read_and_written_again_as_it_is() {
    for (values, level) in [(&VERSION_2[..], 2), (&VERSION_0[..], 0), (&ROTATING[..], 2)] {
        for (at, record) in kafkas(values).iter().enumerate() {
            let replayed = Replayed {
                offset: Offset(0),
                transaction: None,
                key: &record.key,
                value: record.value.as_deref(),
            };
            let (id, transaction) = record::read(&replayed).expect("a record");
            let written = record::record(&id, &transaction.expect("no tombstone"), level);
            assert_eq!(written, *record, "{level} {at}");
        }
    }
}

/// Our transactions would look different from Kafka's in the log.
#[test]
fn a_transaction_leaves_the_records_that_kafka_writes() {
    for (values, level, api) in [(VERSION_2, 2, 5), (VERSION_0, 0, 3)] {
        let settings = Settings { transaction_version: level, ..Settings::default() };
        let mut node = Node::with(Vec::new(), settings);
        let base = crate::node::BEGIN;
        let at = |node: &mut Node, wall: u64| node.now = wall.wrapping_sub(base);
        node.first_producer_id(4711);
        at(&mut node, 1000);
        let holder = node.now_answered(5, init(None)).unwrap();
        at(&mut node, 2000);
        node.now_answered(api, add(holder, &[0])).unwrap_err();
        at(&mut node, 2500);
        node.now_answered(api, add(holder, &[6, 0])).unwrap_err();
        at(&mut node, 3000);
        node.now_answered(api.min(5), end(holder, true)).unwrap();
        at(&mut node, 4000);
        node.write_markers();
        at(&mut node, 5000);
        node.now_answered(5, crate::node::init_with(None, 30_000)).unwrap();
        assert_eq!(node.log, kafkas(&values), "level {level}");
    }
}

/// A transaction that Kafka left undecided would never be ended here.
#[test]
fn a_log_of_kafka_is_taken_up_where_it_ends() {
    let mut node = Node::with(kafkas(&VERSION_2[..4]), Settings::default());
    assert_eq!(node.state(), State::PrepareCommit);
    assert_eq!(node.markers[0].producer, producer(4711, 1));
    assert_eq!(node.markers[0].partitions, [partition("t", 0), partition("t", 6)].into());
    node.write_markers();
    assert_eq!(node.state(), State::CompleteCommit);
    assert_eq!(node.now_answered(5, end(producer(4711, 0), true)), Ok(producer(4711, 1)));

    let mut node = Node::with(kafkas(&VERSION_0[..3]), Settings::default());
    assert_eq!(node.state(), State::Ongoing);
    assert_eq!(node.now_answered(4, end(producer(4711, 0), false)), Ok(producer(4711, 0)));
    assert_eq!(node.markers[0].transaction_version, 0);

    let mut node = Node::with(kafkas(&ROTATING[..1]), Settings::default());
    assert_eq!(node.known().next_producer_id, ProducerId(5000));
    let next = node.ask(5, add(producer(5000, 0), &[0]));
    node.write_markers();
    assert_eq!(node.answered(next), Some(Err(ErrorCode::NONE)));
    assert_eq!(node.known().producer, producer(5000, 0));
}

/// A record that a later version wrote would stop the coordinator, or be misread.
#[test]
fn what_cannot_be_read_is_passed_over() {
    let mut log = kafkas(&VERSION_2[..1]);
    let value = log[0].value.clone().unwrap();
    let mut of = |key: Bytes, value: Bytes| log.push(Record { key, value: Some(value) });
    of(Bytes::from_static(b"\0\x01\0\x05txn-1"), value.clone());
    of(Bytes::from_static(b"\0"), value.clone());
    of(bytes(KEY), Bytes::from_static(b"\0\x02\0"));
    of(bytes(KEY), value.slice(..20));
    let mut dead = value.to_vec();
    dead[16] = 6;
    of(bytes(KEY), dead.into());
    let node = Node::with(log, Settings::default());
    assert_eq!(node.machine.transaction(ID), Some(node.known()));
    assert_eq!((node.state(), node.known().producer), (State::Empty, producer(4711, 0)));
    assert_eq!(node.machine.transactions().count(), 1);
}
