//! Vote (52), versions 0–2: asks the voters of a quorum for their votes (KIP-595).
//!
//! Version 1 brought directory ids, 2 pre-votes (KIP-996).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// A candidate asks for a vote.
    pub struct VoteRequest: 0..=2, flexible 0 {
        /// The cluster's id.
        cluster_id: Option<Text> [0.., nullable 0..],
        /// The voter.
        voter_id: NodeId [1.., default NodeId::NONE],
        /// The topics.
        topics: Vec<VoteTopic> [0..],
    }

    /// A topic.
    pub struct VoteTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<VotePartition> [0..],
    }

    /// A partition.
    pub struct VotePartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The epoch of the candidate.
        replica_epoch: LeaderEpoch [0..],
        /// The candidate.
        replica_id: NodeId [0..],
        /// The candidate's directory.
        replica_directory_id: Uuid [1..],
        /// The voter's directory.
        voter_directory_id: Uuid [1..],
        /// The epoch of the last record of the candidate's log.
        last_offset_epoch: LeaderEpoch [0..],
        /// Where the log of the candidate ends.
        last_offset: Offset [0..],
        /// Whether the vote is only a trial that changes no epoch.
        pre_vote: bool [2..],
    }

    /// Whether the vote is granted.
    pub struct VoteResponse: 0..=2, flexible 0 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The topics.
        topics: Vec<VoteTopicResponse> [0..],
        /// Where the leaders named can be reached.
        node_endpoints: Vec<VoteNodeEndpoint> [1.., tag 0],
    }

    /// A topic in the answer.
    pub struct VoteTopicResponse {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<VotePartitionResponse> [0..],
    }

    /// Where a node can be reached.
    pub struct VoteNodeEndpoint {
        /// The node.
        node_id: NodeId [1..],
        /// The host.
        host: Text [1..],
        /// The port.
        port: u16 [1..],
    }

    /// A partition in the answer.
    pub struct VotePartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// Whether the vote is given.
        vote_granted: bool [0..],
    }
}

request!(Vote, VoteRequest => VoteResponse);
