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
