//! Records as they are shown: keys and values as what they look like.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use milena_protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::batch::TimestampType;
use milena_protocol::record::compression::decompress;
use milena_protocol::record::record::{Record, Records};
use milena_protocol::record::run::Batches;
use milena_protocol::record::{Batch, Compression};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::received::Format;
use super::timestamp;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::handlers::fetch;

/// Bytes read for one page, and shown in it, beyond its first record.
const PAGE_BYTES: usize = 1 << 20;
/// Records read at once, at most.
pub const MAX_LIMIT: usize = 1000;
/// Brackets of a document within each other.
const MAX_NESTING: usize = 100;
/// What a batch may decompress to here.
const MAX_PLAIN_BYTES: usize = 64 << 20;

/// A record.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownRecord {
    topic_name: String,
    partition_id: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// When it happened, or when it was appended, as the topic has it.
    #[schema(format = DateTime)]
    timestamp: Option<String>,
    headers: Vec<ShownHeader>,
    /// Null where it has none.
    key: Option<ShownData>,
    /// Null where it has none.
    value: Option<ShownData>,
}

/// A header.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownHeader {
    name: String,
    /// Its bytes, as base64.
    #[schema(format = Byte)]
    value: Option<String>,
}

/// A key or a value: a JSON object or array as `JSON`, other text as `STRING`, other bytes as
/// `BINARY`. It can be sent back as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownData {
    #[serde(rename = "type")]
    format: Format,
    #[schema(value_type = Value)]
    data: Box<RawValue>,
}

impl ShownData {
    fn of(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        if let Some(json) = text.and_then(document) {
            return Self { format: Format::Json, data: json };
        }
        let (format, data) = match text {
            Some(text) => (Format::String, serde_json::value::to_raw_value(text)),
            None => (Format::Binary, serde_json::value::to_raw_value(&BASE64.encode(bytes))),
        };
        Self { format, data: data.expect("a string can be written as JSON") }
    }

    fn bytes(&self) -> usize {
        self.data.get().len()
    }
}

/// The JSON object or array that a text is; none where it is neither, or nested so deeply that
/// readers of JSON refuse it.
fn document(text: &str) -> Option<Box<RawValue>> {
    if !text.trim_start().starts_with(['{', '[']) || nesting(text) > MAX_NESTING {
        return None;
    }
    // Line ends stand between events of a stream.
    if text.contains(['\n', '\r']) {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        return serde_json::value::to_raw_value(&value).ok();
    }
    serde_json::from_str(text).ok()
}

/// How many brackets are open at once, at most; too many where some stand in strings.
fn nesting(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Records of a partition from an offset on.
#[derive(Debug)]
pub struct Shown {
    /// The records.
    pub records: Vec<ShownRecord>,
    /// Where to go on.
    pub next_offset: i64,
    /// The offset of the first record that is kept.
    pub log_start_offset: i64,
    /// The offset behind the last record that is acknowledged.
    pub high_watermark: i64,
}

/// Which records.
#[derive(Clone, Debug)]
pub struct Wanted {
    topic: String,
    topic_id: Uuid,
    index: i32,
    /// The first record.
    pub offset: i64,
    /// How many at most.
    pub limit: usize,
    /// How long to wait where there is none.
    pub max_wait_ms: i32,
}

impl Call {
    /// Records of a partition that exists, from its offset 0 on, without waiting for any.
    ///
    /// # Errors
    /// When the partition does not exist, or the caller may not know of it.
    pub(super) async fn wanted(&self, topic: &str, index: i32) -> Result<Wanted, Failure> {
        let found = self.topic(topic).await?;
        if !found.partitions.iter().any(|partition| partition.partition_index.0 == index) {
            return Err(Failure::no_partition(topic, index));
        }
        let (topic, topic_id) = (topic.to_owned(), found.topic_id);
        Ok(Wanted { topic, topic_id, index, offset: 0, limit: MAX_LIMIT, max_wait_ms: 0 })
    }

    /// Reads records, through the same function as the wire's Fetch.
    ///
    /// # Errors
    /// When the partition cannot be read from there.
    pub(super) async fn read(&self, wanted: &Wanted) -> Result<Shown, Failure> {
        let request = FetchRequest {
            max_wait_ms: wanted.max_wait_ms,
            min_bytes: 1,
            max_bytes: PAGE_BYTES as i32,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: wanted.topic.as_str().into(),
                topic_id: wanted.topic_id,
                partitions: vec![FetchPartition {
                    partition: PartitionIndex(wanted.index),
                    fetch_offset: Offset(wanted.offset),
                    partition_max_bytes: PAGE_BYTES as i32,
                    ..Default::default()
                }],
            }],
            ..Default::default()
        };
        let context = self.context::<FetchRequest>();
        let response = fetch::handle(self.broker.clone(), context, request).await;
        let topic = response.responses.into_iter().next();
        let partition = topic.and_then(|topic| topic.partitions.into_iter().next());
        let partition =
            partition.ok_or_else(|| Failure::no_partition(&wanted.topic, wanted.index))?;
        if !partition.error_code.is_none() {
            return Err(self.refused(wanted, partition.error_code).await);
        }
        let bytes = partition.records.map(|records| records.0).unwrap_or_default();
        let mut page = Page {
            wanted,
            shown: Shown {
                records: Vec::new(),
                next_offset: wanted.offset,
                log_start_offset: partition.log_start_offset.0,
                high_watermark: partition.high_watermark.0,
            },
            bytes: 0,
        };
        for batch in Batches::new(&bytes) {
            page.add_batch(&batch)?;
            if page.is_full() {
                break;
            }
        }
        Ok(page.shown)
    }
}

