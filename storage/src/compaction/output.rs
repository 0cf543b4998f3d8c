//! The files of a new segment, while it is written and nobody knows it.
//!
//! Files are made by name, and a name may come to belong to another log when this one is deleted,
//! so names are touched only while `replacing` is held and the log was seen to be there.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_protocol::ids::Offset;
use milena_protocol::record::batch::Batch;

use super::walk::{Place, Reins};
use crate::disk::Mode;
use crate::error::{CompactError, StorageError};
use crate::index::{AbortedTransaction, OffsetIndex, TimeIndex, TransactionIndex};
use crate::segment::{Kind, Largest, Segment, with_suffix};
use crate::state::LogState;
use crate::swap::{self, CLEANED_SUFFIX};

/// A segment on its way.
pub(super) struct Output<'s> {
    state: &'s LogState,
    segment: Segment,
    files: Files,
    buffer: Vec<u8>,
    index_interval_bytes: usize,
    since_index: usize,
    written: usize,
    largest: Largest,
    /// Something is not as it was in the only source.
    pub(super) is_changed: bool,
}

struct Files {
    log: File,
    offsets: File,
    times: File,
}

/// The largest file whose positions every reader can hold.
const MOST_BYTES: usize = i32::MAX as usize;

impl<'s> Output<'s> {
    /// Makes the files of a segment that will begin at `base`.
    pub(super) fn begin(
        state: &'s LogState,
        base: Offset,
        index_interval_bytes: u32,
    ) -> Result<Self, CompactError> {
        let environment = &*state.environment;
        let directory = &state.directory;
        let made = {
            let _alone = state.replacing.lock();
            state.check()?;
            swap::undo(&*environment.disk, directory, base).and_then(|()| {
                let make = |kind: Kind| {
                    let path = with_suffix(&kind.path(directory, base), CLEANED_SUFFIX);
                    environment.disk.open(&path, Mode::Replace)
                };
                Ok(Files {
                    log: make(Kind::Log)?,
                    offsets: make(Kind::OffsetIndex)?,
                    times: make(Kind::TimeIndex)?,
                })
            })
        };
        let files = environment.judge("create a segment", made)?;
        let segment = Segment::new(environment, state.number, Arc::clone(directory), base, 0);
        *segment.transactions.lock() = Some(TransactionIndex::default());
        Ok(Self {
            state,
            segment,
            files,
            buffer: Vec::new(),
            index_interval_bytes: index_interval_bytes as usize,
            since_index: 0,
            written: 0,
            largest: Largest::NONE,
            is_changed: false,
        })
    }

    /// Adds a batch.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        reins: &mut Reins<'_>,
        place: Place,
    ) -> Result<(), CompactError> {
        let (batch, _) = Batch::parse(bytes).map_err(|_| place.damaged())?;
        let position = self.written + self.buffer.len();
        if position + bytes.len() > MOST_BYTES {
            return Err(CompactError::TooLarge { segment: self.segment.base_offset });
        }
        self.largest.observe(batch.max_timestamp(), batch.last_offset());
        if self.since_index > self.index_interval_bytes {
            self.segment.index(batch.last_offset(), position, self.largest);
            self.since_index = 0;
        }
        self.since_index += bytes.len();
        if self.buffer.len() + bytes.len() > reins.step_bytes {
            self.flush(reins)?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Notes a transaction whose abort marker was added.
    pub(super) fn aborts(&self, transaction: AbortedTransaction) {
        self.segment.with_transactions(|index| index.push(transaction));
    }

    fn flush(&mut self, reins: &mut Reins<'_>) -> Result<(), CompactError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let environment = &*self.state.environment;
        let space =
            environment.judge("ask for space", environment.disk.space(&environment.root))?;
        if space.usable_bytes < environment.reserve_bytes + self.buffer.len() as u64 {
            return Err(StorageError::Full.into());
        }
        let (disk, log) = (&*environment.disk, &self.files.log);
        let written = disk.write_at(log, &self.buffer, self.written as u64);
        environment.judge("write a compacted segment", written)?;
        self.written += self.buffer.len();
        let bytes = self.buffer.len();
        self.buffer.clear();
        // A batch may be larger than a step, and need not be remembered.
        self.buffer.shrink_to(reins.step_bytes);
        reins.moved(bytes)
    }

    /// Brings the files to the medium; the segment is whole, and nobody knows it yet.
    pub(super) fn finish(mut self, reins: &mut Reins<'_>) -> Result<Segment, CompactError> {
        self.flush(reins)?;
        let environment = &*self.state.environment;
        let Self { segment, files, largest, written, .. } = self;
        segment.note_time(largest);
        environment.judge("sync a compacted segment", environment.disk.sync_data(&files.log))?;
        let indexes = write_indexes(self.state, &segment, &files);
        environment.judge("write an index", indexes)?;
        write_transactions(self.state, &segment)?;
        segment.set_size(written as u64);
        segment.set_checked_from(0);
        *segment.largest.lock() = Some(largest);
        segment.sealed.store(true, Ordering::Release);
        segment.finished.store(true, Ordering::Release);
        Ok(segment)
    }
}

fn write_indexes(state: &LogState, segment: &Segment, files: &Files) -> io::Result<()> {
    let disk = &*state.environment.disk;
    let offsets = segment.offset_index.load_full();
    offsets.persist(disk, &files.offsets)?;
    disk.sync_data(&files.offsets)?;
    segment.offset_index.store(Arc::new(OffsetIndex::with_file(offsets.len())));
    let (start, entries) = segment.time_index.lock().unwritten();
    TimeIndex::write(disk, &files.times, start, &entries)?;
    segment.time_index.lock().written(entries.len());
    disk.sync_data(&files.times)
}

/// Writes the index of aborted transactions, which is there only if it has entries.
fn write_transactions(state: &LogState, segment: &Segment) -> Result<(), CompactError> {
    let (start, bytes) = segment.with_transactions(|index| index.unwritten());
    if bytes.is_empty() {
        return Ok(());
    }
    let environment = &*state.environment;
    let path = with_suffix(&segment.path(Kind::TransactionIndex), CLEANED_SUFFIX);
    let file = {
        let _alone = state.replacing.lock();
        state.check()?;
        environment.judge("create an index", environment.disk.open(&path, Mode::Replace))?
    };
    let written = environment.disk.write_at(&file, &bytes, start);
    let synced = written.and_then(|()| environment.disk.sync_data(&file));
    environment.judge("write an index", synced)?;
    segment.with_transactions(|index| index.written(start + bytes.len() as u64));
    Ok(())
}

/// Removes the files of a segment that will not be. What cannot be removed now is found by the next
/// pass, or the next start.
pub(super) fn discard(state: &LogState, base: Offset) {
    let _alone = state.replacing.lock();
    if state.check().is_ok() {
        let removed = swap::undo(&*state.environment.disk, &state.directory, base);
        let _ = state.environment.judge("remove a compacted segment", removed);
    }
}
