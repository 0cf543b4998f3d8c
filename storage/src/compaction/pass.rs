//! One pass over a log.
//!
//! 1. Learn: the dirty part is read, and the last offset of each key is put into the map, until its
//!    memory is used up. What is known so far is what the pass goes by.
//! 2. Write: from the log's beginning to where the knowledge ends, what is left of each group of
//!    segments goes into one new segment.
//! 3. Swap: the new segment takes the place of the old ones, in memory and on the disk (`swap.rs`).
//!    Readers keep the maps of the old.
//! 4. Note in the ledger how far the log is clean.
//!
//! No lock is held while records are read and written. `replacing` is held while files are made
//! and swapped, which truncation, retention and deletion wait for; an append never does.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use milena_protocol::ids::{Offset, ProducerId, Timestamp};

use super::budget::CompactionBudget;
use super::filter::{Fate, Rules, Scratch, Unreadable};
use super::offsets::OffsetMap;
use super::output::{self, Output};
use super::plan::{self, Assessment, Size};
use super::transactions::Transactions;
use super::walk::{Place, Reins, walk};
use crate::checkpoint::Survives;
use crate::config::LogConfig;
use crate::error::{CompactError, ReadError, StorageError};
use crate::ledger::Page;
use crate::producers::LastTrace;
use crate::reader::LogReader;
use crate::segment::{Kind, Segment};
use crate::state::{LogState, Segments};
use crate::swap;

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Everything below has been compacted.
    pub first_dirty_offset: Offset,
    /// Keys that were learnt.
    pub keys: u64,
    /// Bytes that were read, those of the dirty part twice.
    pub read_bytes: u64,
    /// Bytes of the segments that the pass went through.
    pub before_bytes: u64,
    /// Bytes of what they became.
    pub after_bytes: u64,
    /// Segments that the pass went through.
    pub before_segments: usize,
    /// Segments that they became.
    pub after_segments: usize,
}

/// A pass under way.
pub(super) struct Pass<'p> {
    state: &'p Arc<LogState>,
    config: Arc<LogConfig>,
    assessment: Assessment,
    now: Timestamp,
    /// When it began.
    truncation_count: u64,
    scratch: Scratch,
    reins: Reins<'p>,
}

impl<'p> Pass<'p> {
    pub(super) fn new(
        state: &'p Arc<LogState>,
        config: Arc<LogConfig>,
        assessment: Assessment,
        now: Timestamp,
        reins: Reins<'p>,
    ) -> Self {
        let truncation_count = state.truncation_count();
        let scratch = Scratch::default();
        Self { state, config, assessment, now, truncation_count, scratch, reins }
    }

    pub(super) fn run(mut self, budget: &CompactionBudget) -> Result<Compacted, CompactError> {
        let end = self.assessment.first_uncleanable_offset;
        let segments = self.segments_below(end);
        for segment in &segments {
            // Who reads the old segment later must not look for its files.
            segment.with_transactions(|_| ());
            let _ = segment.largest(&self.state.environment);
        }
        self.forget_tail_mark(end)?;
        let offsets = self.learn(&segments, budget)?;
        let known = segments.partition_point(|segment| segment.base_offset < offsets.end());
        let segments = segments.get(..known).unwrap_or_default();
        let mut done = Compacted {
            first_dirty_offset: offsets.end(),
            keys: offsets.len() as u64,
            before_segments: segments.len(),
            ..Compacted::default()
        };
        let start = segments.first().map_or(end, |segment| segment.base_offset);
        let mut transactions = self.transactions_from(start, end);
        for group in plan::group(&self.sizes(segments, end), &self.config) {
            let sources = segments.get(group).unwrap_or_default();
            done.before_bytes += sources.iter().map(|segment| segment.size()).sum::<u64>();
            done.after_bytes += self.write(sources, &offsets, &mut transactions)?;
            done.after_segments += 1;
        }
        done.read_bytes = self.reins.read_bytes;
        self.note_clean(offsets.end())?;
        Ok(done)
    }

    fn segments_below(&self, end: Offset) -> Vec<Arc<Segment>> {
        let segments = self.state.segments.load_full();
        segments.iter().filter(|segment| segment.base_offset < end).cloned().collect()
    }

    /// Sees to it that no tail mark points into what is about to be replaced: it names a byte.
    fn forget_tail_mark(&self, end: Offset) -> Result<(), CompactError> {
        let environment = &*self.state.environment;
        self.state.check()?;
        self.state.update_marks(|marks| {
            marks.tail = marks.tail.filter(|mark| mark.segment >= end);
        });
        let written = environment.ledger.write(&*environment.disk, Page::Tail, Survives::Process);
        Ok(environment.judge("write a checkpoint", written)?)
    }

