//! ReadShareGroupStateSummary (87), versions 0–1: reads start offsets of share partitions
//! (KIP-932).
//!
//! Version 1 brought the count of completed deliveries.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The share partitions.
    pub struct ReadShareGroupStateSummaryRequest: 0..=1, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<ReadShareGroupStateSummaryTopic> [0..],
    }

    /// A topic.
    pub struct ReadShareGroupStateSummaryTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<ReadShareGroupStateSummaryPartition> [0..],
    }

    /// A partition.
    pub struct ReadShareGroupStateSummaryPartition {
        /// The partition.
        partition: PartitionIndex [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
    }

    /// Their summaries.
    pub struct ReadShareGroupStateSummaryResponse: 0..=1, flexible 0 {
        /// The results.
        results: Vec<ReadShareGroupStateSummaryTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct ReadShareGroupStateSummaryTopicResult {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<ReadShareGroupStateSummaryPartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct ReadShareGroupStateSummaryPartitionResult {
        /// The partition.
        partition: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The epoch of the share partition's state.
        state_epoch: i32 [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// The first offset still to be delivered; −1 not known yet.
        start_offset: Offset [0..],
        /// Records past the start offset that need no delivery any more; −1 unknown.
        delivery_complete_count: i32 [1.., default -1],
    }
}

request!(
    ReadShareGroupStateSummary,
    ReadShareGroupStateSummaryRequest => ReadShareGroupStateSummaryResponse
);
