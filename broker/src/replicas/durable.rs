//! Waiting until records are on stable storage, many requests for one sync.
//!
//! The first who waits starts a sync on a blocking thread; whoever comes while it runs waits for
//! the next one, which covers them all (group commit).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_protocol::ids::Offset;
use milena_storage::FlushHandle;
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
    pub async fn reach(&self, handle: &FlushHandle, end: Offset) -> io::Result<()> {
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
            let result = tokio::task::spawn_blocking(move || flush.flush()).await;
            self.running.store(false, Ordering::Release);
            self.finished.notify_waiters();
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(io::Error::other("the sync was cancelled")),
            }
        }
    }
}
