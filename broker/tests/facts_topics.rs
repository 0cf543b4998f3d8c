//! Topics and their retention, against a real broker process over a bare socket.

mod process;

use milena_protocol::api::delete_topics::DeleteTopicsRequest;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Offset;
use process::broker::{Broker, batch, create, now_ms, until};

/// Topics would be made that nobody can use.
#[test]
fn topics_are_created_and_deleted_by_the_rules() {
    let mut broker = Broker::start(&[]);
    assert!(broker.create("a.b", &[]).is_none());
    assert_eq!(broker.create("a.b", &[]), ErrorCode::TOPIC_ALREADY_EXISTS);
    assert_eq!(broker.create("a_b", &[]), ErrorCode::INVALID_TOPIC_EXCEPTION);
    assert_eq!(broker.create("a/b", &[]), ErrorCode::INVALID_TOPIC_EXCEPTION);
    assert_eq!(broker.create("x", &[("no.such", "1")]), ErrorCode::INVALID_CONFIG);
    assert_eq!(broker.create("x", &[("retention.ms", "soon")]), ErrorCode::INVALID_CONFIG);
    let connection = &mut broker.connection;
    assert_eq!(create(connection, "x", 0, &[]), ErrorCode::INVALID_PARTITIONS);
    assert_eq!(create(connection, "x", 10_001, &[]), ErrorCode::POLICY_VIOLATION);
    let request = DeleteTopicsRequest {
        topic_names: vec!["a.b".into(), "none".into()],
        timeout_ms: 10_000,
        ..Default::default()
    };
    let response = connection.ask(&request, 4);
    assert!(response.responses[0].error_code.is_none());
    assert_eq!(response.responses[1].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert!(create(connection, "a.b", 1, &[]).is_none());
}

/// Records would be kept for ever, or records from the future be deleted before their time.
#[test]
fn retention_goes_by_the_newest_timestamp_of_a_segment() {
    let mut broker = Broker::start(&["log.retention.check.interval.ms=20"]);
    let short = ("retention.ms", "1000");
    broker.create("past", &[short]);
    broker.create("future", &[short]);
    broker.create("mixed", &[short]);
    let (past, future) = (now_ms() - 60_000, now_ms() + 600_000);
    // The newest record decides, not the last one, nor the time of the append.
    broker.produce("future", batch(&[future]));
    broker.produce("mixed", batch(&[future, past]));
    // Twice over: a sweep that began after the others were written has passed them.
    for _ in 0..2 {
        broker.produce("past", batch(&[past]));
        until("an empty log", || broker.list("past", -2).offset == broker.list("past", -1).offset);
    }
    assert_eq!(broker.list("past", -2).offset, Offset(2));
    assert_eq!(broker.list("future", -2).offset, Offset(0));
    assert_eq!(broker.list("mixed", -2).offset, Offset(0));
}
