//! How far groups are behind, in offsets and in seconds, as HTTP tells it.

mod group_client;
mod process;
mod rest_client;

use bytes::Bytes;
use group_client::{
    NO_DELAY, commit_as_nobody, commit_each, find, init_producer, join_classic,
    write_in_open_transaction,
};
use milena_protocol::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use milena_protocol::ids::{Offset, PartitionIndex};
use milena_protocol::record::{BatchOptions, Compression};
use process::broker::{batch, batch_with, now_ms, produce};
use rest_client::Rest;
use serde_json::Value;

const HOUR_MS: i64 = 3_600_000;

/// The lag of a group in partition 0 of `t`.
fn lag(rest: &Rest, query: &str) -> Value {
    let path = rest.at(&format!("/consumer-groups/g/lags/t/partitions/0{query}"));
    let (status, lag) = rest.get(&path);
    assert_eq!(status, 200, "{lag}");
    lag
}

/// Holds a lag in seconds against the time of the record that the group reads next.
fn check_age(rest: &Rest, query: &str, written_at: i64) {
    let before = now_ms();
    let lag = lag(rest, query);
    let after = now_ms();
    let seconds = lag["lag_seconds"].as_f64().expect("a number");
    let bounds = [before, after].map(|now| (now - written_at) as f64 / 1000.0);
    assert!(bounds[0] <= seconds && seconds <= bounds[1], "{seconds} is not in {bounds:?}");
}

/// Somebody would be woken for a group that is not behind, or not for one that is.
#[test]
fn lag_is_exact_in_offsets_and_in_seconds() {
    let rest = Rest::start();
    rest.create("t", 1);
    let mut connection = rest.process.connect();
    let now = now_ms();
    let times = [5, 4, 3, 2, 1].map(|hours| now - hours * HOUR_MS);
    let zstd = BatchOptions { compression: Compression::Zstd, ..Default::default() };
    produce(&mut connection, "t", batch(&times[..1]), -1);
    produce(&mut connection, "t", batch(&times[1..3]), -1);
    produce(&mut connection, "t", batch_with(zstd, &times[3..]), -1);
    for (offset, written_at) in (0..).zip(times) {
        commit_as_nobody(&mut connection, "g", ("t", 0, offset));
        assert_eq!(lag(&rest, "")["lag"], 5 - offset);
        check_age(&rest, "", written_at);
    }
    commit_as_nobody(&mut connection, "g", ("t", 0, 5));
    let told = lag(&rest, "");
    assert_eq!((&told["lag"], &told["lag_seconds"]), (&0.into(), &0.0.into()));
    // Behind the end there is less than nothing, and that is nothing.
    commit_as_nobody(&mut connection, "g", ("t", 0, 9));
    assert_eq!(lag(&rest, "")["lag"], 0);
    // A record without a timestamp has no age, one of the future is young.
    produce(&mut connection, "t", batch(&[-1]), -1);
    produce(&mut connection, "t", batch(&[now_ms() + HOUR_MS]), -1);
    commit_as_nobody(&mut connection, "g", ("t", 0, 5));
    assert_eq!(lag(&rest, "")["lag_seconds"], Value::Null);
    commit_as_nobody(&mut connection, "g", ("t", 0, 6));
    assert_eq!(lag(&rest, "")["lag_seconds"], 0.0);
}

/// Alerts on groups would see nothing, or something else than a group has.
#[test]
fn figures_are_those_of_the_groups() {
    let rest = Rest::start_with(&[NO_DELAY]);
    rest.create("t", 2);
    let mut connection = rest.process.connect();
    let written_at = now_ms() - HOUR_MS;
    produce(&mut connection, "t", batch(&[written_at; 3]), -1);
    commit_as_nobody(&mut connection, "g", ("t", 0, 1));
    commit_as_nobody(&mut connection, "g", ("t", 1, 0));
    join_classic(&mut connection, "members", "instance", ("t", 2));
    let before = now_ms();
    let page = rest.call("GET", "/metrics", "").body;
    let after = now_ms();
    for line in [
        "members{consumergroup=\"g\"} 0",
        "members{consumergroup=\"members\"} 1",
        "current_offset{consumergroup=\"g\",topic=\"t\",partition=\"0\"} 1",
        "current_offset_sum{consumergroup=\"g\",topic=\"t\"} 1",
        "lag{consumergroup=\"g\",topic=\"t\",partition=\"0\"} 2",
        "lag{consumergroup=\"g\",topic=\"t\",partition=\"1\"} 0",
        "lag_sum{consumergroup=\"g\",topic=\"t\"} 2",
        "lag_seconds{consumergroup=\"g\",topic=\"t\",partition=\"1\"} 0.0",
    ] {
        let line = format!("kafka_consumergroup_{line}");
        assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    }
    let bounds = [before, after].map(|now| (now - written_at) as f64 / 1000.0);
    for labels in [
        "lag_seconds{consumergroup=\"g\",topic=\"t\",partition=\"0\"} ",
        "max_lag_seconds{consumergroup=\"g\"} ",
    ] {
        let start = format!("kafka_consumergroup_{labels}");
        let value = page.lines().find_map(|line| line.strip_prefix(&start)).expect(labels);
        let seconds: f64 = value.parse().expect("a number");
        assert!(bounds[0] <= seconds && seconds <= bounds[1], "{seconds} is not in {bounds:?}");
    }
    for what in ["rows", "coordinators", "lag_seconds"] {
        let line = format!("milena_consumergroup_{what}_left_out 0");
        assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    }
}

