//! What a member is in its epoch. Each role is a struct of its own that holds what only it needs;
//! a transition consumes one and returns the next.
//!
//! ```text
//!                 timeout               majority of pre-votes        majority of votes
//!   Unattached ───────────► Prospective ────────────────► Candidate ─────────────────► Leader
//!       ▲  ▲ ◄─────────────── refused        refused, timeout │                          │
//!       │  └──────────────────────────────────────────────────┘      resigns, no quorum  │
//!       │ epoch without a leader          ▲ no answers from the leader                   ▼
//!       └────────── any role           Follower ◄── a leader is known ── any role     Resigned
//!
//!   Observer: follows a leader or looks for one, and never votes for itself.
//! ```

use std::collections::BTreeMap;

use milena_protocol::ids::NodeId;

use super::follower::{Follower, Observer, Pursuit, Seeking};
use super::leader::Leader;
use super::message::CorrelationId;
use crate::time::Instant;

/// What a member is.
#[derive(Clone, Debug)]
pub enum Role {
    /// A voter that knows no leader and waits.
    Unattached(Unattached),
    /// A voter that asks whether it would be elected.
    Prospective(Prospective),
    /// A voter that asks for votes.
    Candidate(Candidate),
    /// The leader.
    Leader(Box<Leader>),
    /// A voter that follows a leader.
    Follower(Follower),
    /// A replica that does not vote.
    Observer(Observer),
    /// A voter that led this epoch and does not any more.
    Resigned(Resigned),
}

impl Default for Role {
    fn default() -> Self {
        Self::Unattached(Unattached::waiting(Instant(u64::MAX)))
    }
}

impl Role {
    /// It stands for election, from a role that may: what it was doing is over.
    ///
    /// # Panics
    /// From any other role: a bug.
    #[must_use]
    pub fn stand(self, tally: Tally) -> Prospective {
        match self {
            Self::Unattached(_) | Self::Follower(_) | Self::Resigned(_) => Prospective { tally },
            other => panic!("a {} does not stand for election", other.name()),
        }
    }

    /// The search for a leader, where there is one.
    #[must_use]
    pub fn seeking(&self) -> Option<&Seeking> {
        match self {
            Self::Unattached(unattached) => unattached.seeking.as_ref(),
            Self::Resigned(resigned) => resigned.seeking.as_ref(),
            Self::Observer(Observer { pursuit: Pursuit::Seeking(seeking), .. }) => Some(seeking),
            _ => None,
        }
    }

    /// The same, to go on with it.
    pub fn seeking_mut(&mut self) -> Option<&mut Seeking> {
        match self {
            Self::Unattached(unattached) => unattached.seeking.as_mut(),
            Self::Resigned(resigned) => resigned.seeking.as_mut(),
            Self::Observer(Observer { pursuit: Pursuit::Seeking(seeking), .. }) => Some(seeking),
            _ => None,
        }
    }

    /// The role's name, as Kafka's metric of it says.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unattached(_) => "unattached",
            Self::Prospective(_) => "prospective",
            Self::Candidate(_) => "candidate",
            Self::Leader(_) => "leader",
            Self::Follower(_) => "follower",
            Self::Observer(_) => "observer",
            Self::Resigned(_) => "resigned",
        }
    }
}

/// A voter that knows no leader and waits.
#[derive(Clone, Debug)]
pub struct Unattached {
    /// When it stands for election.
    pub election_deadline: Instant,
    /// A voter that has just started asks who leads meanwhile: a leader may have given up telling
    /// it.
    pub seeking: Option<Seeking>,
}

impl Unattached {
    /// It waits to be told of a leader, and stands for election at this instant.
    #[must_use]
    pub fn waiting(election_deadline: Instant) -> Self {
        Self { election_deadline, seeking: None }
    }
}

/// A voter that asks whether it would be elected.
#[derive(Clone, Debug)]
pub struct Prospective {
    /// The answers.
    pub tally: Tally,
}

