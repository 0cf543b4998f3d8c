//! The open logs of a data directory and the work that its threads do for them.
//!
//! | thread | when | what |
//! |---|---|---|
//! | sync | every second, or when a log's `flush.messages` or `flush.ms` is due | syncs logs with unsynced records; every fifth second writes the ledger |
//! | save | every second, or when a log asks | bounds recovery, puts idle logs to rest, unlinks |
//! | populate | when a log grows | makes pages present ahead of the writer |
//!
//! A failure needs no handling here: it took the directory offline, which everyone sees.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use milena_protocol::ids::{Offset, PartitionIndex};
use parking_lot::Mutex;

use crate::checkpoint::Survives;
use crate::disk::Disk;
use crate::environment::{Environment, LogNumber, SyncCall, TICK};
use crate::error::StorageError;
use crate::ledger::Page;
use crate::state::LogState;

/// Ticks between two writings of the ledger's synced pages.
const LEDGER_TICKS: u32 = 5;
/// From so many unsynced logs on, one `syncfs` costs less than syncing each.
const SYNC_ALL_LOGS: usize = 32;
/// Unsaved bytes that are worth saving at a tick.
const WORTH_SAVING_BYTES: u64 = 256 << 10;
/// Seconds without an append after which a log rests, and without a read after which a sealed
/// segment is unmapped.
const IDLE_SECONDS: u32 = 10;
/// Logs that may be awake, or have mapped segments, before idleness is judged more strictly.
const AWAKE_BUDGET: usize = 16_384;

pub(crate) type LogKey = (Arc<str>, PartitionIndex);

#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) environment: Arc<Environment>,
    logs: Mutex<Logs>,
    unlinks: Mutex<Unlinks>,
}

#[derive(Debug, Default)]
struct Logs {
    by_key: HashMap<LogKey, Weak<LogState>>,
    by_number: HashMap<LogNumber, Weak<LogState>>,
}

/// What is to be unlinked, and when.
#[derive(Debug, Default)]
struct Unlinks {
    /// Directories of deleted logs.
    directories: HashMap<PathBuf, Instant>,
    /// `.deleted` files of logs. A name that is used again counts from the last time.
    files: HashMap<PathBuf, Instant>,
}

impl Registry {
    pub(crate) fn new(environment: Arc<Environment>) -> Self {
        Self { environment, logs: Mutex::default(), unlinks: Mutex::default() }
    }

    pub(crate) fn find(&self, key: &LogKey) -> Option<Arc<LogState>> {
        self.logs.lock().by_key.get(key)?.upgrade()
    }

    pub(crate) fn add(&self, state: &Arc<LogState>) {
        let mut logs = self.logs.lock();
        let key = (Arc::clone(&state.topic), state.partition);
        logs.by_key.insert(key, Arc::downgrade(state));
        logs.by_number.insert(state.number, Arc::downgrade(state));
    }

    pub(crate) fn remove(&self, key: &LogKey) -> Option<Arc<LogState>> {
        let mut logs = self.logs.lock();
        let state = logs.by_key.remove(key)?.upgrade()?;
        logs.by_number.remove(&state.number);
        Some(state)
    }

    pub(crate) fn unlink_directory(&self, path: PathBuf, delay: Duration) {
        let due_at = Instant::now() + delay;
        self.unlinks.lock().directories.insert(path, due_at);
    }

    fn by_numbers(&self, numbers: &[LogNumber]) -> Vec<Arc<LogState>> {
        let logs = self.logs.lock();
        let of = |number: &LogNumber| logs.by_number.get(number).and_then(Weak::upgrade);
        numbers.iter().filter_map(of).filter(|state| !state.is_deleted()).collect()
    }

    fn awake(&self) -> Vec<Arc<LogState>> {
        let numbers = self.environment.attention.awake_logs();
        let states = self.by_numbers(&numbers);
        if states.len() < numbers.len() {
            // Logs that are gone ask for nothing more.
            let alive: HashSet<LogNumber> = states.iter().map(|state| state.number).collect();
            for number in numbers.into_iter().filter(|number| !alive.contains(number)) {
                self.environment.attention.asleep(number);
            }
        }
        states
    }

