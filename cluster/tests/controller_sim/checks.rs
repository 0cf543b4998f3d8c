//! What has to hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use milena_cluster::metadata::image::{MetadataImage, PartitionImage};
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId};

use crate::host::{Host, Key};

/// What went wrong.
pub type Violation = Result<(), String>;

/// Something that has to hold.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Violation {
    if holds { Ok(()) } else { Err(what()) }
}

/// What a decision made of the metadata.
pub struct Change<'a> {
    pub before: &'a MetadataImage,
    pub after: &'a MetadataImage,
    /// Whom a leader said to be in sync.
    pub proposed: &'a [NodeId],
    /// Whether records may be given up.
    pub may_lose: bool,
    pub min_in_sync: usize,
    pub has_eligible: bool,
    pub hosts: &'a BTreeMap<NodeId, Host>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Checks {
    leaders: BTreeMap<(Key, LeaderEpoch), NodeId>,
    epochs: BTreeMap<NodeId, BrokerEpoch>,
    blocks: Vec<(i64, i64)>,
    /// What was acknowledged, of partitions that never gave up records.
    acknowledged: BTreeMap<Key, Vec<u64>>,
    /// Partitions with one replica, or whose leader began when there was one.
    alone: BTreeMap<Key, NodeId>,
    /// Partitions that gave up records.
    pub unclean: BTreeSet<Key>,
}

impl Checks {
    /// Looks at everything that a decision changed.
    pub fn changed(&mut self, change: &Change<'_>) -> Violation {
        for broker in change.after.brokers() {
            let last = self.epochs.insert(broker.id, broker.epoch);
            ensure(last.is_none_or(|last| last <= broker.epoch), || {
                format!("the epoch of broker {} falls", broker.id)
            })?;
        }
        for topic in change.after.topics() {
            for (index, partition) in topic.partitions() {
                let key = (topic.id(), index);
                if partition.replicas.len() == 1 {
                    self.alone.insert(key, partition.leader);
                } else if self.alone.get(&key).is_some_and(|it| *it != partition.leader) {
                    self.alone.remove(&key);
                }
                let before = change.before.partition(topic.id(), index);
                self.place(change, key, partition)?;
                if before != Some(partition) {
                    self.partition(change, key, before, partition)
                        .map_err(|why| format!("{}-{index}: {why}", topic.name()))?;
                }
            }
        }
        Ok(())
    }

    /// Who leads and who is in sync is there. Who was the only replica is waited for as it is.
    fn place(&self, change: &Change<'_>, key: Key, partition: &PartitionImage) -> Violation {
        let is_kept_alone = partition.isr == [partition.leader];
        if is_kept_alone && self.alone.contains_key(&key) {
            return Ok(());
        }
        let is_active = |id: NodeId| change.after.broker(id).is_some_and(|it| it.is_active());
        ensure(partition.leader == NodeId::NONE || is_active(partition.leader), || {
            format!("{key:?} is led by one who is fenced or stops: {partition:?}")
        })?;
        let is_waited_for = !change.has_eligible && partition.isr.len() == 1;
        ensure(is_waited_for || partition.isr.iter().all(|id| is_active(*id)), || {
            format!("{key:?} has {:?} in sync, of which one is fenced or stops", partition.isr)
        })
    }

    fn partition(
        &mut self,
        change: &Change<'_>,
        key: Key,
        before: Option<&PartitionImage>,
        after: &PartitionImage,
    ) -> Violation {
        let leader = after.leader;
        let known = *self.leaders.entry((key, after.leader_epoch)).or_insert(leader);
        ensure(known == leader, || {
            format!("epoch {} is led by {known} and by {leader}", after.leader_epoch)
        })?;
        let Some(before) = before else { return Ok(()) };
        ensure(before.leader_epoch <= after.leader_epoch, || "its leader epoch falls".into())?;
        ensure(before.partition_epoch < after.partition_epoch, || {
            "its partition epoch does not grow".into()
        })?;
        self.election(change, key, before, after)?;
        self.moved(change, before, after)?;
        self.contents(change, key, after)
    }

