//! What connections may cost, against a real broker process over bare sockets.

mod process;
mod rest_client;

use std::time::{Duration, Instant};

use milena_protocol::api::api_versions::ApiVersionsRequest;
use milena_protocol::api::metadata::MetadataRequest;
use milena_protocol::ids::Timestamp;
use milena_protocol::record::{BatchBuilder, BatchOptions, Compression};
use process::broker::{Broker, batch, create, fetch_request, produce};
use process::{Connection, Process};
use rest_client::Rest;

/// What the test asks for, in milliseconds.
const IDLE_MS: u64 = 300;

fn resident_kib(process: &Process) -> u64 {
    status_kib(process, "VmRSS:")
}

/// The most that was ever resident.
fn peak_kib(process: &Process) -> u64 {
    status_kib(process, "VmHWM:")
}

fn status_kib(process: &Process, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

fn assert_serves(process: &Process) {
    let answer = process.connect().ask(&ApiVersionsRequest::default(), 0);
    assert!(answer.error_code.is_none());
}

/// Connections that announce what they never send would use up the memory.
#[test]
fn announced_bytes_cost_nothing() {
    // All of them come at once.
    let broker = Broker::start(&["socket.listen.backlog.size=1000"]);
    let before = resident_kib(&broker.process);
    let connections: Vec<Connection> = (0..500)
        .map(|_| {
            let mut connection = broker.process.connect();
            connection.send_raw(&90_000_000i32.to_be_bytes());
            connection.send_raw(&[0; 100]);
            connection
        })
        .collect();
    assert_serves(&broker.process);
    let grown = resident_kib(&broker.process).saturating_sub(before);
    assert!(grown < 40 * 1024, "{grown} KiB for {} connections", connections.len());
}

/// A few kilobytes that hold a hundred megabytes would take the memory for them, in one record or
/// in many, and whether they are kept as they are or in another codec.
#[test]
fn a_batch_that_expands_is_looked_at_piece_by_piece() {
    let mut broker = Broker::start(&[]);
    broker.create("kept", &[]);
    broker.create("changed", &[("compression.type", "gzip")]);
    broker.produce("kept", batch(&[1]));
    let before = peak_kib(&broker.process);
    for (records, value_bytes) in [(1, 100 << 20), (1000, 100 << 10)] {
        let options = BatchOptions { compression: Compression::Zstd, ..Default::default() };
        let mut builder = BatchBuilder::new(options);
        let value = vec![0; value_bytes];
        for _ in 0..records {
            builder.append(Timestamp(1), None, Some(&value), &[]);
        }
        let batch = builder.build().unwrap();
        assert!(batch.len() < 100_000, "{}", batch.len());
        for topic in ["kept", "changed"] {
            let answer = broker.produce(topic, batch.clone());
            assert!(answer.error_code.is_none(), "{answer:?}");
        }
        // Looking for a time looks into it again.
        assert_eq!(broker.list("kept", 1).offset.0, 0);
    }
    let grown = peak_kib(&broker.process) - before;
    assert!(grown < 40 * 1024, "{grown} KiB");
}

/// Readers over HTTP would take the memory for whole batches, each of them again.
#[test]
fn pages_of_a_batch_that_expands_do_not_pile_up() {
    let rest = Rest::start();
    let mut connection = rest.process.connect();
    let record_batch = |records: usize, value_bytes: usize| {
        let options = BatchOptions { compression: Compression::Zstd, ..Default::default() };
        let mut builder = BatchBuilder::new(options);
        let value = vec![0; value_bytes];
        for _ in 0..records {
            builder.append(Timestamp(1), None, Some(&value), &[]);
        }
        builder.build().unwrap()
    };
    for (topic, records, value_bytes) in
        [("many", 1000, 58_000), ("large", 1, 4 << 20), ("endless", 1, 58_000_000)]
    {
        create(&mut connection, topic, 1, &[]);
        let answer = produce(&mut connection, topic, record_batch(records, value_bytes), -1);
        assert!(answer.error_code.is_none(), "{answer:?}");
    }
    let path = |topic: &str| rest.at(&format!("/topics/{topic}/partitions/0/records"));
    assert_eq!(rest.get(&path("large")).0, 200);
    let (status, said) = rest.get(&path("endless"));
    assert_eq!(status, 500);
    assert!(said["message"].as_str().unwrap().contains("go on at 1"), "{said}");
    let before = peak_kib(&rest.process);
    std::thread::scope(|scope| {
        for reader in 0..40 {
            let (rest, path) = (&rest, path(if reader % 8 == 0 { "large" } else { "many" }));
            scope.spawn(move || {
                let status = rest.call("GET", &path, "").status;
                // A large record waits for room, for a while.
                assert!(status == 200 || (status == 503 && path.contains("large")), "{status}");
            });
        }
    });
    let grown = peak_kib(&rest.process) - before;
    assert!(grown < 200 * 1024, "{grown} KiB");
}

/// A client that asks and never reads would fill the memory with its answers.
#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let mut broker = Broker::start(&[]);
    create(&mut broker.connection, "wide", 100, &[]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[1; 20_000]));
    let before = resident_kib(&broker.process);
    let stalled: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = broker.process.connect();
            // Some megabytes of requests for a gigabyte of answers.
            while connection.send_unless_full(&MetadataRequest::default(), 12)
                && connection.send_unless_full(&fetch_request("t", 0, 0), 12)
            {}
            connection
        })
        .collect();
    assert_serves(&broker.process);
    let grown = resident_kib(&broker.process).saturating_sub(before);
    assert!(grown < 40 * 1024, "{grown} KiB for {} connections", stalled.len());
}

/// Connections that are of no use would stay for ever: silent ones, ones in the middle of a frame,
/// and ones whose client takes nothing.
#[test]
fn connections_without_progress_are_closed() {
    let mut broker = Broker::start(&[&format!("connections.max.idle.ms={IDLE_MS}")]);
    let mut silent = broker.process.connect();
    let mut half = broker.process.connect();
    half.send_raw(&[0, 0, 1, 0, 0, 18]);
    let mut served = broker.process.connect();
    assert!(served.ask(&ApiVersionsRequest::default(), 0).error_code.is_none());
    let began = Instant::now();
    for connection in [&mut silent, &mut half, &mut served, &mut broker.connection] {
        assert_eq!(connection.frame(), None);
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_serves(&broker.process);
}

/// A connection in use would be closed as idle.
#[test]
fn connections_in_use_stay() {
    let broker = Broker::start(&[&format!("connections.max.idle.ms={IDLE_MS}")]);
    let mut connection = broker.process.connect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(3 * IDLE_MS) {
        assert!(connection.ask(&ApiVersionsRequest::default(), 0).error_code.is_none());
    }
}
