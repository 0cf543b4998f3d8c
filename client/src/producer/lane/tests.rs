//! A lane without a broker: what leaves when, in which order, under which sequence.

use std::time::Duration;

use milena_protocol::ids::Offset;
use tokio::sync::Semaphore;

use super::*;

const IDENTITY: Identity =
    Identity { producer_id: ProducerId(7), producer_epoch: ProducerEpoch(0) };

fn options() -> ProducerOptions {
    ProducerOptions { linger: Duration::ZERO, batch_bytes: 1, ..ProducerOptions::default() }
}

/// A lane with as many batches of one record.
fn lane(batches: usize) -> Lane {
    let mut lane = Lane::default();
    let memory = Arc::new(Semaphore::new(1_000_000));
    for _ in 0..batches {
        let record = NewRecord::new("topic").value("value");
        let permit = Arc::clone(&memory).try_acquire_many_owned(record.cost() as u32).unwrap();
        lane.append(&record, permit, &options());
    }
    lane
}

fn ready(lane: &Lane) -> bool {
    lane.is_ready(Instant::now() + Duration::from_secs(1), true, &options())
}

/// The next batch, if one may leave.
fn next(lane: &mut Lane) -> Option<Batch> {
    ready(lane).then(|| lane.take(Some(IDENTITY))).flatten()
}

fn sequence(batch: &Batch) -> i32 {
    batch.sequenced.unwrap().1.0
}

fn delivered() -> Delivered {
    Delivered {
        topic: "topic".into(),
        partition: PartitionIndex(0),
        offset: Offset(0),
        log_append_time: Timestamp::NONE,
    }
}

fn refused(code: ErrorCode) -> ClientError {
    let refused = Refused::check(code, None).unwrap_err();
    ClientError::Refused { what: "writing".into(), refused }
}

/// A broker that begins to lead between the first two batches turns the first away and takes the
/// second, for it knows nothing of the producer: the first would be out of order for ever.
#[test]
fn the_first_batch_of_an_identity_goes_alone() {
    let mut lane = lane(3);
    let first = next(&mut lane).unwrap();
    assert!(next(&mut lane).is_none(), "nobody has heard of the producer yet");
    let now = Instant::now();
    assert!(lane.failed(first, refused(ErrorCode::NOT_LEADER_OR_FOLLOWER), now));
    let first = next(&mut lane).unwrap();
    assert_eq!(sequence(&first), 0);
    lane.acknowledged(first, delivered());
    let (second, third) = (next(&mut lane).unwrap(), next(&mut lane).unwrap());
    assert_eq!((sequence(&second), sequence(&third)), (1, 2));
}

/// Batches would be written in another order than they were handed in.
#[test]
fn what_comes_back_leaves_again_in_order() {
    let mut lane = lane(4);
    let first = next(&mut lane).unwrap();
    lane.acknowledged(first, delivered());
    let (second, third) = (next(&mut lane).unwrap(), next(&mut lane).unwrap());
    let now = Instant::now();
    assert!(lane.failed(second, refused(ErrorCode::NOT_ENOUGH_REPLICAS), now));
    assert!(!ready(&lane), "the third is still under way");
    assert!(lane.failed(third, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER), now));
    let again: Vec<i32> =
        std::iter::from_fn(|| next(&mut lane)).map(|batch| sequence(&batch)).collect();
    assert_eq!(again, [1, 2, 3]);
}

/// The sequences behind a batch that is lost would have a gap for ever.
#[test]
fn after_a_loss_the_count_begins_anew() {
    let mut lane = lane(3);
    let first = next(&mut lane).unwrap();
    lane.acknowledged(first, delivered());
    let second = next(&mut lane).unwrap();
    assert!(!lane.failed(second, refused(ErrorCode::MESSAGE_TOO_LARGE), Instant::now()));
    assert_eq!(lane.identity(Some(IDENTITY)), None, "the identity has a gap here");
    let new = Identity { producer_id: ProducerId(8), ..IDENTITY };
    assert_eq!(lane.identity(Some(new)), Some(new));
    let third = lane.take(Some(new)).unwrap();
    assert_eq!(third.sequenced, Some((new, Sequence(0))));
}

/// An identity that follows.
const NEXT: Identity = Identity { producer_id: ProducerId(8), ..IDENTITY };

fn lost() -> ClientError {
    ClientError::Disconnected { address: "broker".into(), why: "it was closed".into() }
}

