//! ListPartitionReassignments (46), version 0: the reassignments that go on (KIP-455).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionIndex};
use crate::message;

message! {
    /// Asks about reassignments.
    pub struct ListPartitionReassignmentsRequest: 0..=0, flexible 0 {
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0.., default 60_000],
        /// The topics; null means all.
        topics: Option<Vec<ListPartitionReassignmentsTopic>> [0.., nullable 0..],
    }

    /// A topic.
    pub struct ListPartitionReassignmentsTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partition_indexes: Vec<PartitionIndex> [0..],
    }

    /// The reassignments.
    pub struct ListPartitionReassignmentsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The topics.
        topics: Vec<ListPartitionReassignmentsTopicResponse> [0..],
    }

    /// A topic in the answer.
    pub struct ListPartitionReassignmentsTopicResponse {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<ListPartitionReassignmentsPartitionResponse> [0..],
    }

    /// A partition in the answer.
    pub struct ListPartitionReassignmentsPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The replicas, the preferred leader first.
        replicas: Vec<NodeId> [0..],
        /// Replicas that a reassignment adds.
        adding_replicas: Vec<NodeId> [0..],
        /// Replicas that a reassignment removes.
        removing_replicas: Vec<NodeId> [0..],
    }
}

request!(
    ListPartitionReassignments,
    ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse
);
