//! Making a log durable: group commit, outside of the partition's lock.
//!
//! One caller at a time syncs, for everything that was appended before it began; the others wait
//! for it and find their offset covered, or one of them syncs next. A failed sync is final: the
//! kernel has marked the pages clean, so no later success would mean anything.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_protocol::ids::Offset;

use crate::checkpoint::Survives;
use crate::error::StorageError;
use crate::state::LogState;

/// Waits for a log's records to be on the medium. Cheap to clone; blocks, so call it where
/// blocking is allowed.
#[derive(Clone, Debug)]
pub struct FlushHandle {
    state: Arc<LogState>,
}

impl FlushHandle {
    pub(crate) fn new(state: Arc<LogState>) -> Self {
        Self { state }
    }

    /// Returns when every record below `upto` (at most the log's end) is on the medium. Calls
    /// that come while a sync runs share the next one.
    ///
    /// # Errors
    /// When a sync failed, now or before: the directory is offline.
    pub fn flush(&self, upto: Offset) -> Result<(), StorageError> {
        self.state.flush(upto)
    }

    /// Everything below this offset is on the medium.
    #[must_use]
    pub fn flushed_offset(&self) -> Offset {
        self.state.recovery_point()
    }
}

impl LogState {
    pub(crate) fn flush(&self, upto: Offset) -> Result<(), StorageError> {
        let upto = upto.min(self.log_end());
        while self.recovery_point() < upto {
            let mut sync = self.sync.lock();
            if sync.running {
                self.sync_ended.wait(&mut sync);
                self.check()?;
                continue;
            }
            if self.recovery_point() >= upto {
                break;
            }
            sync.running = true;
            drop(sync);
            let result = self.sync_now();
            self.sync.lock().running = false;
            self.sync_ended.notify_all();
            result?;
        }
        Ok(())
    }

    /// Runs `work` while nobody syncs, for changes that a sync must not straddle.
    pub(crate) fn without_sync<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut sync = self.sync.lock();
        while sync.running {
            self.sync_ended.wait(&mut sync);
        }
        work()
    }

    fn sync_now(&self) -> Result<(), StorageError> {
        self.check()?;
        let environment = &self.environment;
        let from = self.recovery_point();
        let target = self.log_end();
        let segments = self.segments.load_full();
        let mut next_base = Offset(i64::MAX);
        for segment in segments.iter().rev() {
            if segment.base_offset < target && next_base > from {
                let file = match segment.file(environment) {
                    // Removed by retention or with its log: nothing is left to keep.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        next_base = segment.base_offset;
                        continue;
                    }
                    file => environment.judge("open a segment to sync", file)?,
                };
                environment
                    .disk
                    .sync_data(&file)
                    .map_err(|error| environment.health.poison("fdatasync", &error))?;
            }
            next_base = segment.base_offset;
        }
        self.sync_names()?;
        self.raise_recovery_point(target);
        Ok(())
    }

    /// Puts the epochs and the names of the log's files on the medium.
    fn sync_names(&self) -> Result<(), StorageError> {
        let environment = &self.environment;
        self.write_changed_epochs(Survives::Power)?;
        self.sync_identity()?;
        if self.take_names_dirty() {
            for path in [&*self.directory, environment.root.as_path()] {
                let synced = environment.disk.sync_directory(path);
                synced.map_err(|error| environment.health.poison("sync a directory", &error))?;
            }
        }
        Ok(())
    }

    /// Writes the leader epochs if they are not in their file yet.
    fn write_changed_epochs(&self, survives: Survives) -> Result<(), StorageError> {
        if !std::mem::take(&mut self.tail.lock().epochs_changed) {
            return Ok(());
        }
        let environment = &self.environment;
        let written = environment
            .with_reserve(|| environment.judge("write leader epochs", self.write_epochs(survives)));
        if written.is_err() {
            self.tail.lock().epochs_changed = true;
        }
        written
    }

    /// Gets ready to be synced together with everything else on the file system, and keeps
    /// others from syncing or truncating until [`end_sync_all`](Self::end_sync_all). `None` when
    /// somebody syncs already.
    pub(crate) fn begin_sync_all(&self) -> Result<Option<Offset>, StorageError> {
        let mut sync = self.sync.lock();
        if sync.running || self.is_deleted() {
            return Ok(None);
        }
        self.write_changed_epochs(Survives::Process)?;
        self.take_names_dirty();
        sync.running = true;
        Ok(Some(self.log_end()))
    }

    /// Everything up to `end` was synced, if it is given.
    pub(crate) fn end_sync_all(&self, end: Option<Offset>) {
        if let Some(end) = end {
            self.raise_recovery_point(end);
        }
        self.sync.lock().running = false;
        self.sync_ended.notify_all();
    }

    /// Tells the ledger how far the log is synced and committed.
    pub(crate) fn note_marks(&self) {
        let watermark = self.high_watermark();
        // Recovery takes segments before the point as they are, so they must be in final form.
        let segments = self.segments.load();
        let sealed = segments.iter().take(segments.len().saturating_sub(1));
        let unfinished =
            sealed.into_iter().find(|segment| !segment.finished.load(Ordering::Acquire));
        let point = self.recovery_point();
        let point = unfinished.map_or(point, |segment| point.min(segment.base_offset));
        self.update_marks(|marks| {
            marks.recovery_point = Some(point);
            marks.high_watermark = Some(watermark);
        });
    }
}
