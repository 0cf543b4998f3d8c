//! Produce (0), versions 3–13: record batches for partitions, acknowledged as `acks` asks.
//!
//! Version 3 brought transactional ids and record batches of format 2, 7 zstd, 8 the records at
//! fault, 10 hints at the new leader, 12 adds a partition to its transaction implicitly, 13 names
//! topics by id.

use super::request;
use crate::codec::{Records, Text};
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, Uuid};
use crate::message;

message! {
    /// Record batches to append.
    pub struct ProduceRequest: 3..=13, flexible 9 {
        /// The transactional id; null outside transactions.
        transactional_id: Option<Text> [3.., nullable 3..],
        /// 0 none, 1 the leader, −1 all replicas in sync.
        acks: i16 [0..],
        /// Milliseconds to wait for replicas.
        timeout_ms: i32 [0..],
        /// The topics.
        topic_data: Vec<ProduceTopicData> [0..],
    }

    /// A topic to append to.
    pub struct ProduceTopicData {
        /// The name.
        name: Text [0..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// The partitions.
        partition_data: Vec<ProducePartitionData> [0..],
    }

    /// A partition to append to.
    pub struct ProducePartitionData {
        /// The partition.
        index: PartitionIndex [0..],
        /// The record batches.
        records: Option<Records> [0.., nullable 0..],
    }

    /// Where the batches were appended, or why not.
    pub struct ProduceResponse: 3..=13, flexible 9 {
        /// The topics.
        responses: Vec<ProduceTopicResponse> [0..],
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// Where the leaders named can be reached.
        node_endpoints: Vec<ProduceNodeEndpoint> [10.., tag 0],
    }

    /// A topic in the answer.
    pub struct ProduceTopicResponse {
        /// The name.
        name: Text [0..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// The partitions.
        partition_responses: Vec<ProducePartitionResponse> [0..],
    }

    /// Where a node can be reached.
    pub struct ProduceNodeEndpoint {
        /// The node.
        node_id: NodeId [10..],
        /// The host.
        host: Text [10..],
        /// The port.
        port: i32 [10..],
        /// The rack.
        rack: Option<Text> [10.., nullable 10..],
    }

    /// A partition in the answer.
    pub struct ProducePartitionResponse {
        /// The partition.
        index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The offset given to the first record; −1 when nothing was appended.
        base_offset: Offset [0..],
        /// When the leader appended it; −1 where the producer's time counts.
        log_append_time_ms: Timestamp [2.., default Timestamp::NONE],
        /// Where the log starts.
        log_start_offset: Offset [5.., default Offset::NONE],
        /// The records because of which the batch was refused.
        record_errors: Vec<ProduceBatchError> [8..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [8.., nullable 8..],
        /// The leader and its epoch, where the one that was asked is not it.
        current_leader: ProduceCurrentLeader [10.., tag 0],
    }

    /// A record at fault.
    pub struct ProduceBatchError {
        /// Which record of the batch is at fault, from 0.
        batch_index: i32 [8..],
        /// What is wrong with the record, in words.
        batch_index_error_message: Option<Text> [8.., nullable 8..],
    }

    /// A leader and its epoch.
    pub struct ProduceCurrentLeader {
        /// The leader, −1 none.
        leader_id: NodeId [10.., default NodeId::NONE],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [10.., default LeaderEpoch::NONE],
    }
}

request!(Produce, ProduceRequest => ProduceResponse);
