//! Waiting until records are on stable storage, many requests for one sync.
//!
//! The first who waits starts a sync on a blocking thread; whoever comes while it runs waits for
//! the next one, which covers them all (group commit).

use std::sync::Arc;
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
    /// Returns once everything below `end` is on stable storage. `synced` is called on the blocking
    /// thread after each sync, and is so even if nobody waits for it any more.
    ///
    /// # Errors
    /// When a sync failed: the directory is offline then.
    pub async fn reach<S>(
        handle: &FlushHandle,
        end: Offset,
        shared: &Arc<S>,
        synced: impl Fn(&S) + Copy + Send + 'static,
    ) -> Result<(), StorageError>
    where
        S: AsRef<Self> + Send + Sync + 'static,
    {
        let durable: &Self = (**shared).as_ref();
        loop {
            let finished = durable.finished.notified();
            if handle.flushed_offset() >= end {
                return Ok(());
            }
            if durable.running.swap(true, Ordering::AcqRel) {
                finished.await;
                continue;
            }
            let running = Running(Arc::clone(shared));
            let flush = handle.clone();
            let sync = move || {
                // Everything that is in the log by the time the sync begins is covered by it.
                let result = flush.flush(Offset(i64::MAX));
                if result.is_ok() {
                    synced(&running.0);
                }
                result
            };
            match tokio::task::spawn_blocking(sync).await {
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

/// A sync under way. It lives with the sync and not with whoever waits for it: a client may go away
/// at any moment, and others would wait for ever.
struct Running<S: AsRef<Durable>>(Arc<S>);

impl<S: AsRef<Durable>> Drop for Running<S> {
    fn drop(&mut self) {
        let durable: &Durable = (*self.0).as_ref();
        durable.running.store(false, Ordering::Release);
        durable.finished.notify_waiters();
    }
}
