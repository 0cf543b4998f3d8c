//! OffsetForLeaderEpoch (23), versions 2–4: where a leader epoch ended (KIP-101).
//!
//! Version 2 brought the current leader epoch, 3 the asking replica.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex};
use crate::message;

message! {
    /// Asks where epochs ended.
    pub struct OffsetForLeaderEpochRequest: 2..=4, flexible 4 {
        /// The replica; −1 a consumer, −2 unknown.
        replica_id: NodeId [3.., default NodeId(-2)],
        /// The topics.
        topics: Vec<OffsetForLeaderEpochTopic> [0..],
    }

    /// A topic.
    pub struct OffsetForLeaderEpochTopic {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partitions: Vec<OffsetForLeaderEpochPartition> [0..],
    }

    /// A partition.
    pub struct OffsetForLeaderEpochPartition {
        /// The partition.
        partition: PartitionIndex [0..],
        /// The leader epoch that the client believes in; −1 does not check.
        current_leader_epoch: LeaderEpoch [2.., default LeaderEpoch::NONE],
        /// The epoch asked about.
        leader_epoch: LeaderEpoch [0..],
    }

    /// The end offsets of the epochs.
    pub struct OffsetForLeaderEpochResponse: 2..=4, flexible 4 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [2..],
        /// The topics.
        topics: Vec<OffsetForLeaderEpochTopicResponse> [0..],
    }

    /// A topic in the answer.
    pub struct OffsetForLeaderEpochTopicResponse {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partitions: Vec<OffsetForLeaderEpochPartitionResponse> [0..],
    }

    /// A partition in the answer.
    pub struct OffsetForLeaderEpochPartitionResponse {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The partition.
        partition: PartitionIndex [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [1.., default LeaderEpoch::NONE],
        /// The end offset, exclusive.
        end_offset: Offset [0.., default Offset::NONE],
    }
}

request!(OffsetForLeaderEpoch, OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse);
