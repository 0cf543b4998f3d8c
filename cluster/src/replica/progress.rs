//! How far a follower is, as its leader sees it (fact F21).

use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset};

use crate::time::Instant;

/// A follower's fetch. It has everything below its offset, and all of that is the leader's: of a
/// log that leaves the leader's nothing is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Who fetches.
    pub follower: NodeId,
    /// Its registration; brokers before KIP-903 name none.
    pub broker_epoch: Option<BrokerEpoch>,
    /// The epoch that it believes in.
    pub leader_epoch: LeaderEpoch,
    /// The first offset wanted.
    pub fetch_offset: Offset,
    /// Where its log starts.
    pub log_start_offset: Offset,
    /// Where the leader's own log ended when it answered, synced or not.
    pub leader_end_offset: Offset,
}

/// What becomes of a fetch that is not counted.
pub type FetchRefused = ErrorCode;

/// A follower as its leader sees it, in one leader epoch and one incarnation of the follower.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The registration that it fetched under, where it named one.
    pub broker_epoch: Option<BrokerEpoch>,
    /// Everything below is in its log; nothing is known before it has fetched.
    pub end_offset: Option<Offset>,
    /// Where its log starts.
    pub log_start_offset: Offset,
    /// When it fetched last.
    pub fetched_at: Option<Instant>,
    /// When it last had everything that its leader had at that time.
    pub caught_up_at: Option<Instant>,
    /// Whether it has fetched since it was last let go from the ISR, or at all.
    pub has_fetched_since: bool,
    /// Where the leader's log ended at its last fetch.
    leader_end_offset: Offset,
}

impl Progress {
    /// A follower of which nothing is known; one in sync has its time to show that it is.
    #[must_use]
    pub fn unknown(in_sync_at: Option<Instant>) -> Self {
        Self { caught_up_at: in_sync_at, ..Self::default() }
    }

    /// Counts a fetch. Caught up is who has all that the leader has, and who has by now all that
    /// the leader had at the fetch before: it was then, as of that time.
    pub fn note(&mut self, fetch: &Fetch, now: Instant) {
        if fetch.broker_epoch > self.broker_epoch && self.broker_epoch.is_some() {
            *self = Self::default();
        }
        let caught_up_at = if fetch.fetch_offset >= fetch.leader_end_offset {
            Some(now)
        } else if self.fetched_at.is_some() && fetch.fetch_offset >= self.leader_end_offset {
            self.fetched_at
        } else {
            None
        };
        self.caught_up_at = self.caught_up_at.max(caught_up_at);
        self.broker_epoch = fetch.broker_epoch;
        self.end_offset = Some(fetch.fetch_offset.min(fetch.leader_end_offset));
        self.log_start_offset = fetch.log_start_offset;
        self.leader_end_offset = self.leader_end_offset.max(fetch.leader_end_offset);
        self.fetched_at = Some(now);
        self.has_fetched_since = true;
    }

    /// It is in sync no longer. Only its next fetch says that it goes on.
    pub fn let_go(&mut self) {
        self.has_fetched_since = false;
    }

    /// Its broker has registered anew: what was known is of an incarnation that is gone.
    pub fn registered(&mut self, epoch: BrokerEpoch) {
        if self.broker_epoch.is_some_and(|known| known < epoch) {
            *self = Self { broker_epoch: Some(epoch), ..Self::default() };
        }
    }

    /// Whether it has all up to the leader's end, or had within this time
    /// (`replica.lag.time.max.ms`).
    #[must_use]
    pub fn is_caught_up(&self, leader_end: Offset, now: Instant, lag: Duration) -> bool {
        self.end_offset.is_some_and(|end| end >= leader_end)
            || self.caught_up_at.is_some_and(|at| now.since(at) <= lag)
    }

    /// Whether it has fetched within this time.
    #[must_use]
    pub fn is_fetching(&self, now: Instant, within: Duration) -> bool {
        self.fetched_at.is_some_and(|at| now.since(at) <= within)
    }
}
