//! The small files beside a segment.

use std::io::Write;
use std::path::Path;

use milena_protocol::ids::Offset;
use milena_storage::inspect;
use serde_json::{Value, json};

use super::file::{Kind, LogDump, base_offset};
use crate::cli::output::CliError;

/// Shows a file; says whether it is whole.
pub fn dump(
    arguments: &LogDump,
    path: &Path,
    kind: Kind,
    bytes: &[u8],
    out: &mut impl Write,
) -> Result<bool, CliError> {
    let base = base_offset(path).unwrap_or(0);
    let entries: Vec<Value> = match kind {
        Kind::Batches | Kind::Text => {
            out.write_all(bytes)?;
            if bytes.last().is_some_and(|last| *last != b'\n') {
                writeln!(out)?;
            }
            return Ok(true);
        }
        Kind::OffsetIndex => inspect::offset_index(bytes)
            .iter()
            .map(|entry| {
                json!({ "offset": base + i64::from(entry.relative_offset),
                "position": entry.position })
            })
            .collect(),
        Kind::TimeIndex => inspect::time_index(bytes)
            .iter()
            .map(|entry| {
                json!({ "timestamp": entry.timestamp.0,
                "offset": base + i64::from(entry.relative_offset) })
            })
            .collect(),
        Kind::TransactionIndex => inspect::transaction_index(bytes)
            .iter()
            .map(|entry| {
                json!({ "producer_id": entry.producer_id.0,
                "first_offset": entry.first_offset.0, "last_offset": entry.last_offset.0,
                "last_stable_offset": entry.last_stable_offset.0 })
            })
            .collect(),
        Kind::ProducerSnapshot => match inspect::producer_snapshot(bytes) {
            Some(producers) => producers
                .iter()
                .map(|producer| {
                    json!({ "producer_id": producer.producer_id.0,
                    "producer_epoch": producer.producer_epoch.0,
                    "last_sequence": producer.last_sequence.0,
                    "last_timestamp": producer.last_timestamp.0,
                    "coordinator_epoch": producer.coordinator_epoch,
                    "transaction_start_offset":
                        producer.transaction_start_offset.map(|Offset(offset)| offset) })
                })
                .collect(),
            None => {
                writeln!(out, "damaged: it is no producer snapshot; a broker makes it anew")?;
                return Ok(false);
            }
        },
    };
    for entry in &entries {
        write_entry(entry, arguments.json, out)?;
    }
    if entries.is_empty() && !arguments.json {
        writeln!(out, "no entries")?;
    }
    Ok(true)
}

/// One line: JSON, or its fields by name.
pub fn write_entry(entry: &Value, as_json: bool, out: &mut impl Write) -> Result<(), CliError> {
    if as_json {
        writeln!(out, "{entry}")?;
        return Ok(());
    }
    let fields = entry.as_object().into_iter().flatten();
    let shown = fields.filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    });
    writeln!(out, "{}", shown.collect::<Vec<_>>().join("  "))?;
    Ok(())
}
