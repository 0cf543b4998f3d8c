//! What Fetch returns and when, against a real broker process over a bare socket.

mod process;

use std::time::{Duration, Instant};

use milena_protocol::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, Uuid};
use milena_protocol::record::run::Batches;
use process::Connection;
use process::broker::{Broker, batch, create, fetch_partition, fetch_request, records_of};

/// A fetch inside a batch would lose it, or one at the end fail.
#[test]
fn a_fetch_begins_with_the_batch_that_holds_the_offset() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[1, 2, 3]));
    broker.produce("t", batch(&[4]));
    let middle = broker.fetch("t", 1);
    assert_eq!(middle.high_watermark, Offset(4));
    let records = middle.records.unwrap().0;
    let bases: Vec<i64> = Batches::new(&records).map(|batch| batch.base_offset().0).collect();
    assert_eq!(bases, [0, 3]);
    let end = broker.fetch("t", 4);
    assert!(end.error_code.is_none() && end.records.unwrap().0.is_empty());
    assert_eq!(broker.fetch("t", 5).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(broker.fetch("none", 0).error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

/// A batch above every limit could never be consumed.
#[test]
fn the_first_batch_is_returned_whole_whatever_the_limits() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let large = batch(&[1; 100]);
    broker.produce("t", large.clone());
    let mut request = fetch_request("t", 0, 0);
    request.max_bytes = 1;
    request.topics[0].partitions[0].partition_max_bytes = 1;
    let response = broker.connection.ask(&request, 12);
    let records = response.responses[0].partitions[0].records.clone().unwrap().0;
    assert_eq!(records.len(), large.len());
}

/// A consumer at the end would spin, or not be woken by what it waits for.
#[test]
fn a_waiting_fetch_is_woken_by_an_append() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let mut consumer = broker.process.connect();
    let began = Instant::now();
    consumer.send(&fetch_request("t", 0, 15_000), 12);
    // Its answer can only come from the append, long before the wait is over.
    assert!(broker.produce("t", batch(&[1])).error_code.is_none());
    let response: FetchResponse = consumer.receive::<FetchRequest>(12);
    assert!(!response.responses[0].partitions[0].records.clone().unwrap().0.is_empty());
    assert!(began.elapsed() < Duration::from_secs(14));
}

/// A client with an old view would read from the wrong leader or topic.
#[test]
fn epochs_and_topic_ids_of_a_fetch_are_checked() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let mut request = fetch_request("t", 0, 0);
    request.topics[0].partitions[0].current_leader_epoch = LeaderEpoch(9);
    let answer = broker.connection.ask(&request, 12);
    assert_eq!(answer.responses[0].partitions[0].error_code, ErrorCode::UNKNOWN_LEADER_EPOCH);
    let mut request = fetch_request("", 0, 0);
    request.topics[0].topic_id = Uuid::from_u128(4242);
    let answer = broker.connection.ask(&request, 13);
    assert_eq!(answer.responses[0].partitions[0].error_code, ErrorCode::UNKNOWN_TOPIC_ID);
}

/// Longer than any answer that does not wait takes, and long enough to be told from it.
const LONG_MS: i32 = 15_000;

fn fetch_of(partitions: Vec<FetchPartition>) -> FetchRequest {
    let mut request = fetch_request("t", 0, 0);
    request.topics[0].partitions = partitions;
    request
}

/// What a request is answered without waiting for anything.
fn at_once(connection: &mut Connection, request: &FetchRequest) -> FetchResponse {
    let began = Instant::now();
    let response = connection.ask(request, 12);
    assert!(began.elapsed() < Duration::from_millis(LONG_MS as u64 - 1000), "it waited");
    response
}

