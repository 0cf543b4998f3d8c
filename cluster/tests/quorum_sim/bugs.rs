//! Bugs planted on purpose: what the checkers are worth shows in whether they find them.
//!
//! Each overrides one rule, or lets the driver do one output badly. None is in the machine.

use milena_cluster::quorum::{CorrelationId, LogEnd, Rules};
use milena_protocol::ids::Offset;

/// How a driver goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverBug {
    /// Not at all.
    #[default]
    None,
    /// It reports as flushed what it only wrote.
    UnsyncedCounts,
    /// It does not sync votes.
    VoteNotPersisted,
}

/// A voter gives its vote to a log that lacks what its own has.
pub enum StaleLogVote {}

impl Rules for StaleLogVote {
    fn is_up_to_date(_: LogEnd, _: LogEnd) -> bool {
        true
    }
}

/// Half of the voters count as a majority.
pub enum HalfMajority {}

impl Rules for HalfMajority {
    fn majority(voters: usize) -> usize {
        voters.div_ceil(2)
    }
}

/// Records of older epochs commit by being counted.
pub enum OlderEpochCommits {}

impl Rules for OlderEpochCommits {
    fn may_commit(_: Offset, _: Offset) -> bool {
        true
    }
}

/// Voters change before the leader's own epoch has committed.
pub enum EarlyVoterChange {}

impl Rules for EarlyVoterChange {
    fn may_change_voters(_: Option<Offset>, _: Offset) -> bool {
        true
    }
}

/// The next change of voters begins before the one before it is committed.
pub enum OverlappingVoterChange {}

impl Rules for OverlappingVoterChange {
    fn is_change_committed(_: Option<Offset>, _: Option<Offset>) -> bool {
        true
    }
}

/// Any answer of the right kind counts, whatever it answers.
pub enum NoCorrelation {}

impl Rules for NoCorrelation {
    fn is_answer(_: CorrelationId, _: CorrelationId) -> bool {
        true
    }
}

/// No bug, but a way to be slow: all voters wait for a slot at most, whatever their ranks.
pub enum JitterOfOneSlot {}

impl Rules for JitterOfOneSlot {
    fn turn(_: u32, _: usize) -> (u32, u32) {
        (0, 1)
    }
}

/// The same over as many slots as the ranks need.
pub enum JitterOfAllSlots {}

impl Rules for JitterOfAllSlots {
    fn turn(_: u32, voters: usize) -> (u32, u32) {
        (0, voters as u32)
    }
}

/// A leader believes a fetch's position without looking whether it is on its branch.
pub enum UnvalidatedFetch {}

impl Rules for UnvalidatedFetch {
    fn is_prefix(_: LogEnd, _: LogEnd) -> bool {
        true
    }
}
