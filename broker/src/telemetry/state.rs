//! What a node knows about itself when somebody asks for its figures.
//!
//! Counters count as things happen; these figures are looked up at the moment of the scrape.

use std::path::PathBuf;

use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex};

use crate::diagnosis::Standing;

/// The state of a node at one moment.
#[derive(Clone, Debug, Default)]
pub struct NodeState {
    /// The node.
    pub node_id: NodeId,
    /// The cluster.
    pub cluster_id: String,
    /// What clients are told to connect to, as `host:port`; empty where it depends on them.
    pub address: String,
    /// Whether this node is the active controller.
    pub is_active_controller: bool,
    /// Brokers that are registered and not fenced.
    pub active_brokers: usize,
    /// Brokers that are registered and fenced.
    pub fenced_brokers: usize,
    /// Topics of the cluster and how many partitions each has.
    pub topics: Vec<(String, usize)>,
    /// Partitions of the cluster without a leader.
    pub offline_partitions: usize,
    /// Partitions of the cluster that are not led by their preferred replica.
    pub preferred_replica_imbalance: usize,
    /// Elections that took a replica which was not in sync.
    pub unclean_leader_elections: u64,
    /// The metadata quorum as this node sees it.
    pub quorum: QuorumState,
    /// Where this node keeps data.
    pub log_directories: Vec<LogDirectoryState>,
    /// The partitions that this node hosts.
    pub partitions: Vec<PartitionState>,
    /// How often a replica left those in sync with a leader here.
    pub isr_shrinks: u64,
    /// How often one joined.
    pub isr_expands: u64,
    /// How often the controller refused either, or did not answer.
    pub failed_isr_updates: u64,
    /// Bytes a second that followers take of throttled partitions.
    pub leader_throttled_byte_rate: f64,
    /// Bytes a second that this node takes of throttled partitions.
    pub follower_throttled_byte_rate: f64,
    /// The groups that this node coordinates.
    pub groups: GroupsState,
    /// Incremental fetch sessions.
    pub fetch_sessions: usize,
    /// Request bytes held by all connections.
    pub request_bytes_held: usize,
}

/// The metadata quorum.
#[derive(Clone, Debug, Default)]
pub struct QuorumState {
    /// The leader; −1 none.
    pub leader: NodeId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// Whom this node voted for; −1 nobody.
    pub voted_for: NodeId,
    /// This node's role: `leader`, `follower`, `observer`, `candidate`, `prospective`,
    /// `unattached`, `resigned`.
    pub role: &'static str,
    /// How fast it works.
    pub pace: Pace,
    /// What is committed, exclusive.
    pub high_watermark: Offset,
    /// What is written here, exclusive.
    pub log_end_offset: Offset,
    /// How many vote.
    pub voters: usize,
    /// How far everybody is, where this node leads.
    pub replicas: Vec<QuorumReplicaState>,
}

/// How fast the metadata quorum worked lately, as a node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// Records that this node appended as the leader, per second.
    pub append_records_rate: f64,
    /// Records that it fetched from the leader, per second.
    pub fetch_records_rate: f64,
    /// From an append of this leader to its commit.
    pub commit_latency: Latency,
    /// From this voter's standing for election to a leader.
    pub election_latency: Latency,
}

/// How long something took, in milliseconds; not a number where it did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// On average.
    pub avg_ms: f64,
    /// At most.
    pub max_ms: f64,
}

/// One replica of the metadata log.
#[derive(Clone, Debug, Default)]
pub struct QuorumReplicaState {
    /// The node.
    pub node: NodeId,
    /// Whether it votes.
    pub is_voter: bool,
    /// How many records it is behind; −1 unknown.
    pub lag: i64,
}

/// One data directory.
#[derive(Clone, Debug, Default)]
pub struct LogDirectoryState {
    /// Where.
    pub path: PathBuf,
    /// Whether it failed.
    pub is_offline: bool,
    /// The size of its file system.
    pub total_bytes: u64,
    /// What is free on it.
    pub free_bytes: u64,
}

/// One partition on this node.
#[derive(Clone, Debug)]
pub struct PartitionState {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// The leader; −1 none.
    pub leader: NodeId,
    /// Whether it is this node.
    pub is_leader: bool,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Whether the leader is the first of the replicas.
    pub leader_is_preferred: bool,
    /// How safe it is.
    pub standing: Standing,
    /// How many that are not in sync hold every acknowledged record all the same (KIP-966).
    pub eligible_leaders: usize,
    /// First readable offset.
    pub log_start_offset: Offset,
    /// What consumers may read, exclusive.
    pub high_watermark: Offset,
    /// Bytes on disk.
    pub log_bytes: u64,
    /// How far this node is behind the leader, where it follows one.
    pub fetch_lag: Option<i64>,
    /// Whether it follows none because it cannot go on.
    pub has_failed: bool,
    /// How far each follower is behind, where this node leads.
    pub replica_lags: Vec<(NodeId, i64)>,
}

/// The groups that a node coordinates.
#[derive(Clone, Debug, Default)]
pub struct GroupsState {
    /// The groups, by name.
    pub groups: Vec<GroupState>,
    /// Offsets, and groups without any, that are too many to be told.
    pub rows_left_out: usize,
    /// Coordinators that are not loaded, or did not answer in time.
    pub coordinators_left_out: usize,
    /// Lags of which nobody knows the seconds: there was no time to look, or the record has no
    /// timestamp.
    pub ages_left_out: usize,
}

/// One group.
#[derive(Clone, Debug, Default)]
pub struct GroupState {
    /// Its name.
    pub group: String,
    /// How many members it has.
    pub members: usize,
    /// The partitions of which it has committed an offset, where this node leads them.
    pub partitions: Vec<GroupPartitionState>,
}

/// How far a group is in a partition.
#[derive(Clone, Debug, Default)]
pub struct GroupPartitionState {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// The offset of the next record that the group will read.
    pub current_offset: Offset,
    /// Offsets that are left up to the high watermark.
    pub lag: i64,
    /// How long the oldest record that is left has been there, by its timestamp.
    pub lag_seconds: Option<f64>,
}
