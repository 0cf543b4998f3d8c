//! Who is asked, and how answers for several things look.

use crate::client::Client;
use crate::error::Refused;

/// What became of each of several named things, in the order they were named.
pub type Each<T> = Vec<(String, Result<T, Refused>)>;

/// Asks brokers and controllers to do things.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(super) client: Client,
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
    pub(super) fn timeout_ms(&self) -> i32 {
        let timeout = self.client.options().connection.request_timeout;
        i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
    }
}
