//! Taking away from a log: its oldest segments, or its end.
//!
//! A published byte never changes, so cutting a segment writes the part that stays into a new
//! file that takes the old one's name; readers of the old file keep it until they let go. Every
//! step leaves a log that opens: first the ledger forgets offsets behind the cut, then the later
//! segments go, last one first, then the cut segment is replaced.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::record::batch::Batch;

use crate::checkpoint::Survives;
use crate::disk::Mode;
use crate::environment::Environment;
use crate::error::{ReadError, StorageError};
use crate::index::{OffsetIndex, TimeIndex, TransactionIndex};
use crate::ledger::Page;
use crate::recovery;
use crate::segment::{Kind, Largest, Segment, with_suffix};
use crate::state::{LogState, Segments, Tail};

/// What a removed file is called until it is unlinked.
const DELETED_SUFFIX: &str = ".deleted";

impl LogState {
    /// Takes the `count` oldest segments out of the log; there must be more than that. Their files
    /// are left to the caller, who holds `replacing`.
    pub(crate) fn take_oldest(&self, tail: &mut Tail, count: usize) -> Segments {
        let segments = self.segments.load_full();
        let Some(first_kept) = segments.get(count) else { return Segments::new() };
        let start = first_kept.base_offset;
        // Readers first: an offset below the new start is out of range from here on.
        self.raise_log_start(start);
        self.segments.store(Arc::new(segments.iter().skip(count).cloned().collect()));
        self.recount();
        if self.epochs.write().advance_start(start) {
            tail.epochs_changed = true;
        }
        self.environment.attention.awake(self.number);
        segments.iter().take(count).cloned().collect()
    }

