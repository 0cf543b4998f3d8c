//! AlterPartition (56), versions 2–3: a leader asks the controller to change the ISR of its
//! partitions (KIP-497).
//!
//! Version 3 gives each replica with its broker epoch.

use super::request;
use crate::error_code::ErrorCode;
use crate::ids::{BrokerEpoch, LeaderEpoch, NodeId, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The changes.
    pub struct AlterPartitionRequest: 2..=3, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0.., default BrokerEpoch(-1)],
        /// The topics.
        topics: Vec<AlterPartitionTopic> [0..],
    }

    /// A topic.
    pub struct AlterPartitionTopic {
        /// The topic's id.
        topic_id: Uuid [2..],
        /// The partitions.
        partitions: Vec<AlterPartitionPartition> [0..],
    }

    /// A partition.
    pub struct AlterPartitionPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// The replicas that shall be in sync.
        new_isr: Vec<NodeId> [0..=2],
        /// The replicas that shall be in sync, with their broker epochs.
        new_isr_with_epochs: Vec<AlterPartitionBrokerState> [3..],
        /// 0 recovered, 1 recovering from an unclean election.
        leader_recovery_state: i8 [1..],
        /// Grows with every change to the partition.
        partition_epoch: i32 [0..],
    }

    /// A replica and its broker epoch.
    pub struct AlterPartitionBrokerState {
        /// The broker.
        broker_id: NodeId [3..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [3.., default BrokerEpoch(-1)],
    }

    /// The state of each partition after the change.
    pub struct AlterPartitionResponse: 2..=3, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The topics.
        topics: Vec<AlterPartitionTopicResponse> [0..],
    }

    /// A topic in the answer.
    pub struct AlterPartitionTopicResponse {
        /// The topic's id.
        topic_id: Uuid [2..],
        /// The partitions.
        partitions: Vec<AlterPartitionPartitionResponse> [0..],
    }

    /// A partition in the answer.
    pub struct AlterPartitionPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
        /// Replicas in sync.
        isr: Vec<NodeId> [0..],
        /// 0 recovered, 1 recovering from an unclean election.
        leader_recovery_state: i8 [1..],
        /// Grows with every change to the partition.
        partition_epoch: i32 [0..],
    }
}

request!(AlterPartition, AlterPartitionRequest => AlterPartitionResponse);
