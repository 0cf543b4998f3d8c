//! ConsumerGroupHeartbeat (68), versions 0–1: a member of a consumer group joins, reports and
//! leaves (KIP-848).
//!
//! Version 1 subscribes by regular expression.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{PartitionIndex, Uuid};
use crate::message;

message! {
    /// The member's state; unchanged parts are null.
    pub struct ConsumerGroupHeartbeatRequest: 0..=1, flexible 0 {
        /// The group.
        group_id: Text [0..],
        /// The member.
        member_id: Text [0..],
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// The name of a static member; null for a dynamic one.
        instance_id: Option<Text> [0.., nullable 0..],
        /// The rack.
        rack_id: Option<Text> [0.., nullable 0..],
        /// Milliseconds that a member may take to give up its partitions.
        rebalance_timeout_ms: i32 [0.., default -1],
        /// The topics subscribed to.
        subscribed_topic_names: Option<Vec<Text>> [0.., nullable 0..],
        /// The pattern of the topics subscribed to.
        subscribed_topic_regex: Option<Text> [1.., nullable 1..],
        /// The assignor that the member wants; null leaves it to the broker.
        server_assignor: Option<Text> [0.., nullable 0..],
        /// The topics and partitions.
        topic_partitions: Option<Vec<ConsumerGroupHeartbeatTopicPartitions>> [0.., nullable 0..],
    }

    /// A topic and partitions of it.
    pub struct ConsumerGroupHeartbeatTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// The member's epoch and what it shall own.
    pub struct ConsumerGroupHeartbeatResponse: 0..=1, flexible 0 {
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
        assignment: Option<ConsumerGroupHeartbeatAssignment> [0.., nullable 0..],
    }

    /// Partitions or tasks of a member.
    pub struct ConsumerGroupHeartbeatAssignment {
        /// The topics and partitions.
        topic_partitions: Vec<ConsumerGroupHeartbeatResponseTopicPartitions> [0..],
    }

    /// A topic and partitions of it.
    pub struct ConsumerGroupHeartbeatResponseTopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }
}

request!(ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse);
