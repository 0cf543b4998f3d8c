//! Reading a coordinator's partition into its machine.

use milena_cluster::coordinator::{Machine, Producer, Replayed};
use milena_protocol::ids::Offset;
use milena_protocol::record::batch::Batch;
use milena_protocol::record::compression::{Compression, decompress};
use milena_protocol::record::control::ControlType;
use milena_protocol::record::record::Records;
use milena_storage::LogReader;

use crate::drivers::replay::each_batch;

/// What the records of one batch may decompress to.
const MAX_PLAIN_BYTES: usize = 256 << 20;

/// Replays everything that the log holds. Blocks.
///
/// # Errors
/// When the log cannot be read; the machine is of no use then.
pub(super) fn replay<M: Machine>(reader: &LogReader, machine: &mut M) -> Result<(), String> {
    let mut plain = Vec::new();
    let start = reader.offsets().log_start_offset;
    each_batch(reader, start, |batch| replay_batch(batch, machine, &mut plain))?;
    Ok(())
}

fn replay_batch<M: Machine>(
    batch: &Batch<'_>,
    machine: &mut M,
    plain: &mut Vec<u8>,
) -> Result<(), String> {
    let at = batch.base_offset();
    let attributes = batch.attributes();
    let producer = Producer { id: batch.producer_id(), epoch: batch.producer_epoch() };
    let codec = attributes.codec().ok_or_else(|| format!("unknown codec in the batch at {at}"))?;
    let bytes = match codec {
        Compression::None => batch.records_bytes(),
        codec => {
            decompress(codec, batch.records_bytes(), MAX_PLAIN_BYTES, plain)
                .map_err(|error| format!("the batch at {at}: {error}"))?;
            plain
        }
    };
    for record in Records::new(bytes, batch.record_count()) {
        let record = record.map_err(|error| format!("the batch at {at}: {error}"))?;
        let key = record.key.unwrap_or_default();
        if attributes.is_control() {
            match ControlType::from_key(key) {
                Some(ControlType::Commit) => machine.replay_marker(producer, true),
                Some(ControlType::Abort) => machine.replay_marker(producer, false),
                _ => {}
            }
            continue;
        }
        machine.replay(Replayed {
            offset: Offset(at.0 + i64::from(record.offset_delta)),
            transaction: attributes.is_transactional().then_some(producer),
            key,
            value: record.value,
        });
    }
    Ok(())
}
