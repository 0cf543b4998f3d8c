//! Drives the coordinators: loads their partitions, appends what they say, answers what is
//! committed. The rules are in the machines.

mod ground;
mod load;
mod shard;
mod shards;
mod topic;

pub use ground::Ground;
pub use shard::Shard;
pub use shards::{All, Shards};
pub use topic::InternalTopic;
