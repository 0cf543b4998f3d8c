//! CreateTopics (19), versions 2–7: creates topics.
//!
//! Version 4 lets partitions and replicas default, 5 answers the configuration, 7 the topic id.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{NodeId, PartitionIndex, Uuid};
use crate::message;

message! {
    /// Topics to create.
    pub struct CreateTopicsRequest: 2..=7, flexible 5 {
        /// The topics.
        topics: Vec<CreateTopicsTopic> [0..],
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0.., default 60_000],
        /// Whether to check only and change nothing.
        validate_only: bool [1..],
    }

    /// A topic.
    pub struct CreateTopicsTopic {
        /// The name.
        name: Text [0..],
        /// How many partitions; −1 the default, or as the assignments say.
        num_partitions: i32 [0..],
        /// How many replicas; −1 the default, or as the assignments say.
        replication_factor: i16 [0..],
        /// Which brokers get the replicas; empty leaves it to the controller.
        assignments: Vec<CreateTopicsReplicaAssignment> [0..],
        /// The configuration entries.
        configs: Vec<CreateTopicsConfig> [0..],
    }

    /// The replicas of one new partition.
    pub struct CreateTopicsReplicaAssignment {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The brokers that get a replica, the preferred leader first.
        broker_ids: Vec<NodeId> [0..],
    }

    /// A configuration entry.
    pub struct CreateTopicsConfig {
        /// The name.
        name: Text [0..],
        /// The value.
        value: Option<Text> [0.., nullable 0..],
    }

    /// What became of each topic.
    pub struct CreateTopicsResponse: 2..=7, flexible 5 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [2..],
        /// The topics.
        topics: Vec<CreateTopicsTopicResult> [0..],
    }

    /// What became of a topic.
    pub struct CreateTopicsTopicResult {
        /// The name.
        name: Text [0..],
        /// The topic's id.
        topic_id: Uuid [7..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [1.., nullable 0..],
        /// Why the configuration is not answered, or none.
        topic_config_error_code: ErrorCode [5.., tag 0],
        /// How many partitions; −1 not told.
        num_partitions: i32 [5.., default -1],
        /// How many replicas; −1 not told.
        replication_factor: i16 [5.., default -1],
        /// The configuration that the topic got; null when not told.
        configs: Option<Vec<CreateTopicsConfigResult>> [5.., nullable 5..],
    }

    /// A configuration entry of the new topic.
    pub struct CreateTopicsConfigResult {
        /// The name.
        name: Text [5..],
        /// The value.
        value: Option<Text> [5.., nullable 5..],
        /// Whether it cannot be changed while running.
        read_only: bool [5..],
        /// Where the value comes from.
        config_source: i8 [5.., default -1],
        /// Whether the value is a secret, and so left out.
        is_sensitive: bool [5..],
    }
}

request!(CreateTopics, CreateTopicsRequest => CreateTopicsResponse);
