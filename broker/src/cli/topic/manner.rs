//! How a record that was read is written.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use milena_client::consumer::{ConsumedRecord, TimestampKind};
use serde_json::{Value, json};

use super::format::Format;
use crate::cli::output::CliError;

/// How records are written.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The format, unless it is JSON.
    pub format: Format,
    /// Whether null is written as a word.
    pub null: bool,
    /// Whether a line of JSON is written.
    pub json: bool,
}

impl Manner {
    /// Writes a record.
    pub fn write(&self, record: &ConsumedRecord, out: &mut impl Write) -> Result<(), CliError> {
        if self.json {
            writeln!(out, "{}", json(record))?;
            return Ok(());
        }
        let null: &[u8] = if self.null { b"NULL" } else { b"" };
        Ok(self.format.write(record, null, out)?)
    }
}

/// A record as kcat's JSON has it; bytes that are no text stand as `{"base64": …}`.
fn json(record: &ConsumedRecord) -> Value {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .flat_map(|(name, value)| [json!(name), text(value.as_ref())])
        .collect();
    json!({
        "topic": *record.topic,
        "partition": record.partition.0,
        "offset": record.offset.0,
        "tstype": match record.timestamp_kind {
            TimestampKind::Created => "create",
            TimestampKind::Appended => "logappend",
        },
        "ts": record.timestamp.0,
        "headers": headers,
        "key": text(record.key.as_ref()),
        "payload": text(record.value.as_ref()),
    })
}

fn text(bytes: Option<&Bytes>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => json!(text),
        Some((bytes, Err(_))) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}