    /// A walk that begins at `from`: a transaction that ended before would be taken for open.
    fn transactions_from(&self, from: Offset, end: Offset) -> Transactions {
        let reader = LogReader::new(Arc::clone(self.state));
        Transactions::new(reader.aborted_transactions(from, end))
    }

    /// Learns the last offset of each key of the dirty part.
    fn learn(
        &mut self,
        segments: &[Arc<Segment>],
        budget: &CompactionBudget,
    ) -> Result<OffsetMap, CompactError> {
        let environment = &*self.state.environment;
        let from = self.assessment.first_dirty_offset;
        let end = self.assessment.first_uncleanable_offset;
        let keys_at_most = end.0.saturating_sub(from.0).max(0).unsigned_abs();
        let (entries, most) = budget.entries(keys_at_most);
        let mut offsets = OffsetMap::new(entries, most);
        offsets.set_end(from);
        let first = segments.partition_point(|segment| segment.base_offset <= from);
        let dirty = segments.get(first.saturating_sub(1)..).unwrap_or_default();
        let mut transactions = self.transactions_from(from, end);
        let scratch = &mut self.scratch;
        for (index, segment) in dirty.iter().enumerate() {
            let Some(map) = segment.map(environment)? else { continue };
            let start = match segment.locate(environment, &map, from) {
                Ok(start) => start.map_or(segment.limit(&map), |at| at.position),
                Err(ReadError::Storage(error)) => return Err(error.into()),
                Err(_) => {
                    let place = Place { segment: segment.base_offset, position: 0 };
                    return Err(place.damaged());
                }
            };
            let mut has_room = true;
            walk(environment, segment, start, &mut self.reins, |step, _| {
                let batch = &step.batch;
                if batch.attributes().is_control() {
                    transactions.marker(batch);
                } else if !transactions.records(batch) {
                    let learnt = scratch.learn(batch, from, &mut offsets);
                    has_room = learnt.map_err(|Unreadable| step.place.damaged())?;
                }
                if has_room {
                    offsets.set_end(batch.next_offset());
                }
                Ok(has_room)
            })?;
            if !has_room {
                return Ok(offsets);
            }
            let next = dirty.get(index + 1).map_or(end, |next| next.base_offset);
            offsets.set_end(next);
        }
        offsets.set_end(end);
        Ok(offsets)
    }

    fn sizes(&self, segments: &[Arc<Segment>], end: Offset) -> Vec<Size> {
        let ends = segments.iter().skip(1).map(|next| next.base_offset).chain([end]);
        let size = |(segment, end_offset): (&Arc<Segment>, Offset)| Size {
            base_offset: segment.base_offset,
            end_offset,
            log_bytes: segment.size(),
            index_bytes: segment
                .offset_index
                .load()
                .file_bytes()
                .max(segment.time_index.lock().file_bytes()) as u64,
        };
        segments.iter().zip(ends).map(size).collect()
    }

    /// Writes what is left of some neighbours into one segment and puts it in their place. Answers
    /// its size.
    fn write(
        &mut self,
        sources: &[Arc<Segment>],
        offsets: &OffsetMap,
        transactions: &mut Transactions,
    ) -> Result<u64, CompactError> {
        let Some(base) = sources.first().map(|segment| segment.base_offset) else { return Ok(0) };
        let last_traces = self.state.tail.lock().producers.last_traces();
        let written = self.write_files(sources, offsets, transactions, &last_traces);
        let result = written.and_then(|new| match new {
            Some(new) => self.swap(sources, new),
            None => {
                output::discard(self.state, base);
                Ok(sources.iter().map(|segment| segment.size()).sum())
            }
        });
        if result.is_err() {
            output::discard(self.state, base);
        }
        result
    }

