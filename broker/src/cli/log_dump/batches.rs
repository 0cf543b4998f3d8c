//! Segments and snapshots: record batches one after the other, read one at a time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use bytes::Bytes;
use milena_protocol::control_record::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use milena_protocol::message::Message;
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::record::batch::{Batch, HEADER_BYTES, LOG_OVERHEAD_BYTES};
use milena_protocol::record::compression::{Compression, decompress};
use milena_protocol::record::control::ControlType;
use milena_protocol::record::record::{Record, Records};
use serde_json::{Map, Value, json};

use super::file::{LogDump, base_offset};
use super::small::write_entry;
use crate::cli::output::CliError;

/// The directory of the cluster's metadata.
const METADATA_DIRECTORY: &str = "__cluster_metadata-0";
/// What a batch may become when it is decompressed.
const BATCH_BYTES: usize = 1 << 30;

/// Why there are no more batches.
enum End {
    /// Exactly behind the last one.
    Clean,
    /// At zeros, which were allocated and never written.
    Zeros,
    /// In the middle of one, or at something that is none.
    Damaged(String),
}

/// Shows a file's batches; says whether it is whole.
pub fn dump(arguments: &LogDump, path: &Path, out: &mut impl Write) -> Result<bool, CliError> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(named)?;
    let size = file.metadata().map_err(named)?.len();
    let is_metadata = arguments.metadata
        || path.canonicalize().is_ok_and(|path| {
            path.parent().is_some_and(|parent| parent.ends_with(METADATA_DIRECTORY))
        });
    if let (Some(base), false) = (base_offset(path), arguments.json) {
        writeln!(out, "base_offset {base}")?;
    }
    let mut source = Source { file: BufReader::new(file), position: 0, size };
    let mut whole = true;
    let end = loop {
        let position = source.position;
        let bytes = match source.next().map_err(named)? {
            Ok(bytes) => bytes,
            Err(end) => break end,
        };
        let batch = match Batch::parse(&bytes) {
            Ok((batch, _)) => batch,
            Err(error) => {
                source.position = position;
                break End::Damaged(error.to_string());
            }
        };
        whole &= batch.verify_crc().is_ok();
        if arguments.from.is_some_and(|from| batch.last_offset().0 < from) {
            continue;
        }
        write_entry(&describe(&batch, position), arguments.json, out)?;
        if arguments.records {
            whole &= write_records(arguments, &batch, is_metadata, out)?;
        }
    };
    let (what, is_clean) = match &end {
        End::Clean => ("end of the file".to_owned(), true),
        End::Zeros => ("zeros, allocated and never written".to_owned(), true),
        End::Damaged(why) => (format!("damaged: {why}"), false),
    };
    let last = json!({ "position": source.position, "end": what });
    write_entry(&last, arguments.json, out)?;
    Ok(whole && is_clean)
}

/// A file that is read batch by batch, so that a segment never stands in memory as a whole.
struct Source {
    file: BufReader<File>,
    position: u64,
    size: u64,
}

impl Source {
    fn next(&mut self) -> io::Result<Result<Vec<u8>, End>> {
        let left = self.size.saturating_sub(self.position);
        if left == 0 {
            return Ok(Err(End::Clean));
        }
        let mut bytes = Vec::new();
        let wanted = left.min(HEADER_BYTES as u64);
        (&mut self.file).take(wanted).read_to_end(&mut bytes)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Err(End::Zeros));
        }
        let length = bytes.get(8..LOG_OVERHEAD_BYTES).and_then(|length| length.try_into().ok());
        let length = length.map_or(-1, i32::from_be_bytes);
        let total = u64::try_from(length).map(|length| length + LOG_OVERHEAD_BYTES as u64);
        let Some(total) = total.ok().filter(|total| (HEADER_BYTES as u64..=left).contains(total))
        else {
            let why = format!("a batch of {length} bytes, {left} are left");
            return Ok(Err(End::Damaged(why)));
        };
        // At most what the file really holds.
        (&mut self.file).take(total - bytes.len() as u64).read_to_end(&mut bytes)?;
        self.position += total;
        Ok(Ok(bytes))
    }
}

