//! The two clocks: the wall clock, and one that never goes back.

use std::time::{SystemTime, UNIX_EPOCH};

use milena_cluster::time::Instant;
use milena_protocol::ids::Timestamp;

/// The wall clock: record timestamps and retention only, never a timeout.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl WallClock {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn now(self) -> Timestamp {
        #[cfg(feature = "simulation")]
        if let Some(since) = turmoil::since_epoch() {
            return Timestamp(since.as_millis() as i64);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as i64)
    }
}

/// The clock of the machines' timers.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    began: tokio::time::Instant,
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self { began: tokio::time::Instant::now() }
    }
}

impl SteadyClock {
    /// The machines' instant.
    #[must_use]
    pub fn now(self) -> Instant {
        Instant::default().plus(self.began.elapsed())
    }

    /// When a machine's instant is, for a timer.
    #[must_use]
    pub fn at(self, instant: Instant) -> tokio::time::Instant {
        self.began + std::time::Duration::from_millis(instant.0)
    }
}
