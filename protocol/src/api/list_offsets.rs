//! ListOffsets (2), versions 1–11: an offset by its timestamp, or a special one.
//!
//! Version 2 brought isolation levels, 4 leader epochs, 7 to 11 further special timestamps, 10 a
//! timeout.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp};
use crate::message;

message! {
    /// Asks for offsets by timestamp.
    pub struct ListOffsetsRequest: 1..=11, flexible 6 {
        /// The replica; −1 a consumer.
        replica_id: NodeId [0..],
        /// 0 reads everything, 1 only what is committed.
        isolation_level: i8 [2..],
        /// The topics.
        topics: Vec<ListOffsetsTopic> [0..],
        /// Milliseconds to wait for a remote tier.
        timeout_ms: i32 [10..],
    }

    /// A topic.
    pub struct ListOffsetsTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<ListOffsetsPartition> [0..],
    }

    /// A partition.
    pub struct ListOffsetsPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The leader epoch that the client believes in; −1 does not check.
        current_leader_epoch: LeaderEpoch [4.., default LeaderEpoch::NONE],
        /// The time, or −1 latest, −2 earliest, −3 of the greatest timestamp, −4 earliest local,
        /// −5 latest tiered, −6 earliest not tiered.
        timestamp: Timestamp [0..],
    }

    /// The offsets found.
    pub struct ListOffsetsResponse: 1..=11, flexible 6 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [2..],
        /// The topics.
        topics: Vec<ListOffsetsTopicResponse> [0..],
    }

    /// A topic in the answer.
    pub struct ListOffsetsTopicResponse {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<ListOffsetsPartitionResponse> [0..],
    }

    /// A partition in the answer.
    pub struct ListOffsetsPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The time.
        timestamp: Timestamp [1.., default Timestamp::NONE],
        /// The offset.
        offset: Offset [1.., default Offset::NONE],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [4.., default LeaderEpoch::NONE],
    }
}

request!(ListOffsets, ListOffsetsRequest => ListOffsetsResponse);
