//! How partitions come into a transaction (facts T5, T9, T10).

use milena_cluster::transaction::State;
use milena_protocol::error_code::ErrorCode;

use crate::node::{FIRST, Node, add, add_offsets, end, partition, producer, verify};

/// A partition without the producer's say would be in its transaction, or one with it not.
#[test]
fn only_the_holder_adds_partitions() {
    let mut node = Node::new();
    let unknown = node.now_answered(3, add(producer(9, 0), &[0]));
    assert_eq!(unknown, Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING));
    node.begin();
    let holder = node.begin();
    let stranger = node.now_answered(3, add(producer(9, 1), &[0]));
    assert_eq!(stranger, Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING));
    for epoch in [0, 2, i16::MAX] {
        let other = add(producer(FIRST, epoch), &[0]);
        assert_eq!(node.now_answered(2, other.clone()), Err(ErrorCode::PRODUCER_FENCED));
        assert_eq!(node.now_answered(1, other), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    }
    assert_eq!(node.state(), State::Empty);
    assert_eq!(node.now_answered(3, add(holder, &[0, 1])), Err(ErrorCode::NONE));
    assert_eq!(node.state(), State::Ongoing);
    assert_eq!(node.known().partitions, [partition("t", 0), partition("t", 1)].into());
    assert_eq!(node.known().client_version, 0);
}

/// Every batch of a transaction would cost a record.
#[test]
fn what_is_in_the_transaction_already_is_not_written_again() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    let appends = node.appends;
    node.open(holder, 0);
    assert_eq!(node.appends, appends);
    node.open(holder, 1);
    assert_eq!(node.appends, appends + 1);
    assert_eq!(node.known().client_version, 2);
}

/// A time out would count from the last partition instead of from the beginning.
#[test]
fn a_transaction_begins_with_its_first_partition() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    let began = node.known().started_at;
    node.now += 500;
    node.open(holder, 1);
    assert_eq!(node.known().started_at, began);
    assert_eq!(node.known().updated_at.0, began.0 + 500);
}

/// Offsets would be committed outside of the transaction that they belong to.
#[test]
fn a_groups_offsets_are_a_partition_of_the_transaction() {
    let mut node = Node::new();
    let holder = node.begin();
    assert_eq!(node.now_answered(3, add_offsets(holder, 7)), Err(ErrorCode::NONE));
    assert_eq!(node.known().partitions, [partition("__consumer_offsets", 7)].into());
    let other = add_offsets(producer(FIRST, 9), 7);
    assert_eq!(node.now_answered(3, other.clone()), Err(ErrorCode::PRODUCER_FENCED));
    assert_eq!(node.now_answered(1, other), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
}

/// A record could get into a partition that no marker will be written to.
#[test]
fn verification_sees_what_was_added_and_adds_nothing() {
    let mut node = Node::new();
    let holder = node.begin();
    let outside = node.now_answered(5, verify(holder, &[0]));
    assert_eq!(outside, Err(ErrorCode::TRANSACTION_ABORTABLE));
    assert_eq!(node.state(), State::Empty);
    node.open(holder, 0);
    assert_eq!(node.now_answered(5, verify(holder, &[0])), Err(ErrorCode::NONE));
    let outside = node.now_answered(5, verify(holder, &[1]));
    assert_eq!(outside, Err(ErrorCode::TRANSACTION_ABORTABLE));
    let outside = node.now_answered(4, verify(holder, &[1]));
    assert_eq!(outside, Err(ErrorCode::TRANSACTION_ABORTABLE));
    assert_eq!(node.known().partitions, [partition("t", 0)].into());
    let fenced = node.now_answered(5, verify(producer(FIRST, 9), &[0]));
    assert_eq!(fenced, Err(ErrorCode::PRODUCER_FENCED));
}

/// What is on its way from a transaction that ended would get into the next one.
#[test]
fn an_ended_transaction_takes_nothing_more() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    let next = node.now_answered(5, end(holder, true)).unwrap();
    assert_eq!(node.now_answered(5, add(holder, &[1])), Err(ErrorCode::PRODUCER_FENCED));
    node.write_markers();
    assert_eq!(node.now_answered(5, add(holder, &[1])), Err(ErrorCode::PRODUCER_FENCED));
    node.open(next, 1);
    assert_eq!(node.known().partitions, [partition("t", 1)].into());
}
