//! Who comes while markers are written waits for them, instead of being told to come again.

use std::time::Duration;

use milena_cluster::transaction::{MarkerOutcome, State};
use milena_protocol::error_code::ErrorCode;

use crate::node::{FIRST, Node, add, add_offsets, end, init, partition, producer, verify};

const CONCURRENT: Option<crate::node::Told> = Some(Err(ErrorCode::CONCURRENT_TRANSACTIONS));

/// Clients would come again after a pause that is longer than the markers take.
#[test]
fn the_next_transaction_begins_when_the_markers_are_in() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    let next = node.now_answered(5, end(holder, true)).unwrap();
    let added = node.ask(5, add(next, &[1]));
    let offsets = node.ask(4, add_offsets(next, 3));
    assert_eq!((node.answered(added), node.answered(offsets)), (None, None));
    let appends = node.appends;
    node.write_markers();
    assert_eq!(node.answered(added), Some(Err(ErrorCode::NONE)));
    assert_eq!(node.answered(offsets), Some(Err(ErrorCode::NONE)));
    assert_eq!(node.state(), State::Ongoing);
    let both = [partition("t", 1), partition("__consumer_offsets", 3)];
    assert_eq!(node.known().partitions, both.into());
    // The end of one and the beginning of the next are one write.
    assert_eq!(node.appends, appends + 1);
    assert_eq!(node.machine.waiting_count(), 0);
}

/// Older clients keep their epoch: what they ask while markers are written is the next transaction.
#[test]
fn version_1_waits_as_well() {
    let mut node = Node::new();
    let holder = node.begin();
    node.now_answered(3, add(holder, &[0])).unwrap_err();
    node.now_answered(4, end(holder, false)).unwrap();
    let added = node.ask(3, add(holder, &[1]));
    let seen = node.ask(5, verify(holder, &[1]));
    assert_eq!((node.answered(added), node.answered(seen)), (None, None));
    node.write_markers();
    assert_eq!(node.answered(added), Some(Err(ErrorCode::NONE)));
    assert_eq!(node.answered(seen), Some(Err(ErrorCode::NONE)));
}

/// A request would hang as long as a partition has no leader.
#[test]
fn nobody_waits_longer_than_its_patience() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    let next = node.now_answered(5, end(holder, true)).unwrap();
    let first = [
        node.ask(5, add(next, &[1])),
        node.ask(4, add_offsets(next, 3)),
        node.ask(5, init(None)),
        node.ask(5, end(next, false)),
    ];
    node.pass(Duration::from_millis(100));
    let last = node.ask(5, add(next, &[2]));
    node.pass(Duration::from_millis(4_899));
    assert!(first.iter().all(|ticket| node.answered(*ticket).is_none()));
    node.pass(Duration::from_millis(1));
    assert!(first.iter().all(|ticket| node.answered(*ticket) == CONCURRENT));
    assert_eq!(node.answered(last), None);
    node.write_markers();
    assert_eq!(node.answered(last), Some(Err(ErrorCode::NONE)));
    assert_eq!(node.known().partitions, [partition("t", 2)].into());
}

/// One transactional id could hold as many requests as anybody likes to send.
#[test]
fn so_many_wait_and_no_more() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    let next = node.now_answered(5, end(holder, true)).unwrap();
    let waiting: Vec<_> = (0..100).map(|_| node.ask(5, add(next, &[1]))).collect();
    let refused = node.ask(5, add(next, &[1]));
    assert_eq!(node.answered(refused), CONCURRENT);
    node.write_markers();
    assert!(waiting.iter().all(|ticket| node.answered(*ticket) == Some(Err(ErrorCode::NONE))));
}

/// Of two who wait to take over, both would believe that they did.
#[test]
fn who_waits_is_judged_by_what_became_of_it() {
    let mut node = Node::new();
    let first = node.begin();
    node.open(first, 0);
    let second = node.ask(5, init(None));
    let third = node.ask(5, init(None));
    let own = node.ask(5, init(Some(first)));
    node.write_markers();
    assert_eq!(node.answered(second), Some(Ok(producer(FIRST, 2))));
    assert_eq!(node.answered(third), Some(Ok(producer(FIRST, 3))));
    assert_eq!(node.answered(own), Some(Err(ErrorCode::PRODUCER_FENCED)));
}

/// An end of the next transaction would be taken for a fenced producer's, as in Kafka.
#[test]
fn an_empty_abort_waits_for_the_transaction_before() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    let next = node.now_answered(5, end(holder, true)).unwrap();
    let abort = node.ask(5, end(next, false));
    assert_eq!(node.answered(abort), None);
    node.write_markers();
    assert_eq!(node.answered(abort), Some(Ok(producer(FIRST, 2))));
    assert_eq!(node.state(), State::CompleteAbort);
}

/// Who waits would wait for ever where the log takes nothing for a while.
#[test]
fn a_completion_that_is_refused_is_tried_again() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    let next = node.now_answered(5, end(holder, true)).unwrap();
    let refused = node.ask(5, add(next, &[1]));
    node.is_read_only = true;
    node.write_markers();
    // Whoever runs the machine gives it the error of the log.
    assert_eq!(node.answered(refused), None);
    assert_eq!((node.state(), node.machine.waiting_count()), (State::PrepareCommit, 0));
    let later = node.ask(5, add(next, &[1]));
    node.is_read_only = false;
    node.pass(Duration::from_secs(1));
    assert_eq!(node.state(), State::Ongoing);
    assert_eq!(node.answered(later), Some(Err(ErrorCode::NONE)));
}

/// A partition that lags would let the next transaction begin before the last one is decided there.
#[test]
fn a_part_of_the_markers_is_not_enough() {
    let mut node = Node::new();
    let holder = node.begin();
    node.now_answered(5, add(holder, &[0, 1])).unwrap_err();
    let next = node.now_answered(5, end(holder, true)).unwrap();
    let added = node.ask(5, add(next, &[1]));
    let mut markers = node.markers[0].clone();
    markers.partitions.remove(&partition("t", 1));
    node.report(&markers, MarkerOutcome::Written);
    assert_eq!(node.answered(added), None);
    assert_eq!(node.state(), State::PrepareCommit);
    node.write_markers();
    assert_eq!(node.answered(added), Some(Err(ErrorCode::NONE)));
}
