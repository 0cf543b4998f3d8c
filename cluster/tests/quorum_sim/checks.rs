//! What must hold whatever happens, one checker per property.

use std::collections::BTreeMap;

use milena_cluster::quorum::{Batch, QuorumState, ReplicaKey, SnapshotId};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use crate::disk::LogImage;

/// What was broken.
pub type Violation = String;

/// The checkers of a run.
#[derive(Default)]
pub struct Checks {
    leaders: BTreeMap<LeaderEpoch, NodeId>,
    votes: BTreeMap<(LeaderEpoch, NodeId), ReplicaKey>,
    /// Every batch that anybody saw committed, and the epoch of the first who did: the leader's
    /// that committed it.
    committed: Vec<(Batch, LeaderEpoch)>,
}

fn require(holds: bool, violation: impl FnOnce() -> Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation()) }
}

impl Checks {
    /// Everything below was seen committed by somebody.
    pub fn committed_end(&self) -> Offset {
        self.committed.last().map_or(Offset::ZERO, |(last, _)| last.end_offset)
    }

    /// One leader per epoch, elected by a majority of its voters, and it has everything that was
    /// committed in earlier epochs. What a later one has committed by now it may lack: its votes
    /// came late, and none of its records will ever be committed.
    pub fn leads(
        &mut self,
        node: NodeId,
        epoch: LeaderEpoch,
        voters: &[ReplicaKey],
        log: &LogImage,
    ) -> Result<(), Violation> {
        let votes = voters.iter().filter(|voter| {
            voter.id == node || self.votes.get(&(epoch, voter.id)).is_some_and(|to| to.id == node)
        });
        require(votes.count() > voters.len() / 2, || {
            format!("{node} leads epoch {epoch} without a majority's votes")
        })?;
        let known = *self.leaders.entry(epoch).or_insert(node);
        require(known == node, || format!("{known} and {node} both lead epoch {epoch}"))?;
        let from = self.committed.partition_point(|(batch, _)| batch.base_offset < log.start());
        let earlier = self.committed[from..].iter().filter(|(_, committed)| *committed < epoch);
        for (batch, _) in earlier {
            let held = log.ending_at(batch.end_offset);
            require(held == Some(batch), || {
                format!(
                    "{node} leads epoch {epoch} without what was committed before {}",
                    batch.end_offset
                )
            })?;
        }
        Ok(())
    }

    /// One vote per voter and epoch, durable before anybody hears of it.
    pub fn votes(
        &mut self,
        voter: NodeId,
        epoch: LeaderEpoch,
        candidate: ReplicaKey,
        durable: &QuorumState,
    ) -> Result<(), Violation> {
        let known = *self.votes.entry((epoch, voter)).or_insert(candidate);
        require(known == candidate, || {
            format!("{voter} votes for {} and {} in epoch {epoch}", known.id, candidate.id)
        })?;
        let is_durable = durable.leader_epoch == epoch
            && durable.voted_id == candidate.id
            && durable.voted_directory_id == candidate.directory_id;
        require(is_durable, || format!("{voter} forgot its vote in epoch {epoch}"))
    }

    /// Logs are equal below the high watermarks, and what is committed stays.
    pub fn commits(
        &mut self,
        node: NodeId,
        epoch: LeaderEpoch,
        batch: &Batch,
    ) -> Result<(), Violation> {
        if batch.base_offset == self.committed_end() {
            self.committed.push((batch.clone(), epoch));
            return Ok(());
        }
        let below = |(known, _): &(Batch, LeaderEpoch)| known.end_offset < batch.end_offset;
        let known = self.committed.get(self.committed.partition_point(below)).map(|known| &known.0);
        require(known == Some(batch), || {
            format!("{node} commits at {} what others did not", batch.base_offset)
        })
    }

    /// What a leader commits is on the disks of a majority of the voters.
    pub fn is_on_majority<'a>(
        &self,
        end: Offset,
        expected: Option<&Batch>,
        disks: impl Iterator<Item = &'a LogImage>,
    ) -> Result<(), Violation> {
        let (mut holding, mut all) = (0, 0);
        for durable in disks {
            let held = durable.start() >= end || durable.ending_at(end) == expected;
            holding += usize::from(held);
            all += 1;
        }
        require(holding > all / 2, || format!("commits {end} that is on {holding} disks of {all}"))
    }

    /// A snapshot holds what is committed.
    pub fn snapshot(&self, node: NodeId, id: SnapshotId) -> Result<(), Violation> {
        let known = self.committed.iter().find(|(batch, _)| batch.end_offset == id.end_offset);
        require(known.is_some_and(|(batch, _)| batch.epoch == id.epoch), || {
            format!("{node} has a snapshot of what is not committed, {}", id.end_offset)
        })
    }

    /// A high watermark never falls.
    pub fn rises(&self, node: NodeId, before: Offset, after: Offset) -> Result<(), Violation> {
        require(before < after, || format!("{node}'s high watermark falls: {before} to {after}"))
    }
}
