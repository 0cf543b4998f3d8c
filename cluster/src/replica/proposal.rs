//! What a leader proposes of who is in sync, and what is known of it meanwhile (KIP-497).
//!
//! One proposal is under way at a time. Who it would let join counts from then on and until the
//! partition has a later epoch: neither silence nor a refusal says that no copy of it is accepted
//! yet.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId};

use crate::time::Instant;

/// How long to wait with another attempt.
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
/// How long nobody joins after someone was refused, unless the metadata says something new: what
/// the controller knew has yet to arrive here.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);

/// Which proposal an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalId {
    /// The epoch of the leader that made it.
    pub leader_epoch: LeaderEpoch,
    /// Its number in this epoch.
    pub attempt: u64,
}

/// What the controller is asked for with AlterPartition, once; the leader asks anew by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// To be given back with the answer.
    pub id: ProposalId,
    /// The partition's epoch that it is made on.
    pub partition_epoch: i32,
    /// Who shall be in sync, each with its registration where it is known (KIP-903).
    pub isr: Vec<(NodeId, Option<BrokerEpoch>)>,
    /// Whether the leader has yet to recover from an unclean election (KIP-704).
    pub is_recovering: bool,
}

/// What the controller decided: the partition as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The epoch of its leader.
    pub leader_epoch: LeaderEpoch,
    /// Its own epoch.
    pub partition_epoch: i32,
    /// Those in sync.
    pub isr: Vec<NodeId>,
    /// Whether its leader has yet to recover.
    pub is_recovering: bool,
}

/// The proposals of a leader on one partition epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Proposals {
    attempts: u64,
    flight: Flight,
    /// Who would join, by any of them.
    joining: BTreeSet<NodeId>,
    /// Who shall be in sync by the last one.
    last: Option<Vec<NodeId>>,
    nobody_joins_before: Option<Instant>,
}

/// Where the proposal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flight {
    /// There is none.
    #[default]
    Idle,
    /// With the controller.
    Sent,
    /// It failed; the next attempt may begin then.
    Resting(Instant),
}

impl Proposals {
    /// Whether another one may be made.
    pub(super) fn may_begin(&self, now: Instant) -> bool {
        match self.flight {
            Flight::Idle => true,
            Flight::Sent => false,
            Flight::Resting(until) => now >= until,
        }
    }

    /// When the next attempt may begin, where one is to.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.flight {
            Flight::Resting(until) => Some(until),
            Flight::Idle | Flight::Sent => None,
        }
    }

    pub(super) fn may_join(&self, now: Instant) -> bool {
        self.nobody_joins_before.is_none_or(|at| now >= at)
    }

    /// Whether someone counts only because of a proposal.
    pub(super) fn is_open(&self) -> bool {
        !self.joining.is_empty()
    }

    /// Whether a replica is in sync if a proposal is accepted.
    pub(super) fn has(&self, id: NodeId, is_committed: bool) -> bool {
        let is_last = self.last.as_ref().map_or(is_committed, |isr| isr.contains(&id));
        is_last || self.joining.contains(&id)
    }

    /// Nothing is wanted any more.
    pub(super) fn rest(&mut self) {
        self.flight = Flight::Idle;
    }

    /// Begins one; answers its number.
    pub(super) fn begin(&mut self, isr: &[NodeId], committed: &[NodeId]) -> u64 {
        self.joining.extend(isr.iter().filter(|id| !committed.contains(id)));
        self.last = Some(isr.to_vec());
        self.flight = Flight::Sent;
        self.attempts += 1;
        self.attempts
    }

    /// The partition has a later epoch: no copy of what was proposed is accepted any more.
    pub(super) fn end(&mut self) {
        *self = Self {
            attempts: self.attempts,
            nobody_joins_before: self.nobody_joins_before,
            ..Self::default()
        };
    }

    /// Whether this is the one that an answer is awaited for.
    pub(super) fn is_awaited(&self, attempt: u64) -> bool {
        self.flight == Flight::Sent && self.attempts == attempt
    }

    /// It was refused, or its answer is lost.
    pub(super) fn fail(&mut self, code: ErrorCode, now: Instant) {
        let is_refused = is_refusal(code);
        // The first refusal is followed at once by a proposal without whom was refused.
        let is_first = is_refused && self.may_join(now);
        self.flight =
            if is_first { Flight::Idle } else { Flight::Resting(now.plus(RETRY_BACKOFF)) };
        if is_refused {
            self.nobody_joins_before = Some(now.plus(REFUSED_PAUSE));
        }
    }

    /// The metadata says something new of the brokers.
    pub(super) fn learn(&mut self) {
        self.nobody_joins_before = None;
    }
}

/// Whether the controller says that it knows the partition's epoch and does not want who is
/// proposed.
pub(super) fn is_refusal(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::INELIGIBLE_REPLICA | ErrorCode::OPERATION_NOT_ATTEMPTED)
}
