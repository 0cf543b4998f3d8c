//! The numbered facts of Kafka's behaviour, against a real broker process over a bare socket.

mod process;

use std::time::{Duration, Instant};

use bytes::Bytes;
use milena_protocol::api::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use milena_protocol::api::create_topics::{
    CreateTopicsConfig, CreateTopicsRequest, CreateTopicsTopic,
};
use milena_protocol::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use milena_protocol::api::delete_topics::DeleteTopicsRequest;
use milena_protocol::api::fetch::{
    FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse, FetchTopic,
};
use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use milena_protocol::api::produce::{
    ProducePartitionData, ProducePartitionResponse, ProduceRequest, ProduceTopicData,
};
use milena_protocol::codec::{Reader, Records};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{
    LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp,
    Uuid,
};
use milena_protocol::message::Message;
use milena_protocol::record::run::Batches;
use milena_protocol::record::{BatchBuilder, BatchOptions};
use process::{Connection, Process};

/// A broker on a directory of its own, and a connection.
struct Broker {
    _directory: tempfile::TempDir,
    process: Process,
    connection: Connection,
}

impl Broker {
    fn start(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Process::start(directory.path(), settings);
        let connection = process.connect();
        Self { _directory: directory, process, connection }
    }

    fn create(&mut self, name: &str, configs: &[(&str, &str)]) -> ErrorCode {
        create(&mut self.connection, name, 1, configs)
    }

    fn produce(&mut self, topic: &str, batch: Bytes) -> ProducePartitionResponse {
        produce(&mut self.connection, topic, batch, -1)
    }

    fn fetch(&mut self, topic: &str, offset: i64) -> FetchPartitionResponse {
        let request = fetch_request(topic, offset, 0);
        let response = self.connection.ask(&request, 12);
        response.responses[0].partitions[0].clone()
    }

    fn list(&mut self, topic: &str, timestamp: i64) -> ListOffsetsPartitionResponse {
        list(&mut self.connection, topic, timestamp, 11)
    }
}

fn create(
    connection: &mut Connection,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> ErrorCode {
    let request = CreateTopicsRequest {
        topics: vec![CreateTopicsTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs
                .iter()
                .map(|(name, value)| CreateTopicsConfig {
                    name: (*name).into(),
                    value: Some((*value).into()),
                })
                .collect(),
            ..Default::default()
        }],
        timeout_ms: 10_000,
        validate_only: false,
    };
    connection.ask(&request, 7).topics[0].error_code
}

fn produce_request(topic: &str, batch: Bytes, acks: i16) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 10_000,
        topic_data: vec![ProduceTopicData {
            name: topic.into(),
            topic_id: Uuid::ZERO,
            partition_data: vec![ProducePartitionData {
                index: PartitionIndex(0),
                records: Some(Records(batch)),
            }],
        }],
    }
}

fn produce(
    connection: &mut Connection,
    topic: &str,
    batch: Bytes,
    acks: i16,
) -> ProducePartitionResponse {
    let response = connection.ask(&produce_request(topic, batch, acks), 12);
    response.responses[0].partition_responses[0].clone()
}

fn fetch_request(topic: &str, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            topic_id: Uuid::ZERO,
            partitions: vec![FetchPartition {
                partition: PartitionIndex(0),
                fetch_offset: Offset(offset),
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
        }],
        ..Default::default()
    }
}

fn list(
    connection: &mut Connection,
    topic: &str,
    timestamp: i64,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let request = ListOffsetsRequest {
        replica_id: NodeId(-1),
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: PartitionIndex(0),
                current_leader_epoch: LeaderEpoch::NONE,
                timestamp: Timestamp(timestamp),
            }],
        }],
        ..Default::default()
    };
    connection.ask(&request, version).topics[0].partitions[0].clone()
}

/// A batch of records at these timestamps.
fn batch(timestamps: &[i64]) -> Bytes {
    batch_with(BatchOptions::default(), timestamps)
}

