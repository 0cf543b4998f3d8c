//! How much memory a pass may take and how much IO it may cause.

use std::time::{Duration, Instant};

/// Bytes of one key's entry in the map of offsets.
pub(super) const ENTRY_BYTES: u64 = 24;

/// What one pass may take. It also takes up to three times
/// `PLAIN_LIMIT_BYTES` (in the filter) where batches are compressed: one as it
/// was, one filtered, one compressed again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionBudget {
    /// Bytes for the keys of a pass: `log.cleaner.dedupe.buffer.size` over the threads. A log with
    /// more keys takes more passes.
    pub dedupe_buffer_bytes: u64,
    /// How full they may be: `log.cleaner.io.buffer.load.factor`.
    pub load_factor: f64,
    /// Bytes that are read or written at a time: `log.cleaner.io.buffer.size` over the threads.
    pub io_buffer_bytes: usize,
}

impl Default for CompactionBudget {
    fn default() -> Self {
        Self { dedupe_buffer_bytes: 128 << 20, load_factor: 0.9, io_buffer_bytes: 512 << 10 }
    }
}

impl CompactionBudget {
    /// Entries and how many of them may be used, for a range that has so many keys at most. At
    /// least one key always fits, or no pass would get on.
    pub(super) fn entries(&self, keys_at_most: u64) -> (usize, usize) {
        let load = self.load_factor.clamp(0.1, 0.95);
        let affordable = (self.dedupe_buffer_bytes / ENTRY_BYTES).max(2);
        let wanted = ((keys_at_most as f64 / load) as u64).saturating_add(2);
        let entries = usize::try_from(affordable.min(wanted)).unwrap_or(usize::MAX);
        (entries, ((entries as f64 * load) as usize).clamp(1, entries - 1))
    }

    /// Bytes that are read or written at a time, of what may be had.
    pub(super) fn step_bytes(&self) -> usize {
        (self.io_buffer_bytes / 2).clamp(16 << 10, 64 << 20)
    }
}

/// Spreads IO over time: `log.cleaner.io.max.bytes.per.second`, for everyone who shares it.
///
/// Whoever moved bytes asks how long to rest before moving more. A second's worth may come at
/// once; what is not used is not saved up beyond that.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: f64,
    /// When everything that was moved so far would have been moved at this pace.
    paid_until: Option<Instant>,
}

impl Pace {
    /// At most so many bytes a second.
    #[must_use]
    pub fn new(bytes_per_second: f64) -> Self {
        Self { bytes_per_second, paid_until: None }
    }

    /// Goes on with another limit.
    pub fn set_limit(&mut self, bytes_per_second: f64) {
        self.bytes_per_second = bytes_per_second;
    }

    /// How long to rest after having moved so many bytes.
    pub fn moved(&mut self, now: Instant, bytes: u64) -> Duration {
        const BURST: Duration = Duration::from_secs(1);
        const LONGEST: Duration = Duration::from_secs(3600);
        let seconds = bytes as f64 / self.bytes_per_second.max(1.0);
        let cost = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let paid_until = self.paid_until.map_or(earliest, |at| at.max(earliest)) + cost;
        self.paid_until = Some(paid_until);
        paid_until.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map would take more memory than was stated, or a small log as much as a large one.
    #[test]
    fn the_map_stays_within_its_bytes() {
        let budget = CompactionBudget { dedupe_buffer_bytes: 24_000, ..Default::default() };
        assert_eq!(budget.entries(u64::MAX), (1000, 900));
        assert_eq!(budget.entries(90), (102, 91));
        let none = CompactionBudget { dedupe_buffer_bytes: 0, load_factor: 9.0, ..budget };
        assert_eq!(none.entries(u64::MAX), (2, 1));
    }

    /// The cleaner would take the disk from everyone else.
    #[test]
    fn io_keeps_its_pace() {
        let mut pace = Pace::new(1000.0);
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(pace.moved(start, 1000), Duration::ZERO);
        assert_eq!(pace.moved(start, 500), Duration::from_millis(500));
        assert_eq!(pace.moved(after(500), 1000), Duration::from_secs(1));
        assert_eq!(pace.moved(after(60_000), 1500), Duration::from_millis(500));
        pace.set_limit(f64::MAX);
        assert_eq!(pace.moved(after(90_000), u64::MAX), Duration::ZERO);
    }
}
