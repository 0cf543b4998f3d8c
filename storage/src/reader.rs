//! Reading a log, by offset, by time, by epoch: shared, without the partition's lock.

use std::sync::Arc;

use bytes::Bytes;
use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use milena_protocol::record::batch::{Batch, TimestampType};

use crate::admission::{self, AdmittedBatch, Origin};
use crate::epochs::EpochEntry;
use crate::error::{AppendError, ReadError, StorageError};
use crate::index::AbortedTransaction;
use crate::segment::{Largest, Segment};
use crate::state::LogState;

/// How often a read looks for segments that are gone when it gets to them.
const READ_ATTEMPTS: usize = 4;
/// How many batches without a record for consumers a search for one passes.
const MAX_PASSED_BATCHES: usize = 64;

/// Where a log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOffsets {
    /// First readable offset.
    pub log_start_offset: Offset,
    /// One past the last offset.
    pub log_end_offset: Offset,
    /// One past the last committed offset, as the log was told.
    pub high_watermark: Offset,
    /// One past the last offset that is on the medium.
    pub flushed_offset: Offset,
}

/// How much to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// No batch that begins at or behind this offset is returned: the high watermark, the last
    /// stable offset or the log's end.
    pub upper: Offset,
    /// Bytes to return at most.
    pub max_bytes: usize,
    /// Return the first batch even if it alone is larger than `max_bytes` (KIP-74).
    pub at_least_one_batch: bool,
}

/// What was read: a view of the segment's map.
#[derive(Clone, Debug)]
pub struct ReadSlice {
    /// Consecutive batches; the last one may be cut by `max_bytes`, the first never is.
    pub records: Bytes,
    /// Base offset of the first batch, which may lie before the offset asked for.
    pub first_offset: Offset,
}

impl ReadSlice {
    fn empty(first_offset: Offset) -> Self {
        Self { records: Bytes::new(), first_offset }
    }
}

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Never,
    ForDisk,
}

/// A record found by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The leader epoch it was written in.
    pub leader_epoch: LeaderEpoch,
}

/// Shared, lock-free reading of one log.
#[derive(Clone, Debug)]
pub struct LogReader {
    state: Arc<LogState>,
}

impl LogReader {
    pub(crate) fn new(state: Arc<LogState>) -> Self {
        Self { state }
    }

