//! Markers reach every partition of a transaction (facts T18, T21).

use std::time::Duration;

use milena_cluster::transaction::{MarkerOutcome, State};
use milena_protocol::error_code::ErrorCode;

use crate::node::{Node, add, end, partition};

/// A node with a transaction over three partitions that has just been committed.
fn committed() -> Node {
    let mut node = Node::new();
    let holder = node.begin();
    node.now_answered(5, add(holder, &[0, 1, 2])).unwrap_err();
    node.now_answered(5, end(holder, true)).unwrap();
    node
}

/// A partition without a leader would never be told.
#[test]
fn what_failed_is_tried_again_and_nothing_else() {
    let mut node = committed();
    let all = node.markers.remove(0);
    assert_eq!(all.partitions.len(), 3);
    let mut done = all.clone();
    done.partitions = [partition("t", 0)].into();
    node.report(&done, MarkerOutcome::Written);
    done.partitions = [partition("t", 1)].into();
    node.report(&done, MarkerOutcome::Failed(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    for _ in 0..5 {
        assert!(node.markers.is_empty());
        node.pass(Duration::from_secs(1));
        let again = node.markers.remove(0);
        assert_eq!(again.partitions, [partition("t", 1)].into());
        node.report(&again, MarkerOutcome::Failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    }
    node.pass(Duration::from_secs(1));
    node.write_markers();
    assert_eq!(node.state(), State::PrepareCommit);
    done.partitions = [partition("t", 2)].into();
    node.report(&done, MarkerOutcome::Written);
    assert_eq!(node.state(), State::CompleteCommit);
}

/// A transaction would never end because a topic was deleted, or a partition has moved on.
#[test]
fn who_can_take_no_marker_is_not_waited_for() {
    let mut node = committed();
    let mut one = node.markers.remove(0);
    one.partitions = [partition("t", 0)].into();
    node.report(&one, MarkerOutcome::Gone);
    one.partitions = [partition("t", 1)].into();
    node.report(&one, MarkerOutcome::Failed(ErrorCode::INVALID_PRODUCER_EPOCH));
    one.partitions = [partition("t", 2)].into();
    node.report(&one, MarkerOutcome::Written);
    assert_eq!(node.state(), State::CompleteCommit);
}

/// A decision would be forgotten by a coordinator that takes over.
#[test]
fn whoever_takes_over_writes_the_markers_again() {
    let mut node = committed();
    let before = node.markers[0].clone();
    node.restart();
    let after = node.markers[0].clone();
    assert_eq!(after.partitions, before.partitions);
    assert_eq!((after.producer, after.is_commit), (before.producer, true));
    let epochs = [before, after].map(|markers| markers.attempt.coordinator_epoch.0);
    assert_eq!(epochs[1], epochs[0] + 1);
    node.write_markers();
    assert_eq!(node.state(), State::CompleteCommit);
    node.restart();
    assert!(node.markers.is_empty());
}

/// A report that is lost would leave a transaction undecided for ever.
#[test]
fn without_a_report_the_markers_are_written_again() {
    let mut node = committed();
    let lost = node.markers.remove(0);
    node.pass(Duration::from_secs(29));
    assert!(node.markers.is_empty());
    node.pass(Duration::from_secs(1));
    assert_eq!(node.markers[0].partitions, lost.partitions);
    // What comes late of the first attempt says nothing about the second.
    node.report(&lost, MarkerOutcome::Written);
    assert_eq!(node.state(), State::PrepareCommit);
    node.write_markers();
    assert_eq!(node.state(), State::CompleteCommit);
}

/// Under version 1 a marker that comes late would end the next transaction.
#[test]
fn under_version_1_there_is_no_second_attempt_while_the_first_is_on_its_way() {
    let mut node = Node::new();
    let holder = node.begin();
    node.now_answered(3, add(holder, &[0])).unwrap_err();
    node.now_answered(4, end(holder, true)).unwrap();
    let first = node.markers.remove(0);
    node.pass(Duration::from_secs(300));
    assert!(node.markers.is_empty());
    let failed = MarkerOutcome::Failed(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    node.report(&first, failed);
    node.pass(Duration::from_millis(20));
    let second = node.markers.remove(0);
    // The report comes twice: the second attempt is on its way already.
    node.report(&first, failed);
    node.report(&first, MarkerOutcome::Written);
    node.pass(Duration::from_secs(300));
    assert!(node.markers.is_empty());
    assert_eq!(node.state(), State::PrepareCommit);
    node.report(&second, MarkerOutcome::Written);
    assert_eq!(node.state(), State::CompleteCommit);
}

/// Under version 1 the epoch stays: a late report would complete a transaction that has no markers.
#[test]
fn a_report_counts_for_its_own_transaction_alone() {
    let mut node = Node::new();
    let holder = node.begin();
    node.now_answered(3, add(holder, &[0])).unwrap_err();
    node.now_answered(4, end(holder, true)).unwrap();
    let first = node.markers[0].clone();
    node.write_markers();
    node.now_answered(3, add(holder, &[0])).unwrap_err();
    node.now_answered(4, end(holder, false)).unwrap();
    let second = node.markers[0].clone();
    assert_eq!(first.producer, second.producer);
    node.report(&first, MarkerOutcome::Written);
    assert_eq!(node.state(), State::PrepareAbort);
    node.report(&second, MarkerOutcome::Written);
    assert_eq!(node.state(), State::CompleteAbort);
    node.report(&second, MarkerOutcome::Written);
    node.report(&second, MarkerOutcome::Failed(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    assert_eq!(node.state(), State::CompleteAbort);
}

/// The same across a restart, with the report of the coordinator before.
#[test]
fn a_report_from_before_a_restart_counts_for_its_own_transaction_alone() {
    let mut node = Node::new();
    let holder = node.begin();
    node.now_answered(3, add(holder, &[0])).unwrap_err();
    node.now_answered(4, end(holder, true)).unwrap();
    let before = node.markers[0].clone();
    node.restart();
    let after = node.markers[0].clone();
    node.write_markers();
    node.now_answered(3, add(holder, &[0])).unwrap_err();
    node.now_answered(4, end(holder, false)).unwrap();
    for late in [&before, &after] {
        node.report(late, MarkerOutcome::Written);
        assert_eq!(node.state(), State::PrepareAbort);
    }
    node.restart();
    for late in [&before, &after] {
        node.report(late, MarkerOutcome::Written);
        assert_eq!(node.state(), State::PrepareAbort);
    }
}

/// Under version 1 the next transaction would begin while a marker is on its way that the new
/// coordinator wrote, and would be ended by it.
#[test]
fn what_the_coordinator_before_was_told_does_not_count_for_the_next() {
    let mut node = Node::new();
    let holder = node.begin();
    node.now_answered(3, add(holder, &[0])).unwrap_err();
    node.now_answered(4, end(holder, true)).unwrap();
    let before = node.markers[0].clone();
    node.restart();
    node.report(&before, MarkerOutcome::Written);
    assert_eq!(node.state(), State::PrepareCommit);
    node.write_markers();
    assert_eq!(node.state(), State::CompleteCommit);
}
