//! A broker on a directory of its own, and the requests that most tests make.

use std::time::{Duration, Instant};

use bytes::Bytes;
use milena_protocol::api::create_topics::{
    CreateTopicsConfig, CreateTopicsRequest, CreateTopicsTopic,
};
use milena_protocol::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsTopic,
};
use milena_protocol::api::delete_topics::DeleteTopicsRequest;
use milena_protocol::api::fetch::{
    FetchPartition, FetchPartitionResponse, FetchRequest, FetchTopic,
};
use milena_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
};
use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use milena_protocol::api::produce::{
    ProducePartitionData, ProducePartitionResponse, ProduceRequest, ProduceTopicData,
};
use milena_protocol::codec::Records;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{
    LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp,
    Uuid,
};
use milena_protocol::record::{BatchBuilder, BatchOptions};

use super::{Connection, Process};

/// The kind of a topic in requests about configurations.
pub const TOPIC: i8 = 2;
/// The kind of a broker in requests about configurations.
pub const BROKER: i8 = 4;

/// A broker on a directory of its own, and a connection.
pub struct Broker {
    pub directory: tempfile::TempDir,
    pub process: Process,
    pub connection: Connection,
}

impl Broker {
    pub fn start(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Process::start(directory.path(), settings);
        let connection = process.connect();
        Self { directory, process, connection }
    }

    /// kill -9, and a new process on the same directory.
    pub fn restart(self, settings: &[&str]) -> Self {
        let Self { directory, process, .. } = self;
        process.kill();
        let process = Process::start(directory.path(), settings);
        let connection = process.connect();
        Self { directory, process, connection }
    }

    pub fn create(&mut self, name: &str, configs: &[(&str, &str)]) -> ErrorCode {
        create(&mut self.connection, name, 1, configs)
    }

    pub fn produce(&mut self, topic: &str, batch: Bytes) -> ProducePartitionResponse {
        produce(&mut self.connection, topic, batch, -1)
    }

    pub fn fetch(&mut self, topic: &str, offset: i64) -> FetchPartitionResponse {
        let request = fetch_request(topic, offset, 0);
        let response = self.connection.ask(&request, 12);
        response.responses[0].partitions[0].clone()
    }

    pub fn list(&mut self, topic: &str, timestamp: i64) -> ListOffsetsPartitionResponse {
        list(&mut self.connection, topic, timestamp, 11)
    }

    pub fn delete_records(&mut self, topic: &str, offset: i64) -> DeleteRecordsPartitionResult {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: topic.into(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: PartitionIndex(0),
                    offset: Offset(offset),
                }],
            }],
            timeout_ms: 10_000,
        };
        self.connection.ask(&request, 2).topics[0].partitions[0].clone()
    }

    pub fn delete_topic(&mut self, topic: &str) -> ErrorCode {
        let request = DeleteTopicsRequest {
            topic_names: vec![topic.into()],
            timeout_ms: 10_000,
            ..Default::default()
        };
        self.connection.ask(&request, 4).responses[0].error_code
    }

    /// Sets keys of a topic, a broker, or (with an empty name) of all brokers.
    pub fn alter(&mut self, kind: i8, name: &str, configs: &[(&str, &str)]) -> ErrorCode {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![IncrementalAlterConfigsResource {
                resource_type: kind,
                resource_name: name.into(),
                configs: configs
                    .iter()
                    .map(|(name, value)| IncrementalAlterConfigsConfig {
                        name: (*name).into(),
                        config_operation: 0,
                        value: Some((*value).into()),
                    })
                    .collect(),
            }],
            validate_only: false,
        };
        self.connection.ask(&request, 1).responses[0].error_code
    }
}

/// Asks again and again until something holds; panics with `what` when it never does.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::yield_now();
    }
}

pub fn create(
    connection: &mut Connection,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> ErrorCode {
    create_replicated(connection, name, partitions, 1, configs)
}

/// Creates a topic with so many replicas of each partition.
pub fn create_replicated(
    connection: &mut Connection,
    name: &str,
    partitions: i32,
    replication_factor: i16,
    configs: &[(&str, &str)],
) -> ErrorCode {
    let request = CreateTopicsRequest {
        topics: vec![CreateTopicsTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor,
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

pub fn produce_request(topic: &str, batch: Bytes, acks: i16) -> ProduceRequest {
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

pub fn produce(
    connection: &mut Connection,
    topic: &str,
    batch: Bytes,
    acks: i16,
) -> ProducePartitionResponse {
    let response = connection.ask(&produce_request(topic, batch, acks), 12);
    response.responses[0].partition_responses[0].clone()
}

/// A partition to read from an offset on, up to a mebibyte.
pub fn fetch_partition(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition {
        partition: PartitionIndex(partition),
        fetch_offset: Offset(offset),
        partition_max_bytes: 1 << 20,
        ..Default::default()
    }
}

pub fn fetch_request(topic: &str, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            topic_id: Uuid::ZERO,
            partitions: vec![fetch_partition(0, offset)],
        }],
        ..Default::default()
    }
}

/// The record bytes of a partition's answer.
pub fn records_of(answer: &FetchPartitionResponse) -> Bytes {
    answer.records.clone().map(|records| records.0).unwrap_or_default()
}

pub fn list(
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

/// The wall clock in milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as i64
}

/// A batch of records at these timestamps.
pub fn batch(timestamps: &[i64]) -> Bytes {
    batch_with(BatchOptions::default(), timestamps)
}

pub fn batch_with(options: BatchOptions, timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for timestamp in timestamps {
        builder.append(Timestamp(*timestamp), Some(b"key"), Some(b"value"), &[]);
    }
    builder.build().unwrap()
}

/// A batch of one record of this many bytes.
pub fn large(value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(1), None, Some(&vec![7; value_bytes]), &[]);
    builder.build().unwrap()
}

pub fn idempotent(producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let options = BatchOptions {
        producer_id: ProducerId(producer_id),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
        ..Default::default()
    };
    batch_with(options, &[1])
}

pub fn corrupted(batch: &Bytes) -> Bytes {
    let mut bytes = batch.to_vec();
    *bytes.last_mut().unwrap() ^= 0xff;
    Bytes::from(bytes)
}
