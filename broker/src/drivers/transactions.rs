//! Transactions on this broker: their coordinators, and the markers that these want written.
//!
//! A coordinator wants markers once its decision is committed. Each goes to the partition's leader;
//! what became of it is reported, and the coordinator decides what to do about it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_cluster::transaction::{
    self, Effect, MarkerOutcome, MarkerReport, Markers, Request, TopicPartition,
};
use milena_protocol::error_code::ErrorCode;

use super::coordinator::{Ground, InternalTopic, Shard, Shards};
use crate::broker::Broker;
use crate::config::TransactionConfig;
use crate::handlers::error::produce_code;
use crate::replicas::partition::{Marker, NotAcknowledged, Partition, Placed, ProduceError};

/// Where groups keep their offsets.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// How long a marker may wait to be committed until it is said to have failed.
const MARKER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may wait for its records to be committed.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// The version from which on a marker's epoch is beyond the producer's.
const RAISES_EPOCH: i16 = 2;

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
    Shards::new(topic, ground, make, move |shard, Effect::WriteMarkers(markers)| {
        if let Some(broker) = broker.upgrade() {
            tokio::spawn(write(broker, Arc::clone(shard), markers));
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

/// Writes the markers of one decision, and reports what became of each.
async fn write(broker: Arc<Broker>, shard: Arc<Shard<transaction::Coordinator>>, markers: Markers) {
    let mut outcomes = Vec::with_capacity(markers.partitions.len());
    let mut placed = Vec::new();
    // All are appended before any is waited for.
    for at in &markers.partitions {
        match append(&broker, at, &markers).await {
            Ok((partition, marker)) => placed.push((at.clone(), partition, marker)),
            Err(outcome) => outcomes.push((at.clone(), outcome)),
        }
    }
    for (at, partition, marker) in placed {
        outcomes.push((at, committed(&partition, &marker).await));
    }
    for (at, outcome) in &outcomes {
        if let MarkerOutcome::Failed(code) = outcome {
            let id = &markers.transactional_id;
            tracing::debug!(%id, topic = %at.topic, partition = %at.partition, %code, "no marker");
        }
    }
    let report = MarkerReport {
        transactional_id: markers.transactional_id,
        attempt: markers.attempt,
        outcomes,
    };
    if let Err(code) = shard.ask(Request::Report(report)).await {
        // Another coordinator takes over, and writes them again.
        tracing::debug!(?shard, %code, "markers cannot be reported");
    }
}

async fn append(
    broker: &Broker,
    at: &TopicPartition,
    markers: &Markers,
) -> Result<(Arc<Partition>, Placed), MarkerOutcome> {
    let marker = Marker {
        producer: markers.producer,
        is_commit: markers.is_commit,
        coordinator_epoch: markers.attempt.coordinator_epoch,
        is_raised: markers.transaction_version >= RAISES_EPOCH,
    };
    let topic_id = {
        let image = broker.metadata.image();
        let topic = image.topic(&at.topic).ok_or(MarkerOutcome::Gone)?;
        topic.partition(at.partition).ok_or(MarkerOutcome::Gone)?;
        topic.id()
    };
    let partition =
        broker.replicas.leading(&topic_id, at.partition).map_err(MarkerOutcome::Failed)?;
    let placed = append_marker(broker, &partition, marker).await.map_err(MarkerOutcome::Failed)?;
    Ok((partition, placed))
}

/// Appends a marker to a partition that this broker leads; the coordinator of the groups in a
/// partition of offsets learns of it (fact T22).
///
/// # Errors
/// The code of what refuses it.
pub async fn append_marker(
    broker: &Broker,
    partition: &Arc<Partition>,
    marker: Marker,
) -> Result<Placed, ErrorCode> {
    let now = broker.clock.now();
    if *partition.topic() != *OFFSETS_TOPIC {
        return partition.append_marker(marker, now).map_err(|error| produce_code(&error));
    }
    let Marker { producer, is_commit, .. } = marker;
    let append = |partition: &Partition| partition.append_marker(marker, now);
    let decided = match broker.groups.of_partition(partition.index()).await {
        Ok(groups) => groups.decide(producer, is_commit, append),
        Err(code) => Err(ProduceError::Refused(code)),
    };
    decided.map_err(|error| match produce_code(&error) {
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::NOT_COORDINATOR => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        code => code,
    })
}

/// Waits until a marker counts.
pub async fn committed(partition: &Arc<Partition>, placed: &Placed) -> MarkerOutcome {
    let acknowledged = partition.acknowledged(placed.acknowledgement);
    match tokio::time::timeout(MARKER_TIMEOUT, acknowledged).await {
        Ok(Ok(())) => MarkerOutcome::Written,
        Ok(Err(NotAcknowledged::Storage(_))) => {
            MarkerOutcome::Failed(ErrorCode::KAFKA_STORAGE_ERROR)
        }
        Ok(Err(NotAcknowledged::Refused(code))) => MarkerOutcome::Failed(code),
        Err(_) => MarkerOutcome::Failed(ErrorCode::REQUEST_TIMED_OUT),
    }
}
