//! DescribeShareGroupOffsets (90), versions 0–1: start offsets of share groups (KIP-932).
//!
//! Version 1 brought the lag.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The groups and partitions.
    pub struct DescribeShareGroupOffsetsRequest: 0..=1, flexible 0 {
        /// The groups.
        groups: Vec<DescribeShareGroupOffsetsRequestGroup> [0..],
    }

    /// A group asked about.
    pub struct DescribeShareGroupOffsetsRequestGroup {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>> [0.., nullable 0..],
    }

    /// A topic asked about.
    pub struct DescribeShareGroupOffsetsRequestTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// Their start offsets.
    pub struct DescribeShareGroupOffsetsResponse: 0..=1, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The groups.
        groups: Vec<DescribeShareGroupOffsetsResponseGroup> [0..],
    }

    /// A group in the answer.
    pub struct DescribeShareGroupOffsetsResponseGroup {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<DescribeShareGroupOffsetsResponseTopic> [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }

    /// A topic in the answer.
    pub struct DescribeShareGroupOffsetsResponseTopic {
        /// The topic's name.
        topic_name: Text [0..],
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<DescribeShareGroupOffsetsResponsePartition> [0..],
    }

    /// A partition in the answer.
    pub struct DescribeShareGroupOffsetsResponsePartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The first offset still to be delivered; −1 not known yet.
        start_offset: Offset [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// Records not delivered yet; −1 unknown.
        lag: i64 [1.., default -1],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(
    DescribeShareGroupOffsets,
    DescribeShareGroupOffsetsRequest => DescribeShareGroupOffsetsResponse
);
