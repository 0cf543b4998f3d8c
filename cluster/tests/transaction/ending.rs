//! How a producer ends a transaction (facts T7, T8).

use milena_cluster::coordinator::Producer;
use milena_cluster::transaction::State;
use milena_protocol::error_code::ErrorCode;

use crate::node::{FIRST, Node, Told, add, end, init, producer};

const DONE_V1: Told = Ok(Producer {
    id: milena_protocol::ids::ProducerId(FIRST),
    epoch: milena_protocol::ids::ProducerEpoch(0),
});
const WRONG_STATE: Told = Err(ErrorCode::INVALID_TXN_STATE);
const FENCED: Told = Err(ErrorCode::PRODUCER_FENCED);

/// A producer would wait for all partitions, or be told before the decision is in the log.
#[test]
fn the_decision_is_the_answer_and_the_markers_follow() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    assert_eq!(node.now_answered(5, end(holder, true)), Ok(producer(FIRST, 1)));
    assert_eq!(node.state(), State::PrepareCommit);
    assert_eq!(node.markers.len(), 1);
    let markers = &node.markers[0];
    assert!(markers.is_commit);
    assert_eq!(markers.producer, producer(FIRST, 1));
    assert_eq!((markers.transaction_version, markers.attempt.coordinator_epoch.0), (2, node.epoch));
    node.write_markers();
    assert_eq!(node.state(), State::CompleteCommit);
    assert!(node.known().partitions.is_empty());
}

/// An older client's epoch would run away from it, or its retry be refused.
#[test]
fn version_1_keeps_the_epoch_and_tells_a_retry_the_same() {
    let mut node = Node::new();
    let holder = node.begin();
    assert_eq!(node.now_answered(4, end(holder, true)), WRONG_STATE);
    assert_eq!(node.now_answered(4, end(holder, false)), WRONG_STATE);
    assert_eq!(node.now_answered(3, add(holder, &[0])), Err(ErrorCode::NONE));
    assert_eq!(node.now_answered(4, end(holder, true)), DONE_V1);
    assert_eq!(node.markers[0].producer, holder);
    assert_eq!(node.markers[0].transaction_version, 0);
    // While the markers are written, and after.
    for _ in 0..2 {
        assert_eq!(node.now_answered(4, end(holder, true)), DONE_V1);
        assert_eq!(node.now_answered(4, end(holder, false)), WRONG_STATE);
        node.write_markers();
    }
    assert_eq!(node.state(), State::CompleteCommit);
    assert_eq!(node.now_answered(3, add(holder, &[0])), Err(ErrorCode::NONE));
    assert_eq!(node.now_answered(4, end(holder, false)), DONE_V1);
    node.write_markers();
    assert_eq!(node.now_answered(4, end(holder, false)), DONE_V1);
    assert_eq!(node.now_answered(4, end(holder, true)), WRONG_STATE);
    let other = end(producer(FIRST, 7), false);
    assert_eq!(node.now_answered(4, other.clone()), FENCED);
    assert_eq!(node.now_answered(1, other), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    let stranger = node.now_answered(4, end(producer(9, 0), true));
    assert_eq!(stranger, Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING));
}

/// A node whose producer (epoch 5) has just ended a transaction, if any.
fn ended(is_commit: Option<bool>) -> Node {
    let mut node = Node::new();
    let mut holder = node.begin();
    while holder.epoch.0 < 4 {
        holder = node.begin();
    }
    match is_commit {
        None => {
            node.begin();
        }
        Some(is_commit) => {
            node.open(holder, 0);
            assert_eq!(node.now_answered(5, end(holder, is_commit)), Ok(producer(FIRST, 5)));
            node.write_markers();
        }
    }
    node
}

