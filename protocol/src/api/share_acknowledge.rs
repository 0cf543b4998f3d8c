//! ShareAcknowledge (79), versions 1–2: acknowledges records of a share group (KIP-932).
//!
//! Version 2 can renew locks.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// The acknowledgements.
    pub struct ShareAcknowledgeRequest: 1..=2, flexible 0 {
        /// The group.
        group_id: Option<Text> [0.., nullable 0..],
        /// The member.
        member_id: Option<Text> [0.., nullable 0..],
        /// Which request of the session this is; 0 opens one, −1 ends it.
        share_session_epoch: i32 [0..],
        /// Whether locks are renewed too.
        is_renew_ack: bool [2..],
        /// The topics.
        topics: Vec<ShareAcknowledgeTopic> [0..],
    }

    /// A topic.
    pub struct ShareAcknowledgeTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<ShareAcknowledgePartition> [0..],
    }

    /// A partition.
    pub struct ShareAcknowledgePartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// Acknowledgements of records delivered earlier.
        acknowledgement_batches: Vec<ShareAcknowledgeBatch> [0..],
    }

    /// A range of records.
    pub struct ShareAcknowledgeBatch {
        /// The first offset.
        first_offset: Offset [0..],
        /// The last offset, inclusive.
        last_offset: Offset [0..],
        /// One for all offsets or one per offset: 0 gap, 1 accept, 2 release, 3 reject, 4 renew.
        acknowledge_types: Vec<i8> [0..],
    }

    /// What became of them.
    pub struct ShareAcknowledgeResponse: 1..=2, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// Milliseconds for which acquired records stay locked.
        acquisition_lock_timeout_ms: i32 [2..],
        /// The topics.
        responses: Vec<ShareAcknowledgeTopicResponse> [0..],
        /// Where the leaders named can be reached.
        node_endpoints: Vec<ShareAcknowledgeNodeEndpoint> [0..],
    }

    /// A topic in the answer.
    pub struct ShareAcknowledgeTopicResponse {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<ShareAcknowledgePartitionResponse> [0..],
    }

    /// Where a node can be reached.
    pub struct ShareAcknowledgeNodeEndpoint {
        /// The node.
        node_id: NodeId [0..],
        /// The host.
        host: Text [0..],
        /// The port.
        port: i32 [0..],
        /// The rack.
        rack: Option<Text> [0.., nullable 0..],
    }

    /// A partition in the answer.
    pub struct ShareAcknowledgePartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The leader and its epoch, where the one that was asked is not it.
        current_leader: ShareAcknowledgeCurrentLeader [0..],
    }

    /// A leader and its epoch.
    pub struct ShareAcknowledgeCurrentLeader {
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
    }
}

request!(ShareAcknowledge, ShareAcknowledgeRequest => ShareAcknowledgeResponse);
