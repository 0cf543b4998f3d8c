//! A partition whose replicas are throttled (KIP-73): what a leader gives, what a follower takes.
//!
//! Replicas in sync are never held back, for what is acknowledged waits for them; but their bytes
//! count.

use milena_cluster::replica::quota::Allowance;

use super::*;

/// Whether a partition is throttled on this broker, by the role that it has here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Where this broker leads.
    pub as_leader: bool,
    /// Where it follows.
    pub as_follower: bool,
}

/// What is known of it without the partition's lock.
#[derive(Debug, Default)]
pub(super) struct Throttled {
    as_leader: AtomicBool,
    as_follower: AtomicBool,
    /// Whether this broker is in sync by the controller's books.
    is_in_sync: AtomicBool,
}

impl Partition {
    /// Throttles it from now on, or not; whether that is news.
    pub fn throttle(&self, throttling: Throttling) -> bool {
        let Throttling { as_leader, as_follower } = throttling;
        let was_as_leader = self.throttled.as_leader.swap(as_leader, Ordering::AcqRel);
        let was_as_follower = self.throttled.as_follower.swap(as_follower, Ordering::AcqRel);
        throttling != Throttling { as_leader: was_as_leader, as_follower: was_as_follower }
    }

    /// Whether this broker, which follows, is in sync as the controller has it.
    pub fn stand_in_sync(&self, is_in_sync: bool) {
        self.throttled.is_in_sync.store(is_in_sync, Ordering::Release);
    }

    /// What a follower may have from this leader now.
    #[must_use]
    pub fn allowance(&self, follower: NodeId) -> Allowance {
        if !self.throttled.as_leader.load(Ordering::Acquire) {
            return Allowance::Unlimited;
        }
        let is_waited_for = match &self.state.lock().role {
            Role::Leading(leading) => leading.machine.is_waited_for(follower),
            Role::Following(_) | Role::Retired => false,
        };
        if is_waited_for {
            return Allowance::Unlimited;
        }
        self.shared.throttles().leader.allowance(self.shared.clock().now())
    }

    /// A follower was given so much.
    pub fn given(&self, bytes: usize) {
        if bytes > 0 && self.throttled.as_leader.load(Ordering::Acquire) {
            self.shared.throttles().leader.record(self.shared.clock().now(), bytes);
        }
    }

    /// Until when a follower asks for nothing; `lag` is how far it is behind what is acknowledged,
    /// where it has heard of that.
    pub(super) fn withheld_until(&self, now: Instant, lag: Option<i64>) -> Option<Instant> {
        let may_go = !self.throttled.as_follower.load(Ordering::Acquire)
            || self.throttled.is_in_sync.load(Ordering::Acquire)
            || lag.is_some_and(|lag| lag <= 0);
        if may_go {
            return None;
        }
        match self.shared.throttles().follower.allowance(now) {
            Allowance::NothingUntil(at) => Some(at),
            Allowance::Bytes(_) | Allowance::Unlimited => None,
        }
    }

    /// A follower has taken so much.
    pub(super) fn taken(&self, bytes: usize) {
        if bytes > 0 && self.throttled.as_follower.load(Ordering::Acquire) {
            self.shared.throttles().follower.record(self.shared.clock().now(), bytes);
        }
    }
}