fn batch_with(options: BatchOptions, timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for timestamp in timestamps {
        builder.append(Timestamp(*timestamp), Some(b"key"), Some(b"value"), &[]);
    }
    builder.build().unwrap()
}

fn idempotent(producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let options = BatchOptions {
        producer_id: ProducerId(producer_id),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
        ..Default::default()
    };
    batch_with(options, &[1])
}

fn corrupted(batch: &Bytes) -> Bytes {
    let mut bytes = batch.to_vec();
    *bytes.last_mut().unwrap() ^= 0xff;
    Bytes::from(bytes)
}

/// Facts C2 and C10: something that cannot be a request would be answered, or stop the broker.
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

/// Facts C3, C4 and C5: a client of the future would not learn what to ask.
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
    // Fact C6: produce is advertised from 0 although 0–2 are refused.
    let produce = response.api_keys.iter().find(|api| api.api_key == 0).unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 13));
    assert!(response.finalized_features.iter().any(|f| &*f.name == "metadata.version"));
}

/// Facts M1, M5 and M8: a client would not find its topics, or make one it did not ask for.
#[test]
fn metadata_names_topics_and_makes_them_on_request() {
    let mut broker = Broker::start(&[]);
    assert!(broker.create("one", &[]).is_none());
    let all = |topics| MetadataRequest { topics, ..Default::default() };
    let connection = &mut broker.connection;
    assert_eq!(connection.ask(&all(Some(vec![])), 0).topics.len(), 1);
    assert_eq!(connection.ask(&all(Some(vec![])), 1).topics.len(), 0);
    assert_eq!(connection.ask(&all(None), 12).topics.len(), 1);
    let named = |name: &str, create| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(name.into()), topic_id: Uuid::ZERO }]),
        allow_auto_topic_creation: create,
        ..Default::default()
    };
    let unknown = connection.ask(&named("two", false), 12);
    assert_eq!(unknown.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let made = connection.ask(&named("two", true), 12);
    assert!(made.topics[0].error_code.is_none());
    assert_eq!(made.topics[0].partitions[0].leader_id, made.brokers[0].node_id);
    let invalid = connection.ask(&named("no such/name", true), 12);
    assert_eq!(invalid.topics[0].error_code, ErrorCode::INVALID_TOPIC_EXCEPTION);
    let by_id = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: None, topic_id: Uuid::from_u128(77777) }]),
        ..Default::default()
    };
    let unknown = connection.ask(&by_id, 12);
    assert_eq!(unknown.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_ID);
}

/// Fact P1: a producer that asks for no answer would get one, or believe that it wrote.
#[test]
fn acks_0_says_nothing_and_closes_on_failure() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.connection.send(&produce_request("t", batch(&[1]), 0), 12);
    assert_eq!(broker.list("t", -1).offset, Offset(1));
    broker.connection.send(&produce_request("t", corrupted(&batch(&[1])), 0), 12);
    assert_eq!(broker.connection.frame(), None);
}

