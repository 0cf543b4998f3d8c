//! Waiting until records are on stable storage, many requests for one sync.
//!
//! Whoever wants records synced says so and starts a sync on a blocking thread, unless one runs;
//! what is wanted while it runs is covered by the next one, which the same thread begins (group
//! commit). A sync that is wanted happens, whether or not anybody still waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use milena_protocol::ids::Offset;
use milena_storage::{FlushHandle, StorageError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::blocking;

/// The syncs of one partition.
///
/// Whoever wants a sync writes `wanted` and then looks at `is_running`; whoever has synced does the
/// opposite. One of the two sees the other, so these are sequentially consistent.
#[derive(Debug, Default)]
pub struct Durable {
    /// Everything below is to be on stable storage.
    wanted: AtomicI64,
    is_running: AtomicBool,
    finished: Notify,
}

impl Durable {
    /// Has everything below `end` synced, and does not wait for it. `synced` is called on the
    /// blocking thread after each sync. Answers the task that syncs if it is a new one.
    pub fn begin(
        self: &Arc<Self>,
        handle: &FlushHandle,
        end: Offset,
        synced: impl Fn() + Send + 'static,
    ) -> Option<JoinHandle<Result<(), StorageError>>> {
        self.wanted.fetch_max(end.0, Ordering::SeqCst);
        let mut running = Running::begin(self)?;
        let (durable, flush) = (Arc::clone(self), handle.clone());
        Some(blocking::spawn(move || {
            loop {
                let wanted = durable.wanted.load(Ordering::Acquire);
                // Everything that is in the log by the time the sync begins is covered by it.
                flush.flush(Offset(i64::MAX))?;
                synced();
                let flushed = flush.flushed_offset().0;
                if flushed < wanted {
                    // The log was truncated: what was wanted is not there any more.
                    let (done, other) = (Ordering::AcqRel, Ordering::Acquire);
                    let _ = durable.wanted.compare_exchange(wanted, flushed, done, other);
                }
                drop(running);
                // Only after that: whoever wants more from here on begins a sync, or sees it begun.
                if flushed >= durable.wanted.load(Ordering::SeqCst) {
                    return Ok(());
                }
                match Running::begin(&durable) {
                    Some(again) => running = again,
                    None => return Ok(()),
                }
            }
        }))
    }

    /// Returns once everything below `end` is on stable storage; `synced` as for
    /// [`Durable::begin`].
    ///
    /// # Errors
    /// When a sync failed: the directory is offline then; or when the log was cut, and `end` is not
    /// in it any more.
    pub async fn reach(
        self: &Arc<Self>,
        handle: &FlushHandle,
        end: Offset,
        synced: impl Fn() + Clone + Send + 'static,
    ) -> Result<(), StorageError> {
        loop {
            let finished = self.finished.notified();
            if handle.flushed_offset() >= end {
                return Ok(());
            }
            let Some(syncing) = self.begin(handle, end, synced.clone()) else {
                finished.await;
                continue;
            };
            tokio::select! {
                biased;
                result = syncing => match result {
                    Ok(result) => {
                        result?;
                        // All that was in the log is synced.
                        if handle.flushed_offset() < end {
                            let reason = format!("the log was cut below {end}");
                            return Err(StorageError::Offline { reason });
                        }
                    }
                    Err(error) => {
                        let reason = format!("the sync did not run: {error}");
                        return Err(StorageError::Offline { reason });
                    }
                },
                // The thread may go on for others.
                () = finished => {}
            }
        }
    }
}

/// A sync under way. It lives with the sync and not with whoever waits for it: a client may go away
/// at any moment, and others would wait for ever.
struct Running(Arc<Durable>);

impl Running {
    /// Begins one, unless one is under way.
    fn begin(durable: &Arc<Durable>) -> Option<Self> {
        let is_other = durable.is_running.swap(true, Ordering::SeqCst);
        (!is_other).then(|| Self(Arc::clone(durable)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::SeqCst);
        self.0.finished.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::path::Path;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};

    use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Timestamp, Uuid};
    use milena_protocol::record::{BatchBuilder, BatchOptions};
    use milena_storage::{
        AppendContext, DirectoryOptions, Log, LogConfig, LogDirectory, Origin, RealDisk,
    };

    use super::*;

    fn open(root: &Path) -> Log {
        let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(NodeId(1)) };
        let directory = LogDirectory::open(root, options, Arc::new(RealDisk)).unwrap();
        let id = Uuid::from_u128(9 << 64);
        directory.open_log("t", id, PartitionIndex(0), LogConfig::default()).unwrap()
    }

    fn append(log: &mut Log) -> Offset {
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.append(Timestamp(1), None, Some(b"v"), &[]);
        let context = AppendContext {
            leader_epoch: LeaderEpoch(0),
            now: Timestamp(1),
            origin: Origin::Client,
        };
        log.append_as_leader(&batch.build().unwrap(), context).unwrap();
        log.log_end_offset()
    }

    /// What came while a sync ran was synced for those who waited for the next one, and if they
    /// went away it was not visible before somebody else wrote.
    #[tokio::test]
    async fn what_is_wanted_during_a_sync_is_synced_though_nobody_waits() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path());
        let (flush, durable) = (log.flush_handle(), Arc::new(Durable::default()));
        let (began, has_begun) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let end = append(&mut log);
        let syncing = durable.begin(&flush, end, move || {
            began.send(()).unwrap();
            goes_on.recv().unwrap();
        });
        has_begun.recv().unwrap();
        let end = append(&mut log);
        {
            let mut waiting = pin!(durable.reach(&flush, end, || {}));
            let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending));
        }
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        syncing.unwrap().await.unwrap().unwrap();
        assert_eq!(flush.flushed_offset(), end);
    }

    /// Whoever waits for what was cut off would have it synced for ever.
    #[tokio::test]
    async fn what_is_not_in_the_log_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path());
        let end = append(&mut log);
        let durable = Arc::new(Durable::default());
        let waited = durable.reach(&log.flush_handle(), end.plus(1), || {}).await;
        assert!(waited.is_err());
        durable.reach(&log.flush_handle(), end, || {}).await.unwrap();
    }
}
