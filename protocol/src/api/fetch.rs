//! Fetch (1), versions 4–18: record batches from partitions, for consumers and followers.
//!
//! Version 4 brought isolation levels, 5 the log start offset, 7 fetch sessions (KIP-227), 9
//! leader epochs, 10 zstd, 11 the client's rack (KIP-392), 12 diverging epochs (KIP-595), 13 topic
//! ids, 15 the replica's state as a tagged field, 17 directory ids, 18 the replica's high
//! watermark.

use super::request;
use crate::codec::{Records, Text};
use crate::error_code::ErrorCode;
use crate::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, Uuid};
use crate::message;

message! {
    /// Asks for records from given offsets on.
    pub struct FetchRequest: 4..=18, flexible 12 {
        /// Checked between controllers; null is not checked.
        cluster_id: Option<Text> [12.., nullable 12.., tag 0],
        /// The replica; −1 a consumer, −2 a tool that reads up to the log end.
        replica_id: NodeId [0..=14, default NodeId::NONE],
        /// Who fetches, when it is a replica.
        replica_state: FetchReplicaState [15.., tag 1],
        /// Milliseconds to wait for enough bytes.
        max_wait_ms: i32 [0..],
        /// Bytes to wait for.
        min_bytes: i32 [0..],
        /// Bytes to answer at most; the first batch may exceed it.
        max_bytes: i32 [3.., default i32::MAX],
        /// 0 reads everything, 1 only what is committed.
        isolation_level: i8 [4..],
        /// The fetch session, 0 none.
        session_id: i32 [7..],
        /// Which request of the session this is; 0 opens one, −1 ends it.
        session_epoch: i32 [7.., default -1],
        /// The topics.
        topics: Vec<FetchTopic> [0..],
        /// Partitions to drop from the session.
        forgotten_topics_data: Vec<FetchForgottenTopic> [7..],
        /// The rack.
        rack_id: Text [11..],
    }

    /// A replica.
    pub struct FetchReplicaState {
        /// The replica; −1 a consumer, −2 a tool that reads up to the log end.
        replica_id: NodeId [15.., default NodeId::NONE],
        /// Its broker epoch; −1 unknown.
        replica_epoch: BrokerEpoch [15.., default BrokerEpoch(-1)],
    }

    /// A topic to read.
    pub struct FetchTopic {
        /// The topic's name.
        topic: Text [0..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// The partitions.
        partitions: Vec<FetchPartition> [0..],
    }

    /// A topic that leaves the session.
    pub struct FetchForgottenTopic {
        /// The topic's name.
        topic: Text [7..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [7..],
    }

    /// A partition to read.
    pub struct FetchPartition {
        /// The partition.
        partition: PartitionIndex [0..],
        /// The leader epoch that the client believes in; −1 does not check.
        current_leader_epoch: LeaderEpoch [9.., default LeaderEpoch::NONE],
        /// The first offset wanted.
        fetch_offset: Offset [0..],
        /// The epoch of the last record that the asker has; −1 none.
        last_fetched_epoch: LeaderEpoch [12.., default LeaderEpoch::NONE],
        /// Where a follower's log starts; −1 from a consumer.
        log_start_offset: Offset [5.., default Offset::NONE],
        /// Bytes to answer for this partition at most.
        partition_max_bytes: i32 [0..],
        /// The replica's directory.
        replica_directory_id: Uuid [17.., tag 0],
        /// The high watermark that the replica knows; the greatest integer where it says none.
        high_watermark: Offset [18.., tag 1, default Offset(i64::MAX)],
    }

    /// Record batches, or why there are none.
    pub struct FetchResponse: 4..=18, flexible 12 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// What went wrong, or none.
        error_code: ErrorCode [7..],
        /// The fetch session, 0 none.
        session_id: i32 [7..],
        /// The topics.
        responses: Vec<FetchTopicResponse> [0..],
        /// Where the leaders named can be reached.
        node_endpoints: Vec<FetchNodeEndpoint> [16.., tag 0],
    }

    /// A topic in the answer.
    pub struct FetchTopicResponse {
        /// The topic's name.
        topic: Text [0..=12],
        /// The topic's id.
        topic_id: Uuid [13..],
        /// The partitions.
        partitions: Vec<FetchPartitionResponse> [0..],
    }

    /// Where a node can be reached.
    pub struct FetchNodeEndpoint {
        /// The node.
        node_id: NodeId [16..],
        /// The host.
        host: Text [16..],
        /// The port.
        port: i32 [16..],
        /// The rack.
        rack: Option<Text> [16.., nullable 16..],
    }

    /// A partition in the answer.
    pub struct FetchPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The high watermark.
        high_watermark: Offset [0..],
        /// Where the first open transaction begins, at most the high watermark.
        last_stable_offset: Offset [4.., default Offset::NONE],
        /// Where the log starts.
        log_start_offset: Offset [5.., default Offset::NONE],
        /// Where the follower's log leaves the leader's; set only when it does.
        diverging_epoch: FetchEpochEndOffset [12.., tag 0],
        /// The leader and its epoch, where the one that was asked is not it.
        current_leader: FetchCurrentLeader [12.., tag 1],
        /// The snapshot that the follower needs first, or asks for.
        snapshot_id: FetchSnapshotId [12.., tag 2],
        /// Aborted transactions with records in the answer, by their first offset; null to a
        /// client that reads everything.
        aborted_transactions: Option<Vec<FetchAbortedTransaction>> [4.., nullable 4..],
        /// A nearer replica to read from; −1 none.
        preferred_read_replica: NodeId [11.., default NodeId::NONE],
        /// The record batches.
        records: Option<Records> [0.., nullable 0..],
    }

    /// An epoch and where it ended.
    pub struct FetchEpochEndOffset {
        /// The epoch.
        epoch: LeaderEpoch [12.., default LeaderEpoch::NONE],
        /// The end offset, exclusive.
        end_offset: Offset [12.., default Offset::NONE],
    }

    /// A leader and its epoch.
    pub struct FetchCurrentLeader {
        /// The leader, −1 none.
        leader_id: NodeId [12.., default NodeId::NONE],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [12.., default LeaderEpoch::NONE],
    }

    /// A snapshot, named by the end offset and epoch of what it holds.
    pub struct FetchSnapshotId {
        /// The end offset, exclusive.
        end_offset: Offset [0.., default Offset::NONE],
        /// The epoch.
        epoch: LeaderEpoch [0.., default LeaderEpoch::NONE],
    }

    /// An aborted transaction.
    pub struct FetchAbortedTransaction {
        /// The producer's id.
        producer_id: ProducerId [4..],
        /// The first offset.
        first_offset: Offset [4..],
    }
}

request!(Fetch, FetchRequest => FetchResponse);
