//! The way to leaders: over the wire in a cluster, by a call in tests.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use milena_client::connection::{Connection, ConnectionOptions};
use milena_protocol::api::fetch::{FetchRequest, FetchResponse};
use milena_protocol::codec::Text;
use milena_protocol::ids::NodeId;

use crate::metadata::Published;

/// A leader that cannot be asked, and why.
#[derive(Debug)]
pub struct Lost(pub String);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The way to leaders.
pub trait Network: Send + Sync + 'static {
    /// A way to one of them.
    type Channel: Channel;

    /// Connects to a leader.
    fn connect(&self, leader: NodeId) -> impl Future<Output = Result<Self::Channel, Lost>> + Send;
}

/// A way to one leader.
pub trait Channel: Send + Sync + 'static {
    /// Fetches; whoever drops this drops the channel too.
    fn fetch(
        &self,
        request: &FetchRequest,
    ) -> impl Future<Output = Result<FetchResponse, Lost>> + Send;
}

/// The wire, by the endpoints that brokers have registered.
#[derive(Debug)]
pub struct Wired {
    metadata: Arc<Published>,
    listener: Text,
    options: ConnectionOptions,
}

impl Wired {
    /// Connects to the listener that brokers use among themselves.
    #[must_use]
    pub fn new(
        node: NodeId,
        metadata: Arc<Published>,
        listener: &str,
        socket_timeout: Duration,
    ) -> Self {
        let options = ConnectionOptions {
            client_id: format!("broker-{node}-fetcher"),
            connect_timeout: socket_timeout,
            request_timeout: socket_timeout,
            ..ConnectionOptions::default()
        };
        Self { metadata, listener: listener.into(), options }
    }

    /// The same for another purpose, which the brokers' logs call so.
    #[must_use]
    pub fn named(mut self, client_id: String) -> Self {
        self.options.client_id = client_id;
        self
    }

    fn address(&self, leader: NodeId) -> Result<String, Lost> {
        let image = self.metadata.image();
        let broker = image.broker(leader).ok_or_else(|| Lost("it is not registered".into()))?;
        let endpoint = broker.endpoints.iter().find(|endpoint| endpoint.name == self.listener);
        let endpoint =
            endpoint.ok_or_else(|| Lost(format!("it has no listener {}", self.listener)))?;
        let (host, port) = (&endpoint.host, endpoint.port);
        Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    }
}

impl Network for Wired {
    type Channel = Connection;

    async fn connect(&self, leader: NodeId) -> Result<Connection, Lost> {
        let address = self.address(leader)?;
        Connection::open(&address, self.options.clone()).await.map_err(|e| Lost(e.to_string()))
    }
}

impl Channel for Connection {
    async fn fetch(&self, request: &FetchRequest) -> Result<FetchResponse, Lost> {
        self.ask(request).await.map_err(|error| Lost(error.to_string()))
    }
}
