//! BeginQuorumEpoch (53), versions 0–1: a new leader of a quorum makes itself known (KIP-595).
//!
//! Version 1 brought directory ids and the leader's endpoints.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The leader and its epoch.
    pub struct BeginQuorumEpochRequest: 0..=1, flexible 1 {
        /// The cluster's id.
        cluster_id: Option<Text> [0.., nullable 0..],
        /// The voter.
        voter_id: NodeId [1.., default NodeId::NONE],
        /// The topics.
        topics: Vec<BeginQuorumEpochTopic> [0..],
        /// Where the leader listens.
        leader_endpoints: Vec<BeginQuorumEpochLeaderEndpoint> [1..],
    }

    /// A topic.
    pub struct BeginQuorumEpochTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<BeginQuorumEpochPartition> [0..],
    }

    /// A place to connect to.
    pub struct BeginQuorumEpochLeaderEndpoint {
        /// The name.
        name: Text [1..],
        /// The host.
        host: Text [1..],
        /// The port.
        port: u16 [1..],
    }

    /// A partition.
    pub struct BeginQuorumEpochPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The voter's directory.
        voter_directory_id: Uuid [1..],
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
    }

    /// Whether the voter follows.
    pub struct BeginQuorumEpochResponse: 0..=1, flexible 1 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The topics.
        topics: Vec<BeginQuorumEpochTopicResponse> [0..],
        /// Where the leaders named can be reached.
        node_endpoints: Vec<BeginQuorumEpochNodeEndpoint> [1.., tag 0],
    }

    /// A topic in the answer.
    pub struct BeginQuorumEpochTopicResponse {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<BeginQuorumEpochPartitionResponse> [0..],
    }

    /// Where a node can be reached.
    pub struct BeginQuorumEpochNodeEndpoint {
        /// The node.
        node_id: NodeId [1..],
        /// The host.
        host: Text [1..],
        /// The port.
        port: u16 [1..],
    }

    /// A partition in the answer.
    pub struct BeginQuorumEpochPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
    }
}

request!(BeginQuorumEpoch, BeginQuorumEpochRequest => BeginQuorumEpochResponse);
