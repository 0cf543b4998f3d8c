//! Records about topics and partitions.

use crate::codec::Text;
use crate::ids::{LeaderEpoch, NodeId, PartitionIndex, Uuid};
use crate::message;

message! {
    /// A topic exists.
    pub struct TopicRecord: 0..=0, flexible 0 {
        /// The name.
        name: Text [0..],
        /// The topic's id.
        topic_id: Uuid [0..],
    }

    /// A partition exists, in this state.
    pub struct PartitionRecord: 0..=2, flexible 0 {
        /// The partition.
        partition_id: PartitionIndex [0.., default PartitionIndex(-1)],
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The replicas, the preferred leader first.
        replicas: Vec<NodeId> [0..],
        /// Replicas in sync.
        isr: Vec<NodeId> [0..],
        /// Replicas that a reassignment removes.
        removing_replicas: Vec<NodeId> [0..],
        /// Replicas that a reassignment adds.
        adding_replicas: Vec<NodeId> [0..],
        /// The leader, −1 none.
        leader: NodeId [0.., default NodeId::NONE],
        /// 0 recovered, 1 recovering from an unclean election.
        leader_recovery_state: i8 [0.., tag 0],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0.., default LeaderEpoch::NONE],
        /// Grows with every change to the partition.
        partition_epoch: i32 [0.., default -1],
        /// The directory of each replica, in their order.
        directories: Vec<Uuid> [1..],
        /// Replicas out of the ISR that still hold every acknowledged record.
        eligible_leader_replicas: Option<Vec<NodeId>> [2.., nullable 2.., tag 1],
        /// Replicas that were the last to be eligible.
        last_known_elr: Option<Vec<NodeId>> [2.., nullable 2.., tag 2],
    }

    /// Parts of a partition change; what is not given stays.
    pub struct PartitionChangeRecord: 0..=2, flexible 0 {
        /// The partition.
        partition_id: PartitionIndex [0.., default PartitionIndex(-1)],
        /// The topic's id.
        topic_id: Uuid [0..],
        /// Replicas in sync; null unchanged.
        isr: Option<Vec<NodeId>> [0.., nullable 0.., tag 0],
        /// The leader; −1 none, −2 unchanged.
        leader: NodeId [0.., tag 1, default NodeId(-2)],
        /// The replicas; null unchanged.
        replicas: Option<Vec<NodeId>> [0.., nullable 0.., tag 2],
        /// Replicas that a reassignment removes; null unchanged.
        removing_replicas: Option<Vec<NodeId>> [0.., nullable 0.., tag 3],
        /// Replicas that a reassignment adds; null unchanged.
        adding_replicas: Option<Vec<NodeId>> [0.., nullable 0.., tag 4],
        /// 0 recovered, 1 recovering from an unclean election, −1 unchanged.
        leader_recovery_state: i8 [0.., tag 5, default -1],
        /// The directory of each replica; null unchanged.
        directories: Option<Vec<Uuid>> [1.., nullable 1.., tag 8],
        /// Eligible leader replicas; null unchanged.
        eligible_leader_replicas: Option<Vec<NodeId>> [2.., nullable 2.., tag 6],
        /// Replicas that were the last to be eligible; null unchanged.
        last_known_elr: Option<Vec<NodeId>> [2.., nullable 2.., tag 7],
    }

    /// A topic and its partitions are gone.
    pub struct RemoveTopicRecord: 0..=0, flexible 0 {
        /// The topic's id.
        topic_id: Uuid [0..],
    }

    /// Eligible leader replicas are forgotten, of one topic or of all (KIP-966).
    pub struct ClearElrRecord: 0..=0, flexible 0 {
        /// The topic's name.
        topic_name: Text [0..],
    }
}
