//! A partition's leader: when it may append, and what counts as acknowledged.
//!
//! The high watermark is the smallest log end offset of the replicas in sync. It moves only while
//! there are at least `min.insync.replicas` of them, for any acks (P3, P4, KIP-966).

use std::collections::BTreeMap;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

/// The leader of a partition.
#[derive(Clone, Debug)]
pub struct Leader {
    node: NodeId,
    epoch: LeaderEpoch,
    replica_count: usize,
    isr: Vec<NodeId>,
    min_insync_replicas: usize,
    log_end_offset: Offset,
    /// How far each follower is known to be; nothing is known of one that never fetched.
    followers: BTreeMap<NodeId, Offset>,
    high_watermark: Offset,
}

/// What a broker knows when it begins to lead.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Itself.
    pub node: NodeId,
    /// The epoch that it leads in.
    pub epoch: LeaderEpoch,
    /// All replicas.
    pub replica_count: usize,
    /// Replicas in sync.
    pub isr: Vec<NodeId>,
    /// `min.insync.replicas` of the topic.
    pub min_insync_replicas: usize,
    /// Where its log ends, on storage that counts.
    pub log_end_offset: Offset,
}

impl Leader {
    /// Begins to lead.
    #[must_use]
    pub fn begin(begin: Begin) -> Self {
        let mut leader = Self {
            node: begin.node,
            epoch: begin.epoch,
            replica_count: begin.replica_count,
            isr: begin.isr,
            min_insync_replicas: begin.min_insync_replicas.max(1),
            log_end_offset: Offset::ZERO,
            followers: BTreeMap::new(),
            high_watermark: Offset::ZERO,
        };
        leader.appended(begin.log_end_offset);
        leader
    }

    /// The node that leads.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The epoch that it leads in.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Everything below is acknowledged.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Replicas that must be in sync; never more than there are.
    fn needed(&self) -> usize {
        self.min_insync_replicas.min(self.replica_count)
    }

    /// Decides whether an append may begin.
    ///
    /// # Errors
    /// NOT_ENOUGH_REPLICAS where acks asks for all replicas and too few are in sync.
    pub fn admit(&self, acks: i16) -> Result<(), ErrorCode> {
        if acks == -1 && self.isr.len() < self.needed() {
            return Err(ErrorCode::NOT_ENOUGH_REPLICAS);
        }
        Ok(())
    }

    /// The leader's own log ends here now, on storage that counts. Answers the high watermark.
    pub fn appended(&mut self, log_end_offset: Offset) -> Offset {
        self.log_end_offset = self.log_end_offset.max(log_end_offset);
        self.advance()
    }

    /// A follower fetches from here on, so it holds everything below. Answers the high watermark.
    pub fn fetched(&mut self, follower: NodeId, log_end_offset: Offset) -> Offset {
        // A follower that truncated is no longer as far as it was.
        self.followers.insert(follower, log_end_offset.min(self.log_end_offset));
        self.advance()
    }

    /// The controller changed who is in sync. Answers the high watermark.
    pub fn set_isr(&mut self, isr: Vec<NodeId>) -> Offset {
        self.isr = isr;
        self.advance()
    }

    /// The topic's `min.insync.replicas` changed. Answers the high watermark.
    pub fn set_min_insync_replicas(&mut self, min_insync_replicas: usize) -> Offset {
        self.min_insync_replicas = min_insync_replicas.max(1);
        self.advance()
    }

    fn advance(&mut self) -> Offset {
        if self.isr.len() >= self.needed() {
            let ends = self.isr.iter().map(|id| self.log_end_offset_of(*id));
            self.high_watermark = self.high_watermark.max(ends.min().unwrap_or(Offset::ZERO));
        }
        self.check_invariants();
        self.high_watermark
    }

    fn log_end_offset_of(&self, id: NodeId) -> Offset {
        if id == self.node {
            return self.log_end_offset;
        }
        self.followers.get(&id).copied().unwrap_or(Offset::ZERO)
    }

    /// What holds after every step.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self) {
        assert!(self.high_watermark <= self.log_end_offset, "acknowledged beyond the log");
        assert!(self.isr.contains(&self.node), "a leader is in sync with itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(replica_count: usize, isr: &[i32], min: usize) -> Leader {
        Leader::begin(Begin {
            node: NodeId(1),
            epoch: LeaderEpoch(0),
            replica_count,
            isr: isr.iter().copied().map(NodeId).collect(),
            min_insync_replicas: min,
            log_end_offset: Offset(5),
        })
    }

    /// Facts P3 and P4: a write would count that too few replicas have.
    #[test]
    fn too_few_replicas_in_sync_stop_acks_all_and_the_high_watermark() {
        let mut few = leader(3, &[1], 2);
        assert_eq!(few.admit(-1), Err(ErrorCode::NOT_ENOUGH_REPLICAS));
        assert_eq!(few.admit(1), Ok(()));
        assert_eq!(few.appended(Offset(9)), Offset::ZERO);
        assert_eq!(few.set_min_insync_replicas(1), Offset(9));
    }

    /// Fact R1: a record would be acknowledged that a replica in sync does not have.
    #[test]
    fn the_high_watermark_waits_for_all_in_sync() {
        let mut pair = leader(2, &[1, 2], 1);
        assert_eq!(pair.high_watermark(), Offset::ZERO);
        assert_eq!(pair.fetched(NodeId(2), Offset(3)), Offset(3));
        assert_eq!(pair.appended(Offset(9)), Offset(3));
        assert_eq!(pair.fetched(NodeId(2), Offset(99)), Offset(9));
        assert_eq!(pair.appended(Offset(12)), Offset(9));
        assert_eq!(pair.fetched(NodeId(2), Offset(1)), Offset(9), "it never falls");
        assert_eq!(pair.set_isr(vec![NodeId(1)]), Offset(12));
    }

    /// A topic of one replica would refuse every write under a cluster-wide minimum of two.
    #[test]
    fn the_minimum_is_never_more_than_there_are() {
        let mut single = leader(1, &[1], 2);
        assert_eq!(single.admit(-1), Ok(()));
        assert_eq!(single.appended(Offset(7)), Offset(7));
    }
}