/// Facts P2, P5, P6 and P18: bad data would be stored, or good data refused.
#[test]
fn a_bad_batch_is_refused_with_its_code_and_nothing_is_stored() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[("max.message.bytes", "1000")]);
    let good = batch(&[1]);
    let twice = Bytes::from([good.as_ref(), good.as_ref()].concat());
    let large = {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(Timestamp(1), None, Some(&[7; 2000]), &[]);
        builder.build().unwrap()
    };
    let transactional =
        batch_with(BatchOptions { is_transactional: true, ..Default::default() }, &[1]);
    let control = batch_with(BatchOptions { is_control: true, ..Default::default() }, &[1]);
    let mut old = good.to_vec();
    old[16] = 1;
    let cases = [
        (corrupted(&good), ErrorCode::CORRUPT_MESSAGE),
        (good.slice(..good.len() - 1), ErrorCode::CORRUPT_MESSAGE),
        (twice, ErrorCode::INVALID_RECORD),
        (large, ErrorCode::MESSAGE_TOO_LARGE),
        (transactional, ErrorCode::TRANSACTION_ABORTABLE),
        (control, ErrorCode::INVALID_RECORD),
        (Bytes::from(old), ErrorCode::INVALID_RECORD),
        (Bytes::new(), ErrorCode::INVALID_RECORD),
        (batch(&[i64::MAX - 1]), ErrorCode::INVALID_TIMESTAMP),
    ];
    for (bad, code) in cases {
        let answer = broker.produce("t", bad);
        assert_eq!(answer.error_code, code, "{answer:?}");
        assert_eq!(answer.base_offset, Offset::NONE);
    }
    let answer = produce(&mut broker.connection, "t", good.clone(), 5);
    assert_eq!(answer.error_code, ErrorCode::INVALID_REQUIRED_ACKS);
    let answer = broker.produce("nowhere", good.clone());
    assert_eq!(answer.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(broker.list("t", -1).offset, Offset::ZERO);
    assert_eq!(broker.produce("t", good).base_offset, Offset::ZERO);
}

/// Fact P9: a client would not know which of its records was bad.
#[test]
fn bad_records_are_named() {
    let mut broker = Broker::start(&[]);
    broker.create("compacted", &[("cleanup.policy", "compact")]);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(1), Some(b"k"), Some(b"v"), &[]);
    builder.append(Timestamp(1), None, Some(b"v"), &[]);
    let answer = broker.produce("compacted", builder.build().unwrap());
    assert_eq!(answer.error_code, ErrorCode::INVALID_RECORD);
    let named: Vec<i32> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(named, [1]);
    assert!(answer.error_message.is_some());
}

/// Fact P12: records on a topic with append time would keep the producer's time.
#[test]
fn log_append_time_is_stamped_by_the_broker() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[("message.timestamp.type", "LogAppendTime")]);
    let answer = broker.produce("t", batch(&[5]));
    assert!(answer.log_append_time_ms > Timestamp(1_600_000_000_000));
    let records = broker.fetch("t", 0).records.unwrap().0;
    let stored = Batches::new(&records).next().unwrap();
    assert_eq!(stored.max_timestamp(), answer.log_append_time_ms);
    stored.verify_crc().unwrap();
}

/// Facts I1–I5: a retry would be stored twice, or a gap go unnoticed.
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
    // An unknown producer may begin anywhere (fact I4).
    assert!(broker.produce("t", idempotent(id + 1, 0, 77)).error_code.is_none());
    assert_eq!(broker.list("t", -1).offset, Offset(9));
}

/// Facts F5 and F6: a fetch inside a batch would lose it, or one at the end fail.
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

/// On a durable topic a record with acks=1 would stay invisible for ever.
#[test]
fn durable_records_become_visible_whatever_the_acks() {
    let mut broker = Broker::start(&[]);
    broker.create("durable", &[("flush.messages", "1")]);
    assert!(produce(&mut broker.connection, "durable", batch(&[1]), 1).error_code.is_none());
    let response = broker.connection.ask(&fetch_request("durable", 0, 15_000), 12);
    assert!(!response.responses[0].partitions[0].records.clone().unwrap().0.is_empty());
    assert!(broker.produce("durable", batch(&[2])).error_code.is_none());
    assert_eq!(broker.list("durable", -1).offset, Offset(2));
}

/// Fact F3: a batch above every limit could never be consumed.
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

/// Fact F1: a consumer at the end would spin, or not be woken by what it waits for.
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

/// Facts F14 and F17: a client with an old view would read from the wrong leader or topic.
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

