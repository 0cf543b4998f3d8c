//! ShareGroupDescribe (77), version 1: states and members of share groups (KIP-932).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{PartitionIndex, Uuid};
use crate::message;

message! {
    /// The groups.
    pub struct ShareGroupDescribeRequest: 1..=1, flexible 0 {
        /// The groups.
        group_ids: Vec<Text> [0..],
        /// Whether to say what the caller may do.
        include_authorized_operations: bool [0..],
    }

    /// Their states.
    pub struct ShareGroupDescribeResponse: 1..=1, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The groups.
        groups: Vec<ShareGroupDescribeGroup> [0..],
    }

    /// A group.
    pub struct ShareGroupDescribeGroup {
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
        members: Vec<ShareGroupDescribeMember> [0..],
        /// What the caller may do, as bits.
        authorized_operations: i32 [0.., default i32::MIN],
    }

    /// A member.
    pub struct ShareGroupDescribeMember {
        /// The member.
        member_id: Text [0..],
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
        /// The assignment.
        assignment: ShareGroupDescribeAssignment [0..],
    }

    /// Partitions or tasks of a member.
    pub struct ShareGroupDescribeAssignment {
        /// The topics and partitions.
        topic_partitions: Vec<ShareGroupDescribeTopicPartitions> [0..],
    }

    /// A topic and partitions of it.
    pub struct ShareGroupDescribeTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }
}

request!(ShareGroupDescribe, ShareGroupDescribeRequest => ShareGroupDescribeResponse);
