//! TxnOffsetCommit (28), versions 0–5: stores a group's offsets as part of a transaction.
//!
//! Version 2 brought leader epochs, 3 group members, 5 adds the group to its transaction
//! implicitly.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId};
use crate::message;

message! {
    /// Offsets to store when the transaction commits.
    pub struct TxnOffsetCommitRequest: 0..=5, flexible 3 {
        /// The transactional id.
        transactional_id: Text [0..],
        /// The group.
        group_id: Text [0..],
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [0..],
        /// The generation; −1 none.
        generation_id: i32 [3.., default -1],
        /// The member.
        member_id: Text [3..],
        /// The name of a static member; null for a dynamic one.
        group_instance_id: Option<Text> [3.., nullable 3..],
        /// The topics.
        topics: Vec<TxnOffsetCommitRequestTopic> [0..],
    }

    /// A topic asked about.
    pub struct TxnOffsetCommitRequestTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<TxnOffsetCommitRequestPartition> [0..],
    }

    /// A partition asked about.
    pub struct TxnOffsetCommitRequestPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The next offset to consume.
        committed_offset: Offset [0..],
        /// The leader epoch of the last consumed record; −1 unknown.
        committed_leader_epoch: LeaderEpoch [2.., default LeaderEpoch::NONE],
        /// What the client wants kept with the offset.
        committed_metadata: Option<Text> [0.., nullable 0..],
    }

    /// What became of each offset.
    pub struct TxnOffsetCommitResponse: 0..=5, flexible 3 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<TxnOffsetCommitResponseTopic> [0..],
    }

    /// A topic in the answer.
    pub struct TxnOffsetCommitResponseTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    /// A partition in the answer.
    pub struct TxnOffsetCommitResponsePartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(TxnOffsetCommit, TxnOffsetCommitRequest => TxnOffsetCommitResponse);