/// A lane whose first batch is acknowledged and whose others, all sent, came back without an
/// answer.
fn unanswered(batches: usize) -> Lane {
    let mut lane = lane(batches);
    let first = next(&mut lane).unwrap();
    lane.acknowledged(first, delivered());
    let sent: Vec<Batch> = std::iter::from_fn(|| next(&mut lane)).collect();
    for batch in sent {
        assert!(lane.failed(batch, lost(), Instant::now()));
    }
    lane
}

/// Gives the first batch up, as if its time were over.
fn expire_front(lane: &mut Lane) {
    let options = options();
    let began = Instant::now() - options.delivery_timeout;
    lane.queue.front_mut().unwrap().began = began;
    lane.expire(Instant::now(), &options);
}

/// A batch that was written and whose answer was lost would be written again under another
/// producer id as soon as the one before it is given up.
#[test]
fn what_may_be_written_keeps_its_sequence_until_the_broker_answers() {
    let mut lane = unanswered(4);
    lane.append(
        &NewRecord::new("topic"),
        Arc::new(Semaphore::new(100)).try_acquire_many_owned(100).unwrap(),
        &options(),
    );
    expire_front(&mut lane);
    let third = next(&mut lane).unwrap();
    let fourth = next(&mut lane).unwrap();
    assert_eq!(third.sequenced, Some((IDENTITY, Sequence(2))));
    assert_eq!(fourth.sequenced, Some((IDENTITY, Sequence(3))));
    assert!(next(&mut lane).is_none(), "the fifth was never sent: it waits for the new count");
    // The broker has the third already.
    assert_eq!(third.judge(ErrorCode::DUPLICATE_SEQUENCE_NUMBER, None), Ok(()));
    lane.acknowledged(third, delivered());
    assert!(next(&mut lane).is_none(), "the fourth is not resolved");
    lane.acknowledged(fourth, delivered());
    assert_eq!(lane.identity(Some(IDENTITY)), None, "now it is given up");
    let fifth = lane.take(Some(NEXT)).unwrap();
    assert_eq!(fifth.sequenced, Some((NEXT, Sequence(0))));
}

/// Batches behind one that never arrived would be refused for ever, or lose their order.
#[test]
fn what_the_broker_proves_missing_goes_on_under_a_new_identity() {
    let mut lane = unanswered(4);
    expire_front(&mut lane);
    let (third, fourth) = (next(&mut lane).unwrap(), next(&mut lane).unwrap());
    let now = Instant::now();
    let missing = || refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert!(lane.failed(third, missing(), now));
    assert!(next(&mut lane).is_none(), "the fourth is under way");
    assert!(lane.failed(fourth, lost(), now));
    assert_eq!(lane.identity(None), Some(IDENTITY), "the fourth may be written");
    let (third, fourth) = (next(&mut lane).unwrap(), next(&mut lane).unwrap());
    assert_eq!((sequence(&third), sequence(&fourth)), (2, 3));
    assert!(lane.failed(third, missing(), now));
    assert!(lane.failed(fourth, missing(), now));
    assert_eq!(lane.identity(Some(IDENTITY)), None);
    let third = lane.take(Some(NEXT)).unwrap();
    assert_eq!(third.sequenced, Some((NEXT, Sequence(0))));
    lane.acknowledged(third, delivered());
    assert_eq!(lane.take(Some(NEXT)).unwrap().sequenced, Some((NEXT, Sequence(1))));
}

/// A leader that turns a batch away would be taken for proof that the leader before it did not
/// write it either.
#[test]
fn a_refusal_says_nothing_of_earlier_attempts() {
    let mut lane = unanswered(3);
    expire_front(&mut lane);
    let third = next(&mut lane).unwrap();
    let now = Instant::now();
    assert!(lane.failed(third, refused(ErrorCode::NOT_LEADER_OR_FOLLOWER), now));
    assert_eq!(lane.identity(Some(NEXT)), Some(IDENTITY));
    let third = next(&mut lane).unwrap();
    assert_eq!(third.sequenced, Some((IDENTITY, Sequence(2))));
    assert!(lane.failed(third, refused(ErrorCode::REQUEST_TIMED_OUT), now), "it was appended");
    assert_eq!(next(&mut lane).unwrap().sequenced, Some((IDENTITY, Sequence(2))));
}

/// A lane whose batches all ran out of time would wait for an answer to nothing.
#[test]
fn an_uncertain_batch_that_expires_holds_nothing_up() {
    let mut lane = unanswered(3);
    expire_front(&mut lane);
    assert_eq!(lane.identity(Some(NEXT)), Some(IDENTITY));
    expire_front(&mut lane);
    assert_eq!(lane.identity(Some(NEXT)), Some(NEXT));
    assert!(lane.unsettled.is_empty() && !lane.has_more());
}

