//! One record into one partition, through the same function as the wire's Produce, and the report
//! on it.

use bytes::Bytes;
use milena_protocol::api::produce::{ProducePartitionData, ProduceRequest, ProduceTopicData};
use milena_protocol::codec::{Records, Text};
use milena_protocol::ids::{PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::{BatchBuilder, BatchOptions};
use serde::Serialize;
use utoipa::ToSchema;

use super::partitioner::Partitioner;
use super::received::{Format, NewRecord, Payload};
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::handlers::produce::{self, Outcome};
use crate::timestamp;

/// How long a produce waits for its acknowledgement.
const TIMEOUT_MS: i32 = 30_000;
/// Acknowledged by all replicas in sync.
const ALL: i16 = -1;

/// Where a record was put.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    /// Its offset there.
    offset: i64,
    /// Its time.
    #[schema(format = DateTime)]
    timestamp: Option<String>,
    /// Its key, if it came with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Size>,
    /// Its value, if it came with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Size>,
}

/// A key or a value as it was stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Size {
    /// How it was written.
    #[serde(rename = "type")]
    format: Format,
    /// Its bytes.
    size: usize,
}

impl Size {
    fn of(payload: &Payload) -> Self {
        Self { format: payload.format, size: payload.bytes.as_ref().map_or(0, Vec::len) }
    }
}

/// The topic that a request produces to.
pub struct Producer {
    call: Call,
    topic: Text,
    topic_id: Uuid,
    partitioner: Partitioner,
}

/// A record that is appended, and may wait for its acknowledgement.
pub struct Appended {
    outcome: Outcome,
    delivery: Delivery,
}

impl Producer {
    /// A producer to a topic that exists.
    ///
    /// # Errors
    /// When it does not, or the caller may not know of it.
    pub async fn new(call: &Call, topic: &str) -> Result<Self, Failure> {
        let found = call.topic(topic).await?;
        let start = call.broker.clock.now().0;
        Ok(Self {
            call: call.clone(),
            topic: topic.into(),
            topic_id: found.topic_id,
            partitioner: Partitioner::new(found.partitions.len(), start),
        })
    }

    /// Appends a record. Records are in the log in the order of these calls.
    ///
    /// # Errors
    /// When the record makes no sense. What the log says is in the answer.
    pub fn append(&mut self, record: &NewRecord) -> Result<Appended, Failure> {
        let key = record.key.as_ref().map(|key| key.payload()).transpose()?;
        let value = record.value.as_ref().map(|value| value.payload()).transpose()?;
        let timestamp = match record.timestamp.as_deref() {
            None => self.call.broker.clock.now(),
            Some(text) => timestamp::read(text).ok_or_else(|| bad_timestamp(text))?,
        };
        let key_bytes = key.as_ref().and_then(|key| key.bytes.as_deref());
        let value_bytes = value.as_ref().and_then(|value| value.bytes.as_deref());
        let index = self.partition_of(record, key_bytes)?;
        let batch = batch_of(record, timestamp, key_bytes, value_bytes)?;
        let request = ProduceRequest {
            acks: ALL,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![ProduceTopicData {
                name: self.topic.clone(),
                topic_id: self.topic_id,
                partition_data: vec![ProducePartitionData {
                    index: PartitionIndex(index),
                    records: Some(Records(batch)),
                }],
            }],
            ..Default::default()
        };
        let context = self.call.context::<ProduceRequest>();
        let outcome = produce::begin(&self.call.broker, &context, request);
        let delivery = Delivery {
            cluster_id: self.call.broker.cluster_id.to_string(),
            topic_name: self.topic.to_string(),
            partition_id: index,
            offset: 0,
            timestamp: timestamp::write(timestamp),
            key: key.as_ref().map(Size::of),
            value: value.as_ref().map(Size::of),
        };
        Ok(Appended { outcome, delivery })
    }

    fn partition_of(&mut self, record: &NewRecord, key: Option<&[u8]>) -> Result<i32, Failure> {
        let Some(index) = record.partition_id else { return Ok(self.partitioner.choose(key)) };
        let exists = u32::try_from(index).is_ok_and(|index| index < self.partitioner.count());
        if exists { Ok(index) } else { Err(Failure::no_partition(&self.topic, index)) }
    }
}

impl Appended {
    /// Waits until all replicas in sync have the record.
    ///
    /// # Errors
    /// What the log or the acknowledgement says.
    pub async fn acknowledged(self) -> Result<Delivery, Failure> {
        let Self { outcome, mut delivery } = self;
        let response = match outcome {
            Outcome::Done(response) => response,
            Outcome::Waiting(waiting) => waiting.acknowledged().await,
            Outcome::Asking(asking) => asking.answered().await,
        };
        let topic = response.responses.first();
        let answer = topic.and_then(|topic| topic.partition_responses.first());
        let answer = answer
            .ok_or_else(|| Failure::no_partition(&delivery.topic_name, delivery.partition_id))?;
        Failure::unless_none(answer.error_code, answer.error_message.as_ref())?;
        delivery.offset = answer.base_offset.0;
        if answer.log_append_time_ms != Timestamp::NONE {
            delivery.timestamp = timestamp::write(answer.log_append_time_ms);
        }
        Ok(delivery)
    }
}

fn bad_timestamp(given: &str) -> Failure {
    let like = "2021-02-05T19:14:42.5Z";
    Failure::bad_request(format!("{given} is not a timestamp since 1970 such as {like}"))
}

fn batch_of(
    record: &NewRecord,
    timestamp: Timestamp,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<Bytes, Failure> {
    let given = record.headers.as_deref().unwrap_or_default();
    let decoded: Vec<Option<Vec<u8>>> =
        given.iter().map(|header| header.bytes()).collect::<Result<_, _>>()?;
    let headers: Vec<(&str, Option<&[u8]>)> = given
        .iter()
        .zip(&decoded)
        .map(|(header, value)| (header.name.as_str(), value.as_deref()))
        .collect();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(timestamp, key, value, &headers);
    builder.build().map_err(|error| Failure::bad_request(error.to_string()))
}
