//! DeleteShareGroupState (86), version 0: deletes the state of share partitions (KIP-932).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{PartitionIndex, Uuid};
use crate::message;

message! {
    /// The share partitions.
    pub struct DeleteShareGroupStateRequest: 0..=0, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<DeleteShareGroupStateTopic> [0..],
    }

    /// A topic.
    pub struct DeleteShareGroupStateTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<DeleteShareGroupStatePartition> [0..],
    }

    /// A partition.
    pub struct DeleteShareGroupStatePartition {
        /// The partition.
        partition: PartitionIndex [0..],
    }

    /// What became of each.
    pub struct DeleteShareGroupStateResponse: 0..=0, flexible 0 {
        /// The results.
        results: Vec<DeleteShareGroupStateTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct DeleteShareGroupStateTopicResult {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<DeleteShareGroupStatePartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct DeleteShareGroupStatePartitionResult {
        /// The partition.
        partition: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(DeleteShareGroupState, DeleteShareGroupStateRequest => DeleteShareGroupStateResponse);
