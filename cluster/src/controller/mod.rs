//! The controller: what may change in the cluster, and how.
//!
//! Event-sourced: deciding gives records and an answer and changes nothing; [`Controller::replay`]
//! alone changes state. The driver appends the records as one atomic batch, replays them, and lets
//! the answer go once they are committed.

pub mod alter_configs;
pub mod brokers;
mod chores;
pub mod directories;
pub mod elections;
pub mod features;
pub mod heartbeats;
pub mod isr;
pub mod ledger;
mod machine;
mod names;
mod placement;
mod proposal;
pub mod reassign;
pub mod sessions;
pub mod topics;

pub use machine::{Controller, Decision, PRODUCER_ID_BLOCK, Refused};
pub use proposal::Proposal;
pub use sessions::Sessions;
