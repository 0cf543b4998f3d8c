//! ShareGroupHeartbeat (76), version 1: a member of a share group joins, reports and leaves
//! (KIP-932).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{PartitionIndex, Uuid};
use crate::message;

message! {
    /// The member's state; unchanged parts are null.
    pub struct ShareGroupHeartbeatRequest: 1..=1, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The member.
        member_id: Text [0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// The rack.
        rack_id: Option<Text> [0.., nullable 0..],
        /// The topics subscribed to.
        subscribed_topic_names: Option<Vec<Text>> [0.., nullable 0..],
    }

    /// The member's epoch and what it may read.
    pub struct ShareGroupHeartbeatResponse: 1..=1, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The member.
        member_id: Option<Text> [0.., nullable 0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// Milliseconds until the next heartbeat.
        heartbeat_interval_ms: i32 [0..],
        /// The assignment.
        assignment: Option<ShareGroupHeartbeatAssignment> [0.., nullable 0..],
    }

    /// Partitions or tasks of a member.
    pub struct ShareGroupHeartbeatAssignment {
        /// The topics and partitions.
        topic_partitions: Vec<ShareGroupHeartbeatTopicPartitions> [0..],
    }

    /// A topic and partitions of it.
    pub struct ShareGroupHeartbeatTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }
}

request!(ShareGroupHeartbeat, ShareGroupHeartbeatRequest => ShareGroupHeartbeatResponse);
