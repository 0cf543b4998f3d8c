//! Reading a log from somewhere to its end, batch by batch, as those do who build their state from
//! it.

use milena_protocol::ids::Offset;
use milena_protocol::record::batch::Batch;
use milena_protocol::record::run::Batches;
use milena_storage::{LogReader, ReadLimit};

/// Bytes that are read at a time.
const READ_BYTES: usize = 4 << 20;

/// Hands each batch that reaches `from` or further to `take`, in order. Answers where the last one
/// ends: before the end of the log where nothing is left of the last offsets, as may be in a
/// compacted one. Blocks.
///
/// # Errors
/// When the log cannot be read, or `take` refuses.
pub fn each_batch(
    reader: &LogReader,
    from: Offset,
    mut take: impl FnMut(&Batch<'_>) -> Result<(), String>,
) -> Result<Offset, String> {
    let end = reader.offsets().log_end_offset;
    let mut next = from;
    while next < end {
        let limit = ReadLimit { upper: end, max_bytes: READ_BYTES, at_least_one_batch: true };
        let read = reader.read(next, limit).map_err(|error| error.to_string())?;
        let before = next;
        for batch in Batches::new(&read.records) {
            if batch.last_offset() >= next {
                take(&batch)?;
            }
            next = batch.next_offset();
        }
        if next == before {
            break;
        }
    }
    Ok(next)
}
