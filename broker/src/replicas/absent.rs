//! Leaders that do not answer, known here before the controller has decided anything.
//!
//! When a leader's process ends, its clients ask another broker at once who leads now, and that
//! broker may know no better than they. Told the old leader again, librdkafka does not ask before
//! its next look at all topics, up to a second later; told that the leader is not available, it
//! asks again within `topic.metadata.refresh.fast.interval.ms`. So a broker whose own connection to
//! the leader has broken says that.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_protocol::ids::NodeId;
use parking_lot::RwLock;
use tokio::time::Instant;

/// For so long nothing more has to be heard of a leader that was lost; then it counts as there.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);

/// Leaders that could not be asked.
#[derive(Debug, Default)]
pub struct Absent(RwLock<BTreeMap<NodeId, Instant>>);

impl Absent {
    /// The connection to a leader broke, or cannot be made.
    pub fn lost(&self, leader: NodeId) {
        self.0.write().insert(leader, Instant::now());
    }

    /// A leader is there, or nothing is asked of it any more.
    pub fn found(&self, leader: NodeId) {
        // Almost always there is nothing to be removed.
        if self.0.read().contains_key(&leader) {
            self.0.write().remove(&leader);
        }
    }

    /// Whether a leader could not be asked a moment ago.
    #[must_use]
    pub fn contains(&self, leader: NodeId) -> bool {
        self.0.read().get(&leader).is_some_and(|at| at.elapsed() < FORGOTTEN_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that follows nobody there would hide a leader for ever.
    #[tokio::test(start_paused = true)]
    async fn a_lost_leader_counts_as_there_again_after_a_while() {
        let absent = Absent::default();
        absent.lost(NodeId(2));
        assert!(absent.contains(NodeId(2)) && !absent.contains(NodeId(1)));
        tokio::time::advance(FORGOTTEN_AFTER).await;
        assert!(!absent.contains(NodeId(2)));
        absent.lost(NodeId(2));
        absent.found(NodeId(2));
        assert!(!absent.contains(NodeId(2)));
    }
}
