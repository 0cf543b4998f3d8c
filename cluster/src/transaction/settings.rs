//! What is configured for transactions.

use std::time::Duration;

/// What is configured for transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `transaction.max.timeout.ms`: the longest timeout that a producer may ask for.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`: how long an id that nobody uses is remembered.
    pub id_expiration: Duration,
    /// The finalized level of `transaction.version`: 0 writes records without tagged fields, and 2
    /// raises the epoch where the coordinator itself ends a transaction.
    pub transaction_version: i16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_timeout_ms: 900_000,
            id_expiration: Duration::from_secs(7 * 24 * 3600),
            transaction_version: 2,
        }
    }
}
