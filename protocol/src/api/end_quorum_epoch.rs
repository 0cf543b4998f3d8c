//! EndQuorumEpoch (54), versions 0–1: a leader of a quorum steps down (KIP-595).
//!
//! Version 1 brought directory ids and the leader's endpoints.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The leader, its epoch and who should follow.
    pub struct EndQuorumEpochRequest: 0..=1, flexible 1 {
        /// The cluster's id.
        cluster_id: Option<Text> [0.., nullable 0..],
        /// The topics.
        topics: Vec<EndQuorumEpochTopic> [0..],
        /// Where the leader listens.
        leader_endpoints: Vec<EndQuorumEpochLeaderEndpoint> [1..],
    }

    /// A topic.
    pub struct EndQuorumEpochTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<EndQuorumEpochPartition> [0..],
    }

    /// A place to connect to.
    pub struct EndQuorumEpochLeaderEndpoint {
        /// The name.
        name: Text [1..],
        /// The host.
        host: Text [1..],
        /// The port.
        port: u16 [1..],
    }

    /// A partition.
    pub struct EndQuorumEpochPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// Who should become leader, best first.
        preferred_successors: Vec<NodeId> [0..=0],
        /// Who should become leader, best first.
        preferred_candidates: Vec<EndQuorumEpochCandidate> [1..],
    }

    /// Who should become leader.
    pub struct EndQuorumEpochCandidate {
        /// The candidate.
        candidate_id: NodeId [1..],
        /// The candidate's directory.
        candidate_directory_id: Uuid [1..],
    }

    /// Whether the voter heard it.
    pub struct EndQuorumEpochResponse: 0..=1, flexible 1 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The topics.
        topics: Vec<EndQuorumEpochTopicResponse> [0..],
        /// Where the leaders named can be reached.
        node_endpoints: Vec<EndQuorumEpochNodeEndpoint> [1.., tag 0],
    }

    /// A topic in the answer.
    pub struct EndQuorumEpochTopicResponse {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<EndQuorumEpochPartitionResponse> [0..],
    }

    /// Where a node can be reached.
    pub struct EndQuorumEpochNodeEndpoint {
        /// The node.
        node_id: NodeId [1..],
        /// The host.
        host: Text [1..],
        /// The port.
        port: u16 [1..],
    }

    /// A partition in the answer.
    pub struct EndQuorumEpochPartitionResponse {
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

request!(EndQuorumEpoch, EndQuorumEpochRequest => EndQuorumEpochResponse);