/// A retry would end the next transaction, or an end be taken for a retry.
#[test]
fn version_2_tells_a_retry_from_the_next_end_by_the_epoch() {
    let (retry, current) = (producer(FIRST, 4), producer(FIRST, 5));
    let (same, raised) = (Ok(producer(FIRST, 5)), Ok(producer(FIRST, 6)));
    let table = [
        (None, [FENCED, raised, FENCED, WRONG_STATE]),
        (Some(false), [same, raised, WRONG_STATE, WRONG_STATE]),
        (Some(true), [WRONG_STATE, raised, same, WRONG_STATE]),
    ];
    for (before, answers) in table {
        let asks = [end(retry, false), end(current, false), end(retry, true), end(current, true)];
        for (ask, answer) in asks.into_iter().zip(answers) {
            let mut node = ended(before);
            assert_eq!(node.now_answered(5, ask.clone()), answer, "{before:?} {ask:?}");
            let is_empty_abort = answer == raised;
            let state = before.map_or(State::Empty, State::complete);
            let after = if is_empty_abort { State::CompleteAbort } else { state };
            assert_eq!(node.state(), after);
            assert!(node.markers.is_empty());
        }
    }
}

/// A client that does not hear of its commit would not learn its epoch until the markers are in.
#[test]
fn a_retry_is_told_at_once_what_was_decided() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    assert_eq!(node.now_answered(5, end(holder, true)), Ok(producer(FIRST, 1)));
    assert_eq!(node.now_answered(5, end(holder, true)), Ok(producer(FIRST, 1)));
    assert_eq!(node.now_answered(5, end(holder, false)), WRONG_STATE);
    node.restart();
    assert_eq!(node.now_answered(5, end(holder, true)), Ok(producer(FIRST, 1)));
    assert_eq!(node.markers.len(), 1);
}

/// A producer that has used up its epochs could not go on, or would reuse one.
#[test]
fn the_last_epochs_transaction_ends_with_another_id() {
    let mut node = Node::new();
    let mut holder = node.begin();
    while holder.epoch.0 < i16::MAX - 1 {
        holder = node.begin();
    }
    node.open(holder, 0);
    let next = producer(FIRST + 1, 0);
    assert_eq!(node.now_answered(5, end(holder, true)), Ok(next));
    assert_eq!(node.markers[0].producer, producer(FIRST, i16::MAX));
    assert_eq!(node.now_answered(5, end(holder, true)), Ok(next));
    let early = node.ask(5, add(next, &[1]));
    assert_eq!(node.answered(early), None);
    assert_eq!(node.now_answered(5, add(holder, &[1])), FENCED);
    node.restart();
    assert_eq!(node.markers[0].producer, producer(FIRST, i16::MAX));
    node.write_markers();
    assert_eq!(node.known().producer, next);
    assert_eq!(node.now_answered(5, end(holder, true)), Ok(next));
    node.open(next, 1);
    assert_eq!(node.now_answered(5, end(holder, true)), FENCED_BY_ID);
}

const FENCED_BY_ID: Told = Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);

/// An abort of nothing would write markers to no partition for ever, or keep its epoch.
#[test]
fn an_empty_abort_is_complete_at_once() {
    let mut node = Node::new();
    let holder = node.begin();
    let (appends, records) = (node.appends, node.log.len());
    assert_eq!(node.now_answered(5, end(holder, false)), Ok(producer(FIRST, 1)));
    assert_eq!(node.state(), State::CompleteAbort);
    assert_eq!((node.appends, node.log.len()), (appends + 1, records + 2));
    assert!(node.known().started_at.0 > 0);
    node.restart();
    assert!(node.markers.is_empty());
    assert_eq!(node.now_answered(5, init(None)), Ok(producer(FIRST, 2)));
}

/// A producer that was fenced by an older client would be given that client's epoch, as in Kafka.
#[test]
fn an_end_that_raised_nothing_is_not_told_to_the_epoch_before() {
    let mut node = Node::new();
    let fenced = node.begin();
    let holder = node.begin();
    node.now_answered(3, add(holder, &[0])).unwrap_err();
    assert_eq!(node.now_answered(4, end(holder, false)), Ok(holder));
    for _ in 0..2 {
        assert_eq!(node.now_answered(5, end(fenced, false)), FENCED);
        node.write_markers();
    }
    assert_eq!(node.state(), State::CompleteAbort);
}
