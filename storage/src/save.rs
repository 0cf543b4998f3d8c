//! Bounding what the next start has to read.
//!
//! Saving writes what is derived from the log (index entries, producer snapshot, epochs) up to an
//! offset and then notes that offset in the ledger, so that recovery looks only behind it. Nothing
//! is synced for it: it helps after the end of the process, not of the machine. It runs on a
//! thread of the directory, beside the writer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_protocol::ids::Offset;

use crate::checkpoint::{self, Survives};
use crate::error::StorageError;
use crate::health;
use crate::ledger::TailMark;
use crate::producers::{Producers, window};
use crate::segment::{Kind, Segment};
use crate::state::{LogState, Saving, Segments};

struct Captured {
    mark: TailMark,
    /// As of the mark: every segment before the mark's must be finished with it.
    segments: Arc<Segments>,
    unsaved_bytes: u64,
    producers: Option<Producers>,
    rolled: Vec<(Offset, Vec<u8>)>,
    epochs_changed: bool,
}

impl LogState {
    /// Saves everything up to the log's end of this moment; the caller writes the ledger's page
    /// afterwards, once for all logs it saved.
    pub(crate) fn save(&self) -> Result<(), StorageError> {
        let mut saving = self.saving.lock();
        self.check()?;
        let mut captured = self.capture();
        let saved = self.save_captured(&captured, &mut saving);
        if saved.is_err() {
            // They wait for the next time, in front of those that were made meanwhile.
            self.tail.lock().snapshots.splice(..0, captured.rolled.drain(..));
        }
        saved
    }

    fn save_captured(&self, captured: &Captured, saving: &mut Saving) -> Result<(), StorageError> {
        let environment = &self.environment;
        for segment in captured.segments.iter() {
            if segment.finished.load(Ordering::Acquire) {
                continue;
            }
            let is_sealed = segment.sealed.load(Ordering::Acquire);
            let saved = segment
                .persist_indexes(environment)
                .and_then(|()| if is_sealed { self.finish(segment) } else { Ok(()) });
            match saved {
                // Removed by retention meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                saved => environment.judge("write an index", saved)?,
            }
        }
        let written = self.write_captured(captured, saving);
        environment.judge("save a log", written)?;
        let mark = captured.mark;
        self.update_marks(|marks| marks.tail = Some(mark));
        self.saved(captured.unsaved_bytes);
        Ok(())
    }

    fn capture(&self) -> Captured {
        let mut tail = self.tail.lock();
        let active = self.active();
        let has_producers = tail.producers.len() > 0;
        tail.producers_changed = false;
        Captured {
            segments: self.segments.load_full(),
            mark: TailMark {
                topic_id: self.topic_id,
                offset: self.log_end(),
                segment: active.base_offset,
                position: active.size(),
                has_producers,
                largest_timestamp: tail.largest.timestamp,
                largest_offset: tail.largest.offset,
            },
            unsaved_bytes: self.unsaved_bytes(),
            producers: has_producers.then(|| tail.producers.clone()),
            rolled: std::mem::take(&mut tail.snapshots),
            epochs_changed: tail.epochs_changed,
        }
    }

    /// Brings a sealed segment's file to its final form: exactly its batches.
    fn finish(&self, segment: &Arc<Segment>) -> io::Result<()> {
        let environment = &self.environment;
        let file = segment.file(environment)?;
        environment.disk.set_len(&file, segment.size())?;
        environment.disk.sync_data(&file).map_err(health::lost)?;
        // From here on recovery trusts the indexes, so they must be as durable as the log.
        segment.sync_indexes(environment)?;
        segment.release_index_memory();
        segment.finished.store(true, Ordering::Release);
        environment.attention.mapped(self.number);
        Ok(())
    }

    fn write_captured(&self, captured: &Captured, saving: &mut Saving) -> io::Result<()> {
        let disk = &*self.environment.disk;
        if captured.epochs_changed {
            self.write_epochs(Survives::Process)?;
        }
        for (offset, bytes) in &captured.rolled {
            let path = Kind::Snapshot.path(&self.directory, *offset);
            checkpoint::replace(disk, &path, bytes, Survives::Power)?;
        }
        let offset = captured.mark.offset;
        if let Some(producers) = &captured.producers
            && saving.windows.last() != Some(&offset)
        {
            let path = Kind::Producers.path(&self.directory, offset);
            checkpoint::replace(disk, &path, &window::encode(producers), Survives::Process)?;
            saving.windows.push(offset);
        }
        if let Some(producers) = &captured.producers
            && saving.loose_snapshot != Some(offset)
        {
            let path = Kind::Snapshot.path(&self.directory, offset);
            checkpoint::replace(disk, &path, &producers.encode(), Survives::Process)?;
            self.remove_loose_snapshot(saving)?;
            let is_loose = offset != captured.mark.segment;
            saving.loose_snapshot = is_loose.then_some(offset);
        }
        Ok(())
    }

    fn remove_loose_snapshot(&self, saving: &mut Saving) -> io::Result<()> {
        let Some(old) = saving.loose_snapshot else { return Ok(()) };
        if !self.segments.load().iter().any(|segment| segment.base_offset == old) {
            self.remove_file(Kind::Snapshot, old)?;
        }
        saving.loose_snapshot = None;
        Ok(())
    }

    fn remove_file(&self, kind: Kind, offset: Offset) -> io::Result<()> {
        match self.environment.disk.remove_file(&kind.path(&self.directory, offset)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Removes what only an older tail mark needs. To be called when the newest is in its file.
    pub(crate) fn forget_older_saves(&self) -> Result<(), StorageError> {
        let mut saving = self.saving.lock();
        self.check()?;
        while let [oldest, _, ..] = saving.windows[..] {
            let removed = self.remove_file(Kind::Producers, oldest);
            self.environment.judge("remove a file of producers", removed)?;
            saving.windows.remove(0);
        }
        Ok(())
    }

    /// Takes map, descriptor and memory away from a log to which nothing was appended for
    /// `idle_seconds`, and trims its file to what it holds. Whether the log rests now.
    pub(crate) fn rest(&self, idle_seconds: u32) -> Result<bool, StorageError> {
        let environment = &self.environment;
        let is_idle = || {
            environment.seconds().saturating_sub(self.appended_at()) >= idle_seconds
                && self.recovery_point() >= self.log_end()
        };
        if !is_idle() {
            return Ok(false);
        }
        self.save()?;
        let mut tail = self.tail.lock();
        self.check()?;
        if !is_idle() {
            return Ok(false);
        }
        let active = self.active();
        tail.writer = None;
        if !tail.is_trimmed {
            let trimmed = active
                .file(environment)
                .and_then(|file| environment.disk.set_len(&file, active.size()));
            environment.judge("trim a segment", trimmed)?;
            tail.is_trimmed = true;
        }
        active.unmap_idle(u32::MAX, 0);
        active.release_index_memory();
        environment.descriptors.forget(active.file_id);
        environment.attention.asleep(self.number);
        drop(tail);
        self.note_marks();
        Ok(true)
    }
}
