//! ElectLeaders (43), versions 0–2: elects preferred or unclean leaders.
//!
//! Version 1 brought the type of the election.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::PartitionIndex;
use crate::message;

message! {
    /// Partitions that shall elect.
    pub struct ElectLeadersRequest: 0..=2, flexible 2 {
        /// 0 preferred, 1 unclean.
        election_type: i8 [1..],
        /// The partitions; null means all.
        topic_partitions: Option<Vec<ElectLeadersTopicPartitions>> [0.., nullable 0..],
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0.., default 60_000],
    }

    /// A topic and partitions of it.
    pub struct ElectLeadersTopicPartitions {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// What became of each partition.
    pub struct ElectLeadersResponse: 0..=2, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [1..],
        /// The topics.
        replica_election_results: Vec<ElectLeadersTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct ElectLeadersTopicResult {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partition_result: Vec<ElectLeadersPartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct ElectLeadersPartitionResult {
        /// The partition.
        partition_id: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(ElectLeaders, ElectLeadersRequest => ElectLeadersResponse);
