//! OffsetCommit (8), versions 2–10: stores how far a group has consumed.
//!
//! Version 5 dropped the retention time, 6 brought leader epochs, 7 static members, 9 member
//! epochs (KIP-848), 10 names topics by id.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// Offsets to store for a group.
    pub struct OffsetCommitRequest: 2..=10, flexible 8 {
        /// The group.
        group_id: Text [0..],
        /// The generation of a classic group or the member's epoch; −1 none.
        generation_id_or_member_epoch: i32 [1.., default -1],
        /// The member.
        member_id: Text [1..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [7.., nullable 7..],
        /// Milliseconds to keep the offset; −1 the broker's default.
        retention_time_ms: i64 [2..=4, default -1],
        /// The topics.
        topics: Vec<OffsetCommitRequestTopic> [0..],
    }

    /// A topic asked about.
    pub struct OffsetCommitRequestTopic {
        /// The name.
        name: Text [0..=9],
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The partitions.
        partitions: Vec<OffsetCommitRequestPartition> [0..],
    }

    /// A partition asked about.
    pub struct OffsetCommitRequestPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The next offset to consume.
        committed_offset: Offset [0..],
        /// The leader epoch of the last consumed record; −1 unknown.
        committed_leader_epoch: LeaderEpoch [6.., default LeaderEpoch::NONE],
        /// What the client wants kept with the offset.
        committed_metadata: Option<Text> [0.., nullable 0..],
    }

    /// What became of each offset.
    pub struct OffsetCommitResponse: 2..=10, flexible 8 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [3..],
        /// The topics.
        topics: Vec<OffsetCommitResponseTopic> [0..],
    }

    /// A topic in the answer.
    pub struct OffsetCommitResponseTopic {
        /// The name.
        name: Text [0..=9],
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The partitions.
        partitions: Vec<OffsetCommitResponsePartition> [0..],
    }

    /// A partition in the answer.
    pub struct OffsetCommitResponsePartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(OffsetCommit, OffsetCommitRequest => OffsetCommitResponse);
