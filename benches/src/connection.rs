//! A bare connection: frames that were made beforehand out, as little as possible read of answers.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use milena_protocol::api::create_topics::{
    CreateTopicsConfig, CreateTopicsRequest, CreateTopicsTopic,
};
use milena_protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use milena_protocol::api::header::{RequestHeader, ResponseHeader};
use milena_protocol::api::metadata::{MetadataRequest, MetadataRequestTopic};
use milena_protocol::api::produce::{ProducePartitionData, ProduceRequest, ProduceTopicData};
use milena_protocol::api::{Request, request_header_version, response_header_version};
use milena_protocol::codec::{Reader, Records, Writer};
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp, Uuid};
use milena_protocol::message::Message;
use milena_protocol::record::run::Batches;
use milena_protocol::record::{BatchBuilder, BatchOptions};

use crate::Failure;

const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
/// Where the error code stands in an answer of version 9 for one topic: behind the frame length,
/// the header, the array of topics, its name, the array of partitions and the partition's number.
const ERROR_BEHIND_NAME: usize = 4 + 1 + 1 + 1 + 1 + 4;

/// One batch of records.
pub fn batch(records: usize, size: usize) -> Bytes {
    let value = vec![b'x'; size];
    // Of today, or retention would remove the records while they are read.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = Timestamp(now.map_or(0, |since| since.as_millis() as i64));
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        builder.append(now, None, Some(&value), &[]);
    }
    builder.build().expect("nothing is compressed")
}

fn frame<R: Request>(request: &R, version: i16) -> Result<Bytes, Failure> {
    let mut writer = Writer::new();
    writer.plain().extend_from_slice(&[0; 4]);
    let header = RequestHeader {
        api_key: R::KEY.number(),
        api_version: version,
        correlation_id: 1,
        client_id: Some("load".into()),
    };
    header.write(&mut writer, request_header_version::<R>(version));
    request.write(&mut writer, version);
    writer.patch_frame_length();
    Ok(writer.into_bytes()?)
}

/// A produce of one batch.
pub fn produce_frame(topic: &str, partition: i32, records: usize, size: usize, acks: i16) -> Bytes {
    let request = ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![ProduceTopicData {
            name: topic.into(),
            topic_id: Uuid::ZERO,
            partition_data: vec![ProducePartitionData {
                index: PartitionIndex(partition),
                records: Some(Records(batch(records, size))),
            }],
        }],
        ..Default::default()
    };
    frame(&request, PRODUCE_VERSION).expect("the request can be written")
}

/// A socket and the last answer on it.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)
            .map_err(|error| format!("cannot connect to {address}: {error}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::new() })
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(frame)?)
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        self.answer.resize(u32::from_be_bytes(length) as usize, 0);
        Ok(self.stream.read_exact(&mut self.answer)?)
    }

    /// Reads the answer to a produce of one batch and looks at its error code only.
    pub fn check_produced(&mut self) -> Result<(), Failure> {
        self.receive()?;
        let name = self.answer.get(6).copied().unwrap_or(1) as usize - 1;
        let at = ERROR_BEHIND_NAME + name;
        match self.answer.get(at..at + 2) {
            Some([0, 0]) => Ok(()),
            Some(code) => Err(format!("produce failed with code {code:?}").into()),
            None => Err("the answer is too short".into()),
        }
    }

    fn ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, Failure> {
        let frame = frame(request, version)?;
        self.send(&frame)?;
        self.receive()?;
        let mut reader = Reader::new(Bytes::copy_from_slice(&self.answer));
        ResponseHeader::read(&mut reader, response_header_version::<R>(version))?;
        Ok(R::Response::read(&mut reader, version)?)
    }

    /// Fetches from an offset of partition 0: how many bytes came, and where to go on.
    pub fn fetch(&mut self, topic: &str, offset: i64) -> Result<(usize, i64), Failure> {
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 8 << 20,
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
        };
        let response = self.ask(&request, FETCH_VERSION)?;
        let partition = response.responses.first().and_then(|topic| topic.partitions.first());
        let partition = partition.ok_or("the answer names no partition")?;
        if !partition.error_code.is_none() {
            return Err(format!("fetch failed: {}", partition.error_code).into());
        }
        let records = partition.records.as_ref().map(|records| records.0.clone());
        let records = records.unwrap_or_default();
        let next = Batches::new(&records).last().map_or(offset, |last| last.next_offset().0);
        Ok((records.len(), next))
    }

    /// Creates a topic.
    pub fn create(
        &mut self,
        topic: &str,
        (partitions, replicas): (i32, i16),
        config: &[String],
    ) -> Result<(), Failure> {
        let request = CreateTopicsRequest {
            topics: vec![CreateTopicsTopic {
                name: topic.into(),
                num_partitions: partitions,
                replication_factor: replicas,
                configs: config
                    .iter()
                    .filter_map(|pair| pair.split_once('='))
                    .map(|(name, value)| CreateTopicsConfig {
                        name: name.into(),
                        value: Some(value.into()),
                    })
                    .collect(),
                ..Default::default()
            }],
            timeout_ms: 60_000,
            validate_only: false,
        };
        let response = self.ask(&request, 5)?;
        match response.topics.first() {
            Some(result) if result.error_code.is_none() => Ok(()),
            Some(result) => Err(format!("cannot create: {:?}", result.error_code).into()),
            None => Err("the answer names no topic".into()),
        }
    }

    /// The partitions of a topic that have a leader, and where it listens.
    pub fn leaders(&mut self, topic: &str) -> Result<Vec<(i32, String)>, Failure> {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(topic.into()),
                topic_id: Uuid::ZERO,
            }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let response = self.ask(&request, 9)?;
        let broker = |id| response.brokers.iter().find(|broker| broker.node_id == id);
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        Ok(partitions
            .filter(|partition| partition.error_code.is_none())
            .filter_map(|partition| {
                let leader = broker(partition.leader_id)?;
                let address = format!("{}:{}", leader.host, leader.port);
                Some((partition.partition_index.0, address))
            })
            .collect())
    }
}
