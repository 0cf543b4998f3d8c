//! Where a log begins: raising its first readable offset, and remembering it.
//!
//! The mark is written before it is shown, so that a restart never shows records again that were
//! deleted.

use std::sync::Arc;

use milena_protocol::ids::Offset;

use crate::checkpoint::Survives;
use crate::error::StorageError;
use crate::ledger::Page;
use crate::state::LogState;

/// Raises a log's first readable offset (DeleteRecords, or a leader that did). Cheap to clone;
/// blocks, so call it where blocking is allowed, outside of the partition's lock.
#[derive(Clone, Debug)]
pub struct StartHandle {
    state: Arc<LogState>,
}

impl StartHandle {
    pub(crate) fn new(state: Arc<LogState>) -> Self {
        Self { state }
    }

    /// Lets the log begin at `offset`, unless it begins behind it or ends before it. The segments
    /// below go with the next retention. A full disk does not keep anyone from it.
    ///
    /// # Errors
    /// When the mark cannot be kept; the log begins where it did.
    pub fn advance(&self, offset: Offset) -> Result<(), StorageError> {
        self.state.advance_log_start(offset)
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
