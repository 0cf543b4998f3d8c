//! What is counted while a measurement runs, and the line of progress that shows it.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::AbortHandle;

use crate::cli::output::{shown_bytes, shown_count};

/// Longer waits are counted as this long, in microseconds.
const LONGEST_US: u64 = 120_000_000;
/// Significant digits of what is counted.
const DIGITS: u8 = 3;

/// Counts that several tasks add to.
#[derive(Debug)]
pub struct Meter {
    count: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    waits: Mutex<Waits>,
}

#[derive(Debug)]
struct Waits {
    all: Histogram<u64>,
    /// Since the last line of progress.
    recent: Histogram<u64>,
}

impl Meter {
    /// Nothing yet.
    pub fn new() -> Arc<Self> {
        let empty = || {
            Histogram::new_with_bounds(1, LONGEST_US, DIGITS)
                .expect("the bounds are in order and the digits at most five")
        };
        Arc::new(Self {
            count: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            waits: Mutex::new(Waits { all: empty(), recent: empty() }),
        })
    }

    /// So many more, of so many bytes together.
    pub fn add(&self, count: u64, bytes: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One more took so long.
    pub fn took(&self, wait: Duration) {
        let us = u64::try_from(wait.as_micros()).unwrap_or(LONGEST_US);
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.all.saturating_record(us);
        waits.recent.saturating_record(us);
    }

    /// So many more failed.
    pub fn failed(&self, count: u64) {
        self.failed.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How many bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many failed so far.
    pub fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// How long each took.
    pub fn waits(&self) -> Histogram<u64> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    fn take_recent(&self) -> Histogram<u64> {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = waits.recent.clone();
        waits.recent.reset();
        recent
    }
}

/// Waits until something is due, to within tens of microseconds: a runtime's timers are a hundred
/// times coarser. Holds its thread, so only for tasks that have one to themselves.
pub fn wait_until(due: tokio::time::Instant) {
    let left = due.saturating_duration_since(tokio::time::Instant::now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

/// Runs a task that holds its thread.
pub async fn on_own_thread<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> std::io::Result<T> {
    let runtime = tokio::runtime::Handle::current();
    let ended = tokio::task::spawn_blocking(move || runtime.block_on(task)).await;
    ended.map_err(std::io::Error::other)
}

/// A line of progress every second, on standard error where people look at it; ends when dropped.
pub struct Progress(Option<AbortHandle>);

impl Progress {
    /// Begins to show a meter.
    pub fn show(meter: &Arc<Meter>, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let meter = Arc::clone(meter);
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let mut second = tokio::time::interval(Duration::from_secs(1));
            second.tick().await;
            let (mut count, mut bytes) = (meter.count(), meter.bytes());
            loop {
                second.tick().await;
                let (now, now_bytes) = (meter.count(), meter.bytes());
                let line = line(began, now - count, now_bytes - bytes, &meter);
                (count, bytes) = (now, now_bytes);
                // Progress that cannot be shown is no reason to stop.
                let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
            }
        });
        Self(Some(task.abort_handle()))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(began: Instant, count: u64, bytes: u64, meter: &Meter) -> String {
    let recent = meter.take_recent();
    let mut line = format!(
        "{:>4} s  {:>11}/s  {:>10}/s",
        began.elapsed().as_secs(),
        shown_count(count as i64),
        shown_bytes(bytes as i64)
    );
    if !recent.is_empty() {
        let ms = |quantile| recent.value_at_quantile(quantile) as f64 / 1e3;
        let (p50, p99, max) = (ms(0.5), ms(0.99), recent.max() as f64 / 1e3);
        line.push_str(&format!("  p50 {p50:.2} ms  p99 {p99:.2} ms  max {max:.2} ms"));
    }
    match meter.failures() {
        0 => line,
        failures => format!("{line}  {failures} failed"),
    }
}
