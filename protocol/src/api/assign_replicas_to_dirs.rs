//! AssignReplicasToDirs (73), version 0: a broker tells which log directory holds which replica
//! (KIP-858).

use super::request;
use crate::error_code::ErrorCode;
use crate::ids::{BrokerEpoch, NodeId, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The assignments.
    pub struct AssignReplicasToDirsRequest: 0..=0, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0.., default BrokerEpoch(-1)],
        /// The directories.
        directories: Vec<AssignReplicasToDirsDirectory> [0..],
    }

    /// A log directory.
    pub struct AssignReplicasToDirsDirectory {
        /// The id.
        id: Uuid [0..],
        /// The topics.
        topics: Vec<AssignReplicasToDirsTopic> [0..],
    }

    /// A topic.
    pub struct AssignReplicasToDirsTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<AssignReplicasToDirsPartition> [0..],
    }

    /// A partition.
    pub struct AssignReplicasToDirsPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
    }

    /// What became of each assignment.
    pub struct AssignReplicasToDirsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The directories.
        directories: Vec<AssignReplicasToDirsDirectoryResponse> [0..],
    }

    /// A directory in the answer.
    pub struct AssignReplicasToDirsDirectoryResponse {
        /// The id.
        id: Uuid [0..],
        /// The topics.
        topics: Vec<AssignReplicasToDirsTopicResponse> [0..],
    }

    /// A topic in the answer.
    pub struct AssignReplicasToDirsTopicResponse {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<AssignReplicasToDirsPartitionResponse> [0..],
    }

    /// A partition in the answer.
    pub struct AssignReplicasToDirsPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(AssignReplicasToDirs, AssignReplicasToDirsRequest => AssignReplicasToDirsResponse);
