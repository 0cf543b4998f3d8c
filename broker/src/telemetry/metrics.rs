//! Counters on the road of a request.
//!
//! Counting costs a few relaxed additions and allocates nothing: an API has its slot by number, a
//! topic its entry from the first time it is seen. Topics beyond [`MAX_TOPICS`] share one entry,
//! so that whoever creates topics cannot fill the memory with counters.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use milena_protocol::api::ApiKey;
use milena_storage::Compacted;
use parking_lot::{Mutex, RwLock};

use super::process;

/// Topics that are counted one by one.
pub const MAX_TOPICS: usize = 1_000;

/// More than the highest API key.
const API_SLOTS: usize = 128;

/// Upper bounds of the classes of request durations, in microseconds.
pub const DURATION_BOUNDS_US: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000,
];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of one API.
#[derive(Debug, Default)]
pub struct ApiCounts {
    /// Requests that were answered.
    pub requests: Count,
    /// Requests that were answered with an error code for the whole of them, or not at all.
    pub errors: Count,
    /// Bytes of the requests' frames.
    pub request_bytes: Count,
    /// Bytes of the answers' frames.
    pub response_bytes: Count,
    /// From the whole frame to the whole answer, in microseconds.
    pub duration_us: Count,
    /// Requests by duration, one class more than there are bounds.
    pub durations: [Count; DURATION_BOUNDS_US.len() + 1],
}

/// What is counted of one topic, and of all together.
#[derive(Debug, Default)]
pub struct TopicCounts {
    /// Records that were appended for clients.
    pub messages_in: Count,
    /// Their bytes.
    pub bytes_in: Count,
    /// Bytes that clients fetched.
    pub bytes_out: Count,
    /// Produces to a partition.
    pub produce_requests: Count,
    /// Fetches from a partition.
    pub fetch_requests: Count,
    /// Produces to a partition that failed.
    pub failed_produce_requests: Count,
    /// Fetches from a partition that failed.
    pub failed_fetch_requests: Count,
}

/// What is counted of compaction.
#[derive(Debug, Default)]
pub struct CompactionCounts {
    /// Passes that went through.
    pub passes: Count,
    /// Bytes that they read.
    pub read_bytes: Count,
    /// Bytes that they wrote, or found good as they were.
    pub kept_bytes: Count,
    /// Bytes that they took away.
    pub removed_bytes: Count,
    uncleanable: AtomicUsize,
    dirtiest_percent: AtomicUsize,
}

impl CompactionCounts {
    /// Logs that cannot be compacted.
    #[must_use]
    pub fn uncleanable(&self) -> usize {
        self.uncleanable.load(Ordering::Relaxed)
    }

    /// The dirty part of the dirtiest log, in percent.
    #[must_use]
    pub fn dirtiest_percent(&self) -> usize {
        self.dirtiest_percent.load(Ordering::Relaxed)
    }
}

/// The counters of a node; a clone counts into the same ones.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counters>);

impl Metrics {
    /// Counters at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl std::ops::Deref for Metrics {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.0
    }
}

/// The counters themselves.
#[derive(Debug)]
pub struct Counters {
    /// By API key.
    apis: Box<[ApiCounts]>,
    all_topics: TopicCounts,
    topics: RwLock<HashMap<Box<str>, Arc<TopicCounts>>>,
    other_topics: Arc<TopicCounts>,
    /// What compaction did.
    pub compaction: CompactionCounts,
    connections: AtomicUsize,
    connections_opened: Count,
    connections_refused: Count,
    idle: Mutex<IdleSample>,
    started_at_unix_seconds: f64,
}

#[derive(Debug)]
struct IdleSample {
    at: Instant,
    cpu: Duration,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            apis: (0..API_SLOTS).map(|_| ApiCounts::default()).collect(),
            all_topics: TopicCounts::default(),
            topics: RwLock::default(),
            other_topics: Arc::default(),
            compaction: CompactionCounts::default(),
            connections: AtomicUsize::new(0),
            connections_opened: Count::default(),
            connections_refused: Count::default(),
            idle: Mutex::new(IdleSample { at: Instant::now(), cpu: process::cpu_time() }),
            started_at_unix_seconds: process::unix_seconds(),
        }
    }
}

