//! WriteShareGroupState (85), versions 0–1: changes the state of share partitions (KIP-932).
//!
//! Version 1 brought the count of completed deliveries.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The changes.
    pub struct WriteShareGroupStateRequest: 0..=1, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The topics.
        topics: Vec<WriteShareGroupStateTopic> [0..],
    }

    /// A topic.
    pub struct WriteShareGroupStateTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<WriteShareGroupStatePartition> [0..],
    }

    /// A partition.
    pub struct WriteShareGroupStatePartition {
        /// The partition.
        partition: PartitionIndex [0..],
        /// The epoch of the share partition's state.
        state_epoch: i32 [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// The first offset still to be delivered; −1 not known yet.
        start_offset: Offset [0..],
        /// Records past the start offset that need no delivery any more; −1 unknown.
        delivery_complete_count: i32 [1.., default -1],
        /// The states of ranges of records.
        state_batches: Vec<WriteShareGroupStateBatch> [0..],
    }

    /// The state of a range of records.
    pub struct WriteShareGroupStateBatch {
        /// The first offset.
        first_offset: Offset [0..],
        /// The last offset, inclusive.
        last_offset: Offset [0..],
        /// 0 available, 2 acknowledged, 4 archived.
        delivery_state: i8 [0..],
        /// How often it was delivered.
        delivery_count: i16 [0..],
    }

    /// What became of each.
    pub struct WriteShareGroupStateResponse: 0..=1, flexible 0 {
        /// The results.
        results: Vec<WriteShareGroupStateTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct WriteShareGroupStateTopicResult {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<WriteShareGroupStatePartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct WriteShareGroupStatePartitionResult {
        /// The partition.
        partition: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(WriteShareGroupState, WriteShareGroupStateRequest => WriteShareGroupStateResponse);
