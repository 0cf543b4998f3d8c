//! What clients may cost this broker.

pub mod budget;

use std::time::Duration;

use crate::request::Peer;

/// What connections may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame.
    pub max_request_bytes: usize,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// How many connections there may be.
    pub max_connections: usize,
}

impl Limits {
    /// The largest frame that this client may send.
    #[must_use]
    pub fn request_max_bytes(&self, _: &Peer) -> usize {
        self.max_request_bytes
    }

    /// Whether one more connection is let in.
    #[must_use]
    pub fn admits_connection(&self, open: usize) -> bool {
        open < self.max_connections
    }
}