    /// Who is elected has everything, or is said to be one who may not.
    fn election(
        &mut self,
        change: &Change<'_>,
        key: Key,
        before: &PartitionImage,
        after: &PartitionImage,
    ) -> Violation {
        let leader = after.leader;
        if leader == NodeId::NONE || after.leader_epoch == before.leader_epoch {
            return Ok(());
        }
        let eligible = [&before.isr[..], &before.elr[..], change.proposed];
        if eligible.iter().any(|it| it.contains(&leader)) {
            return Ok(());
        }
        // Whoever had everything has just told that it has not, and the last leader returns.
        let epoch = |image: &MetadataImage, id| image.broker(id).map(|broker| broker.epoch);
        let has_lost = |id: &NodeId| {
            let is_restarted = epoch(change.before, *id) != epoch(change.after, *id);
            let broker = change.after.broker(*id);
            let place = before.directory_of(*id);
            let is_gone = place.zip(broker).is_none_or(|(place, broker)| !broker.has_online(place));
            is_restarted || is_gone
        };
        let was_last = before.last_known_elr == [leader] || before.leader == leader;
        let is_last_known = was_last && before.isr.iter().chain(&before.elr).all(has_lost);
        ensure(change.may_lose || is_last_known, || {
            format!("{leader} is elected, who is neither in sync nor eligible")
        })?;
        ensure(after.leader_recovery_state == 1 && after.isr == [leader], || {
            format!("{leader} is elected, who may lack records, and nobody is told")
        })?;
        self.unclean.insert(key);
        Ok(())
    }

    /// A replica goes only in another epoch, and not at the cost of safety.
    fn moved(
        &self,
        change: &Change<'_>,
        before: &PartitionImage,
        after: &PartitionImage,
    ) -> Violation {
        if before.replicas.iter().all(|id| after.replicas.contains(id)) {
            return Ok(());
        }
        ensure(after.leader_epoch > before.leader_epoch, || {
            "a replica was taken away, and the leader epoch stays".into()
        })?;
        let least = change.min_in_sync.min(after.replicas.len()).min(before.isr.len());
        ensure(change.may_lose || after.isr.len() >= least, || {
            format!(
                "replicas {:?} were taken down to {:?}, with {:?} in sync of {:?}",
                before.replicas, after.replicas, after.isr, before.isr
            )
        })
    }

    /// Whoever may be elected has what was acknowledged. What a machine has lost that nobody has
    /// told the controller of yet is not held against it.
    fn contents(&self, change: &Change<'_>, key: Key, after: &PartitionImage) -> Violation {
        let Some(acknowledged) = self.acknowledged.get(&key) else { return Ok(()) };
        for id in after.isr.iter().chain(&after.elr) {
            let Some(host) = change.hosts.get(id) else { continue };
            let is_untold = host.lost_before.is_some() || !host.failed.is_empty();
            let records = host.logs.get(&key).map(|log| &log.records[..]).unwrap_or_default();
            let has_all = records.starts_with(acknowledged);
            let is_excused = self.unclean.contains(&key) || is_untold;
            ensure(is_excused || has_all, || {
                format!(
                    "{id} is among {:?} and {:?}, but lacks what was acknowledged",
                    after.isr, after.elr
                )
            })?;
        }
        Ok(())
    }

    /// A leader acknowledges all that it has.
    pub fn acknowledged(&mut self, key: Key, records: &[u64]) -> Violation {
        let before = self.acknowledged.entry(key).or_default();
        let is_kept = records.starts_with(before);
        *before = records.to_vec();
        ensure(is_kept || self.unclean.contains(&key), || {
            format!("{key:?}: what was acknowledged is gone")
        })
    }

    /// Somebody was given producer ids.
    pub fn block(&mut self, block: (i64, i64)) -> Violation {
        let is_apart = self.blocks.iter().all(|it| it.1 <= block.0 || block.1 <= it.0);
        self.blocks.push(block);
        ensure(is_apart, || format!("the producer ids {block:?} are given twice"))
    }
}
