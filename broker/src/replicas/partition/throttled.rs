//! A partition whose replicas are throttled (KIP-73): what a leader gives, what a follower takes.
//!
//! Replicas in sync are never held back, for what is acknowledged waits for them; but their bytes
//! count.

use milena_cluster::replica::quota::Allowance;

use super::super::throttle::Throttling;
use super::*;

impl Partition {
    /// Throttles it from now on, or not; answers how it was.
    pub fn throttle(&self, throttling: Throttling) -> Throttling {
        self.throttled.swap(throttling)
    }

    /// Whether this broker, which follows, is in sync as the controller has it.
    pub fn stand_in_sync(&self, is_in_sync: bool) {
        self.throttled.stand_in_sync(is_in_sync);
    }

    /// Whether followers that are not in sync have only what the quota of leaders leaves.
    #[must_use]
    pub fn is_given_slowly(&self) -> bool {
        self.throttled.as_leader()
    }

    /// Whether what is acknowledged waits for a follower, so that it is never held back.
    #[must_use]
    pub fn is_waited_for(&self, follower: NodeId) -> bool {
        match &self.state.lock().role {
            Role::Leading(leading) => leading.machine.is_waited_for(follower),
            Role::Following(_) | Role::Retired => false,
        }
    }

    /// A follower was given so much.
    pub fn given(&self, bytes: usize) {
        if bytes > 0 && self.throttled.as_leader() {
            self.shared.throttles().leader.record(self.shared.clock().now(), bytes);
        }
    }

    /// Until when a follower asks for nothing; `lag` is how far it is behind what is acknowledged,
    /// where it has heard of that.
    pub(super) fn withheld_until(&self, now: Instant, lag: Option<i64>) -> Option<Instant> {
        if !self.throttled.as_follower()
            || self.throttled.is_in_sync()
            || lag.is_some_and(|lag| lag <= 0)
        {
            return None;
        }
        match self.shared.throttles().follower.allowance(now) {
            Allowance::NothingUntil(at) => Some(at),
            Allowance::Bytes(_) | Allowance::Unlimited => None,
        }
    }

    /// A follower has taken so much.
    pub(super) fn taken(&self, bytes: usize) {
        if bytes > 0 && self.throttled.as_follower() {
            self.shared.throttles().follower.record(self.shared.clock().now(), bytes);
        }
    }
}