/// A batch that never left would be held back by the loss of another one.
#[test]
fn what_was_never_sent_needs_no_resolving() {
    let mut lane = lane(2);
    expire_front(&mut lane);
    let second = next(&mut lane).unwrap();
    assert_eq!(second.sequenced, Some((IDENTITY, Sequence(0))));
}

/// A lane with one batch of as many records, and another of one.
fn wide_lane(records: usize) -> (Lane, Vec<Delivery>) {
    let options = ProducerOptions { linger: Duration::ZERO, ..ProducerOptions::default() };
    let memory = Arc::new(Semaphore::new(1_000_000));
    let mut lane = Lane::default();
    let mut deliveries = Vec::new();
    for number in 0..=records {
        let record = NewRecord::new("topic").value(format!("value {number}"));
        let permit = Arc::clone(&memory).try_acquire_many_owned(record.cost() as u32).unwrap();
        if number == records {
            lane.begin_batch(&options);
        }
        deliveries.push(lane.append(&record, permit, &options).0);
    }
    (lane, deliveries)
}

/// Records that fit would be refused with the batch that the producer chose to put them in, or
/// their order, their sequences or their offsets would be lost.
#[tokio::test]
async fn a_batch_that_is_too_large_goes_on_in_halves() {
    let (mut lane, deliveries) = wide_lane(4);
    lane.is_known = true;
    lane.identity = Some(IDENTITY);
    let (large, behind) = (next(&mut lane).unwrap(), next(&mut lane).unwrap());
    let now = Instant::now();
    assert!(lane.failed(large, refused(ErrorCode::MESSAGE_TOO_LARGE), now));
    assert!(!ready(&lane), "one is under way");
    assert!(lane.failed(behind, refused(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER), now));
    assert!(lane.queue.iter().is_sorted_by_key(|batch| batch.order));
    let sent: Vec<Batch> = std::iter::from_fn(|| next(&mut lane)).collect();
    let told = |batch: &Batch| (sequence(batch), batch.builder.record_count());
    assert_eq!(sent.iter().map(told).collect::<Vec<_>>(), [(0, 2), (2, 2), (4, 1)]);
    let outcomes: Vec<_> = lane.unsettled.values().cloned().collect();
    for (batch, offset) in sent.into_iter().zip([100, 200, 300]) {
        lane.acknowledged(batch, Delivered { offset: Offset(offset), ..delivered() });
    }
    for outcome in outcomes {
        outcome.over().await;
    }
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(delivery.wait().await.unwrap().offset.0);
    }
    assert_eq!(offsets, [100, 101, 200, 201, 300]);
}

/// A record that is too large by itself would be cut for ever, or take others with it.
#[tokio::test]
async fn one_record_that_is_too_large_is_given_up_alone() {
    let (mut lane, deliveries) = wide_lane(2);
    let large = lane.take(Some(IDENTITY)).unwrap();
    let now = Instant::now();
    assert!(lane.failed(large, refused(ErrorCode::MESSAGE_TOO_LARGE), now));
    let first = next(&mut lane).unwrap();
    assert_eq!(first.builder.record_count(), 1);
    assert!(!lane.failed(first, refused(ErrorCode::MESSAGE_TOO_LARGE), now));
    for sequence in [0, 1] {
        let batch = lane.take(Some(NEXT)).unwrap();
        assert_eq!(batch.sequenced, Some((NEXT, Sequence(sequence))));
        lane.acknowledged(batch, delivered());
    }
    let mut worked = Vec::new();
    for delivery in deliveries {
        worked.push(delivery.wait().await.is_ok());
    }
    assert_eq!(worked, [false, true, true]);
}

/// Somebody whose broker is not there would learn only that time is over.
#[test]
fn what_is_given_up_says_what_stood_in_the_way() {
    let mut lane = lane(1);
    let outcome = Delivery { outcome: Arc::clone(&lane.queue[0].outcome), index: 0 };
    let why = ("10.0.0.1:9092".to_owned(), "connection refused".to_owned());
    lane.hinder(&ClientError::Unreachable { tried: vec![why] });
    expire_front(&mut lane);
    let mut waiting = std::pin::pin!(outcome.wait());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = waiting.as_mut().poll(&mut context) else {
        panic!("it is given up");
    };
    assert!(error.to_string().contains("connection refused"), "{error}");
}
