//! Records of `__consumer_offsets` about share groups (KIP-932).

use crate::codec::Text;
use crate::ids::{PartitionIndex, Timestamp, Uuid};
use crate::message;

message! {
    /// Key of a member of a share group (10).
    pub struct ShareGroupMemberMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// A member of a share group, as it described itself.
    pub struct ShareGroupMemberMetadataValue: 0..=0, flexible 0 {
        /// The rack.
        rack_id: Option<Text> [0.., nullable 0..],
        /// What the client calls itself.
        client_id: Text [0..],
        /// The host that the client connects from.
        client_host: Text [0..],
        /// The topics subscribed to.
        subscribed_topic_names: Vec<Text> [0..],
    }

    /// Key of a share group (11).
    pub struct ShareGroupMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// The epoch of a share group.
    pub struct ShareGroupMetadataValue: 0..=0, flexible 0 {
        /// The epoch.
        epoch: i32 [0..],
        /// A hash over the topics subscribed to; 0 none.
        metadata_hash: i64 [0..],
    }

    /// Key of a share group's target assignment (12).
    pub struct ShareGroupTargetAssignmentMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// When the target assignment of a share group was made.
    pub struct ShareGroupTargetAssignmentMetadataValue: 0..=0, flexible 0 {
        /// The group epoch that the assignment belongs to.
        assignment_epoch: i32 [0..],
        /// When the assignment was computed.
        assignment_timestamp: Timestamp [0.., tag 0],
    }

    /// Key of a member's target assignment (13).
    pub struct ShareGroupTargetAssignmentMemberKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// What a member of a share group shall read.
    pub struct ShareGroupTargetAssignmentMemberValue: 0..=0, flexible 0 {
        /// The topics and partitions.
        topic_partitions: Vec<ShareGroupTargetAssignmentMemberTopicPartition> [0..],
    }

    /// A topic and partitions of it.
    pub struct ShareGroupTargetAssignmentMemberTopicPartition {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// Key of a member's current assignment (14).
    pub struct ShareGroupCurrentMemberAssignmentKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// What a member of a share group reads now.
    pub struct ShareGroupCurrentMemberAssignmentValue: 0..=0, flexible 0 {
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// The member's epoch before.
        previous_member_epoch: i32 [0..],
        /// The member's state.
        state: i8 [0..],
        /// The partitions assigned.
        assigned_partitions: Vec<ShareGroupCurrentMemberAssignmentTopicPartitions> [0..],
    }

    /// A topic and partitions of it.
    pub struct ShareGroupCurrentMemberAssignmentTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// Key of a share group's partitions (15).
    pub struct ShareGroupStatePartitionMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// Which partitions of a share group have a state.
    pub struct ShareGroupStatePartitionMetadataValue: 0..=0, flexible 0 {
        /// Partitions whose state is being created.
        initializing_topics: Vec<ShareGroupStatePartitionMetadataTopicPartitions> [0..],
        /// Partitions that have a state.
        initialized_topics: Vec<ShareGroupStatePartitionMetadataTopicPartitions> [0..],
        /// Topics whose state is being deleted.
        deleting_topics: Vec<ShareGroupStatePartitionMetadataDeletingTopic> [0..],
    }

    /// A topic and partitions of it.
    pub struct ShareGroupStatePartitionMetadataTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// A topic whose state is being deleted.
    pub struct ShareGroupStatePartitionMetadataDeletingTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The topic's name.
        topic_name: Text [0..],
    }
}
