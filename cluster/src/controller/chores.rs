//! What the active controller does from time to time (facts R12, R13).

use std::time::Duration;

use super::machine::{Controller, Decision};

/// Partitions that change at once: what is left comes with the next turn.
const MAX_CHANGES: usize = 1000;
/// How soon the next turn comes where one was not enough.
const SOON: Duration = Duration::from_millis(500);

impl Controller {
    /// Gives leaders back to their preferred replicas, and partitions without one to whoever their
    /// topic allows, as `auto.leader.rebalance.enable` and `unclean.leader.election.enable` say.
    /// Answers how many partitions get another leader.
    #[must_use]
    pub fn chores(&self) -> Decision<usize> {
        let Decision { mut records, answer: elected } =
            self.elect_where_unclean_is_allowed(MAX_CHANGES);
        let resolver = self.resolver();
        let is_balanced = resolver.broker_text("auto.leader.rebalance.enable");
        if is_balanced.is_none_or(|value| value.trim() != "true") {
            return Decision { records, answer: elected };
        }
        let percent = resolver.broker_number("leader.imbalance.per.broker.percentage");
        let percent = usize::try_from(percent).unwrap_or(0);
        let Decision { records: more, answer: balanced } =
            self.balance_leaders(percent, MAX_CHANGES - elected);
        records.extend(more);
        Decision { records, answer: elected + balanced }
    }

    /// How long until the next turn, after one that changed so many partitions
    /// (`leader.imbalance.check.interval.seconds`).
    #[must_use]
    pub fn chores_interval(&self, changed: usize) -> Duration {
        if changed >= MAX_CHANGES {
            return SOON;
        }
        let seconds = self.resolver().broker_number("leader.imbalance.check.interval.seconds");
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
    }
}
