//! ShareFetch (78), versions 1–2: record batches for a share group, acquired for one member
//! (KIP-932).
//!
//! Version 2 brought modes of acquisition and the renewal of locks.

use super::request;
use crate::codec::{Records, Text};
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// Asks for records, and acknowledges earlier ones.
    pub struct ShareFetchRequest: 1..=2, flexible 0 {
        /// The group.
        group_id: Option<Text> [0.., nullable 0..],
        /// The member.
        member_id: Option<Text> [0.., nullable 0..],
        /// Which request of the session this is; 0 opens one, −1 ends it.
        share_session_epoch: i32 [0..],
        /// Milliseconds to wait for enough bytes.
        max_wait_ms: i32 [0..],
        /// Bytes to wait for.
        min_bytes: i32 [0..],
        /// Bytes to answer at most.
        max_bytes: i32 [0.., default i32::MAX],
        /// Records to acquire at most.
        max_records: i32 [1..],
        /// Records that one acquired batch should have at most.
        batch_size: i32 [1..],
        /// 0 batches whole, 1 not more records than asked for.
        share_acquire_mode: i8 [2..],
        /// Whether locks are renewed too.
        is_renew_ack: bool [2..],
        /// The topics.
        topics: Vec<ShareFetchTopic> [0..],
        /// Partitions to drop from the session.
        forgotten_topics_data: Vec<ShareFetchForgottenTopic> [0..],
    }

    /// A topic.
    pub struct ShareFetchTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<ShareFetchPartition> [0..],
    }

    /// A topic that leaves the session.
    pub struct ShareFetchForgottenTopic {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// A partition.
    pub struct ShareFetchPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// Bytes to answer for this partition at most.
        partition_max_bytes: i32 [0..=0],
        /// Acknowledgements of records delivered earlier.
        acknowledgement_batches: Vec<ShareFetchAcknowledgementBatch> [0..],
    }

    /// A range of records.
    pub struct ShareFetchAcknowledgementBatch {
        /// The first offset.
        first_offset: Offset [0..],
        /// The last offset, inclusive.
        last_offset: Offset [0..],
        /// One for all offsets or one per offset: 0 gap, 1 accept, 2 release, 3 reject, 4 renew.
        acknowledge_types: Vec<i8> [0..],
    }

    /// Record batches and which records were acquired.
    pub struct ShareFetchResponse: 1..=2, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// Milliseconds for which acquired records stay locked.
        acquisition_lock_timeout_ms: i32 [1..],
        /// The topics.
        responses: Vec<ShareFetchTopicResponse> [0..],
        /// Where the leaders named can be reached.
        node_endpoints: Vec<ShareFetchNodeEndpoint> [0..],
    }

    /// A topic in the answer.
    pub struct ShareFetchTopicResponse {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions.
        partitions: Vec<ShareFetchPartitionResponse> [0..],
    }

    /// Where a node can be reached.
    pub struct ShareFetchNodeEndpoint {
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
    pub struct ShareFetchPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// What is wrong with the acknowledgement.
        acknowledge_error_code: ErrorCode [0..],
        /// The error in words.
        acknowledge_error_message: Option<Text> [0.., nullable 0..],
        /// The leader and its epoch, where the one that was asked is not it.
        current_leader: ShareFetchCurrentLeader [0..],
        /// The record batches.
        records: Option<Records> [0.., nullable 0..=0],
        /// Ranges that the member has acquired.
        acquired_records: Vec<ShareFetchAcquiredRecords> [0..],
    }

    /// A leader and its epoch.
    pub struct ShareFetchCurrentLeader {
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
    }

    /// A range of records that was acquired.
    pub struct ShareFetchAcquiredRecords {
        /// The first offset.
        first_offset: Offset [0..],
        /// The last offset, inclusive.
        last_offset: Offset [0..],
        /// How often it was delivered.
        delivery_count: i16 [0..],
    }
}

request!(ShareFetch, ShareFetchRequest => ShareFetchResponse);