/// Whoever will not wait, asks for nothing, or has to be told something would be left waiting.
#[test]
fn a_fetch_with_a_reason_to_answer_does_not_wait() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[1]));
    let connection = &mut broker.connection;
    let waits = |offset| fetch_request("t", offset, LONG_MS);
    // It has no time.
    at_once(connection, &fetch_request("t", 1, 0));
    at_once(connection, &fetch_request("t", 1, -5));
    // It asks for nothing.
    at_once(connection, &FetchRequest { topics: vec![], ..waits(1) });
    // There is enough, and nothing is enough for who wants nothing.
    assert!(!records_of(&at_once(connection, &waits(0)).responses[0].partitions[0]).is_empty());
    at_once(connection, &FetchRequest { min_bytes: 0, ..waits(1) });
    // A partition is wrong, the others have nothing.
    let mut request = waits(1);
    request.topics.push(FetchTopic {
        topic: "none".into(),
        topic_id: Uuid::ZERO,
        partitions: vec![fetch_partition(0, 0)],
    });
    let response = at_once(connection, &request);
    let wrong = response.responses.iter().find(|topic| &*topic.topic == "none").unwrap();
    assert_eq!(wrong.partitions[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    // Its history is another.
    let mut request = waits(1);
    request.topics[0].partitions[0].fetch_offset = Offset(9);
    request.topics[0].partitions[0].last_fetched_epoch = LeaderEpoch(0);
    let response = at_once(connection, &request);
    let diverging = &response.responses[0].partitions[0];
    assert!(diverging.error_code.is_none() && records_of(diverging).is_empty());
    assert_eq!(diverging.diverging_epoch.end_offset, Offset(1));
}

/// A consumer would be answered with less than it asked for, before its time or never.
#[test]
fn a_fetch_waits_for_its_bytes_and_then_takes_what_there_is() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let bytes = batch(&[1]).len();
    let mut consumer = broker.process.connect();
    let request = |wait, batches: usize| FetchRequest {
        min_bytes: (batches * bytes) as i32,
        ..fetch_request("t", 0, wait)
    };
    consumer.send(&request(LONG_MS, 3), 12);
    for _ in 0..3 {
        assert!(broker.produce("t", batch(&[1])).error_code.is_none());
    }
    let response = consumer.receive::<FetchRequest>(12);
    assert_eq!(records_of(&response.responses[0].partitions[0]).len(), 3 * bytes);
    // There is never enough: it is answered at its time, with what there is then.
    let began = Instant::now();
    let response = consumer.ask(&request(300, 9), 12);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(records_of(&response.responses[0].partitions[0]).len(), 3 * bytes);
}

/// One large batch would hold up a partition for ever, or many would fill the client's memory.
#[test]
fn only_the_first_partition_with_records_may_exceed_the_limits() {
    let mut broker = Broker::start(&[]);
    create(&mut broker.connection, "t", 4, &[]);
    let stored = batch(&[1; 100]);
    for partition in 1..4 {
        let mut request = process::broker::produce_request("t", stored.clone(), -1);
        request.topic_data[0].partition_data[0].index.0 = partition;
        broker.connection.ask(&request, 12);
    }
    let sizes = |broker: &mut Broker, request: &FetchRequest| {
        let response = broker.connection.ask(request, 12);
        let partitions = &response.responses[0].partitions;
        let sizes = partitions.iter().map(|p| (p.partition_index.0, records_of(p).len()));
        sizes.collect::<Vec<_>>()
    };
    let all: Vec<FetchPartition> = (0..4).map(|partition| fetch_partition(partition, 0)).collect();
    // Partition 0 is empty, so 1 is the first with records; the answer's limit is used up by it.
    let tight = FetchRequest { max_bytes: 10, ..fetch_of(all.clone()) };
    assert_eq!(sizes(&mut broker, &tight), [(0, 0), (1, stored.len()), (2, 0), (3, 0)]);
    // A partition's own limit is exceeded by the first only.
    let small = |mut partition: FetchPartition| {
        partition.partition_max_bytes = 10;
        partition
    };
    let each = sizes(&mut broker, &fetch_of(all.into_iter().map(small).collect()));
    assert_eq!(each[1].1, stored.len());
    assert!(each[2].1 <= 10 && each[3].1 <= 10, "{each:?}");
    // In the order of the request.
    let backwards: Vec<_> = [3, 1].map(|partition| fetch_partition(partition, 0)).into();
    let backwards = FetchRequest { max_bytes: 10, ..fetch_of(backwards) };
    assert_eq!(sizes(&mut broker, &backwards), [(3, stored.len()), (1, 0)]);
}

/// A consumer of committed records would wait for a list that never comes, or be given one that
/// it does not expect.
#[test]
fn aborted_transactions_are_a_list_for_readers_of_committed_records_only() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[1, 2]));
    for version in [4, 11, 12] {
        let all = broker.connection.ask(&fetch_request("t", 0, 0), version);
        let committed = FetchRequest { isolation_level: 1, ..fetch_request("t", 0, 0) };
        let committed = broker.connection.ask(&committed, version);
        let (all, committed) =
            (&all.responses[0].partitions[0], &committed.responses[0].partitions[0]);
        assert_eq!(all.aborted_transactions, None);
        assert_eq!(committed.aborted_transactions, Some(vec![]));
        assert_eq!(committed.last_stable_offset, Offset(2));
        assert_eq!(records_of(all), records_of(committed));
    }
}