/// Facts L1–L3, L6 and L7: a consumer would start in the wrong place.
#[test]
fn offsets_are_found_by_sentinel_and_time() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[10, 50, 30]));
    broker.produce("t", batch(&[40]));
    assert_eq!(broker.list("t", -1).offset, Offset(4));
    assert_eq!(broker.list("t", -2).offset, Offset(0));
    let at = |found: ListOffsetsPartitionResponse| (found.offset.0, found.timestamp.0);
    assert_eq!(at(broker.list("t", 20)), (1, 50));
    assert_eq!(at(broker.list("t", 10)), (0, 10));
    assert_eq!(at(broker.list("t", 51)), (-1, -1));
    assert_eq!(at(broker.list("t", -3)), (1, 50));
    assert_eq!(broker.list("t", -4).offset, Offset(0));
    let too_new = list(&mut broker.connection, "t", -3, 6);
    assert_eq!(too_new.error_code, ErrorCode::UNSUPPORTED_VERSION);
}

/// Facts G7 and G8: records that were deleted would come back.
#[test]
fn deleted_records_are_gone_at_once() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[1, 2, 3]));
    let mut delete = |offset| {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: "t".into(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: PartitionIndex(0),
                    offset: Offset(offset),
                }],
            }],
            timeout_ms: 10_000,
        };
        broker.connection.ask(&request, 2).topics[0].partitions[0].clone()
    };
    assert_eq!(delete(9).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(delete(2).low_watermark, Offset(2));
    assert_eq!(delete(-1).low_watermark, Offset(3));
    assert_eq!(broker.list("t", -2).offset, Offset(3));
    assert_eq!(broker.fetch("t", 1).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
}

/// Facts D24, D6 and the limits of topic names: topics would be made that nobody can use.
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

/// What was acknowledged would be lost by a kill, or a deleted topic come back.
#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for round in 0..5 {
        let process = Process::start(directory.path(), &[]);
        let mut connection = process.connect();
        if round == 0 {
            assert!(create(&mut connection, "kept", 3, &[("retention.ms", "-1")]).is_none());
            assert!(create(&mut connection, "gone", 1, &[]).is_none());
        }
        if round == 1 {
            let request = DeleteTopicsRequest {
                topic_names: vec!["gone".into()],
                timeout_ms: 10_000,
                ..Default::default()
            };
            assert!(connection.ask(&request, 4).responses[0].error_code.is_none());
        }
        assert_eq!(list(&mut connection, "kept", -1, 11).offset, Offset(expected));
        for _ in 0..20 {
            let answer = produce(&mut connection, "kept", idempotent(7, 0, expected as i32), -1);
            assert_eq!(answer.base_offset, Offset(expected), "{answer:?}");
            expected += 1;
        }
        // A retry across the restart is recognised.
        let again = produce(&mut connection, "kept", idempotent(7, 0, expected as i32 - 1), -1);
        assert_eq!(again.base_offset, Offset(expected - 1));
        let gone = list(&mut connection, "gone", -1, 11).error_code;
        assert_eq!(gone.is_none(), round == 0);
        process.kill();
    }
}

/// A second process would write into the same directory, or a taken port fail without a word.
#[test]
fn a_directory_in_use_is_refused_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Process::start(directory.path(), &[]);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_milena"))
        .args(["serve", "--set", &format!("log.dirs={}", directory.path().display())])
        .args(["--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "http.listeners="])
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("in use") && said.trim_end().lines().count() == 1, "{said}");
}

/// Connections that announce what they never send would use up the memory.
#[test]
fn announced_bytes_cost_nothing() {
    let broker = Broker::start(&[]);
    let connections: Vec<Connection> = (0..300)
        .map(|_| {
            let mut connection = broker.process.connect();
            connection.send_raw(&90_000_000i32.to_be_bytes());
            connection.send_raw(&[0; 100]);
            connection
        })
        .collect();
    let mut other = broker.process.connect();
    assert!(other.ask(&ApiVersionsRequest::default(), 0).error_code.is_none());
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.process.id())).unwrap();
    let resident: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().split(' ').next()?.parse().ok())
        .unwrap();
    assert!(resident < 150 * 1024, "{resident} KiB resident for {} connections", connections.len());
}
