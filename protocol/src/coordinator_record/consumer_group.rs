//! Records of `__consumer_offsets` about consumer groups (KIP-848).

use bytes::Bytes;

use crate::codec::Text;
use crate::ids::{PartitionIndex, Timestamp, Uuid};
use crate::message;

message! {
    /// Key of a consumer group (3).
    pub struct ConsumerGroupMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// The epoch of a consumer group.
    pub struct ConsumerGroupMetadataValue: 0..=0, flexible 0 {
        /// The epoch.
        epoch: i32 [0..],
        /// A hash over the topics subscribed to; 0 none.
        metadata_hash: i64 [0.., tag 0],
    }

    /// Key of the topics that a consumer group reads (4).
    pub struct ConsumerGroupPartitionMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// The topics that a consumer group reads; no longer written.
    pub struct ConsumerGroupPartitionMetadataValue: 0..=0, flexible 0 {
        /// The topics.
        topics: Vec<ConsumerGroupPartitionMetadataTopic> [0..],
    }

    /// A topic.
    pub struct ConsumerGroupPartitionMetadataTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The topic's name.
        topic_name: Text [0..],
        /// How many partitions.
        num_partitions: i32 [0..],
        /// The partitions and where their replicas are.
        partition_metadata: Vec<ConsumerGroupPartitionMetadataPartition> [0..],
    }

    /// A partition.
    pub struct ConsumerGroupPartitionMetadataPartition {
        /// The partition.
        partition: PartitionIndex [0..],
        /// The racks of the replicas.
        racks: Vec<Text> [0..],
    }

    /// Key of a member of a consumer group (5).
    pub struct ConsumerGroupMemberMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// A member of a consumer group, as it described itself.
    pub struct ConsumerGroupMemberMetadataValue: 0..=0, flexible 0 {
        /// The name of a static member; null for a dynamic one.
        instance_id: Option<Text> [0.., nullable 0..],
        /// The rack.
        rack_id: Option<Text> [0.., nullable 0..],
        /// What the client calls itself.
        client_id: Text [0..],
        /// The host that the client connects from.
        client_host: Text [0..],
        /// The topics subscribed to.
        subscribed_topic_names: Vec<Text> [0..],
        /// The pattern of the topics subscribed to.
        subscribed_topic_regex: Option<Text> [0.., nullable 0..],
        /// Milliseconds that a member may take to give up its partitions.
        rebalance_timeout_ms: i32 [0.., default -1],
        /// The assignor that the member wants; null leaves it to the broker.
        server_assignor: Option<Text> [0.., nullable 0..],
        /// What a member that uses the classic protocol needs besides.
        classic_member_metadata: Option<ConsumerGroupMemberMetadataClassic>
            [0.., nullable 0.., tag 0, default Some(Default::default())],
    }

    /// What a member of the classic protocol needs besides.
    pub struct ConsumerGroupMemberMetadataClassic {
        /// Milliseconds without a heartbeat after which a member counts as gone.
        session_timeout_ms: i32 [0..],
        /// The classic protocols that the member could use.
        supported_protocols: Vec<ConsumerGroupMemberMetadataClassicProtocol> [0..],
    }

    /// A protocol and what the member says in it.
    pub struct ConsumerGroupMemberMetadataClassicProtocol {
        /// The name.
        name: Text [0..],
        /// What the member says of itself, as its protocol encodes it.
        metadata: Bytes [0..],
    }

    /// Key of a consumer group's target assignment (6).
    pub struct ConsumerGroupTargetAssignmentMetadataKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
    }

    /// When the target assignment of a consumer group was made.
    pub struct ConsumerGroupTargetAssignmentMetadataValue: 0..=0, flexible 0 {
        /// The group epoch that the assignment belongs to.
        assignment_epoch: i32 [0..],
        /// When the assignment was computed.
        assignment_timestamp: Timestamp [0.., tag 0],
    }

    /// Key of a member's target assignment (7).
    pub struct ConsumerGroupTargetAssignmentMemberKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// What a member of a consumer group shall own.
    pub struct ConsumerGroupTargetAssignmentMemberValue: 0..=0, flexible 0 {
        /// The topics and partitions.
        topic_partitions: Vec<ConsumerGroupTargetAssignmentMemberTopicPartition> [0..],
    }

    /// A topic and partitions of it.
    pub struct ConsumerGroupTargetAssignmentMemberTopicPartition {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// Key of a member's current assignment (8).
    pub struct ConsumerGroupCurrentMemberAssignmentKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The member.
        member_id: Text [0..=0],
    }

    /// What a member of a consumer group owns now.
    pub struct ConsumerGroupCurrentMemberAssignmentValue: 0..=0, flexible 0 {
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// The member's epoch before.
        previous_member_epoch: i32 [0..],
        /// The member's state.
        state: i8 [0..],
        /// The partitions assigned.
        assigned_partitions: Vec<ConsumerGroupCurrentMemberAssignmentTopicPartitions> [0..],
        /// Partitions that the member has not given up yet.
        partitions_pending_revocation:
            Vec<ConsumerGroupCurrentMemberAssignmentTopicPartitions> [0..],
    }

    /// A topic and partitions of it.
    pub struct ConsumerGroupCurrentMemberAssignmentTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
        /// The epoch at which each partition was assigned.
        assignment_epochs:
            Option<Vec<i32>> [0.., nullable 0.., tag 0, default Some(Default::default())],
    }

    /// Key of a resolved regular expression (16).
    pub struct ConsumerGroupRegularExpressionKey: 0..=0, flexible none {
        /// The group.
        group_id: Text [0..=0],
        /// The regular expression.
        regular_expression: Text [0..=0],
    }

    /// The topics that a regular expression matched.
    pub struct ConsumerGroupRegularExpressionValue: 0..=0, flexible 0 {
        /// The topics.
        topics: Vec<Text> [0..],
        /// The version.
        version: i64 [0..],
        /// The time.
        timestamp: Timestamp [0..],
    }
}
