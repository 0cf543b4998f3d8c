//! Who becomes the producer of a transactional id (facts T2–T4).

use milena_cluster::transaction::{Answer, Asked, Request, State};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::ProducerId;

use crate::node::{FIRST, ID, Node, PATIENCE, add, end, init, init_with, producer};

/// Two producers would share an epoch, or one would never get an id.
#[test]
fn every_producer_has_an_epoch_of_its_own() {
    let mut node = Node::new();
    assert_eq!(node.now_answered(5, init(None)), Ok(producer(FIRST, 0)));
    assert_eq!(node.now_answered(5, init(None)), Ok(producer(FIRST, 1)));
    assert_eq!(node.now_answered(0, init(None)), Ok(producer(FIRST, 2)));
    assert_eq!(node.state(), State::Empty);
    node.restart();
    assert_eq!(node.now_answered(5, init(None)), Ok(producer(FIRST, 3)));
    let fenced = node.now_answered(5, add(producer(FIRST, 2), &[0]));
    assert_eq!(fenced, Err(ErrorCode::PRODUCER_FENCED));
}

/// Producer ids would be fetched for nothing, or given where none was fetched.
#[test]
fn a_producer_id_is_asked_for_only_where_one_is_needed() {
    let mut node = Node::new();
    let asked = |fresh: Option<i64>| Asked {
        version: 5,
        patience: PATIENCE,
        fresh_producer_id: fresh.map(ProducerId),
        ask: init(None),
    };
    let ticket = node.request(Request::Ask(asked(None)));
    assert_eq!(node.answers[&ticket], Answer::NeedsProducerId);
    assert!(node.machine.transaction(ID).is_none() && node.log.is_empty());
    let ticket = node.request(Request::Ask(asked(Some(77))));
    assert_eq!(node.answered(ticket), Some(Ok(producer(77, 0))));
    let ticket = node.request(Request::Ask(asked(Some(78))));
    assert_eq!(node.answered(ticket), Some(Ok(producer(77, 1))));
}

/// Nonsense would be taken, or a transaction could be held open for ever.
#[test]
fn requests_that_make_no_sense_are_refused() {
    let mut node = Node::new();
    let timeout = Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    assert_eq!(node.now_answered(5, init_with(None, 0)), timeout);
    assert_eq!(node.now_answered(5, init_with(None, -1)), timeout);
    assert_eq!(node.now_answered(5, init_with(None, 900_001)), timeout);
    assert!(node.now_answered(5, init_with(None, 900_000)).is_ok());
    let invalid = Err(ErrorCode::INVALID_REQUEST);
    assert_eq!(node.now_answered(5, init(Some(producer(FIRST, -1)))), invalid);
    assert_eq!(node.now_answered(5, init(Some(producer(-1, 0)))), invalid);
}

/// A producer that goes on after an error would be taken for another one, or a fenced one not.
#[test]
fn a_producer_goes_on_with_its_own_epoch_alone() {
    let mut node = Node::new();
    let first = node.begin();
    let other_id = init(Some(producer(9, 0)));
    assert_eq!(node.now_answered(5, other_id.clone()), Err(ErrorCode::PRODUCER_FENCED));
    assert_eq!(node.now_answered(3, other_id), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    assert_eq!(node.now_answered(5, init(Some(first))), Ok(producer(FIRST, 1)));
    // The answer was lost: the same again, and nothing more.
    assert_eq!(node.now_answered(5, init(Some(first))), Ok(producer(FIRST, 1)));
    assert_eq!(node.now_answered(5, init(Some(producer(FIRST, 1)))), Ok(producer(FIRST, 2)));
    assert_eq!(node.now_answered(5, init(Some(first))), Err(ErrorCode::PRODUCER_FENCED));
}

/// A producer and the one that took its place would write under the same epoch.
#[test]
fn an_epoch_that_another_producer_has_is_not_given_again() {
    let mut node = Node::new();
    let first = node.begin();
    assert_eq!(node.now_answered(5, init(None)), Ok(producer(FIRST, 1)));
    assert_eq!(node.now_answered(5, init(Some(first))), Err(ErrorCode::PRODUCER_FENCED));
}

/// An id whose epochs are used up would begin them anew, or be stuck.
#[test]
fn an_id_without_epochs_left_is_replaced() {
    let mut node = Node::new();
    let mut last = node.begin();
    while last.epoch.0 < i16::MAX - 1 {
        last = node.begin();
    }
    assert_eq!(last, producer(FIRST, 32766));
    assert_eq!(node.now_answered(5, init(Some(last))), Ok(producer(FIRST + 1, 0)));
    // The answer was lost.
    assert_eq!(node.now_answered(5, init(Some(last))), Ok(producer(FIRST + 1, 0)));
    assert_eq!(node.now_answered(5, init(None)), Ok(producer(FIRST + 1, 1)));
    assert_eq!(node.now_answered(5, init(Some(last))), Err(ErrorCode::PRODUCER_FENCED));
}

/// A transaction of the producer before would stay open under the next one.
#[test]
fn what_is_open_is_aborted_before_the_next_producer_begins() {
    let mut node = Node::new();
    let first = node.begin();
    node.open(first, 0);
    let second = node.ask(5, init(None));
    assert_eq!(node.answered(second), None);
    assert_eq!(node.state(), State::PrepareAbort);
    assert_eq!(node.markers.len(), 1);
    let markers = node.markers[0].clone();
    assert!(!markers.is_commit);
    assert_eq!(markers.producer, producer(FIRST, 1));
    let late = node.now_answered(5, add(first, &[1]));
    assert_eq!(late, Err(ErrorCode::PRODUCER_FENCED));
    node.write_markers();
    assert_eq!(node.answered(second), Some(Ok(producer(FIRST, 2))));
    assert_eq!(node.state(), State::Empty);
    assert_eq!(node.now_answered(5, end(first, true)), Err(ErrorCode::PRODUCER_FENCED));
}

/// A producer that begins anew itself would be fenced by its own request.
#[test]
fn a_producer_may_abort_its_own_transaction_by_beginning_anew() {
    let mut node = Node::new();
    let first = node.begin();
    node.open(first, 0);
    let anew = node.ask(5, init(Some(first)));
    assert_eq!(node.answered(anew), None);
    node.write_markers();
    let next = node.answered(anew).unwrap().unwrap();
    assert_eq!(next, producer(FIRST, 1));
    node.open(next, 0);
}

/// What was on its way since before the transaction began would abort it.
#[test]
fn a_late_request_aborts_nothing() {
    let mut node = Node::new();
    let first = node.begin();
    let second = node.now_answered(5, init(Some(first))).unwrap();
    node.open(second, 0);
    assert_eq!(node.now_answered(5, init(Some(first))), Ok(second));
    assert_eq!(node.state(), State::Ongoing);
    let older = init(Some(producer(FIRST, -7)));
    assert_eq!(node.now_answered(5, older), Err(ErrorCode::PRODUCER_FENCED));
    assert_eq!(node.state(), State::Ongoing);
}
