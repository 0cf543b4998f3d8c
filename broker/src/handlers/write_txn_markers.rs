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
use milena_protocol::ids::{LeaderEpoch, PartitionIndex, ProducerId};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::drivers::markers::{MARKER_TIMEOUT, append_marker, committed};
use crate::replicas::partition::{Marker, Partition, Placed};
use crate::request::Context;
use crate::security::{Operation, Resource};

/// The version from which on a marker's epoch is beyond the producer's.
const RAISES_EPOCH: i8 = 2;

/// What became of a marker so far: where it is, and has to be replicated, or why it is nowhere.
type Began = Result<(Arc<Partition>, Placed), ErrorCode>;

/// A marker with its partitions, topic by topic.
struct Begun {
    producer_id: ProducerId,
    topics: Vec<(Text, Vec<(PartitionIndex, Began)>)>,
}

/// Writes every marker, and answers when they are committed.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let principal = &context.peer.principal;
    let allows = |operation| broker.authorizer.allows(principal, operation, Resource::Cluster);
    let may_write = allows(Operation::ClusterAction) || allows(Operation::Alter);
    let deadline = Instant::now() + MARKER_TIMEOUT;
    // All are appended before any is waited for.
    let mut begun = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        begun.push(begin(&broker, marker, may_write).await);
    }
    let mut markers = Vec::with_capacity(begun.len());
    for marker in begun {
        markers.push(marker.settled(deadline).await);
    }
    WriteTxnMarkersResponse { markers }
}

async fn begin(broker: &Broker, asked: WriteTxnMarkersMarker, may_write: bool) -> Begun {
    let marker = Marker {
        producer: Producer { id: asked.producer_id, epoch: asked.producer_epoch },
        is_commit: asked.transaction_result,
        coordinator_epoch: LeaderEpoch(asked.coordinator_epoch),
        is_raised: asked.transaction_version >= RAISES_EPOCH,
    };
    let mut topics = Vec::with_capacity(asked.topics.len());
    for topic in asked.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in topic.partition_indexes {
            let began = if may_write {
                append(broker, &topic.name, index, marker).await
            } else {
                Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED)
            };
            partitions.push((index, began));
        }
        topics.push((topic.name, partitions));
    }
    Begun { producer_id: asked.producer_id, topics }
}

async fn append(broker: &Broker, topic: &Text, index: PartitionIndex, marker: Marker) -> Began {
    let topic_id = broker.metadata.image().topic(topic).map(|topic| topic.id());
    let topic_id = topic_id.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    let partition = broker.replicas.leading(&topic_id, index)?;
    let placed = append_marker(broker, &partition, marker).await?;
    Ok((partition, placed))
}

impl Begun {
    async fn settled(self, deadline: Instant) -> WriteTxnMarkersMarkerResult {
        let mut topics = Vec::with_capacity(self.topics.len());
        for (name, begun) in self.topics {
            let mut partitions = Vec::with_capacity(begun.len());
            for (partition_index, began) in begun {
                let error_code = settled(began, deadline).await;
                partitions.push(WriteTxnMarkersPartitionResult { partition_index, error_code });
            }
            topics.push(WriteTxnMarkersTopicResult { name, partitions });
        }
        WriteTxnMarkersMarkerResult { producer_id: self.producer_id, topics }
    }
}

async fn settled(began: Began, deadline: Instant) -> ErrorCode {
    match began {
        Ok((partition, placed)) => match committed(&partition, &placed, deadline).await {
            MarkerOutcome::Written | MarkerOutcome::Gone => ErrorCode::NONE,
            MarkerOutcome::Failed(code) => code,
        },
        Err(code) => code,
    }
}