    /// Renames a segment's files, so that they are unlinked later.
    pub(crate) fn discard(&self, segment: &Segment) -> Result<(), StorageError> {
        let environment = &self.environment;
        environment.descriptors.forget(segment.file_id);
        for kind in Kind::ALL {
            let path = segment.path(kind);
            let removed = with_suffix(&path, DELETED_SUFFIX);
            match environment.disk.rename(&path, &removed) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => {
                    environment.judge("remove a segment", renamed)?;
                    environment.attention.discarded(self.number, removed);
                }
            }
        }
        Ok(())
    }

    /// Makes the ledger forget whatever it says about offsets behind `end`.
    fn lower_marks(&self, end: Offset, start: Option<Offset>) -> Result<(), StorageError> {
        let environment = &self.environment;
        let mut is_less_cleaned = false;
        self.update_marks(|marks| {
            is_less_cleaned = marks.first_dirty > Some(end);
            marks.first_dirty = marks.first_dirty.map(|offset| offset.min(end));
            marks.tail = None;
            marks.recovery_point = marks.recovery_point.map(|offset| offset.min(end));
            marks.high_watermark = marks.high_watermark.map(|offset| offset.min(end));
            if start.is_some() {
                marks.log_start = start;
            }
        });
        for page in Page::ALL {
            let is_changed = match page {
                Page::LogStart => start.is_some(),
                Page::FirstDirty => is_less_cleaned,
                Page::RecoveryPoint | Page::HighWatermark | Page::Tail => true,
            };
            if is_changed {
                let written = environment.ledger.write(&*environment.disk, page, Survives::Power);
                environment.judge("write checkpoints", written)?;
            }
        }
        Ok(())
    }

    pub(crate) fn truncate_to(&self, end: Offset, now: Timestamp) -> Result<(), StorageError> {
        self.check()?;
        if end >= self.log_end() {
            return Ok(());
        }
        let first_base = self.segments.load().first().map(|segment| segment.base_offset);
        if first_base.is_some_and(|base| base > end) {
            return self.truncate_fully(end, now);
        }
        let _alone = self.replacing.lock();
        self.without_sync(|| {
            let mut saving = self.saving.lock();
            let mut tail = self.tail.lock();
            self.check()?;
            self.lower_marks(end, None)?;
            let segments = self.segments.load_full();
            let keep = Self::segment_index(&segments, end);
            let Some(cut) = segments.get(keep) else { return Ok(()) };
            tail.writer = None;
            for segment in segments.iter().skip(keep + 1).rev() {
                self.discard(segment)?;
            }
            let (replaced, actual_end) = self.rewrite(cut, end)?;
            let mut kept: Segments = segments.iter().take(keep).cloned().collect();
            kept.push(Arc::new(replaced));
            let start = self.log_start().min(actual_end);
            saving.cut(actual_end);
            self.after_cut(&mut tail, kept, start, actual_end, now)?;
            // The batch that holds the log start offset went as a whole.
            if self.environment.ledger.marks(&self.topic, self.partition).log_start > Some(start) {
                self.keep_log_start(Some(start))?;
            }
            Ok(())
        })
    }

    pub(crate) fn truncate_fully(&self, start: Offset, now: Timestamp) -> Result<(), StorageError> {
        self.check()?;
        let _alone = self.replacing.lock();
        self.without_sync(|| {
            let mut saving = self.saving.lock();
            let mut tail = self.tail.lock();
            self.check()?;
            self.lower_marks(start, Some(start))?;
            tail.writer = None;
            let segments = self.segments.load_full();
            for segment in segments.iter().rev() {
                self.discard(segment)?;
            }
            // No record is left that could tell epochs from the file to be outdated.
            self.epochs.write().clear();
            let written = self.write_epochs(Survives::Power);
            self.environment.judge("write leader epochs", written)?;
            // Nor is any left that the producers of old could have written.
            self.remove_snapshots_behind(Offset::NONE)?;
            saving.cut(Offset::NONE);
            let empty = self.create_segment(start)?;
            self.after_cut(&mut tail, vec![empty], start, start, now)
        })
    }

    /// Publishes the shortened log and rebuilds what is derived from it.
    fn after_cut(
        &self,
        tail: &mut Tail,
        segments: Segments,
        start: Offset,
        end: Offset,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let active = segments.last().map(Arc::clone);
        self.remove_snapshots_behind(end)?;
        tail.snapshots.clear();
        tail.producers.clear();
        tail.producers_changed = true;
        // A reader that still sees the old end finds nothing behind the new one.
        self.segments.store(Arc::new(segments));
        self.truncated(start, end);
        self.recount();
        tail.epochs_changed |= self.epochs.write().truncate_to(end);
        tail.is_trimmed = true;
        tail.first_timestamp = None;
        tail.created_at = now;
        tail.bytes_since_index = 0;
        tail.largest = Largest::NONE;
        if let Some(active) = active {
            self.visit_batches(&active, |batch| {
                tail.largest.observe(batch.max_timestamp(), batch.last_offset());
            })?;
        }
        recovery::replay_producers(self, tail)?;
        self.names_changed();
        self.environment.attention.awake(self.number);
        self.environment.attention.urgent(self.number);
        Ok(())
    }

    fn visit_batches(
        &self,
        segment: &Segment,
        mut visitor: impl FnMut(&Batch<'_>),
    ) -> Result<(), StorageError> {
        if let Some(map) = segment.map(&self.environment)? {
            let visited = segment.visit(&map, 0..segment.limit(&map), |_, batch| {
                visitor(batch);
                true
            });
            visited.map_err(|error| damaged(&self.environment, &error))?;
        }
        Ok(())
    }

    /// Writes the part of a segment below `end` into a new file under the old name.
    fn rewrite(&self, old: &Segment, end: Offset) -> Result<(Segment, Offset), StorageError> {
        let environment = &self.environment;
        let disk = &*environment.disk;
        let map = old.map(environment)?;
        let (position, actual_end) = match &map {
            None => (0, old.base_offset),
            Some(map) => self.place_of_cut(old, map, end)?,
        };
        let path = old.path(Kind::Log);
        let temporary = with_suffix(&path, ".truncated");
        let write = || -> io::Result<()> {
            let file = disk.open(&temporary, Mode::Replace)?;
            disk.allocate(&file, 0, position as u64)?;
            if let Some(bytes) = map.as_ref().and_then(|map| map.bytes(0..position)) {
                disk.write_at(&file, bytes, 0)?;
            }
            disk.sync_data(&file)?;
            environment.descriptors.forget(old.file_id);
            disk.rename(&temporary, &path)?;
            disk.sync_directory(&self.directory)
        };
        environment.judge("truncate a segment", write())?;
        let segment = Segment::new(
            environment,
            self.number,
            Arc::clone(&self.directory),
            old.base_offset,
            position as u64,
        );
        let indexes = cut_indexes(environment, old, position as u64, actual_end);
        let (offsets, times) = environment.judge("truncate an index", indexes)?;
        segment.offset_index.store(Arc::new(offsets));
        *segment.time_index.lock() = times;
        Ok((segment, actual_end))
    }

    /// Where the batch that holds `end` begins, and its offset: nothing of it is kept.
    fn place_of_cut(
        &self,
        segment: &Segment,
        map: &crate::map::SegmentMap,
        end: Offset,
    ) -> Result<(usize, Offset), StorageError> {
        match segment.locate(&self.environment, map, end) {
            Ok(Some(at)) => Ok((at.position, at.base_offset.min(end).max(segment.base_offset))),
            Ok(None) => Ok((segment.limit(map), end)),
            Err(ReadError::Storage(error)) => Err(error),
            Err(error) => Err(damaged(&self.environment, &error)),
        }
    }

    fn remove_snapshots_behind(&self, end: Offset) -> Result<(), StorageError> {
        let environment = &self.environment;
        let entries = environment.judge("list a log", environment.disk.list(&self.directory))?;
        for entry in entries {
            if let Some((offset, Kind::Snapshot | Kind::Producers)) = Kind::parse(&entry.name)
                && offset > end
            {
                let removed = environment.disk.remove_file(&self.directory.join(&entry.name));
                environment.judge("remove a snapshot", removed)?;
            }
        }
        Ok(())
    }

    pub(crate) fn recount(&self) {
        let segments = self.segments.load();
        let sealed = segments.iter().rev().skip(1).map(|segment| segment.size()).sum();
        self.set_sealed_bytes(sealed);
    }
}

