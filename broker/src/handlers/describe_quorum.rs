//! DescribeQuorum (55), versions 0–2: who votes, who leads, how far everyone is.

use std::sync::Arc;

use milena_protocol::api::describe_quorum::{
    DescribeQuorumListener, DescribeQuorumNode, DescribeQuorumPartitionResponse,
    DescribeQuorumReplicaState, DescribeQuorumRequest, DescribeQuorumResponse,
    DescribeQuorumTopicResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use super::forward;
use crate::broker::Broker;
use crate::drivers::metadata_log::TOPIC;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Describes the metadata quorum; there is no other.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::Describe, Resource::Cluster) {
        let error_code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
        return DescribeQuorumResponse { error_code, ..Default::default() };
    }
    let is_metadata = |topic: &str, index: PartitionIndex| topic == TOPIC && index.0 == 0;
    let quorum = broker.controller.quorum();
    let now = broker.clock.now();
    let topics = request
        .topics
        .iter()
        .map(|topic| DescribeQuorumTopicResponse {
            topic_name: topic.topic_name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|asked| {
                    if !is_metadata(&topic.topic_name, asked.partition_index) {
                        return DescribeQuorumPartitionResponse {
                            partition_index: asked.partition_index,
                            error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                            ..Default::default()
                        };
                    }
                    DescribeQuorumPartitionResponse {
                        partition_index: asked.partition_index,
                        leader_id: quorum.leader,
                        leader_epoch: quorum.epoch,
                        high_watermark: quorum.high_watermark,
                        current_voters: quorum
                            .voters
                            .iter()
                            .map(|voter| DescribeQuorumReplicaState {
                                replica_id: voter.id,
                                replica_directory_id: voter.directory_id,
                                log_end_offset: quorum.log_end_offset,
                                last_fetch_timestamp: now,
                                last_caught_up_timestamp: now,
                            })
                            .collect(),
                        ..Default::default()
                    }
                })
                .collect(),
        })
        .collect();
    let image = broker.metadata.image_owned();
    let nodes = quorum
        .voters
        .iter()
        .map(|voter| DescribeQuorumNode {
            node_id: voter.id,
            listeners: image
                .broker(voter.id)
                .into_iter()
                .flat_map(|node| &node.endpoints)
                .map(|endpoint| DescribeQuorumListener {
                    name: endpoint.name.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                })
                .collect(),
        })
        .collect();
    DescribeQuorumResponse { topics, nodes, ..Default::default() }
}
