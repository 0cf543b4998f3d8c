//! Bugs planted on purpose: what the checkers are worth shows in whether they find them.
//!
//! Some override one rule of the leader, others let what surrounds it, a driver or the controller,
//! do one thing badly. None is in the machines.

use milena_cluster::replica::Rules;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, Offset};

/// How a driver or the controller goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bug {
    /// Not at all.
    #[default]
    None,
    /// A follower cuts its log to its high watermark when the leader changes.
    TruncateToHighWatermark,
    /// A leader counts a follower's offset without looking whether its log is the same.
    UnvalidatedFetch,
    /// The controller is not told which incarnation joins.
    JoinWithoutBrokerEpoch,
    /// A broker that has lost records stays where it was.
    LossyRestartKept,
    /// A broker that has lost records leaves the ISR and is eligible.
    LossyEligible,
    /// Whoever is there leads, and nobody is told that records may be lost.
    ElectedOutsideIsr,
    /// A leader that comes back begins no epoch.
    RestartKeepsEpoch,
    /// A broker takes its role from metadata before its registration.
    RoleBeforeRegistration,
    /// Records count before they are synced, where they must be.
    UnsyncedCounts,
}

/// A follower joins once it has reached the high watermark.
#[derive(Clone, Debug)]
pub enum NoEpochStart {}

impl Rules for NoEpochStart {
    fn may_join(end: Offset, high_watermark: Offset, _: Offset) -> bool {
        end >= high_watermark
    }
}

/// The high watermark is over those that are in sync before and after a change.
#[derive(Clone, Debug)]
pub enum SmallerIsrCounts {}

impl Rules for SmallerIsrCounts {
    fn is_counted(is_committed: bool, is_proposed: bool) -> bool {
        is_committed && is_proposed
    }
}

/// Who is proposed counts once that is committed.
#[derive(Clone, Debug)]
pub enum ProposedDoNotCount {}

impl Rules for ProposedDoNotCount {
    fn is_counted(is_committed: bool, _: bool) -> bool {
        is_committed
    }
}

/// Records are acknowledged however few replicas are in sync.
#[derive(Clone, Debug)]
pub enum AcknowledgedBelowMinimum {}

impl Rules for AcknowledgedBelowMinimum {
    fn is_enough(_: usize, _: usize) -> bool {
        true
    }
}

/// A fetch of an older epoch counts.
#[derive(Clone, Debug)]
pub enum OldEpochCounts {}

impl Rules for OldEpochCounts {
    fn is_of_epoch(fetch: LeaderEpoch, own: LeaderEpoch) -> bool {
        fetch <= own
    }
}

/// A fetch of an earlier incarnation counts.
#[derive(Clone, Debug)]
pub enum OldIncarnationCounts {}

impl Rules for OldIncarnationCounts {
    fn is_current(_: Option<BrokerEpoch>, _: Option<BrokerEpoch>) -> bool {
        true
    }
}

/// A proposal that failed is forgotten.
#[derive(Clone, Debug)]
pub enum FailedProposalForgotten {}

impl Rules for FailedProposalForgotten {
    fn keeps_refused() -> bool {
        false
    }
}
