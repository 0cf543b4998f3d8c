//! Waiting until records are on stable storage, many requests for one sync.
//!
//! The first who waits starts a sync on a blocking thread; whoever comes while it runs waits for
//! the next one, which covers them all (group commit).

use std::sync::atomic::{AtomicBool, Ordering};

use milena_protocol::ids::Offset;
use milena_storage::{FlushHandle, StorageError};
use tokio::sync::Notify;

/// The syncs of one partition.
#[derive(Debug, Default)]
pub struct Durable {
    running: AtomicBool,
    finished: Notify,
}

impl Durable {
    /// Returns once everything below `end` is on stable storage.
    ///
    /// # Errors
    /// When a sync failed: the directory is offline then.
    pub async fn reach(&self, handle: &FlushHandle, end: Offset) -> Result<(), StorageError> {
        loop {
            let finished = self.finished.notified();
            if handle.flushed_offset() >= end {
                return Ok(());
            }
            if self.running.swap(true, Ordering::AcqRel) {
                finished.await;
                continue;
            }
            let flush = handle.clone();
            // Everything that is in the log by the time the sync begins is covered by it.
            let result = tokio::task::spawn_blocking(move || flush.flush(Offset(i64::MAX))).await;
            self.running.store(false, Ordering::Release);
            self.finished.notify_waiters();
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                Err(error) => {
                    let reason = format!("the sync did not run: {error}");
                    return Err(StorageError::Offline { reason });
                }
            }
        }
    }
}
