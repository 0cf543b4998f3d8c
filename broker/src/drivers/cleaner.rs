//! Compaction in the background: threads that each compact the dirtiest log, one after the other.
//!
//! Which log needs it, and how far it may go, is `storage`'s to say. Memory and IO are shared
//! between the threads: `log.cleaner.dedupe.buffer.size` and `log.cleaner.io.buffer.size` are
//! divided, `log.cleaner.io.max.bytes.per.second` holds for all together. All settings but
//! `log.cleaner.enable` may be changed while they run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena_cluster::configs::Resolver;
use milena_protocol::ids::{PartitionIndex, Uuid};
use milena_storage::{
    Assessment, CompactError, Compacted, Compaction, CompactionBudget, Pace, StorageError,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::blocking;
use crate::broker::Broker;

/// Most threads that compact.
const MAX_THREADS: usize = 64;
/// The shortest rest of a thread that found nothing to do.
const MIN_BACKOFF: Duration = Duration::from_millis(1);

/// A partition, whatever its log is at the moment.
type Key = (Uuid, PartitionIndex);

/// What the threads share.
struct Cleaner {
    pace: Mutex<Pace>,
    logs: Mutex<Logs>,
}

#[derive(Default)]
struct Logs {
    /// Logs that a thread is at.
    taken: BTreeSet<Key>,
    /// Logs that cannot be compacted: trying again is of no use before the next start.
    uncleanable: BTreeSet<Key>,
}

/// What is configured at the moment.
#[derive(Clone, Copy, Debug)]
struct Settings {
    threads: usize,
    backoff: Duration,
    budget: CompactionBudget,
    bytes_per_second: f64,
}

impl Settings {
    fn now(broker: &Broker) -> Self {
        let image = broker.metadata.image_owned();
        let static_values = broker.config.static_values();
        let resolver = Resolver { node: broker.node_id, static_values, image: &image };
        let number = |name| u64::try_from(resolver.broker_number(name)).unwrap_or(0);
        let real = |name, default| {
            let text = resolver.broker_text(name);
            text.and_then(|text| text.trim().parse::<f64>().ok()).unwrap_or(default)
        };
        let threads = usize::try_from(number("log.cleaner.threads")).unwrap_or(usize::MAX);
        let threads = threads.min(MAX_THREADS);
        let share = threads.max(1) as u64;
        let io_buffer_bytes = number("log.cleaner.io.buffer.size") / share;
        Self {
            threads,
            backoff: Duration::from_millis(number("log.cleaner.backoff.ms")).max(MIN_BACKOFF),
            budget: CompactionBudget {
                dedupe_buffer_bytes: number("log.cleaner.dedupe.buffer.size") / share,
                load_factor: real("log.cleaner.io.buffer.load.factor", 0.9),
                io_buffer_bytes: usize::try_from(io_buffer_bytes).unwrap_or(usize::MAX),
            },
            bytes_per_second: real("log.cleaner.io.max.bytes.per.second", f64::MAX),
        }
    }
}

/// Keeps as many threads at work as are configured, until the runtime ends.
pub async fn compact(broker: Arc<Broker>) {
    let enabled = broker.config.static_values().get("log.cleaner.enable");
    if enabled.is_some_and(|enabled| enabled.trim().eq_ignore_ascii_case("false")) {
        return;
    }
    let cleaner =
        Arc::new(Cleaner { pace: Mutex::new(Pace::new(f64::MAX)), logs: Mutex::default() });
    let mut threads = JoinSet::new();
    loop {
        let settings = Settings::now(&broker);
        while threads.len() < settings.threads {
            threads.spawn(work(broker.clone(), cleaner.clone(), threads.len()));
        }
        tokio::time::sleep(settings.backoff).await;
        while let Some(ended) = threads.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "compaction stopped");
                return;
            }
        }
    }
}

/// One thread: it ends when fewer are configured.
async fn work(broker: Arc<Broker>, cleaner: Arc<Cleaner>, number: usize) {
    loop {
        let settings = Settings::now(&broker);
        if number >= settings.threads {
            return;
        }
        let (broker, cleaner) = (broker.clone(), cleaner.clone());
        let turn = blocking::spawn(move || cleaner.turn(&broker, &settings));
        match turn.await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(settings.backoff).await,
            Err(error) => {
                tracing::error!(%error, "compaction stopped");
                return;
            }
        }
    }
}

