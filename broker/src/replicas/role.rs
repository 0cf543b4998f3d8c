//! What a broker is to a partition: its leader, or who follows it.

use milena_cluster::replica::follower::{Follower, Leadership};
use milena_cluster::replica::{Leader, Output};
use milena_cluster::time::Instant;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset};

/// What a broker is to a partition.
#[derive(Debug)]
pub(super) enum Role {
    /// It leads.
    Leading(Leading),
    /// It follows, or waits for somebody to follow.
    Following(Following),
    /// It has nothing to do with it any more.
    Retired,
}

/// A leader and what it keeps at hand.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) machine: Leader,
    /// Used anew with every step.
    pub(super) outputs: Vec<Output>,
}

/// A follower and what it does next.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// None while there is no leader.
    pub(super) machine: Option<Follower>,
    /// What to ask the leader for.
    pub(super) ask: Option<Ask>,
    /// Not before then.
    pub(super) paused_until: Option<Instant>,
    /// It cannot go on in this leader epoch.
    pub(super) failed: Option<ErrorCode>,
}

/// What a follower asks its leader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whom, in which epoch.
    pub leadership: Leadership,
    /// The first offset wanted.
    pub fetch_offset: Offset,
    /// The epoch of the record before it.
    pub last_epoch: LeaderEpoch,
    /// Where its own log starts.
    pub log_start_offset: Offset,
    /// Everything below is acknowledged as far as it knows.
    pub high_watermark: Offset,
}

/// When a follower asks next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAsk {
    /// Now.
    Now(Ask),
    /// After a while.
    At(Instant),
    /// Once the controller says something new.
    Never,
}

impl Following {
    /// What to do now.
    pub(super) fn next(&self, now: Instant) -> NextAsk {
        match (self.failed, self.ask, self.paused_until) {
            (Some(_), ..) | (_, None, _) => NextAsk::Never,
            (_, _, Some(until)) if now < until => NextAsk::At(until),
            (_, Some(ask), _) => NextAsk::Now(ask),
        }
    }
}