    /// Writes the files; `None` if they would say what the only source says.
    fn write_files(
        &mut self,
        sources: &[Arc<Segment>],
        offsets: &OffsetMap,
        transactions: &mut Transactions,
        last_traces: &HashMap<ProducerId, LastTrace>,
    ) -> Result<Option<Segment>, CompactError> {
        let environment = &*self.state.environment;
        let base = sources.first().map_or(Offset::ZERO, |segment| segment.base_offset);
        let interval = self.config.index_interval_bytes;
        let mut output = Output::begin(self.state, base, interval)?;
        output.is_changed = sources.len() > 1;
        let rules = Rules {
            offsets,
            last_traces,
            now: self.now,
            delete_retention_ms: self.config.delete_retention_ms,
        };
        // Trailing segments may be empty.
        let last = sources.iter().rposition(|segment| segment.size() > 0);
        let scratch = &mut self.scratch;
        for (index, segment) in sources.iter().enumerate() {
            walk(environment, segment, 0, &mut self.reins, |step, reins| {
                let ends_segment = step.is_last && Some(index) == last;
                let verdict = scratch.judge(&step.batch, transactions, &rules, ends_segment);
                let verdict = verdict.map_err(|Unreadable| step.place.damaged())?;
                output.is_changed |= verdict.fate != Fate::Stays;
                match verdict.fate {
                    Fate::Stays => output.push(step.batch.bytes(), reins, step.place)?,
                    Fate::Becomes(bytes) => output.push(bytes, reins, step.place)?,
                    Fate::Goes => {}
                }
                if let Some(transaction) = verdict.aborts {
                    output.aborts(transaction);
                }
                Ok(true)
            })?;
        }
        if !output.is_changed {
            return Ok(None);
        }
        output.finish(&mut self.reins).map(Some)
    }

    /// Puts a new segment in the place of others, unless those are no longer there.
    fn swap(&self, sources: &[Arc<Segment>], new: Segment) -> Result<u64, CompactError> {
        let state = &**self.state;
        let environment = &*state.environment;
        let disk = &*environment.disk;
        let (base, bytes) = (new.base_offset, new.size());
        let _alone = state.replacing.lock();
        state.check()?;
        let Some(end) = end_of(&state.segments.load(), sources) else {
            return Err(CompactError::Disturbed);
        };
        let committed = swap::commit(disk, &state.directory, base);
        environment.judge("commit a compacted segment", committed)?;
        // From here on there is no way back: the directory says so.
        let swapped = sources.iter().try_for_each(|source| {
            source.set_replaced();
            state.discard(source)
        });
        let swapped = swapped.and_then(|()| {
            self.remove_snapshots(base..end)?;
            let finished = swap::finish(disk, &state.directory, base);
            environment.judge("finish a compacted segment", finished)
        });
        if let Err(error) = swapped {
            let error = std::io::Error::other(error.to_string());
            return Err(environment.health.poison("swap a compacted segment", &error).into());
        }
        let tail = state.tail.lock();
        // A roll may have added to the list since; nobody else changes it now.
        let mut segments = Segments::clone(&state.segments.load());
        let place = place_of(&segments, sources).expect("only a roll changes the list meanwhile");
        segments.splice(place..place + sources.len(), [Arc::new(new)]);
        state.segments.store(Arc::new(segments));
        state.recount();
        drop(tail);
        environment.attention.mapped(state.number);
        Ok(bytes)
    }

    /// Removes producer snapshots from within replaced segments: they may tell of transactions
    /// whose markers are gone.
    fn remove_snapshots(&self, within: Range<Offset>) -> Result<(), StorageError> {
        let environment = &*self.state.environment;
        let directory = &self.state.directory;
        let listed = environment.judge("list a log", environment.disk.list(directory))?;
        for entry in listed {
            if let Some((offset, Kind::Snapshot)) = Kind::parse(&entry.name)
                && within.contains(&offset)
            {
                let removed = environment.disk.remove_file(&directory.join(&entry.name));
                environment.judge("remove a snapshot", removed)?;
            }
        }
        Ok(())
    }

    /// Notes how far the log is clean.
    fn note_clean(&self, end: Offset) -> Result<(), CompactError> {
        let environment = &*self.state.environment;
        let _alone = self.state.replacing.lock();
        self.state.check()?;
        if self.state.truncation_count() != self.truncation_count {
            return Err(CompactError::Disturbed);
        }
        self.state.update_marks(|marks| marks.first_dirty = Some(end));
        let disk = &*environment.disk;
        let written = environment.ledger.write(disk, Page::FirstDirty, Survives::Power);
        Ok(environment.judge("write clean offsets", written)?)
    }
}

/// Where some neighbours stand in the list.
fn place_of(segments: &Segments, sources: &[Arc<Segment>]) -> Option<usize> {
    let first = sources.first()?;
    let place = segments.iter().position(|segment| Arc::ptr_eq(segment, first))?;
    let there = segments.get(place..place + sources.len())?;
    let is_same = there.iter().zip(sources).all(|(there, source)| Arc::ptr_eq(there, source));
    is_same.then_some(place)
}

/// Where some neighbours end, if they are in the list.
fn end_of(segments: &Segments, sources: &[Arc<Segment>]) -> Option<Offset> {
    let next = place_of(segments, sources)? + sources.len();
    segments.get(next).map(|next| next.base_offset)
}
