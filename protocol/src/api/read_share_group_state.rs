//! ReadShareGroupState (84), version 0: reads the state of share partitions (KIP-932).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The share partitions.
    pub struct ReadShareGroupStateRequest: 0..=0, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<ReadShareGroupStateTopic> [0..],
    }

    /// A topic.
    pub struct ReadShareGroupStateTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<ReadShareGroupStatePartition> [0..],
    }

    /// A partition.
    pub struct ReadShareGroupStatePartition {
        /// The partition.
        partition: PartitionIndex [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
    }

    /// Their states.
    pub struct ReadShareGroupStateResponse: 0..=0, flexible 0 {
        /// The results.
        results: Vec<ReadShareGroupStateTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct ReadShareGroupStateTopicResult {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<ReadShareGroupStatePartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct ReadShareGroupStatePartitionResult {
        /// The partition.
        partition: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The epoch of the share partition's state.
        state_epoch: i32 [0..],
        /// The first offset still to be delivered; −1 not known yet.
        start_offset: Offset [0..],
        /// The states of ranges of records.
        state_batches: Vec<ReadShareGroupStateBatch> [0..],
    }

    /// The state of a range of records.
    pub struct ReadShareGroupStateBatch {
        /// The first offset.
        first_offset: Offset [0..],
        /// The last offset, inclusive.
        last_offset: Offset [0..],
        /// 0 available, 2 acknowledged, 4 archived.
        delivery_state: i8 [0..],
        /// How often it was delivered.
        delivery_count: i16 [0..],
    }
}

request!(ReadShareGroupState, ReadShareGroupStateRequest => ReadShareGroupStateResponse);