    /// One round of the sync thread.
    pub(crate) fn sync(&self, writes_ledger: bool) -> Result<(), StorageError> {
        let awake = self.awake();
        let is_dirty = |state: &&Arc<LogState>| state.recovery_point() < state.log_end();
        let dirty: Vec<&Arc<LogState>> = awake.iter().filter(is_dirty).collect();
        if dirty.len() > SYNC_ALL_LOGS {
            self.sync_together(&dirty)?;
        } else {
            for state in &dirty {
                match state.flush(state.log_end()) {
                    Ok(()) | Err(StorageError::Deleted) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if writes_ledger && self.environment.ledger.take_log_start_changed() {
            let written = self.write(Page::LogStart, Survives::Power);
            if written.is_err() {
                self.environment.ledger.log_start_changed();
            }
            written?;
        }
        if writes_ledger && !awake.is_empty() {
            awake.iter().for_each(|state| state.note_marks());
            self.write(Page::RecoveryPoint, Survives::Power)?;
            self.write(Page::HighWatermark, Survives::Process)?;
        }
        Ok(())
    }

    /// Syncs the logs that asked to be synced before the tick.
    fn sync_due(&self, numbers: &[LogNumber]) -> Result<(), StorageError> {
        for state in self.by_numbers(numbers) {
            state.sync_begins();
            match state.flush(state.log_end()) {
                Ok(()) | Err(StorageError::Deleted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync_together(&self, dirty: &[&Arc<LogState>]) -> Result<(), StorageError> {
        let mut begun: Vec<(&Arc<LogState>, Offset)> = Vec::with_capacity(dirty.len());
        let mut refused = Ok(());
        for state in dirty {
            match state.begin_sync_all() {
                Ok(Some(end)) => begun.push((state, end)),
                Ok(None) => {}
                Err(error) => refused = Err(error),
            }
        }
        let environment = &self.environment;
        let synced = environment.disk.sync_all(&environment.root);
        for (state, end) in begun {
            state.end_sync_all(synced.is_ok().then_some(end));
        }
        synced.map_err(|error| environment.health.poison("syncfs", &error))?;
        refused
    }

    pub(crate) fn write(&self, page: Page, survives: Survives) -> Result<(), StorageError> {
        let environment = &self.environment;
        environment.health.check()?;
        let written = environment.ledger.write(&*environment.disk, page, survives);
        environment.judge("write a checkpoint", written)
    }

    /// One round of the save thread; `urgent` logs are saved whatever it is worth.
    pub(crate) fn save(&self, urgent: &[LogNumber]) -> Result<(), StorageError> {
        let mut saved: Vec<Arc<LogState>> = Vec::new();
        let mut save = |state: &Arc<LogState>| match state.save() {
            Ok(()) => {
                saved.push(Arc::clone(state));
                Ok(())
            }
            Err(StorageError::Deleted | StorageError::Full) => Ok(()),
            Err(error) => Err(error),
        };
        self.by_numbers(urgent).iter().try_for_each(&mut save)?;
        if urgent.is_empty() {
            let awake = self.awake();
            let idle_seconds = if awake.len() > AWAKE_BUDGET { 1 } else { IDLE_SECONDS };
            for state in &awake {
                if state.unsaved_bytes() >= WORTH_SAVING_BYTES {
                    save(state)?;
                }
            }
            for state in &awake {
                if matches!(state.rest(idle_seconds), Ok(true)) {
                    saved.push(Arc::clone(state));
                }
            }
            self.unmap_idle();
        }
        if !saved.is_empty() {
            self.write(Page::Tail, Survives::Process)?;
        }
        for state in saved {
            match state.forget_older_saves() {
                Ok(()) | Err(StorageError::Deleted | StorageError::Full) => {}
                Err(error) => return Err(error),
            }
        }
        self.unlink_due(Instant::now());
        Ok(())
    }

    fn unmap_idle(&self) {
        let attention = &self.environment.attention;
        let mapped = self.by_numbers(&attention.take_mapped());
        let idle_seconds = if mapped.len() > AWAKE_BUDGET { 1 } else { IDLE_SECONDS };
        let now = self.environment.seconds();
        for state in mapped {
            let segments = state.segments.load_full();
            let is_awake = state.tail.lock().writer.is_some();
            let sealed = segments.len() - usize::from(is_awake);
            let mut is_left = false;
            for segment in segments.iter().take(sealed) {
                is_left |= !segment.unmap_idle(now, idle_seconds);
            }
            if is_left {
                attention.mapped(state.number);
            }
        }
    }

    /// Unlinks what has waited long enough.
    pub(crate) fn unlink_due(&self, now: Instant) {
        for (number, file) in self.environment.attention.take_discarded() {
            // Of a log that is gone meanwhile, they go with its directory.
            for state in self.by_numbers(&[number]) {
                let delay = state.tail.lock().config.file_delete_delay_ms;
                let due_at = now + Duration::from_millis(delay);
                self.unlinks.lock().files.insert(file.clone(), due_at);
            }
        }
        let mut unlinks = self.unlinks.lock();
        let mut files: Vec<_> = unlinks.files.extract_if(|_, at| *at <= now).collect();
        let mut directories: Vec<_> = unlinks.directories.extract_if(|_, at| *at <= now).collect();
        drop(unlinks);
        // The same steps in the same order each time, for tests that count them.
        files.sort_unstable();
        directories.sort_unstable();
        let disk = &*self.environment.disk;
        // What cannot be unlinked now is found again at the next start.
        for (path, _) in files {
            let _ = disk.remove_file(&path);
        }
        for (path, _) in directories {
            let _ = remove_log(disk, &path);
        }
    }

    pub(crate) fn run_sync(&self) {
        self.keep_reserve();
        let mut ticks = 0u32;
        let mut tick_at = Instant::now() + TICK;
        loop {
            match self.environment.attention.wait_sync(tick_at) {
                SyncCall::Stop => return,
                SyncCall::Due(logs) => {
                    let _ = self.sync_due(&logs);
                }
                SyncCall::Tick => {
                    ticks = ticks.wrapping_add(1);
                    let is_ledgers = ticks.is_multiple_of(LEDGER_TICKS);
                    let _ = self.sync(is_ledgers);
                    if is_ledgers {
                        self.keep_reserve();
                    }
                    tick_at = Instant::now() + TICK;
                }
            }
        }
    }

    fn keep_reserve(&self) {
        let environment = &self.environment;
        environment.reserve.keep(&environment.root, &*environment.disk);
    }

    pub(crate) fn run_save(&self) {
        let attention = &self.environment.attention;
        let mut ticked_at = Instant::now();
        while !attention.is_stopping() {
            let urgent = attention.wait_urgent(TICK);
            if attention.is_stopping() {
                break;
            }
            let _ = self.save(&urgent);
            if !urgent.is_empty() && ticked_at.elapsed() >= TICK {
                let _ = self.save(&[]);
            }
            if ticked_at.elapsed() >= TICK {
                ticked_at = Instant::now();
            }
        }
    }

    pub(crate) fn run_populate(&self) {
        while let Some(populate) = self.environment.attention.next_populate() {
            if let Some(map) = populate.map.upgrade() {
                map.populate(populate.range);
            }
        }
    }
}

/// Removes the directory of a log and the files in it. No log holds a directory: where there is
/// one, somebody else put it there, and all of it is left alone.
fn remove_log(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let entries = disk.list(path)?;
    if entries.iter().any(|entry| entry.is_directory) {
        return Err(io::Error::other("a log holds no directories"));
    }
    for entry in entries {
        disk.remove_file(&path.join(&entry.name))?;
    }
    disk.remove_directory(path)
}
