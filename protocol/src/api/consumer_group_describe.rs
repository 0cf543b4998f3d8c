//! ConsumerGroupDescribe (69), versions 0–1: states and members of consumer groups (KIP-848).
//!
//! Version 1 tells classic members apart.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{PartitionIndex, Uuid};
use crate::message;

message! {
    /// The groups.
    pub struct ConsumerGroupDescribeRequest: 0..=1, flexible 0 {
        /// The groups.
        group_ids: Vec<Text> [0..],
        /// Whether to say what the caller may do.
        include_authorized_operations: bool [0..],
    }

    /// Their states.
    pub struct ConsumerGroupDescribeResponse: 0..=1, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The groups.
        groups: Vec<ConsumerGroupDescribeGroup> [0..],
    }

    /// A group.
    pub struct ConsumerGroupDescribeGroup {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The group.
        group_id: Text [0..],
        /// The group's state, by name.
        group_state: Text [0..],
        /// The group's epoch.
        group_epoch: i32 [0..],
        /// The group epoch that the assignment belongs to.
        assignment_epoch: i32 [0..],
        /// The assignor in use.
        assignor_name: Text [0..],
        /// The members.
        members: Vec<ConsumerGroupDescribeMember> [0..],
        /// What the caller may do, as bits.
        authorized_operations: i32 [0.., default i32::MIN],
    }

    /// A member.
    pub struct ConsumerGroupDescribeMember {
        /// The member.
        member_id: Text [0..],
        /// The name of a static member; null for a dynamic one.
        instance_id: Option<Text> [0.., nullable 0..],
        /// The rack.
        rack_id: Option<Text> [0.., nullable 0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// What the client calls itself.
        client_id: Text [0..],
        /// The host that the client connects from.
        client_host: Text [0..],
        /// The topics subscribed to.
        subscribed_topic_names: Vec<Text> [0..],
        /// The pattern of the topics subscribed to.
        subscribed_topic_regex: Option<Text> [0.., nullable 0..],
        /// The assignment.
        assignment: ConsumerGroupDescribeAssignment [0..],
        /// What the member shall own.
        target_assignment: ConsumerGroupDescribeAssignment [0..],
        /// −1 unknown, 0 classic, 1 consumer.
        member_type: i8 [1.., default -1],
    }

    /// Partitions or tasks of a member.
    pub struct ConsumerGroupDescribeAssignment {
        /// The topics and partitions.
        topic_partitions: Vec<ConsumerGroupDescribeTopicPartitions> [0..],
    }

    /// A topic and partitions of it.
    pub struct ConsumerGroupDescribeTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }
}

request!(ConsumerGroupDescribe, ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse);
