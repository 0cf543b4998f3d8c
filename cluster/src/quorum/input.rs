//! What happens to the machine, and what it wants done.

use bytes::Bytes;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use super::batch::{Append, Batch};
use super::log::Generation;
use super::message::{CorrelationId, Message, SnapshotId};
use super::state::QuorumState;
use super::voters::Membership;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it, or who shall get it. Below −1 stands a bootstrap server, counted from −2
    /// downwards; −1 is a client of which nothing else is known.
    pub peer: NodeId,
    /// Of a request that comes in: whatever the driver wants back with the answer. Of a request
    /// that goes out, and of the answer to it: what the machine gave.
    pub correlation: CorrelationId,
    /// The message.
    pub message: Message,
}

/// What happens to the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time went by.
    Tick,
    /// A message came.
    Receive(Envelope),
    /// The controller wants these record values appended, as one atomic batch.
    Propose(Vec<Bytes>),
    /// A sync that began in this generation of the log has everything below this end on stable
    /// storage.
    Flushed(Generation, Offset),
    /// A snapshot of what is committed here was written, durably.
    SnapshotTaken(SnapshotId),
    /// The snapshot of [`Output::InstallSnapshot`] is durable and replaced the log. What it says
    /// about the voters comes along, where it does.
    SnapshotInstalled(SnapshotId, Option<Membership>),
    /// The snapshot of [`Output::InstallSnapshot`] cannot be used and was dropped.
    SnapshotDamaged(SnapshotId),
    /// The level of `kraft.version` shall rise to this one: from here on the voters stand in the
    /// log. Rejected where that cannot be yet.
    UpgradeKraftVersion(i16),
    /// The node is about to stop: a leader hands over.
    Resign,
    /// A request to a node gets no answer: its connection broke. Without this it is given up when
    /// its time is over.
    Unanswered(NodeId, CorrelationId),
    /// The process of a node is known to have ended: its connections were reset, and new ones are
    /// refused. Whoever follows it need not wait until its silence has lasted long enough.
    Gone(NodeId),
}

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Replace the quorum state, durably, before anything that follows.
    PersistQuorumState(QuorumState),
    /// This member leads the epoch that begins at the offset.
    BecomeLeader {
        /// The epoch.
        epoch: LeaderEpoch,
        /// Where its first record stands.
        start_offset: Offset,
    },
    /// This member led and does not any more: what it appended may be lost.
    ResignLeader,
    /// There is another epoch, and maybe a leader, which is not this member.
    BecomeFollower {
        /// The epoch.
        epoch: LeaderEpoch,
        /// The leader, once there is one.
        leader: Option<NodeId>,
    },
    /// Append what this leader decided; then sync, and report with [`Input::Flushed`].
    Append(Append),
    /// Append what the leader sent, byte for byte; then sync, and report with [`Input::Flushed`].
    AppendReplicated(Batch),
    /// Cut the log to end here. Syncs are reported with the new generation from here on.
    Truncate(Offset, Generation),
    /// Everything below is committed.
    Commit(Offset),
    /// Send a message.
    Send(Envelope),
    /// Read the log from the first offset up to the second, at most so many bytes and at least one
    /// batch, into an answer; then send it.
    SendBatches(Envelope, Offset, Offset, usize),
    /// Read the snapshot that the answer names from its position on, at most so many bytes, into
    /// the answer, with the size; then send it. Where there is no such snapshot, answer
    /// SNAPSHOT_NOT_FOUND.
    SendPiece(Envelope, usize),
    /// Write a piece of a snapshot at its position, aside from those that count; position 0 begins
    /// it anew.
    WriteSnapshot(SnapshotId, u64, Bytes),
    /// The snapshot that was written is whole: sync it and let it replace the log. The next input
    /// is [`Input::SnapshotInstalled`] or [`Input::SnapshotDamaged`].
    InstallSnapshot(SnapshotId),
    /// Records below are no longer needed: a snapshot stands for them.
    TrimLog(Offset),
    /// A proposal came to a member that does not lead.
    Reject,
}