/// Very many groups would make a page that nobody can take, and keep the node busy with it.
#[test]
fn figures_of_groups_are_bounded() {
    let rest = Rest::start();
    rest.create("t", 100);
    let mut connection = rest.process.connect();
    find(&mut connection, "g", 0);
    for number in 0..101 {
        let group = format!("g{number}");
        commit_each(&mut connection, &group, ("t", 0..100, 0), ("", -1));
    }
    let page = rest.call("GET", "/metrics", "").body;
    let told = page.lines().filter(|line| line.starts_with("kafka_consumergroup_lag{")).count();
    assert_eq!(told, 10_000);
    let left_out = "milena_consumergroup_rows_left_out 100";
    assert!(page.lines().any(|line| line == left_out), "{left_out} is missing");
}

/// A group would be behind by records that nobody can read any more.
#[test]
fn records_and_topics_that_are_gone_are_no_lag() {
    let rest = Rest::start();
    rest.create("t", 1);
    let mut connection = rest.process.connect();
    let now = now_ms();
    for hours in [3, 2, 1] {
        produce(&mut connection, "t", batch(&[now - hours * HOUR_MS]), -1);
    }
    commit_as_nobody(&mut connection, "g", ("t", 0, 0));
    let before = DeleteRecordsPartition { partition_index: PartitionIndex(0), offset: Offset(2) };
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic { name: "t".into(), partitions: vec![before] }],
        timeout_ms: 10_000,
    };
    assert!(connection.ask(&request, 2).topics[0].partitions[0].error_code.is_none());
    let told = lag(&rest, "");
    assert_eq!((&told["current_offset"], &told["lag"]), (&0.into(), &1.into()));
    check_age(&rest, "", now - HOUR_MS);
    assert_eq!(rest.call("DELETE", &rest.at("/topics/t"), "").status, 204);
    assert_eq!(rest.get(&rest.at("/consumer-groups/g/lags")).0, 404);
}

/// A group would be behind for ever by markers and aborted records, which it is never given, or be
/// behind by records that are not for it yet.
#[test]
fn transactions_count_as_groups_see_them() {
    let rest = Rest::start();
    rest.create("t", 1);
    let mut connection = rest.process.connect();
    let now = now_ms();
    produce(&mut connection, "t", batch(&[now - 2 * HOUR_MS]), -1);
    write_in_open_transaction(&mut connection, "transaction", "t", now - HOUR_MS);
    commit_as_nobody(&mut connection, "g", ("t", 0, 1));
    let uncommitted = "?isolation_level=read_uncommitted";
    assert_eq!(lag(&rest, "")["lag"], 0);
    assert_eq!(lag(&rest, "")["lag_seconds"], 0.0);
    assert_eq!(lag(&rest, uncommitted)["lag"], 1);
    check_age(&rest, uncommitted, now - HOUR_MS);
    // The producer comes back, which aborts what it left.
    init_producer(&mut connection, "transaction");
    assert_eq!(lag(&rest, "")["lag"], 2);
    assert_eq!(lag(&rest, "")["lag_seconds"], 0.0);
    check_age(&rest, uncommitted, now - HOUR_MS);
    // Behind it is only its marker.
    commit_as_nobody(&mut connection, "g", ("t", 0, 2));
    assert_eq!(lag(&rest, uncommitted)["lag"], 1);
    assert_eq!(lag(&rest, uncommitted)["lag_seconds"], 0.0);
    // A compressed record behind both is there for everybody.
    let lz4 = BatchOptions { compression: Compression::Lz4, ..Default::default() };
    let young: Bytes = batch_with(lz4, &[now]);
    produce(&mut connection, "t", young, -1);
    check_age(&rest, "", now);
}
