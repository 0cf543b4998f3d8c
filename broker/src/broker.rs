//! What every handler works with: the state of one broker, shared by all its connections.

use std::sync::Arc;

use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::wire::Link;
use milena_cluster::{group, transaction};
use milena_protocol::codec::Text;
use milena_protocol::ids::NodeId;

use crate::clock::WallClock;
use crate::colleagues::Colleagues;
use crate::config::Config;
use crate::drivers::controller::ControllerHandle;
use crate::drivers::coordinator::Shards;
use crate::drivers::producer_ids::ProducerIds;
use crate::endpoints::Endpoints;
use crate::fetch_session::Sessions;
use crate::limits::Limits;
use crate::limits::budget::Budget;
use crate::metadata::Published;
use crate::peers::ActiveController;
use crate::readiness::Readiness;
use crate::replicas::Replicas;
use crate::security::Authorizer;
use crate::telemetry::metrics::Metrics;

/// One broker.
pub struct Broker {
    /// Its configuration as it was at start.
    pub config: Config,
    /// Its id.
    pub node_id: NodeId,
    /// The cluster's id.
    pub cluster_id: Text,
    /// The metadata image.
    pub metadata: Arc<Published>,
    /// The partitions it hosts.
    pub replicas: Arc<Replicas>,
    /// The way to the controller on this node.
    pub controller: ControllerHandle,
    /// The way to whichever controller is active, for what clients ask of it.
    pub active_controller: ActiveController,
    /// The ways to other brokers.
    pub colleagues: Colleagues,
    /// What the members of the quorum agree on.
    pub quorum_link: Link,
    /// The block of producer ids at hand.
    pub producer_ids: ProducerIds,
    /// The coordinators of groups.
    pub groups: Shards<group::Coordinator>,
    /// The coordinators of transactions.
    pub transactions: Shards<transaction::Coordinator>,
    /// Incremental fetch sessions.
    pub sessions: Sessions,
    /// What clients are told to connect to.
    pub endpoints: Endpoints,
    /// Who may do what.
    pub authorizer: Authorizer,
    /// What connections may cost.
    pub limits: Arc<Limits>,
    /// Request bytes held by all connections.
    pub request_budget: Budget,
    /// Counters.
    pub metrics: Metrics,
    /// Whether clients are served.
    pub readiness: Readiness,
    /// The wall clock.
    pub clock: WallClock,
}

impl Broker {
    /// Whether a leader is there for clients: the controller has not fenced it, and no connection
    /// of this broker to it has just broken.
    #[must_use]
    pub fn is_there(&self, image: &MetadataImage, leader: NodeId) -> bool {
        image.is_live(leader) && !self.replicas.shared().absent().contains(leader)
    }
}
