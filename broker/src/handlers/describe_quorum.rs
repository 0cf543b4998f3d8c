//! DescribeQuorum (55), versions 0–2: who votes, who leads, how far everyone is.

use std::sync::Arc;

use milena_cluster::quorum;
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
    let response = match broker.controller.ask(quorum::Request::DescribeQuorum).await {
        Ok(response) => response,
        Err(error_code) => return DescribeQuorumResponse { error_code, ..Default::default() },
    };
    let view = broker.controller.quorum();
    let topics = request.topics.iter().map(|topic| DescribeQuorumTopicResponse {
        topic_name: topic.topic_name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| described(&topic.topic_name, asked.partition_index, &response))
            .collect(),
    });
    let nodes = view.members.iter().map(node).collect();
    DescribeQuorumResponse { topics: topics.collect(), nodes, ..Default::default() }
}

fn described(
    topic: &str,
    partition_index: PartitionIndex,
    response: &quorum::Response,
) -> DescribeQuorumPartitionResponse {
    let fault = |error_code| DescribeQuorumPartitionResponse {
        partition_index,
        error_code,
        ..Default::default()
    };
    if topic != TOPIC || partition_index.0 != 0 {
        return fault(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let quorum::ResponseBody::DescribeQuorum(description) = &response.body else {
        return fault(response.error);
    };
    DescribeQuorumPartitionResponse {
        partition_index,
        error_code: response.error,
        leader_id: response.leader,
        leader_epoch: response.epoch,
        high_watermark: description.high_watermark,
        current_voters: description.voters.iter().map(replica).collect(),
        observers: description.observers.iter().map(replica).collect(),
        ..Default::default()
    }
}

fn replica(known: &quorum::ReplicaDescription) -> DescribeQuorumReplicaState {
    DescribeQuorumReplicaState {
        replica_id: known.key.id,
        replica_directory_id: known.key.directory_id,
        log_end_offset: known.log_end_offset,
        last_fetch_timestamp: known.last_fetch_at,
        last_caught_up_timestamp: known.last_caught_up_at,
    }
}

fn node(voter: &quorum::Voter) -> DescribeQuorumNode {
    let listener = |endpoint: &quorum::Endpoint| DescribeQuorumListener {
        name: endpoint.name.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
    };
    DescribeQuorumNode {
        node_id: voter.key.id,
        listeners: voter.endpoints.iter().map(listener).collect(),
    }
}
