//! Following a leader: one fetch at a time, each answer matched to its request.
//!
//! A follower fetches only what follows its flushed end, so every fetch says truthfully what it has
//! on stable storage.

use milena_protocol::ids::{NodeId, Offset};

use super::message::{CorrelationId, SnapshotId};
use super::voters::Endpoint;
use crate::time::Instant;

/// A voter that follows a leader.
#[derive(Clone, Debug)]
pub struct Follower {
    /// Whom, and how far.
    pub following: Following,
    /// When it takes the leader for lost.
    pub fetch_deadline: Instant,
    /// Whether the leader has answered it: it takes no part in another's trial then.
    pub has_fetched: bool,
}

/// A replica that does not vote: every broker, and voters that are to be or have been.
#[derive(Clone, Debug)]
pub struct Observer {
    /// What it does.
    pub pursuit: Pursuit,
    /// When it looks for a leader anew.
    pub fetch_deadline: Instant,
}

/// What an observer does.
#[derive(Clone, Debug)]
pub enum Pursuit {
    /// It follows a leader.
    Following(Following),
    /// It asks voters and bootstrap servers in turn who leads.
    Seeking(Seeking),
}

/// The search for a leader.
#[derive(Clone, Debug)]
pub struct Seeking {
    /// How many were asked.
    pub asked_count: usize,
    /// Who was asked last, and what the answer has to name.
    pub awaited: Option<(NodeId, CorrelationId)>,
    /// When to ask the next.
    pub ask_at: Instant,
}

/// A leader, and how far its log has been taken over.
#[derive(Clone, Debug)]
pub struct Following {
    /// The leader.
    pub leader: NodeId,
    /// Where it listens, where it is not a known voter.
    pub endpoints: Vec<Endpoint>,
    /// What is under way.
    pub exchange: Exchange,
    /// The leader's high watermark, of an answer to a position that was on its branch.
    pub high_watermark: Option<Offset>,
}

/// What is under way with a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Nothing; the next fetch may go out from this instant on.
    Idle(Instant),
    /// A fetch.
    Fetching(Pending),
    /// A snapshot, of which this many bytes are here.
    Downloading {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Bytes that are here.
        position: u64,
        /// The piece that was asked for.
        pending: Result<Pending, Instant>,
    },
    /// The driver installs a snapshot.
    Installing(SnapshotId),
}

/// A request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What the answer has to name.
    pub correlation: CorrelationId,
    /// When it is given up.
    pub give_up_at: Instant,
}

impl Following {
    /// A leader of which nothing has been fetched.
    #[must_use]
    pub fn new(leader: NodeId, endpoints: Vec<Endpoint>, now: Instant) -> Self {
        Self { leader, endpoints, exchange: Exchange::Idle(now), high_watermark: None }
    }

    /// What the next answer of the leader has to name.
    #[must_use]
    pub fn awaited(&self) -> Option<CorrelationId> {
        match self.exchange {
            Exchange::Fetching(pending) | Exchange::Downloading { pending: Ok(pending), .. } => {
                Some(pending.correlation)
            }
            _ => None,
        }
    }

    /// Gives a request up that was not answered in time.
    pub fn give_up(&mut self, now: Instant) {
        match &mut self.exchange {
            Exchange::Fetching(pending) if pending.give_up_at <= now => {
                self.exchange = Exchange::Idle(now);
            }
            Exchange::Downloading { pending, .. }
                if pending.is_ok_and(|pending| pending.give_up_at <= now) =>
            {
                *pending = Err(now);
            }
            _ => {}
        }
    }

    /// The request was refused: again, later.
    pub fn back_off(&mut self, until: Instant) {
        match &mut self.exchange {
            Exchange::Downloading { pending, .. } => *pending = Err(until),
            Exchange::Installing(_) => {}
            exchange => *exchange = Exchange::Idle(until),
        }
    }

    /// When something has to be done; an idle follower that waits for a sync has nothing to do.
    #[must_use]
    pub fn next_at(&self, is_flushed: bool) -> Option<Instant> {
        match self.exchange {
            Exchange::Idle(at) => is_flushed.then_some(at),
            Exchange::Fetching(pending) | Exchange::Downloading { pending: Ok(pending), .. } => {
                Some(pending.give_up_at)
            }
            Exchange::Downloading { pending: Err(at), .. } => Some(at),
            Exchange::Installing(_) => None,
        }
    }
}

impl Seeking {
    /// A search that begins at this instant.
    #[must_use]
    pub fn from(ask_at: Instant) -> Self {
        Self { asked_count: 0, awaited: None, ask_at }
    }
}

impl Follower {
    /// Begins to follow.
    #[must_use]
    pub fn new(following: Following, fetch_deadline: Instant) -> Self {
        Self { following, fetch_deadline, has_fetched: false }
    }

    /// It votes no more.
    #[must_use]
    pub fn observe(self) -> Observer {
        let pursuit = Pursuit::Following(self.following);
        Observer { pursuit, fetch_deadline: self.fetch_deadline }
    }
}

impl Observer {
    /// Looks for a leader.
    #[must_use]
    pub fn seeking(now: Instant) -> Self {
        let pursuit = Pursuit::Seeking(Seeking::from(now));
        Self { pursuit, fetch_deadline: Instant(u64::MAX) }
    }

    /// Whom it follows.
    #[must_use]
    pub fn following(&self) -> Option<&Following> {
        match &self.pursuit {
            Pursuit::Following(following) => Some(following),
            Pursuit::Seeking(_) => None,
        }
    }

    /// When something has to be done.
    #[must_use]
    pub fn next_at(&self, is_flushed: bool) -> Instant {
        let next = match &self.pursuit {
            Pursuit::Following(following) => following.next_at(is_flushed),
            Pursuit::Seeking(seeking) => Some(seeking.ask_at),
        };
        next.map_or(self.fetch_deadline, |at| at.min(self.fetch_deadline))
    }
}
