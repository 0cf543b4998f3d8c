//! Which segments a log gives up.
//!
//! Whole segments, oldest first, in Kafka's order of reasons: below the log start offset, then
//! size, then time; never beyond the high watermark. A plan may cover all segments, the active
//! one too when time is the reason: then a new one is rolled first, so an idle log empties.

use milena_protocol::ids::{Offset, Timestamp};

use crate::config::LogConfig;
use crate::error::{ReadError, StorageError};
use crate::segment::Segment;
use crate::state::{LogState, Tail};

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionReason {
    /// All of it lies below the log start offset.
    LogStart,
    /// The log is larger than `retention.bytes` even without it.
    Size,
    /// Its largest timestamp is older than `retention.ms`.
    Time,
}

/// A segment that retention removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedSegment {
    /// Its first offset.
    pub base_offset: Offset,
    /// Its size.
    pub bytes: u64,
    /// Why.
    pub reason: RetentionReason,
}

/// The segments to remove, a prefix of the log's segments.
pub(crate) fn plan(
    state: &LogState,
    tail: &Tail,
    config: &LogConfig,
    now: Timestamp,
) -> Result<Vec<RemovedSegment>, StorageError> {
    let segments = state.segments.load_full();
    let mut plan: Vec<RemovedSegment> = Vec::new();
    let mut left_bytes = state.size_bytes();
    for (index, segment) in segments.iter().enumerate() {
        let next = segments.get(index + 1);
        let end = next.map_or(state.log_end(), |next| next.base_offset);
        let bytes = segment.size();
        let is_active = next.is_none();
        if end > state.high_watermark() && end > state.log_start() || is_active && bytes == 0 {
            break;
        }
        let excess = i64::try_from(left_bytes).unwrap_or(i64::MAX) - config.retention_bytes;
        let is_over_size =
            config.retention_bytes >= 0 && excess >= i64::try_from(bytes).unwrap_or(i64::MAX);
        let reason = if !is_active && end <= state.log_start() {
            RetentionReason::LogStart
        } else if !config.cleanup.delete {
            break;
        } else if !is_active && is_over_size {
            RetentionReason::Size
        } else if config.retention_ms >= 0
            && age(state, tail, segment, is_active, now)? > config.retention_ms
        {
            RetentionReason::Time
        } else {
            break;
        };
        plan.push(RemovedSegment { base_offset: segment.base_offset, bytes, reason });
        left_bytes = left_bytes.saturating_sub(bytes);
    }
    Ok(plan)
}

/// How long ago the segment's newest record was written, by the records' own time; by the
/// file's, where records have none.
fn age(
    state: &LogState,
    tail: &Tail,
    segment: &Segment,
    is_active: bool,
    now: Timestamp,
) -> Result<i64, StorageError> {
    let largest = if is_active {
        tail.largest
    } else {
        match segment.largest(&state.environment) {
            Ok(largest) => largest,
            Err(ReadError::Storage(error)) => return Err(error),
            // A damaged segment is not removed on the word of a timestamp that cannot be read.
            Err(_) => return Ok(0),
        }
    };
    let newest = if largest.timestamp.0 >= 0 {
        largest.timestamp
    } else {
        segment.modified_at().unwrap_or(now)
    };
    Ok(now.0.saturating_sub(newest.0))
}
