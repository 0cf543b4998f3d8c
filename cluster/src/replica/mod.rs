//! The rules of replicating one partition.

pub mod follower;
mod leader;

pub use follower::Follower;
pub use leader::{Begin, Leader};
