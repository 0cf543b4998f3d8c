//! FetchSnapshot (59), versions 0–1: a part of a snapshot of a quorum's log (KIP-630).
//!
//! Version 1 brought directory ids.

use super::request;
use crate::codec::{Records, Text};
use crate::error_code::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};
use crate::message;

message! {
    /// Asks for bytes of a snapshot.
    pub struct FetchSnapshotRequest: 0..=1, flexible 0 {
        /// The cluster's id.
        cluster_id: Option<Text> [0.., nullable 0.., tag 0],
        /// The follower.
        replica_id: NodeId [0.., default NodeId::NONE],
        /// Bytes to answer at most.
        max_bytes: i32 [0.., default i32::MAX],
        /// The topics.
        topics: Vec<FetchSnapshotTopic> [0..],
    }

    /// A topic whose snapshot is wanted.
    pub struct FetchSnapshotTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<FetchSnapshotPartition> [0..],
    }

    /// A partition.
    pub struct FetchSnapshotPartition {
        /// The partition.
        partition: PartitionIndex [0..],
        /// The leader epoch that the client believes in; −1 does not check.
        current_leader_epoch: LeaderEpoch [0..],
        /// The snapshot that the follower needs first, or asks for.
        snapshot_id: FetchSnapshotRequestSnapshotId [0..],
        /// The byte at which to go on.
        position: i64 [0..],
        /// The replica's directory.
        replica_directory_id: Uuid [1.., tag 0],
    }

    /// A snapshot, named by the end offset and epoch of what it holds.
    pub struct FetchSnapshotRequestSnapshotId {
        /// The end offset, exclusive.
        end_offset: Offset [0..],
        /// The epoch.
        epoch: LeaderEpoch [0..],
    }

    /// Bytes of the snapshot.
    pub struct FetchSnapshotResponse: 0..=1, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The topics.
        topics: Vec<FetchSnapshotTopicResponse> [0..],
        /// Where the leaders named can be reached.
        node_endpoints: Vec<FetchSnapshotNodeEndpoint> [1.., tag 0],
    }

    /// A topic in the answer.
    pub struct FetchSnapshotTopicResponse {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<FetchSnapshotPartitionResponse> [0..],
    }

    /// Where a node can be reached.
    pub struct FetchSnapshotNodeEndpoint {
        /// The node.
        node_id: NodeId [1..],
        /// The host.
        host: Text [1..],
        /// The port.
        port: u16 [1..],
    }

    /// A partition in the answer.
    pub struct FetchSnapshotPartitionResponse {
        /// The partition.
        index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The snapshot that the follower needs first, or asks for.
        snapshot_id: FetchSnapshotResponseSnapshotId [0..],
        /// The leader and its epoch, where the one that was asked is not it.
        current_leader: FetchSnapshotCurrentLeader [0.., tag 0],
        /// The snapshot's size in bytes.
        size: i64 [0..],
        /// The byte at which to go on.
        position: i64 [0..],
        /// Bytes of the snapshot; batches may be cut at both ends.
        unaligned_records: Records [0..],
    }

    /// A snapshot, named by the end offset and epoch of what it holds.
    pub struct FetchSnapshotResponseSnapshotId {
        /// The end offset, exclusive.
        end_offset: Offset [0..],
        /// The epoch.
        epoch: LeaderEpoch [0..],
    }

    /// A leader and its epoch.
    pub struct FetchSnapshotCurrentLeader {
        /// The leader, −1 none.
        leader_id: NodeId [0..],
        /// The leader's epoch.
        leader_epoch: LeaderEpoch [0..],
    }
}

request!(FetchSnapshot, FetchSnapshotRequest => FetchSnapshotResponse);
