//! What coordinators stand on.

use std::sync::Arc;

use crate::metadata::Published;
use crate::peers::ActiveController;
use crate::replicas::Replicas;

/// What coordinators stand on: the cluster's metadata, this broker's partitions, and the way to
/// whoever makes topics.
#[derive(Clone)]
pub struct Ground {
    /// The metadata image.
    pub metadata: Arc<Published>,
    /// The partitions that this broker hosts.
    pub replicas: Arc<Replicas>,
    /// The way to the active controller.
    pub controller: Arc<ActiveController>,
}