/// A voter that asks for votes.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The answers.
    pub tally: Tally,
}

/// A voter that led this epoch and does not any more. It neither leads nor follows in it again, for
/// records that it had not synced may be gone.
#[derive(Clone, Debug)]
pub struct Resigned {
    /// When it stands for the next election.
    pub election_deadline: Instant,
    /// Who has not yet answered that it knows.
    pub unheard: BTreeMap<NodeId, CorrelationId>,
    /// A voter that has just started asks who leads now, as one that is [`Unattached`] does.
    pub seeking: Option<Seeking>,
}

impl Prospective {
    /// A majority would elect it.
    #[must_use]
    pub fn run(self, tally: Tally) -> Candidate {
        Candidate { tally }
    }
}

impl Candidate {
    /// A majority elected it: these voters.
    #[must_use]
    pub fn granting(self) -> Vec<NodeId> {
        self.tally.granted
    }
}

/// The answers of an election.
#[derive(Clone, Debug)]
pub struct Tally {
    /// When it is over, one way or the other.
    pub deadline: Instant,
    granted: Vec<NodeId>,
    refused: Vec<NodeId>,
    asked: BTreeMap<NodeId, Ask>,
}

/// A voter that has not answered.
#[derive(Clone, Copy, Debug)]
struct Ask {
    awaited: Option<CorrelationId>,
    repeat_at: Instant,
}

impl Tally {
    /// A tally with the own vote in it, where that counts, and these voters to be asked.
    #[must_use]
    pub fn new(
        own: Option<NodeId>,
        others: impl Iterator<Item = NodeId>,
        now: Instant,
        deadline: Instant,
    ) -> Self {
        let ask = Ask { awaited: None, repeat_at: now };
        Self {
            deadline,
            granted: own.into_iter().collect(),
            refused: Vec::new(),
            asked: others.map(|id| (id, ask)).collect(),
        }
    }

    /// How many said yes.
    #[must_use]
    pub fn granted_count(&self) -> usize {
        self.granted.len()
    }

    /// How many said no.
    #[must_use]
    pub fn refused_count(&self) -> usize {
        self.refused.len()
    }

    /// Who has to be asked now.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<NodeId> {
        let due = self.asked.iter().filter(|(_, ask)| ask.repeat_at <= now);
        due.map(|(id, _)| *id).collect()
    }

    /// A voter was asked.
    pub fn ask(&mut self, voter: NodeId, correlation: CorrelationId, repeat_at: Instant) {
        self.asked.insert(voter, Ask { awaited: Some(correlation), repeat_at });
    }

    /// A voter will not answer: it is asked again at this instant.
    pub fn repeat(&mut self, voter: NodeId, correlation: CorrelationId, repeat_at: Instant) {
        if let Some(ask) = self.asked.get_mut(&voter)
            && ask.awaited == Some(correlation)
        {
            *ask = Ask { awaited: None, repeat_at: ask.repeat_at.min(repeat_at) };
        }
    }

    /// What a voter's answer has to name.
    #[must_use]
    pub fn awaited(&self, voter: NodeId) -> Option<CorrelationId> {
        self.asked.get(&voter)?.awaited
    }

    /// A voter answered. A refusal holds until it is asked again, at this instant, if ever.
    pub fn answer(&mut self, voter: NodeId, is_granted: bool, again_at: Option<Instant>) {
        self.asked.remove(&voter);
        self.refused.retain(|refusing| *refusing != voter);
        let side = if is_granted { &mut self.granted } else { &mut self.refused };
        side.push(voter);
        if let Some(repeat_at) = again_at.filter(|_| !is_granted) {
            self.asked.insert(voter, Ask { awaited: None, repeat_at });
        }
    }

    /// When something has to be done.
    #[must_use]
    pub fn next_at(&self) -> Instant {
        let repeat = self.asked.values().map(|ask| ask.repeat_at).min();
        repeat.map_or(self.deadline, |at| at.min(self.deadline))
    }
}
