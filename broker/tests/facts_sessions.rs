//! Incremental fetch sessions, against a real broker process over a bare socket.

mod process;

use milena_protocol::api::fetch::{FetchForgottenTopic, FetchRequest, FetchResponse};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, Uuid};
use process::Connection;
use process::broker::{Broker, batch, create, fetch_partition, fetch_request, records_of};

/// A client in a session.
struct Session {
    connection: Connection,
    id: i32,
    epoch: i32,
}

impl Session {
    /// Opens one on some partitions of `t`, read from the beginning.
    fn open(broker: &Broker, partitions: &[i32]) -> (Self, FetchResponse) {
        let mut connection = broker.process.connect();
        let mut request = FetchRequest { session_epoch: 0, ..fetch_request("t", 0, 0) };
        request.topics[0].partitions = partitions.iter().map(|p| fetch_partition(*p, 0)).collect();
        let response = connection.ask(&request, 12);
        assert!(response.error_code.is_none() && response.session_id != 0);
        (Self { connection, id: response.session_id, epoch: 0 }, response)
    }

    /// Goes on, with other offsets for some partitions; answers what it was told about which.
    fn next(&mut self, changed: &[(i32, i64)]) -> Vec<(i32, ErrorCode, usize)> {
        self.epoch += 1;
        let mut request = FetchRequest {
            session_id: self.id,
            session_epoch: self.epoch,
            ..fetch_request("t", 0, 0)
        };
        request.topics[0].partitions =
            changed.iter().map(|(p, offset)| fetch_partition(*p, *offset)).collect();
        if changed.is_empty() {
            request.topics.clear();
        }
        let response = self.connection.ask(&request, 12);
        assert_eq!((response.error_code, response.session_id), (ErrorCode::NONE, self.id));
        let told = response.responses.iter().flat_map(|topic| &topic.partitions);
        told.map(|p| (p.partition_index.0, p.error_code, records_of(p).len())).collect()
    }
}

const NONE: ErrorCode = ErrorCode::NONE;

/// A session would repeat what its client knows, or keep back what it does not.
#[test]
fn a_session_tells_what_is_new_and_nothing_else() {
    let mut broker = Broker::start(&[]);
    create(&mut broker.connection, "t", 3, &[]);
    let (mut session, first) = Session::open(&broker, &[0, 1, 2]);
    assert_eq!(first.responses[0].partitions.len(), 3);
    assert_eq!(session.next(&[]), []);
    // Records.
    let bytes = batch(&[1]).len();
    broker.produce("t", batch(&[1]));
    assert_eq!(session.next(&[]), [(0, NONE, bytes)]);
    // Still there, as long as the client does not move on; then nothing more.
    assert_eq!(session.next(&[]), [(0, NONE, bytes)]);
    assert_eq!(session.next(&[(0, 1)]), []);
    // The log start alone.
    assert_eq!(broker.delete_records("t", 1).low_watermark, Offset(1));
    assert_eq!(session.next(&[]), [(0, NONE, 0)]);
    assert_eq!(session.next(&[]), []);
}

/// The high watermark would stand still for a client whose partition has no records for it.
#[test]
fn a_session_tells_of_a_high_watermark_that_moved() {
    let mut broker = Broker::start(&[]);
    create(&mut broker.connection, "t", 1, &[]);
    broker.produce("t", batch(&[1]));
    let (mut session, _) = Session::open(&broker, &[0]);
    assert_eq!(session.next(&[(0, 1)]), []);
    // A partition limit of nothing: news, but no room for records.
    broker.produce("t", batch(&[1]));
    session.epoch += 1;
    let mut request = FetchRequest {
        session_id: session.id,
        session_epoch: session.epoch,
        max_bytes: 0,
        ..fetch_request("t", 2, 0)
    };
    request.topics[0].partitions[0].fetch_offset = Offset(2);
    let response = session.connection.ask(&request, 12);
    let told = &response.responses[0].partitions[0];
    assert_eq!((told.high_watermark, records_of(told).len()), (Offset(2), 0));
    assert_eq!(session.next(&[]), []);
}

/// An error would be told once and its end never.
#[test]
fn a_session_tells_an_error_until_it_is_over_and_then_that_it_is() {
    let mut broker = Broker::start(&[]);
    create(&mut broker.connection, "t", 2, &[]);
    let (mut session, _) = Session::open(&broker, &[0, 1]);
    let beyond = ErrorCode::OFFSET_OUT_OF_RANGE;
    assert_eq!(session.next(&[(0, 9)]), [(0, beyond, 0)]);
    assert_eq!(session.next(&[]), [(0, beyond, 0)]);
    // Nothing about the partition changed since before the error, and yet it is told.
    assert_eq!(session.next(&[(0, 0)]), [(0, NONE, 0)]);
    assert_eq!(session.next(&[]), []);
}

/// A client with another idea of its session would be given records that it does not expect.
#[test]
fn a_session_that_is_not_the_clients_is_refused() {
    let mut broker = Broker::start(&[]);
    create(&mut broker.connection, "t", 1, &[]);
    let (mut session, _) = Session::open(&broker, &[0]);
    let ask = |session: &mut Session, id, epoch, version| {
        let request =
            FetchRequest { session_id: id, session_epoch: epoch, ..fetch_request("t", 0, 0) };
        session.connection.ask(&request, version).error_code
    };
    let (id, unknown) = (session.id, session.id + 1000);
    assert_eq!(ask(&mut session, unknown, 1, 12), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_eq!(ask(&mut session, id, 5, 12), ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    assert_eq!(ask(&mut session, id, 1, 13), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    assert_eq!(ask(&mut session, id, 1, 12), NONE);
    // Dropping the last partition ends it.
    let mut request = FetchRequest { session_id: id, session_epoch: 2, ..fetch_request("t", 0, 0) };
    request.topics.clear();
    request.forgotten_topics_data = vec![FetchForgottenTopic {
        topic: "t".into(),
        topic_id: Uuid::ZERO,
        partitions: vec![PartitionIndex(0)],
    }];
    let ended = session.connection.ask(&request, 12);
    assert_eq!((ended.error_code, ended.session_id), (NONE, 0));
    assert_eq!(ask(&mut session, id, 3, 12), ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}