fn describe(batch: &Batch<'_>, position: u64) -> Value {
    let attributes = batch.attributes();
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
    tell("offset", json!(batch.base_offset().0));
    tell("last_offset", json!(batch.last_offset().0));
    tell("position", json!(position));
    tell("bytes", json!(batch.total_bytes()));
    tell("records", json!(batch.record_count()));
    tell("codec", json!(attributes.codec().map_or("unknown", Compression::name)));
    tell("leader_epoch", json!(batch.leader_epoch().0));
    tell("max_timestamp", json!(batch.max_timestamp().0));
    tell("timestamp_type", json!(format!("{:?}", attributes.timestamp_type())));
    if batch.producer_id().0 >= 0 {
        tell("producer_id", json!(batch.producer_id().0));
        tell("producer_epoch", json!(batch.producer_epoch().0));
        tell("sequence", json!(batch.base_sequence().0));
    }
    if attributes.is_transactional() {
        tell("transactional", json!(true));
    }
    if attributes.is_control() {
        tell("control", json!(true));
    }
    let crc = if batch.verify_crc().is_ok() { "ok" } else { "WRONG" };
    tell("crc", json!(crc));
    Value::Object(told)
}

/// Shows a batch's records; says whether they are whole.
fn write_records(
    arguments: &LogDump,
    batch: &Batch<'_>,
    is_metadata: bool,
    out: &mut impl Write,
) -> Result<bool, CliError> {
    let codec = batch.attributes().codec().unwrap_or_default();
    let mut plain = Vec::new();
    if let Err(error) = decompress(codec, batch.records_bytes(), BATCH_BYTES, &mut plain) {
        write_entry(&json!({ "damaged": error.to_string() }), arguments.json, out)?;
        return Ok(false);
    }
    for record in Records::new(&plain, batch.record_count()) {
        let told = match record {
            Ok(record) => describe_record(batch, &record, is_metadata),
            Err(error) => {
                write_entry(&json!({ "damaged": error.to_string() }), arguments.json, out)?;
                return Ok(false);
            }
        };
        if !arguments.json {
            write!(out, "  | ")?;
        }
        write_entry(&told, arguments.json, out)?;
    }
    Ok(true)
}

fn describe_record(batch: &Batch<'_>, record: &Record<'_>, is_metadata: bool) -> Value {
    let offset = batch.base_offset().plus(i64::from(record.offset_delta));
    let timestamp = batch.base_timestamp().0.saturating_add(record.timestamp_delta);
    let mut told = json!({ "offset": offset.0, "timestamp": timestamp });
    if batch.attributes().is_control() {
        told["control"] = json!(control(record));
    } else if is_metadata {
        let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
        told["metadata"] = match MetadataRecord::decode(value) {
            Ok(record) => json!(format!("{record:?}")),
            Err(error) => json!(format!("damaged: {error}")),
        };
    } else {
        let headers = record.headers().flatten().map(|(name, value)| {
            let value = value.map_or("null".to_owned(), text);
            format!("{name}={value}")
        });
        let headers: Vec<String> = headers.collect();
        if !headers.is_empty() {
            told["headers"] = json!(headers.join(","));
        }
        told["key"] = record.key.map_or(Value::Null, |key| json!(text(key)));
        told["value"] = record.value.map_or(Value::Null, |value| json!(text(value)));
    }
    told
}

/// Text as text, other bytes as `\xHH`.
fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn control(record: &Record<'_>) -> String {
    let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
    let Some(kind) = record.key.and_then(ControlType::from_key) else {
        return "unknown".to_owned();
    };
    let shown = match kind {
        ControlType::Abort | ControlType::Commit => Some(String::new()),
        ControlType::LeaderChange => decoded::<LeaderChangeMessage>(value),
        ControlType::SnapshotHeader => decoded::<SnapshotHeaderRecord>(value),
        ControlType::SnapshotFooter => decoded::<SnapshotFooterRecord>(value),
        ControlType::KraftVersion => decoded::<KRaftVersionRecord>(value),
        ControlType::KraftVoters => decoded::<VotersRecord>(value),
    };
    match shown {
        Some(fields) if fields.is_empty() => format!("{kind:?}"),
        Some(fields) => fields,
        None => format!("{kind:?}, damaged"),
    }
}

/// A control record's value, which begins with its own version.
fn decoded<M: Message + std::fmt::Debug>(value: Bytes) -> Option<String> {
    let version = i16::from_be_bytes(value.get(..2)?.try_into().ok()?);
    M::from_bytes(value, version).ok().map(|message| format!("{message:?}"))
}
