//! DescribeTopicPartitions (75), version 0: topics and partitions, page by page (KIP-966).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The topics, and where to go on.
    pub struct DescribeTopicPartitionsRequest: 0..=0, flexible 0 {
        /// The topics; empty means all.
        topics: Vec<DescribeTopicPartitionsTopicRequest> [0..],
        /// Partitions to answer at most.
        response_partition_limit: i32 [0.., default 2000],
        /// Where to go on; null from the start.
        cursor: Option<DescribeTopicPartitionsCursor> [0.., nullable 0..],
    }

    /// A topic asked about.
    pub struct DescribeTopicPartitionsTopicRequest {
        /// The name.
        name: Text [0..],
    }

    /// A place between two pages.
    pub struct DescribeTopicPartitionsCursor {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partition.
        partition_index: PartitionIndex [0..],
    }

    /// One page of topics.
    pub struct DescribeTopicPartitionsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<DescribeTopicPartitionsResponseTopic> [0..],
        /// Where the next page starts; null after the last.
        next_cursor: Option<DescribeTopicPartitionsResponseCursor> [0.., nullable 0..],
    }

    /// A topic in the answer.
    pub struct DescribeTopicPartitionsResponseTopic {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The name.
        name: Option<Text> [0.., nullable 0..],
        /// The topic's id.
        topic_id: Uuid [0..],
        /// Whether it is one of Kafka's own.
        is_internal: bool [0..],
        /// The partitions.
        partitions: Vec<DescribeTopicPartitionsResponsePartition> [0..],
        /// What the caller may do to the topic, as bits.
        topic_authorized_operations: i32 [0.., default i32::MIN],
    }

    /// A place between two pages.
    pub struct DescribeTopicPartitionsResponseCursor {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partition.
        partition_index: PartitionIndex [0..],
    }

    /// A partition in the answer.
    pub struct DescribeTopicPartitionsResponsePartition {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0.., default LeaderEpoch::NONE],
        /// All replicas.
        replica_nodes: Vec<NodeId> [0..],
        /// Replicas in sync.
        isr_nodes: Vec<NodeId> [0..],
        /// Replicas out of the ISR that still hold every acknowledged record.
        eligible_leader_replicas: Option<Vec<NodeId>> [0.., nullable 0..],
        /// Replicas that were the last to be eligible.
        last_known_elr: Option<Vec<NodeId>> [0.., nullable 0..],
        /// Replicas that are not alive.
        offline_replicas: Vec<NodeId> [0..],
    }
}

request!(
    DescribeTopicPartitions,
    DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse
);
