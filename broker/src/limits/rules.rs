//! The limits in force: some stand from the start, others follow the metadata.

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::configs::Resolver;

use super::connections::{Allowed, Connections};
use crate::request::Peer;

/// What connections may cost.
#[derive(Debug)]
pub struct Limits {
    max_request_bytes: usize,
    idle_timeout: Duration,
    connections: Arc<Connections>,
}

impl Limits {
    /// The limits of a broker that begins.
    #[must_use]
    pub fn new(max_request_bytes: usize, idle_timeout: Duration, resolver: &Resolver<'_>) -> Self {
        let connections = Connections::new(allowed(resolver));
        Self { max_request_bytes, idle_timeout, connections }
    }

    /// Puts in force what can be changed while the broker runs.
    pub fn follow(&self, resolver: &Resolver<'_>) {
        self.connections.allow(allowed(resolver));
    }

    /// The largest frame that this client may send.
    #[must_use]
    pub fn request_max_bytes(&self, _: &Peer) -> usize {
        self.max_request_bytes
    }

    /// How long a connection may be idle, whatever it is waiting for.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// The connections that are open.
    #[must_use]
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }
}

fn allowed(resolver: &Resolver<'_>) -> Allowed {
    let number = |name| usize::try_from(resolver.broker_number(name)).unwrap_or(usize::MAX);
    Allowed { total: number("max.connections"), per_address: number("max.connections.per.ip") }
}
