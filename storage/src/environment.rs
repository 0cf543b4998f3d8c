//! What all logs of one data directory share: the disk, its health, descriptors, and the queues
//! through which a log asks the directory's threads for work.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::descriptors::Descriptors;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::health::Health;
use crate::ledger::Ledger;
use crate::map::SegmentMap;
use crate::reserve::Reserve;

/// How often everything that is unsynced is synced.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// A log's number within its directory, for the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LogNumber(pub(crate) u64);

#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) root: PathBuf,
    pub(crate) descriptors: Descriptors,
    pub(crate) health: Health,
    pub(crate) attention: Attention,
    /// Space that only deletes and internal logs may use, so that a full disk has a way back.
    pub(crate) reserve_bytes: u64,
    pub(crate) reserve: Reserve,
    pub(crate) ledger: Ledger,
    started: Instant,
    next_log: AtomicU64,
}

impl Environment {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        descriptors: usize,
        reserve_bytes: u64,
        reserve: Reserve,
        ledger: Ledger,
        vouchers: Vec<PathBuf>,
    ) -> Self {
        Self {
            health: Health::new(Arc::clone(&disk), vouchers),
            disk,
            root,
            descriptors: Descriptors::new(descriptors),
            attention: Attention::default(),
            reserve_bytes,
            reserve,
            ledger,
            started: Instant::now(),
            next_log: AtomicU64::new(0),
        }
    }

    /// Seconds since the directory was opened.
    pub(crate) fn seconds(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    pub(crate) fn next_log(&self) -> LogNumber {
        LogNumber(self.next_log.fetch_add(1, Ordering::Relaxed))
    }

    /// Does what must not fail for want of space: where there is none, once more with the space
    /// that was kept for this.
    pub(crate) fn with_reserve<T>(
        &self,
        work: impl Fn() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match work() {
            Err(StorageError::Full) if self.reserve.give_up(&*self.disk) => work(),
            result => result,
        }
    }

    /// Turns the result of a disk operation into ours; a failure is judged by [`Health`].
    pub(crate) fn judge<T>(
        &self,
        operation: &'static str,
        result: std::io::Result<T>,
    ) -> Result<T, StorageError> {
        result.map_err(|error| self.health.failed(operation, &error))
    }
}

/// Requests from logs to the directory's threads.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    requests: Mutex<Requests>,
    changed: Condvar,
    syncs: Mutex<Syncs>,
    syncs_changed: Condvar,
    populate: Mutex<Vec<Populate>>,
    populate_changed: Condvar,
}

#[derive(Debug, Default)]
struct Requests {
    /// Logs with an attached writer.
    awake: HashSet<LogNumber>,
    /// Logs with mapped segments that could be unmapped.
    mapped: HashSet<LogNumber>,
    /// Logs that have much to lose should the process die now: their recovery would be long.
    urgent: HashSet<LogNumber>,
    /// Files that were renamed to `.deleted`, by their logs.
    discarded: Vec<(LogNumber, PathBuf)>,
    stopping: bool,
}

/// Logs that must be synced sooner than everything is, and by when.
#[derive(Debug, Default)]
struct Syncs {
    due_at: HashMap<LogNumber, Instant>,
    stopping: bool,
}

/// Why the thread that syncs went to work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SyncCall {
    /// Its time has come: everything is synced.
    Tick,
    /// These logs are due.
    Due(Vec<LogNumber>),
    /// The directory closes.
    Stop,
}

/// Pages to be made present before the writer needs them.
#[derive(Debug)]
pub(crate) struct Populate {
    pub(crate) map: Weak<SegmentMap>,
    pub(crate) range: Range<usize>,
}

impl Attention {
    pub(crate) fn awake(&self, log: LogNumber) {
        self.requests.lock().awake.insert(log);
    }

    pub(crate) fn asleep(&self, log: LogNumber) {
        self.requests.lock().awake.remove(&log);
    }

    pub(crate) fn mapped(&self, log: LogNumber) {
        self.requests.lock().mapped.insert(log);
    }

    pub(crate) fn discarded(&self, log: LogNumber, file: PathBuf) {
        self.requests.lock().discarded.push((log, file));
    }

    /// Files that were renamed to `.deleted` since the last call.
    pub(crate) fn take_discarded(&self) -> Vec<(LogNumber, PathBuf)> {
        std::mem::take(&mut self.requests.lock().discarded)
    }

    pub(crate) fn urgent(&self, log: LogNumber) {
        let mut requests = self.requests.lock();
        if requests.urgent.insert(log) {
            self.changed.notify_all();
        }
    }

    /// Asks for a log to be synced by then.
    pub(crate) fn sync_by(&self, log: LogNumber, due_at: Instant) {
        let mut syncs = self.syncs.lock();
        let known = syncs.due_at.entry(log).or_insert(due_at);
        *known = due_at.min(*known);
        self.syncs_changed.notify_all();
    }

    /// Waits until a log is due to be synced, the tick has come or the directory closes.
    pub(crate) fn wait_sync(&self, tick_at: Instant) -> SyncCall {
        let mut syncs = self.syncs.lock();
        loop {
            if syncs.stopping {
                return SyncCall::Stop;
            }
            let now = Instant::now();
            if now >= tick_at {
                return SyncCall::Tick;
            }
            let mut due: Vec<_> = syncs.due_at.extract_if(|_, due_at| *due_at <= now).collect();
            if !due.is_empty() {
                due.sort_unstable();
                return SyncCall::Due(due.into_iter().map(|(log, _)| log).collect());
            }
            let next = syncs.due_at.values().min().map_or(tick_at, |due_at| tick_at.min(*due_at));
            self.syncs_changed.wait_until(&mut syncs, next);
        }
    }

    pub(crate) fn populate(&self, request: Populate) {
        self.populate.lock().push(request);
        self.populate_changed.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.requests.lock().stopping = true;
        self.changed.notify_all();
        self.syncs.lock().stopping = true;
        self.syncs_changed.notify_all();
        // Under the lock, so that the populating thread cannot miss it between test and wait.
        let _queue = self.populate.lock();
        self.populate_changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.requests.lock().stopping
    }

    /// Logs with an attached writer.
    pub(crate) fn awake_logs(&self) -> Vec<LogNumber> {
        let mut logs: Vec<_> = self.requests.lock().awake.iter().copied().collect();
        logs.sort_unstable();
        logs
    }

    /// Logs that mapped something since the last call.
    pub(crate) fn take_mapped(&self) -> Vec<LogNumber> {
        std::mem::take(&mut self.requests.lock().mapped).into_iter().collect()
    }

    /// Waits until a log is urgent, the time is over or the directory closes.
    pub(crate) fn wait_urgent(&self, at_most: Duration) -> Vec<LogNumber> {
        let deadline = Instant::now() + at_most;
        let mut requests = self.requests.lock();
        while requests.urgent.is_empty() && !requests.stopping {
            if self.changed.wait_until(&mut requests, deadline).timed_out() {
                break;
            }
        }
        std::mem::take(&mut requests.urgent).into_iter().collect()
    }

    /// Waits for pages to populate; `None` when the directory closes.
    pub(crate) fn next_populate(&self) -> Option<Populate> {
        let mut queue = self.populate.lock();
        loop {
            if self.is_stopping() {
                return None;
            }
            if !queue.is_empty() {
                return Some(queue.remove(0));
            }
            self.populate_changed.wait(&mut queue);
        }
    }
}