impl Call {
    async fn refused(&self, wanted: &Wanted, code: ErrorCode) -> Failure {
        let Wanted { topic, index, offset, .. } = wanted;
        let mut message = format!("cannot read {topic}-{index} at offset {offset}: {code}");
        if code == ErrorCode::OFFSET_OUT_OF_RANGE
            && let Ok(earliest) = self.earliest_offset(topic, *index).await
            && let Ok(latest) = self.latest_offset(topic, *index).await
        {
            message = format!(
                "{topic}-{index} cannot be read at offset {offset}: its records begin at \
                 {earliest} and the next one gets {latest}"
            );
        }
        Failure::of_wire(code, Some(&Text::from(message)))
    }
}

/// A page that is being filled.
struct Page<'a> {
    wanted: &'a Wanted,
    shown: Shown,
    bytes: usize,
}

impl Page<'_> {
    fn is_full(&self) -> bool {
        self.shown.records.len() >= self.wanted.limit || self.bytes >= PAGE_BYTES
    }

    fn add_batch(&mut self, batch: &Batch<'_>) -> Result<(), Failure> {
        if batch.attributes().is_control() {
            self.shown.next_offset = batch.next_offset().0;
            return Ok(());
        }
        let Wanted { topic, index, .. } = self.wanted;
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
            if offset < self.shown.next_offset {
                continue;
            }
            if self.is_full() {
                return Ok(());
            }
            self.add(batch, &record, offset);
        }
        self.shown.next_offset = self.shown.next_offset.max(batch.next_offset().0);
        Ok(())
    }

    fn add(&mut self, batch: &Batch<'_>, record: &Record<'_>, offset: i64) {
        let timestamp = match batch.attributes().timestamp_type() {
            TimestampType::CreateTime => {
                Timestamp(batch.base_timestamp().0.wrapping_add(record.timestamp_delta))
            }
            TimestampType::LogAppendTime => batch.max_timestamp(),
        };
        let headers = record.headers().map_while(Result::ok);
        let shown = ShownRecord {
            topic_name: self.wanted.topic.clone(),
            partition_id: self.wanted.index,
            offset,
            timestamp: timestamp::write(timestamp),
            headers: headers
                .map(|(name, value)| ShownHeader {
                    name: name.to_owned(),
                    value: value.map(|value| BASE64.encode(value)),
                })
                .collect(),
            key: record.key.map(ShownData::of),
            value: record.value.map(ShownData::of),
        };
        let data = shown.key.iter().chain(&shown.value).map(ShownData::bytes).sum::<usize>();
        self.bytes += data + shown.headers.iter().map(ShownHeader::bytes).sum::<usize>();
        self.shown.records.push(shown);
        self.shown.next_offset = offset + 1;
    }
}

impl ShownHeader {
    fn bytes(&self) -> usize {
        self.name.len() + self.value.as_ref().map_or(0, String::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> (Format, String) {
        let data = ShownData::of(bytes);
        (data.format, data.data.get().to_owned())
    }

    /// A value would be shown as other bytes than are stored, or break the lines of a stream.
    #[test]
    fn bytes_are_shown_as_what_they_look_like() {
        assert_eq!(shown(br#"{"b":1.50,"a":2}"#), (Format::Json, r#"{"b":1.50,"a":2}"#.into()));
        assert_eq!(shown(b"[1,\n2]"), (Format::Json, "[1,2]".into()));
        assert_eq!(shown(b"{\"a\":"), (Format::String, r#""{\"a\":""#.into()));
        assert_eq!(shown(b"12"), (Format::String, r#""12""#.into()));
        let deep = [[b'['; 200], [b']'; 200]].concat();
        assert_eq!(shown(&deep).0, Format::String);
        assert_eq!(shown(b"a\nb"), (Format::String, r#""a\nb""#.into()));
        assert_eq!(shown(b""), (Format::String, r#""""#.into()));
        assert_eq!(shown(&[0xff, 0]), (Format::Binary, r#""/wA=""#.into()));
    }
}
