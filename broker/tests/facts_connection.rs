//! What a connection may rely on, against a real broker process over a bare socket.

mod process;

use milena_protocol::api::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use milena_protocol::api::metadata::MetadataRequest;
use milena_protocol::codec::Reader;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::message::Message;
use process::broker::{Broker, batch, fetch_request, produce_request};

/// Something that cannot be a request would be answered, or stop the broker.
#[test]
fn what_is_no_request_closes_the_connection() {
    let broker = Broker::start(&[]);
    let frames: [&[u8]; 5] = [
        &[0xff, 0xff, 0xff, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        // Key 99; a removed key; Metadata in version 99; a body that ends early.
        &[0, 0, 0, 10, 0, 99, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 10, 0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 12, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff],
    ];
    for frame in frames {
        let mut connection = broker.process.connect();
        connection.send_raw(frame);
        assert_eq!(connection.frame(), None, "{frame:?}");
    }
    let mut connection = broker.process.connect();
    assert!(connection.ask(&ApiVersionsRequest::default(), 0).error_code.is_none());
}

/// A client of the future would not learn what to ask.
#[test]
fn api_versions_of_the_future_are_answered_in_version_0() {
    let mut broker = Broker::start(&[]);
    broker.connection.send_raw(&[0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0]);
    let mut frame = Reader::new(broker.connection.frame().unwrap());
    assert_eq!(&frame.take(4).unwrap()[..], [0, 0, 0, 7]);
    let response = ApiVersionsResponse::read(&mut frame, 0).unwrap();
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!((response.api_keys.len(), response.api_keys[0].max_version), (1, 4));
    let bad = ApiVersionsRequest {
        client_software_name: "-bad-".into(),
        client_software_version: "1".into(),
    };
    let response = broker.connection.ask(&bad, 3);
    assert_eq!(response.error_code, ErrorCode::INVALID_REQUEST);
    let good = ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1.0".into(),
    };
    let response = broker.connection.ask(&good, 4);
    // Produce is advertised from 0 although 0–2 are refused.
    let produce = response.api_keys.iter().find(|api| api.api_key == 0).unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 13));
    assert!(response.finalized_features.iter().any(|f| &*f.name == "metadata.version"));
}

/// A client that sends ahead would take one answer for another.
#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[("flush.messages", "1")]);
    let connection = &mut broker.connection;
    // Durable produces wait for the disk, the others do not; the fetch waits for nothing at all.
    for _ in 0..20 {
        connection.send(&produce_request("t", batch(&[1]), -1), 12);
        connection.send(&produce_request("t", batch(&[1]), 1), 12);
        connection.send(&ApiVersionsRequest::default(), 0);
        connection.send(&fetch_request("t", 0, 0), 12);
        connection.send(&MetadataRequest::default(), 12);
    }
    for round in 0..20 {
        for kind in 0..5 {
            let mut frame = Reader::new(connection.frame().unwrap());
            let expected = connection.sent() - 100 + round * 5 + kind + 1;
            assert_eq!(frame.take(4).unwrap()[..], expected.to_be_bytes(), "{round} {kind}");
        }
    }
}
