//! InitializeShareGroupState (83), version 0: creates the state of share partitions (KIP-932).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The share partitions.
    pub struct InitializeShareGroupStateRequest: 0..=0, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<InitializeShareGroupStateTopic> [0..],
    }

    /// A topic.
    pub struct InitializeShareGroupStateTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<InitializeShareGroupStatePartition> [0..],
    }

    /// A partition.
    pub struct InitializeShareGroupStatePartition {
        /// The partition.
        partition: PartitionIndex [0..],
        /// The epoch of the share partition's state.
        state_epoch: i32 [0..],
        /// The first offset still to be delivered; −1 not known yet.
        start_offset: Offset [0..],
    }

    /// What became of each.
    pub struct InitializeShareGroupStateResponse: 0..=0, flexible 0 {
        /// The results.
        results: Vec<InitializeShareGroupStateTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct InitializeShareGroupStateTopicResult {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<InitializeShareGroupStatePartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct InitializeShareGroupStatePartitionResult {
        /// The partition.
        partition: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(
    InitializeShareGroupState,
    InitializeShareGroupStateRequest => InitializeShareGroupStateResponse
);
