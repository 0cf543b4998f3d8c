//! Producers that write exactly once, against a real broker process over a bare socket.

mod process;

use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Offset;
use process::broker::{Broker, idempotent};

/// A retry would be stored twice, or a gap go unnoticed.
#[test]
fn idempotent_sequences_are_kept() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let init = broker.connection.ask(&InitProducerIdRequest::default(), 4);
    assert!(init.error_code.is_none());
    let id = init.producer_id.0;
    for sequence in 0..7 {
        let answer = broker.produce("t", idempotent(id, 0, sequence));
        assert_eq!(answer.base_offset, Offset(i64::from(sequence)));
    }
    // The last five are recognised, with their first offset.
    assert_eq!(broker.produce("t", idempotent(id, 0, 2)).base_offset, Offset(2));
    let gap = broker.produce("t", idempotent(id, 0, 9));
    assert_eq!(gap.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(broker.produce("t", idempotent(id, 1, 0)).base_offset, Offset(7));
    let fenced = broker.produce("t", idempotent(id, 0, 7));
    assert_eq!(fenced.error_code, ErrorCode::INVALID_PRODUCER_EPOCH);
    // An unknown producer may begin anywhere.
    assert!(broker.produce("t", idempotent(id + 1, 0, 77)).error_code.is_none());
    assert_eq!(broker.list("t", -1).offset, Offset(9));
}

/// A retry after the broker's death would be stored twice, or a gap be taken for a retry.
#[test]
fn a_retry_across_a_kill_is_recognised_before_its_sequence_is_judged() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    for sequence in 0..3 {
        broker.produce("t", idempotent(9, 0, sequence));
    }
    let mut broker = broker.restart(&[]);
    // Taken for a new batch, its sequence would be out of order.
    let again = broker.produce("t", idempotent(9, 0, 2));
    assert_eq!((again.error_code, again.base_offset), (ErrorCode::NONE, Offset(2)));
    let gap = broker.produce("t", idempotent(9, 0, 5));
    assert_eq!(gap.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(broker.produce("t", idempotent(9, 0, 3)).base_offset, Offset(3));
    assert_eq!(broker.list("t", -1).offset, Offset(4));
}

/// A producer whose records were all deleted could not go on.
#[test]
fn a_producer_that_is_not_known_may_begin_anywhere() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    assert_eq!(broker.produce("t", idempotent(3, 4, 1234)).base_offset, Offset(0));
    assert_eq!(broker.produce("t", idempotent(3, 4, 1235)).base_offset, Offset(1));
    // A new epoch of a known one begins at 0.
    let skipped = broker.produce("t", idempotent(3, 5, 1));
    assert_eq!(skipped.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(broker.produce("t", idempotent(3, 5, 0)).base_offset, Offset(2));
}
