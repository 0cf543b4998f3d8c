//! DescribeQuorum (55), versions 0–2: leader, voters and observers of a quorum (KIP-595).
//!
//! Version 1 brought timestamps, 2 directory ids, error messages and nodes.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, Uuid};
use crate::message;

message! {
    /// The partitions of the quorum.
    pub struct DescribeQuorumRequest: 0..=2, flexible 0 {
        /// The topics.
        topics: Vec<DescribeQuorumTopic> [0..],
    }

    /// A topic.
    pub struct DescribeQuorumTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<DescribeQuorumPartition> [0..],
    }

    /// A partition.
    pub struct DescribeQuorumPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
    }

    /// The state of the quorum, as its leader sees it.
    pub struct DescribeQuorumResponse: 0..=2, flexible 0 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [2.., nullable 2..],
        /// The topics.
        topics: Vec<DescribeQuorumTopicResponse> [0..],
        /// The nodes named.
        nodes: Vec<DescribeQuorumNode> [2..],
    }

    /// A topic in the answer.
    pub struct DescribeQuorumTopicResponse {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<DescribeQuorumPartitionResponse> [0..],
    }

    /// A node.
    pub struct DescribeQuorumNode {
        /// The node.
        node_id: NodeId [2..],
        /// Where it listens.
        listeners: Vec<DescribeQuorumListener> [2..],
    }

    /// A partition in the answer.
    pub struct DescribeQuorumPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [2.., nullable 2..],
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// The high watermark.
        high_watermark: Offset [0..],
        /// The voters.
        current_voters: Vec<DescribeQuorumReplicaState> [0..],
        /// Those that fetch but do not vote.
        observers: Vec<DescribeQuorumReplicaState> [0..],
    }

    /// A place to connect to.
    pub struct DescribeQuorumListener {
        /// The name.
        name: Text [2..],
        /// The host.
        host: Text [2..],
        /// The port.
        port: u16 [2..],
    }

    /// A voter or observer and how far it is.
    pub struct DescribeQuorumReplicaState {
        /// The replica.
        replica_id: NodeId [0..],
        /// The replica's directory.
        replica_directory_id: Uuid [2..],
        /// Where its log ends.
        log_end_offset: Offset [0..],
        /// When it last fetched; −1 unknown.
        last_fetch_timestamp: Timestamp [1.., default Timestamp::NONE],
        /// When it last had everything; −1 unknown.
        last_caught_up_timestamp: Timestamp [1.., default Timestamp::NONE],
    }
}

request!(DescribeQuorum, DescribeQuorumRequest => DescribeQuorumResponse);
