//! Which attempt to write markers a report is about.

use milena_protocol::ids::{LeaderEpoch, Offset};

/// One attempt to write markers: what is reported of another one does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The epoch of the coordinator.
    pub coordinator_epoch: LeaderEpoch,
    /// Which decision of the transactional id: where the log ended when it was made.
    pub decision: Offset,
    /// Which attempt of it.
    pub number: u32,
}
