//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use milena_protocol::ids::Timestamp;

/// The wall clock: record timestamps and retention only, never a timeout.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl WallClock {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn now(self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as i64)
    }
}
