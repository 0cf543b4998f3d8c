//! What the coordinator does by itself (facts T14, T15).

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::coordinator::Machine;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::transaction::State;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset};
use milena_protocol::metadata_record::FeatureLevelRecord;

use crate::node::{FIRST, ID, Node, add, end, init, producer};

const TIMEOUT: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// A producer that died would hold back everybody who reads what is committed.
#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    node.pass(TIMEOUT - Duration::from_millis(1));
    assert_eq!(node.state(), State::Ongoing);
    node.pass(Duration::from_millis(1));
    assert_eq!(node.state(), State::PrepareAbort);
    assert_eq!(node.markers[0].producer, producer(FIRST, 1));
    assert!(!node.markers[0].is_commit);
    assert_eq!(node.now_answered(5, add(holder, &[1])), Err(ErrorCode::PRODUCER_FENCED));
    assert_eq!(node.now_answered(1, add(holder, &[1])), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    assert_eq!(node.now_answered(4, end(holder, true)), Err(ErrorCode::PRODUCER_FENCED));
    node.write_markers();
    assert_eq!(node.state(), State::CompleteAbort);
    // It may go on, with the epoch that fenced it.
    assert_eq!(node.now_answered(5, init(Some(holder))), Ok(producer(FIRST, 1)));
}

/// A restart would give every open transaction its whole time again.
#[test]
fn a_transaction_is_as_old_as_its_record_says() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    node.pass(TIMEOUT / 2);
    node.restart();
    node.pass(TIMEOUT / 2 - Duration::from_millis(1));
    assert_eq!(node.state(), State::Ongoing);
    node.pass(Duration::from_millis(1));
    assert_eq!(node.state(), State::PrepareAbort);
    let holder = node.begin_again();
    node.open(holder, 0);
    node.now += 10 * 60_000;
    node.restart();
    node.pass(Duration::ZERO);
    assert_eq!(node.state(), State::PrepareAbort);
}

/// A transaction would stay open for ever because the log took nothing at one moment.
#[test]
fn an_abort_that_is_refused_is_tried_again() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    node.is_read_only = true;
    node.pass(TIMEOUT + Duration::from_secs(10));
    assert_eq!(node.state(), State::Ongoing);
    assert!(node.markers.is_empty());
    node.is_read_only = false;
    node.pass(Duration::from_secs(1));
    assert_eq!(node.state(), State::PrepareAbort);
    assert_eq!(node.markers[0].producer, producer(FIRST, 1));
}

/// The last epoch would overflow, or a client be given it.
#[test]
fn a_producer_with_the_last_epoch_can_be_fenced() {
    let mut node = Node::new();
    let mut holder = node.begin();
    while holder.epoch.0 < i16::MAX - 1 {
        holder = node.begin();
    }
    node.open(holder, 0);
    node.pass(TIMEOUT);
    assert_eq!(node.markers[0].producer, producer(FIRST, i16::MAX));
    let told = Err(ErrorCode::PRODUCER_FENCED);
    assert_eq!(node.now_answered(5, end(holder, false)), told);
    node.write_markers();
    assert_eq!(node.now_answered(5, end(holder, false)), told);
    assert_eq!(node.now_answered(5, end(producer(FIRST, i16::MAX), false)), told);
    assert_eq!(node.now_answered(5, init(Some(holder))), Ok(producer(FIRST + 1, 0)));
}

/// Ids of programs that are long gone would be kept for ever, or those in use be forgotten.
#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    let mut node = Node::new();
    node.begin();
    node.pass(WEEK - Duration::from_secs(1));
    let holder = node.begin();
    node.pass(WEEK - Duration::from_secs(1));
    assert!(node.machine.transaction(ID).is_some());
    node.restart();
    node.pass(Duration::from_secs(1));
    assert!(node.machine.transaction(ID).is_none());
    assert!(node.log.last().unwrap().value.is_none());
    assert_eq!(node.machine.deadline(), None);
    node.restart();
    assert!(node.machine.transaction(ID).is_none());
    let gone = node.now_answered(5, add(holder, &[0]));
    assert_eq!(gone, Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING));
    assert_eq!(node.now_answered(5, init(Some(holder))), Ok(producer(FIRST + 1, 0)));
}

/// What is open or undecided would be forgotten with its id.
#[test]
fn an_id_is_not_forgotten_over_a_transaction() {
    let mut node = Node::new();
    let holder = node.begin();
    node.open(holder, 0);
    node.pass(WEEK * 2);
    assert_eq!(node.state(), State::PrepareAbort);
    node.write_markers();
    node.pass(WEEK - Duration::from_secs(1));
    assert_eq!(node.state(), State::CompleteAbort);
    node.pass(Duration::from_secs(1));
    assert!(node.machine.transaction(ID).is_none());
}

/// A level that is raised while the coordinator runs would not be in force.
#[test]
fn under_version_1_the_coordinator_fences_as_well() {
    let mut node = Node::new();
    node.machine.see(&at_level(1));
    let holder = node.begin();
    node.open(holder, 0);
    node.pass(TIMEOUT);
    assert_eq!(node.markers[0].producer, producer(FIRST, 1));
    assert_eq!(node.markers[0].transaction_version, 0);
    node.machine.see(&at_level(2));
    node.write_markers();
    let holder = node.begin();
    node.open(holder, 0);
    node.pass(TIMEOUT);
    assert_eq!(node.markers[0].transaction_version, 2);
}

/// Metadata with this level of `transaction.version`.
fn at_level(level: i16) -> Arc<MetadataImage> {
    let mut image = MetadataImage::default();
    let record = FeatureLevelRecord { name: "transaction.version".into(), feature_level: level };
    image.replay(Offset(0), LeaderEpoch(1), &record.into()).unwrap();
    Arc::new(image)
}

impl Node {
    /// Becomes the producer after an abort whose markers are written now.
    fn begin_again(&mut self) -> milena_cluster::coordinator::Producer {
        self.write_markers();
        self.begin()
    }
}
