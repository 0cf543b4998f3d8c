//! The rules of replicating one partition.

pub mod follower;
mod leader;
mod progress;
mod proposal;
pub mod quota;
pub mod read_replica;
mod rules;
mod standing;
mod throttled;

pub use follower::Follower;
pub use leader::{Begin, Input, Leader, Output, Settings};
pub use progress::{Fetch, FetchRefused, Progress};
pub use proposal::{Decided, Proposal, ProposalId};
pub use rules::{Kafka, Rules};
pub use standing::{Peer, Standing};
pub use throttled::Throttled;
