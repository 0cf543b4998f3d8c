//! The metadata quorum: KRaft (KIP-595, 630, 853, 996) as a stepped machine.
//!
//! `step(now, input, outputs)` and `deadline()`; no clock, no disk, no network, no entropy but a
//! seed. [`Quorum`] is the machine; `docs/quorum.md` draws its roles and says what is persisted
//! when.

mod batch;
mod election;
mod fetch;
mod follower;
mod input;
mod leader;
mod log;
mod machine;
mod membership;
mod message;
mod roles;
mod rules;
mod snapshot;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod timing;
mod voters;

pub use batch::{Append, Batch, Content, Control};
pub use input::{Envelope, Input, Output};
pub use log::{EpochStart, Generation, Outline, RestoredLog};
pub use machine::{Machine, Quorum, Restored};
pub use message::{
    AddVoterRequest, BeginQuorumEpochRequest, CorrelationId, Description, EndQuorumEpochRequest,
    FetchRequest, FetchSnapshotRequest, Fetched, Message, Piece, RemoveVoterRequest,
    ReplicaDescription, Request, Response, ResponseBody, SnapshotId, UpdateVoterRequest,
    VoteRequest,
};
pub use roles::Role;
pub use rules::{Kraft, LogEnd, Rules};
pub use state::{BadQuorumState, QuorumState};
pub use timing::Timing;
pub use voters::{
    DYNAMIC_VOTERS, Endpoint, KRAFT_VERSIONS, Membership, ReplicaKey, Voter, VoterSet,
};
