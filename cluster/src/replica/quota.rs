//! How many bytes a second replicas that are being moved may take (KIP-73).
//!
//! The rate is Kafka's `SimpleRate`: bytes are counted in samples of one window each; what is in
//! the kept samples is divided by the time since the oldest of them began, and by one window at
//! least. A sample ends with the first bytes that come a window after it began, and is forgotten
//! once nothing came into it for as long as all windows together last. So the rate falls while
//! nothing comes, and what is allowed again is known to the millisecond.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// The least that is given out at once, as a part of what a window allows: whoever waits for room
/// is not called for every byte of it.
const PORTIONS_PER_WINDOW: u128 = 10;

/// What a rate is measured over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How many samples are kept (`replication.quota.window.num`).
    pub count: u32,
    /// How long each lasts (`replication.quota.window.size.seconds`).
    pub size: Duration,
}

impl Default for Windows {
    fn default() -> Self {
        Self { count: 11, size: Duration::from_secs(1) }
    }
}

impl Windows {
    fn size_ms(self) -> u64 {
        u64::try_from(self.size.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// How long bytes count after they came.
    fn memory(self) -> Duration {
        self.size.max(Duration::from_millis(1)).saturating_mul(self.count.max(1))
    }
}

/// What a quota leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// There is no limit.
    Unlimited,
    /// So many bytes, and whole what is larger than that and cannot be divided.
    Bytes(u64),
    /// Nothing before then.
    NothingUntil(Instant),
}

/// The bytes of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    began_at: Instant,
    last_at: Instant,
    bytes: u64,
}

/// The bytes a second that throttled replicas take, and how many they may.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    windows: Windows,
    /// Bytes a second; none where there is no limit.
    limit: Option<u64>,
    /// The oldest first; each began a window after the one before it at the earliest.
    samples: VecDeque<Sample>,
    /// The clock never goes back here, wherever the instants come from.
    latest: Instant,
}

impl Quota {
    /// Without a limit, and nothing counted yet.
    #[must_use]
    pub fn new(windows: Windows) -> Self {
        Self { windows, ..Self::default() }
    }

    /// So many bytes a second from now on; whether that is news. `i64::MAX`, the default of the
    /// rates, means any number.
    pub fn set_limit(&mut self, bytes_per_second: i64) -> bool {
        let limit = u64::try_from(bytes_per_second).unwrap_or(0);
        let limit = (bytes_per_second != i64::MAX).then_some(limit);
        std::mem::replace(&mut self.limit, limit) != limit
    }

    /// Whether there is a limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Counts bytes that went.
    pub fn record(&mut self, now: Instant, bytes: u64) {
        let now = self.forget(now);
        match self.samples.back_mut() {
            Some(sample) if now.since(sample.began_at) < self.windows.size => {
                sample.bytes = sample.bytes.saturating_add(bytes);
                sample.last_at = now;
            }
            _ => self.samples.push_back(Sample { began_at: now, last_at: now, bytes }),
        }
    }

    /// What may go now. Where it is nothing, the instant lies ahead, and something may go then
    /// unless others went first.
    #[must_use]
    pub fn allowance(&mut self, now: Instant) -> Allowance {
        let now = self.forget(now);
        let Some(limit) = self.limit else { return Allowance::Unlimited };
        let Some(oldest) = self.samples.front() else {
            return Allowance::Bytes(
                portion(limit, self.windows).max(self.budget(limit, now, now)),
            );
        };
        let (allowed, taken) = (self.budget(limit, now, oldest.began_at), self.total());
        if taken > allowed {
            return Allowance::NothingUntil(self.allowed_at(limit, now));
        }
        Allowance::Bytes(portion(limit, self.windows).max(allowed - taken))
    }

    /// Bytes a second, as they are measured.
    #[must_use]
    pub fn rate(&mut self, now: Instant) -> f64 {
        let now = self.forget(now);
        let Some(oldest) = self.samples.front() else { return 0.0 };
        let elapsed_ms = self.elapsed_ms(now, oldest.began_at);
        self.total() as f64 * 1_000.0 / elapsed_ms as f64
    }

    /// Forgets what is too old to count; answers what time it is.
    fn forget(&mut self, now: Instant) -> Instant {
        self.latest = self.latest.max(now);
        let (now, memory) = (self.latest, self.windows.memory());
        while self.samples.front().is_some_and(|sample| now.since(sample.last_at) >= memory) {
            self.samples.pop_front();
        }
        self.check_invariants();
        now
    }

    fn total(&self) -> u64 {
        self.samples.iter().fold(0, |total, sample| total.saturating_add(sample.bytes))
    }

    fn elapsed_ms(&self, now: Instant, began_at: Instant) -> u64 {
        let elapsed = u64::try_from(now.since(began_at).as_millis()).unwrap_or(u64::MAX);
        elapsed.max(self.windows.size_ms())
    }

    /// How many bytes a limit allows between two instants, or in a window if that is longer.
    fn budget(&self, limit: u64, now: Instant, began_at: Instant) -> u64 {
        let elapsed_ms = u128::from(self.elapsed_ms(now, began_at));
        u64::try_from(u128::from(limit) * elapsed_ms / 1_000).unwrap_or(u64::MAX)
    }

    /// When the rate is no more above the limit if nothing else goes: the oldest samples are
    /// forgotten one after the other, and between that the time alone lowers the rate.
    fn allowed_at(&self, limit: u64, now: Instant) -> Instant {
        let mut from = now;
        let mut taken = self.total();
        for sample in &self.samples {
            let forgotten_at = sample.last_at.plus(self.windows.memory());
            let falls_at = time_for(taken, limit).map(|span| sample.began_at.plus(span).max(from));
            match falls_at {
                Some(at) if at < forgotten_at => return at.max(Instant(now.0.saturating_add(1))),
                _ => from = forgotten_at,
            }
            taken = taken.saturating_sub(sample.bytes);
            if taken <= self.window_budget(limit) {
                break;
            }
        }
        from.max(Instant(now.0.saturating_add(1)))
    }

    /// What a limit allows however short the time is.
    fn window_budget(&self, limit: u64) -> u64 {
        self.budget(limit, Instant::default(), Instant::default())
    }

    /// Samples begin a window after each other at least, and none is older than what counts.
    ///
    /// # Panics
    /// When that does not hold.
    pub fn check_invariants(&self) {
        let size = self.windows.size;
        let apart = |(one, next): (&Sample, &Sample)| next.began_at.since(one.began_at) >= size;
        assert!(self.samples.iter().zip(self.samples.iter().skip(1)).all(apart));
        assert!(
            self.samples.iter().all(|it| it.began_at <= it.last_at && it.last_at <= self.latest)
        );
    }
}

/// How long a limit needs for so many bytes; nothing where it never allows them.
fn time_for(bytes: u64, limit: u64) -> Option<Duration> {
    let millis = (u128::from(bytes) * 1_000).div_ceil(u128::from(limit.max(1)));
    (limit > 0).then(|| Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

fn portion(limit: u64, windows: Windows) -> u64 {
    let of_a_window = u128::from(limit) * u128::from(windows.size_ms()) / 1_000;
    u64::try_from(of_a_window / PORTIONS_PER_WINDOW).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