    /// Looks at a client's batch as a leader must before it is stored: size, checksum, every
    /// record. Costs most of an append and needs no lock, so it comes before the partition's.
    ///
    /// # Errors
    /// Why the log does not take it.
    pub fn admit<'a>(
        &self,
        batch: &'a [u8],
        origin: Origin,
        now: Timestamp,
    ) -> Result<AdmittedBatch<'a>, AppendError> {
        self.state.admit(batch, origin, now)
    }

    /// Where the log stands.
    #[must_use]
    pub fn offsets(&self) -> LogOffsets {
        LogOffsets {
            log_start_offset: self.state.log_start(),
            high_watermark: self.state.high_watermark(),
            flushed_offset: self.state.recovery_point(),
            log_end_offset: self.state.log_end(),
        }
    }

    /// Bytes of all batches in the log.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.state.size_bytes()
    }

    /// Reads batches, from the one that holds `from` on, out of one segment. Where
    /// [`may_block`](Self::may_block) says so, [`read_blocking`](Self::read_blocking) is to be used
    /// instead, on a thread that may wait.
    ///
    /// # Errors
    /// `OutOfRange` below the log's start or above its end; at the end the slice is empty.
    pub fn read(&self, from: Offset, limit: ReadLimit) -> Result<ReadSlice, ReadError> {
        self.read_as(from, limit, Waits::Never)
    }

    /// Reads as [`read`](Self::read) does, and sees to it that all that was read is in memory, so
    /// that touching it does not wait for the disk.
    ///
    /// # Errors
    /// As [`read`](Self::read) does; `Corrupt` where the disk cannot give the bytes back.
    pub fn read_blocking(&self, from: Offset, limit: ReadLimit) -> Result<ReadSlice, ReadError> {
        self.read_as(from, limit, Waits::ForDisk)
    }

    fn read_as(
        &self,
        from: Offset,
        limit: ReadLimit,
        waits: Waits,
    ) -> Result<ReadSlice, ReadError> {
        for _ in 0..READ_ATTEMPTS {
            match self.read_now(from, limit, waits) {
                // Retention or compaction was faster. Once it is through, the list of segments is
                // another; to answer with nothing meanwhile would end somebody's reading.
                Err(ReadError::Storage(StorageError::Deleted)) if !self.state.is_deleted() => {
                    drop(self.state.replacing.lock());
                }
                slice => return slice,
            }
        }
        // Once more while nobody may take segments away: what is missing now, or is too short, was
        // taken by somebody else.
        let _alone = self.state.replacing.lock();
        match self.read_now(from, limit, waits) {
            Err(ReadError::Storage(StorageError::Deleted)) if !self.state.is_deleted() => {
                let segments = self.state.segments.load();
                let segment = segments.get(LogState::segment_index(&segments, from));
                let segment = segment.map_or(from, |segment| segment.base_offset);
                Err(ReadError::Corrupt { segment, position: 0 })
            }
            slice => slice,
        }
    }

    fn read_now(
        &self,
        from: Offset,
        limit: ReadLimit,
        waits: Waits,
    ) -> Result<ReadSlice, ReadError> {
        let upper = limit.upper.min(self.check_range(from)?);
        if from >= upper {
            return Ok(ReadSlice::empty(from));
        }
        let segments = self.state.segments.load_full();
        let first = LogState::segment_index(&segments, from);
        for (index, segment) in segments.iter().enumerate().skip(first) {
            if segment.base_offset >= upper {
                break;
            }
            // All of a segment that ends before the bound may be shown; its end need not be looked
            // for, which would touch pages that nobody asked for.
            let ends_below = segments.get(index + 1).is_some_and(|next| next.base_offset <= upper);
            let upper = if ends_below { Offset(i64::MAX) } else { upper };
            if let Some(slice) = self.read_segment(segment, from, upper, limit, waits)? {
                // Deleted in between, its name may have been another log's when it was mapped.
                return match self.state.is_deleted() {
                    true => Err(StorageError::Deleted.into()),
                    false => Ok(slice),
                };
            }
        }
        Ok(ReadSlice::empty(from))
    }

    /// The log's end, if `from` is within the log.
    fn check_range(&self, from: Offset) -> Result<Offset, ReadError> {
        let log_end_offset = self.state.log_end();
        let log_start_offset = self.state.log_start();
        if from < log_start_offset || from > log_end_offset {
            return Err(ReadError::OutOfRange { offset: from, log_start_offset, log_end_offset });
        }
        Ok(log_end_offset)
    }

    fn read_segment(
        &self,
        segment: &Segment,
        from: Offset,
        upper: Offset,
        limit: ReadLimit,
        waits: Waits,
    ) -> Result<Option<ReadSlice>, ReadError> {
        let environment = &self.state.environment;
        let Some(map) = segment.map(environment)? else { return Ok(None) };
        if waits == Waits::ForDisk {
            // Before anything is touched: what the disk cannot give is told here, not by a fault.
            segment.fault_in(environment, &map, from, limit.max_bytes)?;
        }
        let Some(first) = segment.locate(environment, &map, from)? else { return Ok(None) };
        if first.base_offset >= upper {
            return Ok(None);
        }
        let mut end = first.position + first.bytes;
        if limit.max_bytes < first.bytes {
            if !limit.at_least_one_batch {
                return Ok(Some(ReadSlice::empty(first.base_offset)));
            }
        } else {
            let wanted = first.position.saturating_add(limit.max_bytes);
            end = match upper {
                Offset(i64::MAX) => segment.limit(&map),
                upper => segment.position_of_end(environment, &map, upper)?,
            };
            end = end.min(wanted);
        }
        let damage = |position: usize| ReadError::Corrupt {
            segment: segment.base_offset,
            position: position as u64,
        };
        if waits == Waits::ForDisk {
            map.fault_in(first.position..end).map_err(|_| damage(first.position))?;
        }
        let range = first.position..segment.checked_end(&map, first.position..end)?;
        let records = map.view(range).ok_or_else(|| damage(first.position))?;
        Ok(Some(ReadSlice { records, first_offset: first.base_offset }))
    }

    /// Whether reading at `from` may have to wait, for the disk or for checksums, so that it should
    /// be done with [`read_blocking`](Self::read_blocking) on a thread that may. What was appended
    /// by this process or read lately counts as being in memory.
    #[must_use]
    pub fn may_block(&self, from: Offset, limit: ReadLimit) -> bool {
        if from >= limit.upper.min(self.state.log_end()) {
            return false;
        }
        let segments = self.state.segments.load();
        let Some(segment) = segments.get(LogState::segment_index(&segments, from)) else {
            return false;
        };
        segment.may_block(&self.state.environment, from, limit.max_bytes)
    }

    /// Bytes of batches between two offsets, for deciding whether a fetch is worth an answer.
    #[must_use]
    pub fn bytes_between(&self, from: Offset, upper: Offset) -> u64 {
        self.state.bytes_between(from, upper.min(self.state.log_end())).unwrap_or(0)
    }

    /// The first record at or after a timestamp that lies before `upper`. May block.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn offset_for_timestamp(
        &self,
        timestamp: Timestamp,
        upper: Offset,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let environment = &self.state.environment;
        let start = self.state.log_start();
        let segments = self.state.segments.load_full();
        for segment in segments.iter().skip(LogState::segment_index(&segments, start)) {
            if segment.base_offset >= upper {
                break;
            }
            if self.largest_of(segment)?.timestamp < timestamp {
                continue;
            }
            let Some(map) = segment.map(environment)? else { continue };
            let mut found = None;
            let position = segment.floor_of_time(environment, &map, timestamp);
            segment.visit(&map, position..segment.limit(&map), |_, batch| {
                if batch.max_timestamp() >= timestamp && batch.last_offset() >= start {
                    found = first_record(batch, start, |at| at >= timestamp);
                }
                found.is_none()
            })?;
            if let Some((offset, timestamp)) = found {
                return Ok((offset < upper).then(|| self.found(offset, timestamp)));
            }
        }
        Ok(None)
    }

    /// The first record from `from` on and before `upper` that consumers are shown: in no control
    /// batch, and in none that `is_hidden` says. Below the log's start that is the log's first.
    /// Looks at `MAX_PASSED_BATCHES` at most; where it got no further, the place behind the last
    /// of them stands for the record, with the time of that batch. May block.
    ///
    /// # Errors
    /// As [`read_blocking`](Self::read_blocking) has them.
    pub fn first_record_from(
        &self,
        from: Offset,
        upper: Offset,
        is_hidden: impl Fn(&Batch<'_>) -> bool,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let limit = ReadLimit { upper, max_bytes: 1, at_least_one_batch: true };
        let mut next = from;
        let mut passed_at = Timestamp::NONE;
        for _ in 0..MAX_PASSED_BATCHES {
            next = next.max(self.state.log_start());
            if next >= upper {
                return Ok(None);
            }
            let slice = self.read_blocking(next, limit)?;
            let Ok((batch, _)) = Batch::parse(&slice.records) else { return Ok(None) };
            if !batch.attributes().is_control()
                && !is_hidden(&batch)
                && let Some((offset, timestamp)) = first_record_from(&batch, next)
            {
                return Ok((offset < upper).then(|| self.found(offset, timestamp)));
            }
            (next, passed_at) = (batch.next_offset(), batch.max_timestamp());
        }
        Ok((next < upper).then(|| self.found(next, passed_at)))
    }

    /// The first record with the log's largest timestamp (KIP-734). May block.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn max_timestamp_offset(&self) -> Result<Option<FoundOffset>, ReadError> {
        let environment = &self.state.environment;
        let start = self.state.log_start();
        let segments = self.state.segments.load_full();
        let mut largest: Option<(Largest, &Arc<Segment>)> = None;
        for segment in segments.iter() {
            let candidate = self.largest_of(segment)?;
            if candidate.offset.0 >= 0
                && largest.is_none_or(|(largest, _)| candidate.timestamp > largest.timestamp)
            {
                largest = Some((candidate, segment));
            }
        }
        let Some((largest, segment)) = largest else { return Ok(None) };
        let Some(map) = segment.map(environment)? else { return Ok(None) };
        let mut found = None;
        let Some(at) = segment.locate(environment, &map, largest.offset)? else { return Ok(None) };
        segment.visit(&map, at.position..segment.limit(&map), |_, batch| {
            found = first_record(batch, start, |at| at == largest.timestamp);
            false
        })?;
        Ok(found.map(|(offset, timestamp)| self.found(offset, timestamp)))
    }

    fn largest_of(&self, segment: &Arc<Segment>) -> Result<Largest, ReadError> {
        if Arc::ptr_eq(segment, &self.state.active()) {
            return Ok(self.state.tail.lock().largest);
        }
        segment.largest(&self.state.environment)
    }

    fn found(&self, offset: Offset, timestamp: Timestamp) -> FoundOffset {
        let leader_epoch = self.state.epochs.read().epoch_at(offset);
        FoundOffset { offset, timestamp, leader_epoch }
    }

    /// The largest epoch at or below `epoch` and where it ends (KIP-279); `None` when the log
    /// knows only older epochs, or none.
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let epochs = self.state.epochs.read();
        epochs.end_offset(epoch, self.state.log_end())
    }

    /// The newest leader epoch that wrote to the log.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.state.epochs.read().latest()
    }

    /// All leader epochs that are left in the log.
    #[must_use]
    pub fn epochs(&self) -> Vec<EpochEntry> {
        self.state.epochs.read().entries().to_vec()
    }

    /// The epoch in which an offset was written, −1 if unknown.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        self.state.epochs.read().epoch_at(offset)
    }

    /// Aborted transactions with records in `from..upper`. May block.
    #[must_use]
    pub fn aborted_transactions(&self, from: Offset, upper: Offset) -> Vec<AbortedTransaction> {
        let mut found = Vec::new();
        let segments = self.state.segments.load_full();
        for segment in segments.iter().skip(LogState::segment_index(&segments, from)) {
            if segment.with_transactions(|index| index.collect(from, upper, &mut found)) {
                break;
            }
        }
        found
    }
}

