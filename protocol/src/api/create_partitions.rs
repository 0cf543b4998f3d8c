//! CreatePartitions (37), versions 0–3: gives topics more partitions.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::NodeId;
use crate::message;

message! {
    /// Topics and their new partition counts.
    pub struct CreatePartitionsRequest: 0..=3, flexible 2 {
        /// The topics.
        topics: Vec<CreatePartitionsTopic> [0..],
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0..],
        /// Whether to check only and change nothing.
        validate_only: bool [0..],
    }

    /// A topic.
    pub struct CreatePartitionsTopic {
        /// The name.
        name: Text [0..],
        /// How many partitions the topic shall have in all.
        count: i32 [0..],
        /// Which brokers get the new replicas; null leaves it to the controller.
        assignments: Option<Vec<CreatePartitionsAssignment>> [0.., nullable 0..],
    }

    /// The replicas of one new partition.
    pub struct CreatePartitionsAssignment {
        /// The brokers that get a replica, the preferred leader first.
        broker_ids: Vec<NodeId> [0..],
    }

    /// What became of each topic.
    pub struct CreatePartitionsResponse: 0..=3, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<CreatePartitionsTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct CreatePartitionsTopicResult {
        /// The name.
        name: Text [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(CreatePartitions, CreatePartitionsRequest => CreatePartitionsResponse);
