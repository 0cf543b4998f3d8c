//! The two clocks that come in with every step.
//!
//! Timers run on [`Instant`], which never goes back; what is written into the log or shown to
//! people is stamped with the wall clock, which may.

use std::time::Duration;

use milena_protocol::ids::Timestamp;

/// Milliseconds on a clock that never goes back, from an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// The instant a span later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The span since an earlier instant; nothing where it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// When a step happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers.
    pub instant: Instant,
    /// For what is written and shown.
    pub wall: Timestamp,
}