impl Counters {
    /// A log was compacted.
    pub fn compacted(&self, done: &Compacted) {
        let counts = &self.compaction;
        counts.passes.add(1);
        counts.read_bytes.add(done.read_bytes);
        counts.kept_bytes.add(done.after_bytes);
        counts.removed_bytes.add(done.before_bytes.saturating_sub(done.after_bytes));
    }

    /// So many logs cannot be compacted.
    pub fn set_uncleanable(&self, logs: usize) {
        self.compaction.uncleanable.store(logs, Ordering::Relaxed);
    }

    /// Which part of the dirtiest log was never compacted.
    pub fn set_dirtiest(&self, ratio: f64) {
        let percent = (ratio * 100.0) as usize;
        self.compaction.dirtiest_percent.store(percent, Ordering::Relaxed);
    }

    /// A request was answered with so many bytes; 0 where nothing was sent.
    pub fn request(
        &self,
        key: ApiKey,
        duration: Duration,
        request_bytes: usize,
        response_bytes: usize,
    ) {
        let Some(api) = self.api(key) else { return };
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        api.requests.add(1);
        api.request_bytes.add(request_bytes as u64);
        api.response_bytes.add(response_bytes as u64);
        api.duration_us.add(duration_us);
        let class = DURATION_BOUNDS_US.partition_point(|bound| *bound < duration_us);
        if let Some(count) = api.durations.get(class) {
            count.add(1);
        }
    }

    /// A request was answered with an error for the whole of it, or its connection was closed.
    pub fn request_failed(&self, key: ApiKey) {
        if let Some(api) = self.api(key) {
            api.errors.add(1);
        }
    }

    /// A client's batch was appended.
    pub fn produced(&self, topic: &str, records: u64, bytes: usize) {
        self.count(topic, |counts| {
            counts.produce_requests.add(1);
            counts.messages_in.add(records);
            counts.bytes_in.add(bytes as u64);
        });
    }

    /// A client's batch was refused.
    pub fn failed_produce(&self, topic: &str) {
        self.count(topic, |counts| {
            counts.produce_requests.add(1);
            counts.failed_produce_requests.add(1);
        });
    }

    /// A client was given so many bytes of a partition.
    pub fn fetched(&self, topic: &str, bytes: usize) {
        self.count(topic, |counts| {
            counts.fetch_requests.add(1);
            counts.bytes_out.add(bytes as u64);
        });
    }

    /// A client was refused a partition's records.
    pub fn failed_fetch(&self, topic: &str) {
        self.count(topic, |counts| {
            counts.fetch_requests.add(1);
            counts.failed_fetch_requests.add(1);
        });
    }

    /// A topic is gone; its figures go too.
    pub fn forget_topic(&self, topic: &str) {
        self.topics.write().remove(topic);
    }

