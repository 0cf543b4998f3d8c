//! What a real broker counts while clients fail, as `/metrics` shows it.

mod process;

use std::io::{Read, Write};
use std::net::TcpStream;

use milena_protocol::api::fetch::FetchRequest;
use milena_protocol::error_code::ErrorCode;
use process::Process;
use process::broker::{Broker, batch, corrupted, fetch_request, until};

/// The figure whose name and labels hold all of these, or none.
fn figure(process: &Process, parts: &[&str]) -> Option<f64> {
    let address = process.http.as_ref().expect("HTTP is served");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let line = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .find(|line| parts.iter().all(|part| line.contains(part)))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Failures would not be seen on any dashboard, and topics that are gone stay on it.
#[test]
fn failures_are_counted() {
    let mut broker = Broker::start(&["http.listeners=http://127.0.0.1:0"]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[1]));
    let produces = ["failedproducerequests", "topic=\"t\""];
    let fetches = ["failedfetchrequests", "topic=\"t\""];
    assert_eq!(figure(&broker.process, &produces), Some(0.0));
    broker.produce("t", corrupted(&batch(&[1])));
    broker.produce("t", bytes::Bytes::new());
    assert_eq!(broker.fetch("t", 99).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(figure(&broker.process, &produces), Some(2.0));
    assert_eq!(figure(&broker.process, &fetches), Some(1.0));
    // What is asked of topics that there are not leaves no trace.
    broker.produce("made-up", batch(&[1]));
    assert_eq!(figure(&broker.process, &["made-up"]), None);
    // A whole request.
    let stale = FetchRequest { session_id: 77, session_epoch: 3, ..fetch_request("t", 0, 0) };
    broker.connection.ask(&stale, 12);
    let errors = ["kafka_network_requestmetrics_errors", "request=\"Fetch\""];
    assert_eq!(figure(&broker.process, &errors), Some(1.0));
    assert!(broker.delete_topic("t").is_none());
    assert_eq!(figure(&broker.process, &["topic=\"t\""]), None);
}

/// Whoever is not let in would look as if nobody came.
#[test]
fn refused_connections_are_counted() {
    let settings = ["http.listeners=http://127.0.0.1:0", "max.connections.per.ip=1"];
    let broker = Broker::start(&settings);
    assert_eq!(broker.process.connect().frame(), None);
    until("the refusal to be counted", || {
        figure(&broker.process, &["milena_connections_refused"]) == Some(1.0)
    });
}
