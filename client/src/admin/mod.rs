//! Administration: topics, configurations, offsets and the cluster itself.
//!
//! What is asked for several things at once is answered for each: the outer result says whether
//! there was an answer, the inner ones what became of each thing.

mod cluster;
mod configs;
mod offsets;
mod topics;

pub use cluster::{
    ClusterDescription, DescribedBroker, LogDir, QuorumReplica, QuorumStatus, ReplicaSize,
};
pub use configs::{ConfigChange, ConfigEntry, ConfigSource, Resource};
pub(crate) use offsets::ask_offset;
pub use offsets::{FoundOffset, OffsetSpec};
pub use topics::{CreatedTopic, NewTopic};

use crate::client::Client;
use crate::error::Refused;

/// What became of each of several named things, in the order they were named.
pub type Each<T> = Vec<(String, Result<T, Refused>)>;

/// Asks brokers and controllers to do things.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    /// Administration over a client's connections.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How long brokers are given to carry something out, as requests have it.
    fn timeout_ms(&self) -> i32 {
        let timeout = self.client.options().connection.request_timeout;
        i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
    }
}
