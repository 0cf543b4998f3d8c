//! WriteTxnMarkers (27), versions 1–2: ends transactions in partitions' logs.
//!
//! Coordinators on other brokers send it, and administrators who end a transaction that hangs: the
//! marker goes straight into the log (fact T19). Version 2 says which transaction version is in
//! force (KIP-1228).

use std::sync::Arc;

use milena_cluster::coordinator::Producer;
use milena_cluster::transaction::MarkerOutcome;
use milena_protocol::api::write_txn_markers::{
    WriteTxnMarkersMarker, WriteTxnMarkersMarkerResult, WriteTxnMarkersPartitionResult,
    WriteTxnMarkersRequest, WriteTxnMarkersResponse, WriteTxnMarkersTopicResult,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, PartitionIndex};

use crate::broker::Broker;
use crate::drivers::transactions::{append_marker, committed};
use crate::replicas::partition::Marker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// The version from which on a marker's epoch is beyond the producer's.
const RAISES_EPOCH: i8 = 2;

/// Writes every marker, and answers when they are committed.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let principal = &context.peer.principal;
    let allows = |operation| broker.authorizer.allows(principal, operation, Resource::Cluster);
    let may_write = allows(Operation::ClusterAction) || allows(Operation::Alter);
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        markers.push(write(&broker, marker, may_write).await);
    }
    WriteTxnMarkersResponse { markers }
}

async fn write(
    broker: &Broker,
    asked: WriteTxnMarkersMarker,
    may_write: bool,
) -> WriteTxnMarkersMarkerResult {
    let marker = Marker {
        producer: Producer { id: asked.producer_id, epoch: asked.producer_epoch },
        is_commit: asked.transaction_result,
        coordinator_epoch: LeaderEpoch(asked.coordinator_epoch),
        is_raised: asked.transaction_version >= RAISES_EPOCH,
    };
    let mut topics = Vec::with_capacity(asked.topics.len());
    for topic in asked.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for partition_index in topic.partition_indexes {
            let error_code = if may_write {
                let written = write_one(broker, &topic.name, partition_index, marker).await;
                written.err().unwrap_or(ErrorCode::NONE)
            } else {
                ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            };
            partitions.push(WriteTxnMarkersPartitionResult { partition_index, error_code });
        }
        topics.push(WriteTxnMarkersTopicResult { name: topic.name, partitions });
    }
    WriteTxnMarkersMarkerResult { producer_id: asked.producer_id, topics }
}

async fn write_one(
    broker: &Broker,
    topic: &Text,
    index: PartitionIndex,
    marker: Marker,
) -> Result<(), ErrorCode> {
    let topic_id = broker.metadata.image().topic(topic).map(|topic| topic.id());
    let topic_id = topic_id.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let partition = broker.replicas.leading(&topic_id, index)?;
    let placed = append_marker(broker, &partition, marker).await?;
    match committed(&partition, &placed).await {
        MarkerOutcome::Written | MarkerOutcome::Gone => Ok(()),
        MarkerOutcome::Failed(code) => Err(code),
    }
}
