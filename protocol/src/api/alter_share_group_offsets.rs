//! AlterShareGroupOffsets (91), version 0: sets start offsets of a share group without members
//! (KIP-932).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The new start offsets.
    pub struct AlterShareGroupOffsetsRequest: 0..=0, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<AlterShareGroupOffsetsRequestTopic> [0..],
    }

    /// A topic asked about.
    pub struct AlterShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<AlterShareGroupOffsetsRequestPartition> [0..],
    }

    /// A partition asked about.
    pub struct AlterShareGroupOffsetsRequestPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The first offset still to be delivered; −1 not known yet.
        start_offset: Offset [0..],
    }

    /// What became of each.
    pub struct AlterShareGroupOffsetsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The topics.
        responses: Vec<AlterShareGroupOffsetsResponseTopic> [0..],
    }

    /// A topic in the answer.
    pub struct AlterShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<AlterShareGroupOffsetsResponsePartition> [0..],
    }

    /// A partition in the answer.
    pub struct AlterShareGroupOffsetsResponsePartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(AlterShareGroupOffsets, AlterShareGroupOffsetsRequest => AlterShareGroupOffsetsResponse);
