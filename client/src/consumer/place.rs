//! Partitions, and where their logs end.

use std::sync::Arc;

use milena_protocol::ids::{Offset, PartitionIndex};

/// A partition.
pub type Key = (Arc<str>, PartitionIndex);

/// Where a partition's log ends, as its leader said with the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The first offset that is still there.
    pub log_start_offset: Offset,
    /// Behind the last record that every in-sync replica has.
    pub high_watermark: Offset,
    /// Behind the last record that no open transaction stands before.
    pub last_stable_offset: Offset,
}
