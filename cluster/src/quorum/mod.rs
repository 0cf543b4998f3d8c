//! The metadata quorum: the machine, and what it must not forget.

mod machine;
mod state;

pub use machine::{Append, Content, Input, Output, Quorum, Restored, Voter};
pub use state::{BadQuorumState, QuorumState};
