//! What members say to each other, one to one with Kafka's wire messages.
//!
//! | request | Kafka's API | asks |
//! | --- | --- | --- |
//! | [`VoteRequest`] | Vote 52 | for a vote, or whether one would be given (KIP-996) |
//! | [`BeginQuorumEpochRequest`] | BeginQuorumEpoch 53 | to follow a new leader |
//! | [`EndQuorumEpochRequest`] | EndQuorumEpoch 54 | to elect another leader |
//! | [`FetchRequest`] | Fetch 1 | for what comes next in the log |
//! | [`FetchSnapshotRequest`] | FetchSnapshot 59 | for a piece of a snapshot |
//! | [`AddVoterRequest`] | AddRaftVoter 80 | to let an observer vote |
//! | [`RemoveVoterRequest`] | RemoveRaftVoter 81 | to let a voter vote no more |
//! | [`UpdateVoterRequest`] | UpdateRaftVoter 82 | to note where a voter listens |
//! | [`Request::DescribeQuorum`] | DescribeQuorum 55 | how far everybody is |
//!
//! Topic and partition are left out: there is one log. The cluster's id is compared where a message
//! is decoded.

use std::time::Duration;

use bytes::Bytes;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp};

use super::batch::Batch;
use super::voters::{Endpoint, ReplicaKey, Voter};

/// Ties an answer to its request. A member never uses one twice in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CorrelationId(pub u64);

/// A snapshot, named by the end offset and epoch of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The end offset, exclusive.
    pub end_offset: Offset,
    /// The epoch of the last record in it.
    pub epoch: LeaderEpoch,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// The answer to one.
    Response(Response),
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Asks for a vote.
    Vote(VoteRequest),
    /// A leader makes itself known.
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    /// A leader steps down.
    EndQuorumEpoch(EndQuorumEpochRequest),
    /// Asks for what comes next.
    Fetch(FetchRequest),
    /// Asks for a piece of a snapshot.
    FetchSnapshot(FetchSnapshotRequest),
    /// Adds a voter.
    AddVoter(AddVoterRequest),
    /// Removes a voter.
    RemoveVoter(RemoveVoterRequest),
    /// Notes where a voter listens.
    UpdateVoter(UpdateVoterRequest),
    /// Asks how far everybody is.
    DescribeQuorum,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What went wrong, or none.
    pub error: ErrorCode,
    /// The epoch of who answers.
    pub epoch: LeaderEpoch,
    /// The leader of that epoch as far as it knows; −1 none.
    pub leader: NodeId,
    /// Where that leader listens.
    pub leader_endpoints: Vec<Endpoint>,
    /// The rest.
    pub body: ResponseBody,
}

/// What an answer says beyond error, epoch and leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// To [`Request::Vote`].
    Vote {
        /// Whether the vote is given.
        granted: bool,
    },
    /// To [`Request::BeginQuorumEpoch`].
    BeginQuorumEpoch,
    /// To [`Request::EndQuorumEpoch`].
    EndQuorumEpoch,
    /// To [`Request::Fetch`].
    Fetch(Fetched),
    /// To [`Request::FetchSnapshot`].
    FetchSnapshot(Piece),
    /// To [`Request::AddVoter`].
    AddVoter,
    /// To [`Request::RemoveVoter`].
    RemoveVoter,
    /// To [`Request::UpdateVoter`].
    UpdateVoter,
    /// To [`Request::DescribeQuorum`].
    DescribeQuorum(Description),
}

/// A candidate asks for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    /// Who is asked.
    pub voter: ReplicaKey,
    /// Who asks.
    pub candidate: ReplicaKey,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// The epoch of the last record of its log.
    pub last_epoch: LeaderEpoch,
    /// Where its log ends.
    pub end_offset: Offset,
    /// Whether it only asks what the answer would be.
    pub pre_vote: bool,
}

/// A new leader makes itself known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginQuorumEpochRequest {
    /// Who is told.
    pub voter: ReplicaKey,
    /// The leader.
    pub leader: NodeId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// Where it listens.
    pub endpoints: Vec<Endpoint>,
}

/// A leader steps down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndQuorumEpochRequest {
    /// The leader that was.
    pub leader: NodeId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// Who should stand for election, best first.
    pub preferred: Vec<ReplicaKey>,
}

/// A replica asks for what comes next, and says thereby what it has on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// The replica.
    pub replica: ReplicaKey,
    /// The epoch that it is in.
    pub epoch: LeaderEpoch,
    /// Where its log ends.
    pub fetch_offset: Offset,
    /// The epoch of the last record of its log; −1 of an empty one.
    pub last_epoch: LeaderEpoch,
    /// The high watermark that it knows (KIP-1166).
    pub high_watermark: Option<Offset>,
    /// How long the leader may wait for something new.
    pub max_wait: Duration,
    /// Bytes to answer at most.
    pub max_bytes: usize,
}

/// What a leader answers to a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Nothing, beside an error.
    Nothing,
    /// What comes next; nothing at the end of the log.
    Batches {
        /// Everything below is committed.
        high_watermark: Option<Offset>,
        /// Consecutive batches, from the offset that was asked for. The driver fills them in.
        batches: Vec<Batch>,
    },
    /// The replica's log leaves the leader's: the leader ends the highest epoch that is not above
    /// the replica's last one here.
    Diverging {
        /// That epoch.
        epoch: LeaderEpoch,
        /// Where it ends.
        end_offset: Offset,
    },
    /// The replica needs this snapshot first.
    Snapshot(SnapshotId),
}

/// A replica asks for a piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchSnapshotRequest {
    /// The replica.
    pub replica: ReplicaKey,
    /// The epoch that it is in.
    pub epoch: LeaderEpoch,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The position of the first byte.
    pub position: u64,
    /// Bytes to answer at most.
    pub max_bytes: usize,
}

/// A piece of a snapshot. The driver fills in size and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The bytes of the whole snapshot.
    pub size: u64,
    /// The position of the first byte.
    pub position: u64,
    /// The bytes.
    pub bytes: Bytes,
}

/// Adds a voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddVoterRequest {
    /// The observer that shall vote.
    pub voter: Voter,
    /// Whether the answer waits for the commit (KIP-1186).
    pub ack_when_committed: bool,
}

/// Removes a voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveVoterRequest {
    /// The voter that shall vote no more.
    pub voter: ReplicaKey,
}

/// Notes where a voter listens and what it can run at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateVoterRequest {
    /// The epoch that the voter is in.
    pub epoch: LeaderEpoch,
    /// The voter.
    pub voter: Voter,
}

/// How far everybody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Everything below is committed; −1 unknown.
    pub high_watermark: Offset,
    /// The voters.
    pub voters: Vec<ReplicaDescription>,
    /// All others that fetch.
    pub observers: Vec<ReplicaDescription>,
}

/// How far one replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaDescription {
    /// The replica.
    pub key: ReplicaKey,
    /// Where its log ends; −1 unknown.
    pub log_end_offset: Offset,
    /// When it last fetched; −1 unknown.
    pub last_fetch_at: Timestamp,
    /// When it last had everything; −1 unknown.
    pub last_caught_up_at: Timestamp,
}
