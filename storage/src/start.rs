//! Where a log begins: raising its first readable offset, and giving up its oldest segments.
//!
//! The mark is written before it is shown, so that a restart never shows records again that were
//! deleted. Neither the mark nor the names of removed files are written under a lock that appends
//! wait for.

use std::sync::Arc;

use milena_protocol::ids::{Offset, Timestamp};

use crate::checkpoint::Survives;
use crate::error::StorageError;
use crate::ledger::Page;
use crate::retention::{self, RemovedSegment};
use crate::state::LogState;

/// Moves a log's start. Cheap to clone; blocks, so call it where blocking is allowed, outside of
/// the partition's lock.
#[derive(Clone, Debug)]
pub struct StartHandle {
    state: Arc<LogState>,
}

impl StartHandle {
    pub(crate) fn new(state: Arc<LogState>) -> Self {
        Self { state }
    }

    /// Lets the log begin at `offset` (DeleteRecords, or a leader that did), unless it begins
    /// behind it or ends before it. The segments below go with the next retention. A full disk does
    /// not keep anyone from it.
    ///
    /// # Errors
    /// When the mark cannot be kept; the log begins where it did.
    pub fn advance(&self, offset: Offset) -> Result<(), StorageError> {
        self.state.advance_log_start(offset)
    }

    /// Removes the segments that the log start offset, `retention.bytes` or `retention.ms` give
    /// up, oldest first, never beyond the high watermark. Their files keep a `.deleted` name for
    /// `file.delete.delay.ms`.
    ///
    /// # Errors
    /// When the disk refuses; the same call may be made again.
    pub fn retain(&self, now: Timestamp) -> Result<Vec<RemovedSegment>, StorageError> {
        self.state.retain(now)
    }
}

impl LogState {
    fn advance_log_start(&self, offset: Offset) -> Result<(), StorageError> {
        self.check()?;
        let _alone = self.starting.lock();
        if offset <= self.log_start() || offset > self.log_end() {
            return Ok(());
        }
        let before = self.environment.ledger.marks(&self.topic, self.partition).log_start;
        if let Err(error) = self.keep_log_start(Some(offset)) {
            self.update_marks(|marks| marks.log_start = before);
            return Err(error);
        }
        let mut tail = self.tail.lock();
        // Cut meanwhile; the next start finds the mark behind the end, which is as good as none.
        if offset > self.log_end() {
            return Ok(());
        }
        self.raise_log_start(offset);
        if self.epochs.write().advance_start(offset) {
            tail.epochs_changed = true;
        }
        Ok(())
    }

    fn retain(&self, now: Timestamp) -> Result<Vec<RemovedSegment>, StorageError> {
        let _alone = self.replacing.lock();
        let mut tail = self.tail.lock();
        self.check()?;
        let expiration = tail.config.producer_id_expiration_ms;
        tail.producers.expire(now, expiration);
        let config = Arc::clone(&tail.config);
        let plan = retention::plan(self, &tail, &config, now)?;
        if plan.is_empty() {
            return Ok(plan);
        }
        if plan.len() == self.segments.load().len() {
            // Even an idle log empties: its last segment is replaced first.
            self.roll(&mut tail, self.log_end(), now)?;
        }
        let removed = self.take_oldest(&mut tail, plan.len());
        drop(tail);
        for segment in &removed {
            self.discard(segment)?;
        }
        Ok(plan)
    }

    /// Remembers a log start offset across restarts.
    pub(crate) fn keep_log_start(&self, start: Option<Offset>) -> Result<(), StorageError> {
        let environment = &self.environment;
        let ledger = &environment.ledger;
        self.update_marks(|marks| marks.log_start = start);
        environment.with_reserve(|| {
            let written = ledger.write(&*environment.disk, Page::LogStart, Survives::Process);
            environment.judge("write log start offsets", written)
        })?;
        // A power cut may still take it: the thread that syncs writes it again.
        ledger.log_start_changed();
        Ok(())
    }
}
