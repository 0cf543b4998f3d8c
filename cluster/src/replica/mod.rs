//! The rules of replicating one partition.

mod leader;

pub use leader::{Begin, Leader};
