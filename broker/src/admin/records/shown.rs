//! Records as they are shown: keys and values as what they look like.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use milena_protocol::ids::Timestamp;
use milena_protocol::record::Batch;
use milena_protocol::record::batch::TimestampType;
use milena_protocol::record::record::Record;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::received::Format;
use crate::timestamp;

/// Brackets of a document within each other.
const MAX_NESTING: usize = 100;

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

impl ShownRecord {
    /// A record of a batch, at its offset.
    pub fn of(
        topic: &str,
        index: i32,
        batch: &Batch<'_>,
        record: &Record<'_>,
        offset: i64,
    ) -> Self {
        let timestamp = match batch.attributes().timestamp_type() {
            TimestampType::CreateTime => {
                Timestamp(batch.base_timestamp().0.wrapping_add(record.timestamp_delta))
            }
            TimestampType::LogAppendTime => batch.max_timestamp(),
        };
        let headers = record.headers().map_while(Result::ok);
        Self {
            topic_name: topic.to_owned(),
            partition_id: index,
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
        }
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let data = self.key.iter().chain(&self.value).map(|data| data.data.get().len());
        let of_header =
            |header: &ShownHeader| header.name.len() + header.value.as_ref().map_or(0, String::len);
        data.sum::<usize>() + self.headers.iter().map(of_header).sum::<usize>()
    }
}

/// A header.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownHeader {
    name: String,
    /// Its bytes, as base64.
    #[schema(format = Byte)]
    value: Option<String>,
}

/// A key or a value: a JSON object or array as `JSON`, other text as `STRING`, other bytes, and
/// text with control characters, as `BINARY`. It can be sent back as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownData {
    #[serde(rename = "type")]
    format: Format,
    #[schema(value_type = Value)]
    data: Box<RawValue>,
}

impl ShownData {
    fn of(bytes: &[u8]) -> Self {
        // Control characters take six bytes each in JSON.
        let is_control = |byte: &u8| *byte < b' ' && !b"\t\n\r".contains(byte);
        let text = std::str::from_utf8(bytes).ok().filter(|_| !bytes.iter().any(is_control));
        if let Some(json) = text.and_then(document) {
            return Self { format: Format::Json, data: json };
        }
        let (format, data) = match text {
            Some(text) => (Format::String, serde_json::value::to_raw_value(text)),
            None => (Format::Binary, serde_json::value::to_raw_value(&BASE64.encode(bytes))),
        };
        Self { format, data: data.expect("a string can be written as JSON") }
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
        assert_eq!(shown(&[0]), (Format::Binary, r#""AA==""#.into()));
    }
}
