//! Committed images take effect on this broker here, one after the other.
//!
//! What was committed before this run is of no use by itself: partitions have moved on since. So
//! the first image to take effect is the first that knows this run of the broker; from there on
//! each takes effect as it comes.

use std::sync::Arc;

use milena_cluster::configs::{Resolver, Values};
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::{ConfigResource, MetadataImage};
use milena_protocol::codec::Text;
use milena_protocol::ids::{BrokerEpoch, NodeId, Uuid};
use tokio::sync::mpsc::UnboundedSender;

use crate::limits::Limits;
use crate::metadata::Published;
use crate::replicas::Replicas;
use crate::telemetry::metrics::Metrics;

/// Takes images into effect.
pub struct Publisher {
    /// This node.
    pub node: NodeId,
    /// This run of the broker; none on a node that is only a controller.
    pub incarnation_id: Option<Uuid>,
    /// The broker's own configuration.
    pub static_values: Values,
    /// The partitions.
    pub replicas: Arc<Replicas>,
    /// Where everybody looks the image up.
    pub metadata: Arc<Published>,
    /// What connections may cost.
    pub limits: Arc<Limits>,
    /// Counters.
    pub metrics: Metrics,
    /// Who forgets what belonged to topics.
    pub deleted_topics: UnboundedSender<Vec<Text>>,
    /// Whether an image has taken effect.
    pub has_begun: bool,
}

impl Publisher {
    /// Takes the next image, which differs from the one before it by these changes.
    pub fn take(&mut self, image: &Arc<MetadataImage>, changes: &Changes) {
        if self.has_begun {
            self.publish(image, changes);
        } else if self.knows_this_run(image) {
            self.has_begun = true;
            if let Some(broker) = image.broker(self.node) {
                self.witness(broker.epoch);
                self.replicas.shared().register(broker.epoch);
            }
            self.publish(image, &Changes::between(&MetadataImage::default(), image));
            self.replicas.put_strays_aside(image);
        }
    }

    /// Before any role: a run that led, and left the next one only the incarnation id that it had
    /// asked with, would be taken for one that never knew its epoch. The next run would take the
    /// registration up again and lead in the same leader epoch, with other records.
    fn witness(&self, epoch: BrokerEpoch) {
        for directory in self.replicas.directories() {
            if let Err(error) = directory.witness_broker_epoch(epoch) {
                // The directory is offline now, and with it whatever could have had a role there.
                tracing::error!(%error, "cannot keep the broker's epoch");
            }
        }
    }

    fn knows_this_run(&self, image: &MetadataImage) -> bool {
        self.incarnation_id.is_none_or(|incarnation_id| {
            image.broker(self.node).is_some_and(|broker| broker.incarnation_id == incarnation_id)
        })
    }

    fn publish(&mut self, image: &Arc<MetadataImage>, changes: &Changes) {
        self.replicas.apply(image, changes);
        for topic in changes.removed_topics.values() {
            self.metrics.forget_topic(topic);
        }
        let is_of_brokers = |resource: &ConfigResource| resource.kind == ConfigResource::BROKER;
        if changes.configs.iter().any(is_of_brokers) {
            let (node, static_values) = (self.node, &self.static_values);
            self.limits.follow(&Resolver { node, static_values, image });
        }
        self.metadata.publish(image.clone(), changes);
        if !changes.removed_topics.is_empty() {
            // Nobody listens any more only when the process ends.
            let _ = self.deleted_topics.send(changes.removed_topics.values().cloned().collect());
        }
    }
}