/// Cuts the index files to what lies below the end of the log.
fn cut_indexes(
    environment: &Environment,
    old: &Segment,
    position: u64,
    end: Offset,
) -> io::Result<(OffsetIndex, TimeIndex)> {
    old.persist_indexes(environment)?;
    old.sealed.store(true, Ordering::Release);
    let disk = &*environment.disk;
    let relative = old.relative(end);
    let cut = |kind: Kind, len: &dyn Fn(&[u8]) -> usize| -> io::Result<()> {
        let path = old.path(kind);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        // Old readers map this file, so it is replaced like the log itself.
        let temporary = with_suffix(&path, ".truncated");
        let file = disk.open(&temporary, Mode::Replace)?;
        let kept = bytes.get(..len(&bytes)).unwrap_or_default();
        disk.write_at(&file, kept, 0)?;
        disk.rename(&temporary, &path)
    };
    cut(Kind::OffsetIndex, &|bytes| OffsetIndex::valid_prefix(bytes, position) * 8)?;
    cut(Kind::TimeIndex, &|bytes| TimeIndex::valid_prefix(bytes, relative).0 * 12)?;
    cut(Kind::TransactionIndex, &|bytes| TransactionIndex::decode(bytes, end).file_bytes())?;
    let offsets = std::fs::read(old.path(Kind::OffsetIndex)).unwrap_or_default();
    let times = std::fs::read(old.path(Kind::TimeIndex)).unwrap_or_default();
    let (count, last) = TimeIndex::valid_prefix(&times, relative);
    Ok((
        OffsetIndex::with_file(OffsetIndex::valid_prefix(&offsets, position)),
        TimeIndex::with_file(count, last),
    ))
}

fn damaged(environment: &Environment, error: &ReadError) -> StorageError {
    environment.health.poison("truncate", &io::Error::other(error.to_string()))
}
