//! Whatever one broker is asked by another: a request and its answer, over a connection that is
//! kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_client::connection::Connection;
use milena_protocol::api::Request;
use milena_protocol::ids::NodeId;
use parking_lot::Mutex;

use crate::replicas::fetcher::{Network, Wired};

/// The connections over which brokers are asked.
#[derive(Debug)]
pub struct Questions {
    network: Wired,
    by_broker: Mutex<BTreeMap<NodeId, Arc<Connection>>>,
}

impl Questions {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(network: Wired) -> Self {
        Self { network, by_broker: Mutex::default() }
    }

    /// Asks a broker, in this version or the newest before it that the broker knows. Nothing where
    /// there is no answer; it may have done what it was asked all the same.
    pub async fn ask<R: Request>(
        &self,
        broker: NodeId,
        request: &R,
        version: i16,
    ) -> Option<R::Response> {
        let known = self.by_broker.lock().get(&broker).cloned().filter(|known| !known.is_lost());
        let connection = match known {
            Some(connection) => connection,
            None => self.connect(broker).await?,
        };
        let version = version.min(connection.version_of::<R>().ok()?);
        let answer = match connection.submit(request, version) {
            Ok(answer) => answer.wait().await,
            Err(error) => Err(error),
        };
        answer.inspect_err(|error| tracing::debug!(%broker, %error, "no answer of a broker")).ok()
    }

    async fn connect(&self, broker: NodeId) -> Option<Arc<Connection>> {
        let connection = self.network.connect(broker).await;
        let connection = connection
            .inspect_err(|error| tracing::debug!(%broker, %error, "cannot reach a broker"))
            .ok()?;
        let connection = Arc::new(connection);
        self.by_broker.lock().insert(broker, Arc::clone(&connection));
        Some(connection)
    }
}
