//! OffsetDelete (47), version 0: deletes the offsets that a group has stored (KIP-496).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::PartitionIndex;
use crate::message;

message! {
    /// The partitions whose offsets go.
    pub struct OffsetDeleteRequest: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<OffsetDeleteRequestTopic> [0..],
    }

    /// A topic asked about.
    pub struct OffsetDeleteRequestTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<OffsetDeleteRequestPartition> [0..],
    }

    /// A partition asked about.
    pub struct OffsetDeleteRequestPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
    }

    /// What became of each partition.
    pub struct OffsetDeleteResponse: 0..=0, flexible none {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<OffsetDeleteResponseTopic> [0..],
    }

    /// A topic in the answer.
    pub struct OffsetDeleteResponseTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<OffsetDeleteResponsePartition> [0..],
    }

    /// A partition in the answer.
    pub struct OffsetDeleteResponsePartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(OffsetDelete, OffsetDeleteRequest => OffsetDeleteResponse);