    /// A connection was accepted.
    pub fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connections_opened.add(1);
    }

    /// A connection is gone.
    pub fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A connection was not let in.
    pub fn connection_refused(&self) {
        self.connections_refused.add(1);
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Connections that were ever opened.
    #[must_use]
    pub fn connections_opened(&self) -> u64 {
        self.connections_opened.now()
    }

    /// Connections that were not let in.
    #[must_use]
    pub fn connections_refused(&self) -> u64 {
        self.connections_refused.now()
    }

    /// What was counted of one API.
    #[must_use]
    pub fn api(&self, key: ApiKey) -> Option<&ApiCounts> {
        self.apis.get(usize::try_from(key as i16).ok()?)
    }

    /// What was counted of all topics together.
    #[must_use]
    pub fn all_topics(&self) -> &TopicCounts {
        &self.all_topics
    }

    /// What was counted topic by topic, in the order of their names. The topics beyond
    /// [`MAX_TOPICS`] are left out.
    #[must_use]
    pub fn topics(&self) -> Vec<(String, Arc<TopicCounts>)> {
        let mut topics: Vec<_> = self
            .topics
            .read()
            .iter()
            .map(|(topic, counts)| (topic.to_string(), counts.clone()))
            .collect();
        topics.sort_by(|a, b| a.0.cmp(&b.0));
        topics
    }

    /// When this node started, in seconds since 1970.
    #[must_use]
    pub fn started_at_unix_seconds(&self) -> f64 {
        self.started_at_unix_seconds
    }

    /// The part of all processors' time that this process left alone since it was asked last,
    /// from 0 to 1.
    #[must_use]
    pub fn idle_ratio(&self) -> f64 {
        let now = IdleSample { at: Instant::now(), cpu: process::cpu_time() };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut last = self.idle.lock();
        let elapsed = now.at.saturating_duration_since(last.at).as_secs_f64();
        let used = now.cpu.saturating_sub(last.cpu).as_secs_f64();
        *last = now;
        if elapsed <= 0.0 {
            return 1.0;
        }
        (1.0 - used / (elapsed * processors as f64)).clamp(0.0, 1.0)
    }

    fn count(&self, topic: &str, add: impl Fn(&TopicCounts)) {
        add(&self.all_topics);
        if let Some(counts) = self.topics.read().get(topic) {
            add(counts);
            return;
        }
        add(&self.enter(topic));
    }

    fn enter(&self, topic: &str) -> Arc<TopicCounts> {
        let mut topics = self.topics.write();
        if topics.len() >= MAX_TOPICS && !topics.contains_key(topic) {
            return self.other_topics.clone();
        }
        topics.entry(topic.into()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dashboards would show other figures than what clients did.
    #[test]
    fn what_happens_is_counted() {
        let metrics = Metrics::new();
        metrics.produced("a", 3, 300);
        metrics.produced("b", 1, 100);
        metrics.failed_produce("a");
        metrics.fetched("a", 50);
        metrics.failed_fetch("b");
        assert_eq!(metrics.all_topics().messages_in.now(), 4);
        assert_eq!(metrics.all_topics().produce_requests.now(), 3);
        let topics = metrics.topics();
        assert_eq!(topics[0].0, "a");
        assert_eq!(topics[0].1.bytes_in.now(), 300);
        assert_eq!(topics[0].1.failed_produce_requests.now(), 1);
        assert_eq!(topics[1].1.failed_fetch_requests.now(), 1);
        metrics.forget_topic("a");
        assert_eq!(metrics.topics().len(), 1);
    }

    /// A client that creates topics without end would fill the memory with counters.
    #[test]
    fn topics_are_capped() {
        let metrics = Metrics::new();
        for index in 0..MAX_TOPICS + 50 {
            metrics.produced(&format!("topic-{index}"), 1, 10);
        }
        assert_eq!(metrics.topics().len(), MAX_TOPICS);
        assert_eq!(metrics.all_topics().messages_in.now(), MAX_TOPICS as u64 + 50);
    }

    /// A slow request would be filed with the fast ones.
    #[test]
    fn durations_fall_into_their_class() {
        let metrics = Metrics::new();
        for micros in [1, 50, 51, 1_000_000, 1_000_001, 90_000_000] {
            metrics.request(ApiKey::Fetch, Duration::from_micros(micros), 10, 20);
        }
        let api = metrics.api(ApiKey::Fetch).unwrap();
        let counts: Vec<_> = api.durations.iter().map(Count::now).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(api.requests.now(), 6);
        assert_eq!(api.response_bytes.now(), 120);
    }

    /// The limit of connections would be applied to connections that are gone.
    #[test]
    fn connections_come_and_go() {
        let metrics = Metrics::new();
        metrics.connection_opened();
        metrics.connection_opened();
        metrics.connection_closed();
        assert_eq!((metrics.connections(), metrics.connections_opened()), (1, 2));
    }

    /// A busy node would look idle.
    #[test]
    fn idle_is_a_ratio() {
        let metrics = Metrics::new();
        let idle = metrics.idle_ratio();
        assert!((0.0..=1.0).contains(&idle), "{idle}");
    }
}
