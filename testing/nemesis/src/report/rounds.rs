//! What was done to the cluster, and when.

use serde::Serialize;

use crate::cluster::plan::NodeId;
use crate::fault::kind::Kind;
use crate::history::operation::{Instant, Key};

/// A fault and what followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Round {
    /// What.
    pub kind: Kind,
    /// On whom.
    pub node: NodeId,
    /// What it led when it was hit.
    pub led: Vec<Key>,
    /// What it had copies of that others led.
    pub followed: Vec<Key>,
    /// Whether it led the metadata quorum.
    pub was_controller: bool,
    /// When it was hit.
    pub began: Instant,
    /// When the others named another leader of the quorum.
    pub elected: Option<Instant>,
    /// When it was healed, or started again.
    pub healed: Instant,
    /// When the others said that its copies are in sync again.
    pub in_sync: Option<Instant>,
    /// When all nodes answered, agreed, and every copy was in sync again.
    pub whole: Option<Instant>,
    /// Nodes that ended by themselves meanwhile, and how.
    pub ended: Vec<(NodeId, String)>,
}

impl Round {
    /// When it was over for the clients.
    #[must_use]
    pub fn end(&self) -> Instant {
        self.whole.unwrap_or(self.healed)
    }
}