/// The first record of a batch at or behind `from`. Where its header tells, the records are not
/// looked at: they may have to be decompressed.
fn first_record_from(batch: &Batch<'_>, from: Offset) -> Option<(Offset, Timestamp)> {
    let is_whole = batch.record_count() == batch.last_offset_delta().saturating_add(1);
    let attributes = batch.attributes();
    let at = batch.base_offset().max(from);
    if is_whole && attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Some((at, batch.max_timestamp()));
    }
    if is_whole && at == batch.base_offset() && !attributes.has_delete_horizon() {
        return Some((at, batch.base_timestamp()));
    }
    first_record(batch, from, |_| true)
}

/// The first record of a batch at or behind `start` whose timestamp is wanted.
fn first_record(
    batch: &Batch<'_>,
    start: Offset,
    wanted: impl Fn(Timestamp) -> bool,
) -> Option<(Offset, Timestamp)> {
    let base = batch.base_offset();
    let stamped = batch.attributes().timestamp_type() == TimestampType::LogAppendTime;
    admission::first_record(batch, |record| {
        let offset = base.plus(i64::from(record.offset_delta));
        let timestamp = if stamped {
            batch.max_timestamp()
        } else {
            Timestamp(batch.base_timestamp().0.wrapping_add(record.timestamp_delta))
        };
        (offset >= start && wanted(timestamp)).then_some((offset, timestamp))
    })
}
