//! Reading records: a page of them, or a live stream of server-sent events.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::Stream;
use milena_protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use milena_protocol::ids::{Offset, PartitionIndex};
use milena_protocol::record::batch::TimestampType;
use milena_protocol::record::compression::decompress;
use milena_protocol::record::record::{Record, Records};
use milena_protocol::record::run::Batches;
use milena_protocol::record::{Batch, Compression};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::error::Failure;
use crate::handlers::fetch;

/// Records in one page.
const MAX_LIMIT: usize = 1000;
/// Bytes read for one page.
const PAGE_BYTES: i32 = 1 << 20;
/// What a batch may decompress to here.
const MAX_PLAIN_BYTES: usize = 64 << 20;
/// How long a stream waits for records before it looks again.
const STREAM_WAIT_MS: i32 = 5_000;

/// Which records.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    offset: Option<i64>,
    limit: Option<usize>,
}

/// Records from an offset on, and where to go on.
struct Page {
    records: Vec<Value>,
    next_offset: i64,
    log_start_offset: i64,
    high_watermark: i64,
}

/// `GET …/partitions/{partition}/records?offset=&limit=`
pub async fn records(
    State(admin): State<Admin>,
    Path((cluster, topic, partition)): Path<(String, String, i32)>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let limit = wanted.limit.unwrap_or(100).min(MAX_LIMIT);
    let start = admin.start_of(&topic, partition, wanted.offset)?;
    let page = admin.page(&topic, partition, start, limit, 0).await?;
    let path = format!("/topics/{topic}/partitions/{partition}/records");
    Ok(Json(json!({
        "kind": "KafkaRecordList",
        "metadata": {
            "self": admin.url(&format!("{path}?offset={start}&limit={limit}")),
            "next": admin.url(&format!("{path}?offset={}&limit={limit}", page.next_offset)),
        },
        "next_offset": page.next_offset,
        "log_start_offset": page.log_start_offset,
        "high_watermark": page.high_watermark,
        "data": page.records,
    })))
}

