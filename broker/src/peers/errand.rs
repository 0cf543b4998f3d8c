//! What couriers are given.

use milena_client::connection::ConnectionOptions;
use milena_cluster::quorum::{CorrelationId, Request};
use milena_cluster::wire::Link;
use milena_protocol::ids::NodeId;

use crate::drivers::controller::Inbox;

/// A request with where to take it.
pub(super) struct Errand {
    pub(super) to: NodeId,
    pub(super) address: String,
    pub(super) correlation: CorrelationId,
    pub(super) request: Request,
}

/// What all couriers share.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) inbox: Inbox,
    pub(super) link: Link,
    pub(super) options: ConnectionOptions,
}
