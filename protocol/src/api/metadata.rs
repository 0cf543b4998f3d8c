//! Metadata (3), versions 0–13: brokers, topics, partitions and their leaders.
//!
//! Version 0 asks for all topics with an empty array, later ones with null. Version 4 lets the
//! client forbid auto-creation, 10 answers topic ids, 12 asks by topic id, 13 has an error for the
//! whole answer.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};
use crate::message;

message! {
    /// Asks about topics.
    pub struct MetadataRequest: 0..=13, flexible 9 {
        /// Which topics; null means all from version 1 on, empty means all in version 0.
        topics: Option<Vec<MetadataRequestTopic>> [0.., nullable 1..],
        /// Whether unknown topics may be created.
        allow_auto_topic_creation: bool [4.., default true],
        /// Whether to say what the caller may do to the cluster.
        include_cluster_authorized_operations: bool [8..=10],
        /// Whether to say what the caller may do to each topic.
        include_topic_authorized_operations: bool [8..],
    }

    /// A topic by name, or from version 12 on by id.
    pub struct MetadataRequestTopic {
        /// Its id, zero when asked by name.
        topic_id: Uuid [10..],
        /// Its name, null when asked by id.
        name: Option<Text> [0.., nullable 10..],
    }

    /// Brokers and topics.
    pub struct MetadataResponse: 0..=13, flexible 9 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [3..],
        /// Live brokers that the caller's listener can reach.
        brokers: Vec<MetadataBroker> [0..],
        /// The cluster's id.
        cluster_id: Option<Text> [2.., nullable 2.., default None],
        /// A live broker that takes administrative requests; −1 none.
        controller_id: NodeId [1.., default NodeId::NONE],
        /// The topics asked for.
        topics: Vec<MetadataTopic> [0..],
        /// What the caller may do to the cluster, as bits.
        cluster_authorized_operations: i32 [8..=10, default i32::MIN],
        /// An error for the whole answer.
        error_code: ErrorCode [13..],
    }

    /// A broker as the caller reaches it.
    pub struct MetadataBroker {
        /// Its id.
        node_id: NodeId [0..],
        /// Its host.
        host: Text [0..],
        /// Its port.
        port: i32 [0..],
        /// Its rack.
        rack: Option<Text> [1.., nullable 1.., default None],
    }

    /// A topic.
    pub struct MetadataTopic {
        /// What is wrong with it.
        error_code: ErrorCode [0..],
        /// Its name; null when it was asked by an unknown id.
        name: Option<Text> [0.., nullable 12..],
        /// Its id.
        topic_id: Uuid [10..],
        /// Whether it is one of Kafka's own.
        is_internal: bool [1..],
        /// Its partitions.
        partitions: Vec<MetadataPartition> [0..],
        /// What the caller may do to it, as bits.
        topic_authorized_operations: i32 [8.., default i32::MIN],
    }

    /// A partition.
    pub struct MetadataPartition {
        /// What is wrong with it.
        error_code: ErrorCode [0..],
        /// Its number.
        partition_index: PartitionIndex [0..],
        /// Its leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [7.., default LeaderEpoch::NONE],
        /// All replicas.
        replica_nodes: Vec<NodeId> [0..],
        /// Replicas in sync.
        isr_nodes: Vec<NodeId> [0..],
        /// Replicas that are not alive.
        offline_replicas: Vec<NodeId> [5..],
    }
}

request!(Metadata, MetadataRequest => MetadataResponse);