/// `GET …/partitions/{partition}/records:stream`
///
/// An event's id is its offset, so a browser that reconnects with `Last-Event-ID` misses nothing.
/// Without an offset the stream begins at the end. It reads only as fast as its reader takes.
pub async fn stream(
    State(admin): State<Admin>,
    Path((cluster, topic, partition)): Path<(String, String, i32)>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    admin.check_cluster(&cluster)?;
    let resumed = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse::<i64>().ok())
        .map(|last| last + 1);
    let start = match resumed.or(wanted.offset) {
        Some(offset) => offset,
        None => admin.end_of(&topic, partition)?,
    };
    let state = (admin, topic, partition, start, Vec::new().into_iter());
    let events = futures_util::stream::unfold(state, |mut state| async move {
        loop {
            let (admin, topic, partition, next, ready) = &mut state;
            if let Some(record) = ready.next() {
                let event = to_event(&record);
                return Some((Ok(event), state));
            }
            let page =
                admin.page(topic, *partition, *next, MAX_LIMIT, STREAM_WAIT_MS).await.ok()?;
            *next = page.next_offset;
            *ready = page.records.into_iter();
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn to_event(record: &Value) -> Event {
    let id = record.get("offset").map(ToString::to_string).unwrap_or_default();
    Event::default().event("record").id(id).data(record.to_string())
}

impl Admin {
    fn start_of(&self, topic: &str, index: i32, asked: Option<i64>) -> Result<i64, Failure> {
        match asked {
            Some(offset) => Ok(offset),
            None => Ok(self.offsets(topic, index)?.0),
        }
    }

    fn end_of(&self, topic: &str, index: i32) -> Result<i64, Failure> {
        Ok(self.offsets(topic, index)?.1)
    }

    fn offsets(&self, topic: &str, index: i32) -> Result<(i64, i64), Failure> {
        let missing = || Failure::no_topic(&format!("{topic}-{index}"));
        let image = self.broker.metadata.image_owned();
        let found = image.topic(topic).ok_or_else(missing)?;
        let partition = self
            .broker
            .replicas
            .leading(&found.id(), PartitionIndex(index))
            .map_err(|_| missing())?;
        let offsets = partition.reader().offsets();
        Ok((offsets.log_start_offset.0, offsets.high_watermark.0))
    }

    async fn page(
        &self,
        topic: &str,
        index: i32,
        offset: i64,
        limit: usize,
        max_wait_ms: i32,
    ) -> Result<Page, Failure> {
        let image = self.broker.metadata.image_owned();
        let found = image.topic(topic).ok_or_else(|| Failure::no_topic(topic))?;
        let request = FetchRequest {
            max_wait_ms,
            min_bytes: 1,
            max_bytes: PAGE_BYTES,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: found.name().clone(),
                topic_id: found.id(),
                partitions: vec![FetchPartition {
                    partition: PartitionIndex(index),
                    fetch_offset: Offset(offset),
                    partition_max_bytes: PAGE_BYTES,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        };
        let context = self.context::<FetchRequest>();
        let response = fetch::handle(self.broker.clone(), context, request).await;
        let partition = response
            .responses
            .into_iter()
            .next()
            .and_then(|topic| topic.partitions.into_iter().next())
            .ok_or_else(|| Failure::no_topic(&format!("{topic}-{index}")))?;
        if !partition.error_code.is_none() {
            let message =
                format!("cannot read {topic}-{index} at offset {offset}: {}", partition.error_code);
            return Err(Failure::of_wire(partition.error_code, Some(message)));
        }
        let bytes = partition.records.map(|records| records.0).unwrap_or_default();
        let mut page = Page {
            records: Vec::new(),
            next_offset: offset,
            log_start_offset: partition.log_start_offset.0,
            high_watermark: partition.high_watermark.0,
        };
        for batch in Batches::new(&bytes) {
            read_batch(&batch, topic, index, limit, &mut page)?;
            if page.records.len() >= limit {
                break;
            }
        }
        Ok(page)
    }
}

fn read_batch(
    batch: &Batch<'_>,
    topic: &str,
    index: i32,
    limit: usize,
    page: &mut Page,
) -> Result<(), Failure> {
    if batch.attributes().is_control() {
        page.next_offset = batch.next_offset().0;
        return Ok(());
    }
    let damaged = |error: &dyn std::fmt::Display| {
        Failure::bad_request(format!("records of {topic}-{index} cannot be read: {error}"))
    };
    let mut plain = Vec::new();
    let codec = batch.attributes().codec().unwrap_or_default();
    let bytes = if codec == Compression::None {
        batch.records_bytes()
    } else {
        decompress(codec, batch.records_bytes(), MAX_PLAIN_BYTES, &mut plain)
            .map_err(|error| damaged(&error))?;
        plain.as_slice()
    };
    for record in Records::new(bytes, batch.record_count()) {
        let record = record.map_err(|error| damaged(&error))?;
        let offset = batch.base_offset().0 + i64::from(record.offset_delta);
        if offset < page.next_offset {
            continue;
        }
        if page.records.len() >= limit {
            return Ok(());
        }
        page.records.push(shown(batch, &record, topic, index, offset));
        page.next_offset = offset + 1;
    }
    page.next_offset = page.next_offset.max(batch.next_offset().0);
    Ok(())
}

fn shown(batch: &Batch<'_>, record: &Record<'_>, topic: &str, index: i32, offset: i64) -> Value {
    let timestamp = match batch.attributes().timestamp_type() {
        TimestampType::CreateTime => batch.base_timestamp().0.wrapping_add(record.timestamp_delta),
        TimestampType::LogAppendTime => batch.max_timestamp().0,
    };
    let headers: Vec<Value> = record
        .headers()
        .map_while(Result::ok)
        .map(|(name, value)| json!({ "name": name, "value": value.map(|v| BASE64.encode(v)) }))
        .collect();
    json!({
        "topic_name": topic,
        "partition_id": index,
        "offset": offset,
        "timestamp": timestamp,
        "headers": headers,
        "key": record.key.map(data),
        "value": record.value.map(data),
    })
}

/// Bytes as what they look like: JSON, text, or else base64.
fn data(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => match serde_json::from_str::<Value>(text) {
            Ok(json @ (Value::Object(_) | Value::Array(_))) => {
                json!({ "type": "JSON", "data": json })
            }
            _ => json!({ "type": "STRING", "data": text }),
        },
        Err(_) => json!({ "type": "BINARY", "data": BASE64.encode(bytes) }),
    }
}
