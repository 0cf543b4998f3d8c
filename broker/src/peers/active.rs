//! The way to whichever controller is active, over the wire.

use std::sync::Arc;
use std::time::Duration;

use milena_client::connection::{Connection, ConnectionOptions};
use milena_cluster::quorum::Endpoint;
use milena_protocol::api::Request;
use milena_protocol::error_code::ErrorCode;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::HostPort;
use crate::drivers::controller::{ControllerHandle, QuorumView};

/// How long to rest between two attempts.
const BACKOFF: Duration = Duration::from_millis(20);

/// The way to whichever controller is active. What goes one way is answered in order, so whatever
/// must not wait behind something else has a way of its own.
pub struct ActiveController {
    local: ControllerHandle,
    /// The listener that controllers have for brokers.
    listener: String,
    options: ConnectionOptions,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl ActiveController {
    /// A way that nobody has gone yet.
    #[must_use]
    pub fn new(local: ControllerHandle, listener: &str, request_timeout: Duration) -> Self {
        let options = ConnectionOptions {
            client_id: format!("milena-broker-{}", local.node()),
            connect_timeout: request_timeout,
            request_timeout,
            ..ConnectionOptions::default()
        };
        let listener = listener.to_owned();
        Self { local, listener, options, connection: Mutex::default() }
    }

    /// A way that leads to no controller.
    #[cfg(test)]
    pub fn to_nobody(node: milena_protocol::ids::NodeId) -> Self {
        Self::new(ControllerHandle::to_nobody(node), "", Duration::ZERO)
    }

    /// The controller on this node.
    #[must_use]
    pub fn local(&self) -> &ControllerHandle {
        &self.local
    }

    /// Asks the active controller, once. One that is active no more is not waited for: it may be
    /// paused, or behind a broken network, while another one decides.
    ///
    /// # Errors
    /// NOT_CONTROLLER where nobody is known to be active, or it is this node;
    /// BROKER_NOT_AVAILABLE where no answer came.
    pub async fn ask<R: Request>(&self, request: &R) -> Result<R::Response, ErrorCode> {
        let mut watch = self.local.watch();
        let view = watch.borrow_and_update().clone();
        let is_over = |now: &QuorumView| (now.leader, now.epoch) != (view.leader, view.epoch);
        tokio::select! {
            biased;
            answer = self.ask_leader(&view, request) => answer,
            _ = watch.wait_for(is_over) => Err(ErrorCode::BROKER_NOT_AVAILABLE),
        }
    }

    async fn ask_leader<R: Request>(
        &self,
        view: &QuorumView,
        request: &R,
    ) -> Result<R::Response, ErrorCode> {
        let connection = self.connection(view).await?;
        connection.ask(request).await.map_err(|error| {
            tracing::debug!(%error, "no answer of the active controller");
            ErrorCode::BROKER_NOT_AVAILABLE
        })
    }

    async fn connection(&self, view: &QuorumView) -> Result<Arc<Connection>, ErrorCode> {
        if view.is_leading {
            return Err(ErrorCode::NOT_CONTROLLER);
        }
        let address = self.address(&view.leader_endpoints).ok_or(ErrorCode::NOT_CONTROLLER)?;
        let mut known = self.connection.lock().await;
        let is_usable = |known: &&Arc<Connection>| known.address() == address && !known.is_lost();
        if let Some(connection) = known.as_ref().filter(is_usable) {
            return Ok(Arc::clone(connection));
        }
        let opened = Connection::open(&address, self.options.clone()).await.map_err(|error| {
            tracing::debug!(%error, "cannot reach the active controller");
            ErrorCode::BROKER_NOT_AVAILABLE
        })?;
        let connection = Arc::new(opened);
        *known = Some(Arc::clone(&connection));
        Ok(connection)
    }

    fn address(&self, endpoints: &[Endpoint]) -> Option<String> {
        let named = |endpoint: &&Endpoint| endpoint.name.eq_ignore_ascii_case(&self.listener);
        let endpoint = endpoints.iter().find(named).or(endpoints.first())?;
        Some(HostPort { host: endpoint.host.clone(), port: endpoint.port }.to_string())
    }

    /// Waits a moment for another leader, or for the same one to be back; false once it is too
    /// late.
    pub async fn rest(&self, deadline: Instant) -> bool {
        let mut view = self.local.watch();
        view.mark_unchanged();
        // Whether it changed or time went by, it is worth another attempt.
        let _ = tokio::time::timeout(BACKOFF, view.changed()).await;
        Instant::now() < deadline
    }
}