impl Cleaner {
    /// Compacts the dirtiest log; whether there was one and it went well.
    fn turn(&self, broker: &Broker, settings: &Settings) -> bool {
        let Some((key, compaction)) = self.take(broker) else { return false };
        self.pace.lock().set_limit(settings.bytes_per_second);
        let began = Instant::now();
        let now = broker.clock.now();
        let result = compaction.compact(&settings.budget, now, &mut |bytes| {
            let rest = self.pace.lock().moved(Instant::now(), bytes);
            std::thread::sleep(rest);
            true
        });
        let went_well = match result {
            Ok(Some(done)) => {
                told(&compaction, &done, began.elapsed());
                broker.metrics.compacted(&done);
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.failed(key, &compaction, &error);
                false
            }
        };
        let mut logs = self.logs.lock();
        logs.taken.remove(&key);
        broker.metrics.set_uncleanable(logs.uncleanable.len());
        went_well
    }

    /// Takes the dirtiest log that is due and that nobody is at.
    fn take(&self, broker: &Broker) -> Option<(Key, Compaction)> {
        let now = broker.clock.now();
        let mut dirtiest: Option<(Key, Compaction, f64)> = None;
        let mut dirtiest_ratio = 0f64;
        let mut there = BTreeSet::new();
        let mut logs = self.logs.lock();
        for partition in broker.replicas.all() {
            let key = (partition.topic_id(), partition.index());
            there.insert(key);
            if logs.taken.contains(&key) || logs.uncleanable.contains(&key) {
                continue;
            }
            let compaction = partition.compaction();
            let assessed = compaction.roll_if_overdue(now).and_then(|_| compaction.assess(now));
            let assessment: Assessment = match assessed {
                Ok(Some(assessment)) => assessment,
                Ok(None) => continue,
                Err(error) => {
                    logs.failed(key, compaction, &error);
                    continue;
                }
            };
            let ratio = assessment.dirty_ratio();
            dirtiest_ratio = dirtiest_ratio.max(ratio);
            let is_dirtier = dirtiest.as_ref().is_none_or(|(_, _, most)| ratio > *most);
            if assessment.is_due() && is_dirtier {
                dirtiest = Some((key, compaction.clone(), ratio));
            }
        }
        logs.uncleanable.retain(|key| there.contains(key));
        broker.metrics.set_uncleanable(logs.uncleanable.len());
        broker.metrics.set_dirtiest(dirtiest_ratio);
        let (key, compaction, _) = dirtiest?;
        logs.taken.insert(key);
        Some((key, compaction))
    }

    fn failed(&self, key: Key, compaction: &Compaction, error: &CompactError) {
        self.logs.lock().failed(key, compaction, error);
    }
}

impl Logs {
    /// Says what went wrong with a log, and gives it up where trying again is of no use.
    fn failed(&mut self, key: Key, compaction: &Compaction, error: &CompactError) {
        let (topic, partition) = (compaction.topic(), compaction.partition());
        match error {
            CompactError::Damaged { .. } | CompactError::TooLarge { .. } => {
                self.uncleanable.insert(key);
                tracing::warn!(topic, %partition, %error, "the log cannot be compacted");
            }
            // A directory that is offline has been told of, and is for every log in it.
            CompactError::Storage(StorageError::Deleted | StorageError::Offline { .. }) => {}
            CompactError::Disturbed | CompactError::Stopped => {
                tracing::debug!(topic, %partition, %error, "compaction was interrupted");
            }
            CompactError::Storage(_) => {
                tracing::warn!(topic, %partition, %error, "compaction failed");
            }
        }
    }
}

fn told(compaction: &Compaction, done: &Compacted, took: Duration) {
    tracing::info!(
        topic = compaction.topic(),
        partition = %compaction.partition(),
        first_dirty_offset = %done.first_dirty_offset,
        keys = done.keys,
        before_bytes = done.before_bytes,
        after_bytes = done.after_bytes,
        before_segments = done.before_segments,
        after_segments = done.after_segments,
        ?took,
        "compacted"
    );
}
