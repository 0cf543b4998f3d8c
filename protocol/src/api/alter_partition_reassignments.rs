//! AlterPartitionReassignments (45), versions 0–1: starts or cancels reassignments of replicas
//! (KIP-455).
//!
//! Version 1 can forbid a change of the replication factor.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionIndex};
use crate::message;

message! {
    /// The new replicas.
    pub struct AlterPartitionReassignmentsRequest: 0..=1, flexible 0 {
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0.., default 60_000],
        /// Whether the number of replicas may change.
        allow_replication_factor_change: bool [1.., default true],
        /// The topics.
        topics: Vec<AlterPartitionReassignmentsTopic> [0..],
    }

    /// A topic.
    pub struct AlterPartitionReassignmentsTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<AlterPartitionReassignmentsPartition> [0..],
    }

    /// A partition.
    pub struct AlterPartitionReassignmentsPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The new replicas; null cancels.
        replicas: Option<Vec<NodeId>> [0.., nullable 0..],
    }

    /// What became of each partition.
    pub struct AlterPartitionReassignmentsResponse: 0..=1, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// Whether the number of replicas may change.
        allow_replication_factor_change: bool [1.., default true],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The topics.
        responses: Vec<AlterPartitionReassignmentsTopicResponse> [0..],
    }

    /// A topic in the answer.
    pub struct AlterPartitionReassignmentsTopicResponse {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<AlterPartitionReassignmentsPartitionResponse> [0..],
    }

    /// A partition in the answer.
    pub struct AlterPartitionReassignmentsPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(
    AlterPartitionReassignments,
    AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse
);
