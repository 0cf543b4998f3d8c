//! The coordinators of transactions on this broker.

use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_cluster::transaction::{self, Effect};

use super::coordinator::{Ground, InternalTopic, Shards};
use super::markers;
use crate::broker::Broker;
use crate::config::TransactionConfig;
use crate::replicas::partition::Partition;

/// How long an answer may wait for its records to be committed.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The coordinators of transactions, none of which is loaded yet.
#[must_use]
pub fn coordinators(
    config: &TransactionConfig,
    ground: Ground,
    broker: Weak<Broker>,
) -> Shards<transaction::Coordinator> {
    let topic = InternalTopic {
        name: "__transaction_state",
        partitions: config.state_log_num_partitions,
        replication_factor: config.state_log_replication_factor,
        configs: vec![
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "uncompressed".to_owned()),
            ("min.insync.replicas", config.state_log_min_isr.to_string()),
            ("segment.bytes", config.state_log_segment_bytes.to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ],
        commit_timeout: COMMIT_TIMEOUT,
    };
    let settings = transaction::Settings {
        max_timeout_ms: config.max_timeout_ms,
        id_expiration: config.id_expiration,
        ..transaction::Settings::default()
    };
    let make = move |partition: &Partition| {
        transaction::Coordinator::new(settings.clone(), partition.leader_epoch())
    };
    Shards::new(topic, ground, make, move |shard, Effect::WriteMarkers(wanted)| {
        if let Some(broker) = broker.upgrade() {
            tokio::spawn(markers::write(broker, Arc::clone(shard), wanted));
        }
    })
}

/// Loads the coordinators that this broker has: what was decided before it stopped has to be told
/// to the partitions before anyone asks, and what is open may be due.
pub async fn load(broker: Arc<Broker>) {
    if let Some(code) = broker.transactions.all().await.missing {
        tracing::warn!(%code, "not all transactions could be loaded; they are when asked for");
    }
}
