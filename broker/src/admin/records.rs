//! Producing records: one JSON object, or several one after the other in one request.
//!
//! A single object is answered with a single report; a stream of them with one report each, in
//! their order. Data is `BINARY` (base64), `STRING` or `JSON`.

use axum::body::Bytes as Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use milena_protocol::api::produce::{ProducePartitionData, ProduceRequest, ProduceTopicData};
use milena_protocol::codec::Records;
use milena_protocol::ids::{PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::{BatchBuilder, BatchOptions};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::error::Failure;
use crate::handlers::produce::{self, Outcome};

/// How long a produce waits for its acknowledgement.
const TIMEOUT_MS: i32 = 30_000;

/// A record to be produced.
#[derive(Debug, Deserialize)]
struct NewRecord {
    partition_id: Option<i32>,
    #[serde(default)]
    headers: Vec<NewHeader>,
    key: Option<Data>,
    value: Option<Data>,
    timestamp: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct NewHeader {
    name: String,
    value: Option<String>,
}

/// A key or a value, and how it is written.
#[derive(Debug, Deserialize)]
struct Data {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    data: Value,
}

impl Data {
    fn bytes(&self) -> Result<Option<Vec<u8>>, Failure> {
        let text =
            || self.data.as_str().ok_or_else(|| Failure::bad_request("data must be a string"));
        match (self.kind.as_deref().unwrap_or("JSON"), &self.data) {
            (_, Value::Null) => Ok(None),
            ("BINARY", _) => decode(text()?).map(Some),
            ("STRING", _) => Ok(Some(text()?.as_bytes().to_vec())),
            ("JSON", data) => Ok(Some(data.to_string().into_bytes())),
            (other, _) => Err(Failure::bad_request(format!(
                "the type {other} is not served; BINARY, STRING and JSON are"
            ))),
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    BASE64.decode(text).map_err(|error| Failure::bad_request(format!("not base64: {error}")))
}

/// `POST …/topics/{topic}/records`
pub async fn produce(
    State(admin): State<Admin>,
    Path((cluster, topic)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Failure> {
    admin.check_cluster(&cluster)?;
    let mut reports = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(&body).into_iter::<NewRecord>();
    for record in &mut stream {
        let report = match record {
            Ok(record) => admin.produce(&topic, &record).await,
            Err(error) => {
                reports.push(Err(Failure::bad_request(format!("not a record: {error}"))));
                break;
            }
        };
        reports.push(report);
    }
    let many = reports.len() != 1;
    if many {
        let lines: String = reports
            .into_iter()
            .map(|report| report.unwrap_or_else(|failure| failure.body()).to_string() + "\r\n")
            .collect();
        return Ok(([(CONTENT_TYPE, "application/json")], lines).into_response());
    }
    match reports.pop() {
        Some(Ok(report)) => Ok((StatusCode::OK, axum::Json(report)).into_response()),
        Some(Err(failure)) => Err(failure),
        None => Err(Failure::bad_request("the body holds no record")),
    }
}

impl Admin {
    async fn produce(&self, topic: &str, record: &NewRecord) -> Result<Value, Failure> {
        let key = record.key.as_ref().map(Data::bytes).transpose()?.flatten();
        let value = record.value.as_ref().map(Data::bytes).transpose()?.flatten();
        let sizes = (key.as_ref().map_or(0, Vec::len), value.as_ref().map_or(0, Vec::len));
        let index = self.partition_of(topic, record.partition_id, key.as_deref())?;
        let timestamp = match &record.timestamp {
            None | Some(Value::Null) => self.broker.clock.now(),
            Some(Value::Number(number)) => {
                Timestamp(number.as_i64().ok_or_else(|| bad_timestamp(number))?)
            }
            Some(other) => return Err(bad_timestamp(other)),
        };
        let batch = batch(record, timestamp, key.as_deref(), value.as_deref())?;
        let image = self.broker.metadata.image_owned();
        let topic_id = image.topic(topic).map_or(Uuid::ZERO, |topic| topic.id());
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![ProduceTopicData {
                name: topic.into(),
                topic_id,
                partition_data: vec![ProducePartitionData {
                    index: PartitionIndex(index),
                    records: Some(Records(batch)),
                }],
            }],
            ..Default::default()
        };
        let context = self.context::<ProduceRequest>();
        let response = match produce::begin(&self.broker, &context, request) {
            Outcome::Done(response) => response,
            Outcome::Waiting(waiting) => waiting.acknowledged().await,
        };
        let answer = response
            .responses
            .first()
            .and_then(|topic| topic.partition_responses.first())
            .ok_or_else(|| Failure::no_topic(topic))?;
        if !answer.error_code.is_none() {
            let message = answer.error_message.as_ref().map(ToString::to_string);
            return Err(Failure::of_wire(answer.error_code, message));
        }
        Ok(json!({
            "error_code": 200,
            "cluster_id": self.broker.cluster_id.as_str(),
            "topic_name": topic,
            "partition_id": index,
            "offset": answer.base_offset.0,
            "timestamp": timestamp.0,
            "key": { "size": sizes.0 },
            "value": { "size": sizes.1 },
        }))
    }

    /// The partition asked for, else the first: records of one key must stay together, and without
    /// a key any will do.
    fn partition_of(
        &self,
        topic: &str,
        asked: Option<i32>,
        key: Option<&[u8]>,
    ) -> Result<i32, Failure> {
        let image = self.broker.metadata.image_owned();
        let found = image.topic(topic).ok_or_else(|| Failure::no_topic(topic))?;
        let count = found.partitions().len() as i32;
        match (asked, key) {
            (Some(index), _) if (0..count).contains(&index) => Ok(index),
            (Some(index), _) => Err(Failure::no_topic(&format!("{topic}-{index}"))),
            (None, Some(key)) => Ok((murmur2(key) & 0x7fff_ffff) as i32 % count.max(1)),
            (None, None) => Ok(0),
        }
    }
}

fn bad_timestamp(given: &dyn std::fmt::Display) -> Failure {
    Failure::bad_request(format!("{given} is not a timestamp in milliseconds"))
}

fn batch(
    record: &NewRecord,
    timestamp: Timestamp,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<Bytes, Failure> {
    let decoded: Vec<Option<Vec<u8>>> = record
        .headers
        .iter()
        .map(|header| header.value.as_deref().map(decode).transpose())
        .collect::<Result<_, _>>()?;
    let headers: Vec<(&str, Option<&[u8]>)> = record
        .headers
        .iter()
        .zip(&decoded)
        .map(|(header, value)| (header.name.as_str(), value.as_deref()))
        .collect();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(timestamp, key, value, &headers);
    builder.build().map_err(|error| Failure::bad_request(error.to_string()))
}

/// The hash of Java's default partitioner, so that a key goes where every other client sends it.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let (blocks, tail) = key.as_chunks::<4>();
    for block in blocks {
        let mut k = u32::from_le_bytes(*block).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    /// Records with a key would go to another partition than Java's client sends them to.
    #[test]
    fn keys_hash_as_in_java() {
        let vectors = [
            ("", 275_646_681),
            ("a", -1_563_381_124),
            ("my-group", -1_626_987_699),
            ("test", 716_234_879),
            ("console-consumer-12345", -519_576_848),
            ("группа", 1_779_400_907),
            ("hello world", 1_221_641_059),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
