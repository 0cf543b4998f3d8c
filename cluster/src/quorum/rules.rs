//! The rules on which the safety of the quorum rests, and the one that makes its elections short,
//! each in a line or two.
//!
//! [`Kraft`] takes them as they are. The simulator overrides one at a time to plant a bug, and must
//! find it; nothing of that is in the machine that ships.

use milena_protocol::ids::{LeaderEpoch, Offset};

use super::message::CorrelationId;

/// Where a log ends, as elections compare it: first the epoch of the last record, then the end.
pub type LogEnd = (LeaderEpoch, Offset);

/// The rules of KRaft.
pub trait Rules {
    /// How many of so many voters are a majority.
    #[must_use]
    fn majority(voters: usize) -> usize {
        voters / 2 + 1
    }

    /// Whether a candidate's log holds everything that the voter's may have committed (Raft,
    /// section 5.4.1).
    #[must_use]
    fn is_up_to_date(candidate: LogEnd, voter: LogEnd) -> bool {
        candidate >= voter
    }

    /// Whether a leader may commit up to an end that a majority holds: only with a record of its
    /// own epoch below it (Raft, section 5.4.2).
    #[must_use]
    fn may_commit(end_offset: Offset, epoch_start_offset: Offset) -> bool {
        end_offset > epoch_start_offset
    }

    /// Whether a leader may change the voters: only once its own epoch has committed, lest two
    /// leaders change the same set into two without a common majority.
    #[must_use]
    fn may_change_voters(high_watermark: Option<Offset>, epoch_start_offset: Offset) -> bool {
        high_watermark > Some(epoch_start_offset)
    }

    /// Whether the change of voters before is committed, so that the next may begin.
    #[must_use]
    fn is_change_committed(high_watermark: Option<Offset>, changed_at: Option<Offset>) -> bool {
        changed_at.is_none_or(|offset| high_watermark > Some(offset))
    }

    /// Whether an answer belongs to the request that waits for one.
    #[must_use]
    fn is_answer(awaited: CorrelationId, received: CorrelationId) -> bool {
        awaited == received
    }

    /// Whether a replica's log, which ends at `replica`, is a prefix of the leader's, which ends
    /// the replica's last epoch at `leader`.
    #[must_use]
    fn is_prefix(replica: LogEnd, leader: LogEnd) -> bool {
        replica.0 == leader.0 && replica.1 <= leader.1
    }

    /// How many slots a voter of this rank waits before it stands: for certain, and at most more by
    /// chance. No safety rests on it, only that somebody is elected soon.
    #[must_use]
    fn turn(rank: u32, _voters: usize) -> (u32, u32) {
        (rank, 1)
    }
}

/// The rules as they are.
#[derive(Clone, Copy, Debug)]
pub enum Kraft {}

impl Rules for Kraft {}
