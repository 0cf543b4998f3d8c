//! OffsetFetch (9), versions 1–10: how far a group has consumed.
//!
//! Version 2 may ask for all topics, 7 waits for transactions, 8 asks for several groups at once,
//! 9 brought member epochs (KIP-848), 10 names topics by id.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// Asks for the offsets that groups have stored.
    pub struct OffsetFetchRequest: 1..=10, flexible 6 {
        /// The group.
        group_id: Text [0..=7],
        /// The topics; null means all.
        topics: Option<Vec<OffsetFetchRequestTopic>> [0..=7, nullable 2..=7],
        /// The groups.
        groups: Vec<OffsetFetchRequestGroup> [8..],
        /// Whether to refuse while a transaction may still change the offset.
        require_stable: bool [7..],
    }

    /// A topic asked about.
    pub struct OffsetFetchRequestTopic {
        /// The name.
        name: Text [0..=7],
        /// The partitions.
        partition_indexes: Vec<PartitionIndex> [0..=7],
    }

    /// A group asked about.
    pub struct OffsetFetchRequestGroup {
        /// The group.
        group_id: Text [8..],
        /// The member.
        member_id: Option<Text> [9.., nullable 9..],
        /// The member's epoch.
        member_epoch: i32 [9.., default -1],
        /// The topics; null means all.
        topics: Option<Vec<OffsetFetchRequestTopics>> [8.., nullable 8..],
    }

    /// A topic asked about.
    pub struct OffsetFetchRequestTopics {
        /// The name.
        name: Text [8..=9],
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The partitions.
        partition_indexes: Vec<PartitionIndex> [8..],
    }

    /// The stored offsets.
    pub struct OffsetFetchResponse: 1..=10, flexible 6 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [3..],
        /// The topics.
        topics: Vec<OffsetFetchResponseTopic> [0..=7],
        /// What went wrong, or none.
        error_code: ErrorCode [2..=7],
        /// The groups.
        groups: Vec<OffsetFetchResponseGroup> [8..],
    }

    /// A topic in the answer.
    pub struct OffsetFetchResponseTopic {
        /// The name.
        name: Text [0..=7],
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartition> [0..=7],
    }

    /// A group in the answer.
    pub struct OffsetFetchResponseGroup {
        /// The group.
        group_id: Text [8..],
        /// The topics.
        topics: Vec<OffsetFetchResponseTopics> [8..],
        /// What went wrong, or none.
        error_code: ErrorCode [8..],
    }

    /// A partition in the answer.
    pub struct OffsetFetchResponsePartition {
        /// The partition.
        partition_index: PartitionIndex [0..=7],
        /// The next offset to consume.
        committed_offset: Offset [0..=7],
        /// The leader epoch of the last consumed record; −1 unknown.
        committed_leader_epoch: LeaderEpoch [5..=7, default LeaderEpoch::NONE],
        /// What the member says of itself, as its protocol encodes it.
        metadata: Option<Text> [0..=7, nullable 0..=7],
        /// What went wrong, or none.
        error_code: ErrorCode [0..=7],
    }

    /// A topic in the answer.
    pub struct OffsetFetchResponseTopics {
        /// The name.
        name: Text [8..=9],
        /// The topic's id.
        topic_id: Uuid [10..],
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartitions> [8..],
    }

    /// A partition in the answer.
    pub struct OffsetFetchResponsePartitions {
        /// The partition.
        partition_index: PartitionIndex [8..],
        /// The next offset to consume.
        committed_offset: Offset [8..],
        /// The leader epoch of the last consumed record; −1 unknown.
        committed_leader_epoch: LeaderEpoch [8.., default LeaderEpoch::NONE],
        /// What the member says of itself, as its protocol encodes it.
        metadata: Option<Text> [8.., nullable 8..],
        /// What went wrong, or none.
        error_code: ErrorCode [8..],
    }
}

request!(OffsetFetch, OffsetFetchRequest => OffsetFetchResponse);
