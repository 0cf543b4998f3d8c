//! What has to hold of the cluster as a whole: after every commit of metadata, and in the end.

use std::fmt;
use std::sync::Arc;

use milena_cluster::metadata::image::{MetadataImage, PartitionImage};
use milena_cluster::quorum;
use milena_cluster::replica;
use milena_protocol::ids::{NodeId, Offset};

use super::require;
use crate::host::Key;
use crate::network::Place;
use crate::quorum_checks::Violation;
use crate::world::World;

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// Somebody knows this metadata as committed.
    pub fn learned(&mut self, image: &Arc<MetadataImage>) -> Result<(), Violation> {
        if image.offset() < self.newest_end() {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.newest, Arc::clone(image));
        for (key, now) in partitions(image) {
            if before.partition(key.0, key.1) != Some(now) {
                self.note(format_args!("{} is {}", Place(&key), Shown(now)));
            }
        }
        self.checks.images.follows(image)?;
        for host in self.hosts.values_mut() {
            let incarnation = host.broker().map(|broker| broker.incarnation);
            let known = image.broker(host.id).map(|broker| broker.incarnation_id);
            host.is_unaware &= incarnation.is_none() || known != incarnation;
        }
        let hosts = &self.hosts;
        self.lost.retain(|(id, key)| {
            let is_unaware = hosts.get(id).is_some_and(|host| host.is_unaware);
            let partition = image.partition(key.0, key.1);
            is_unaware || !partition.is_some_and(|partition| partition.isr.contains(id))
        });
        for (key, partition) in partitions(image) {
            self.check_partition(key, partition)?;
        }
        Ok(())
    }

    fn check_partition(&self, key: Key, partition: &PartitionImage) -> Result<(), Violation> {
        for id in partition.isr.iter().chain(&partition.elr) {
            let Some(host) = self.hosts.get(id).filter(|host| !host.is_unaware) else { continue };
            self.checks.records.may_lead(key, *id, host.log(key))?;
        }
        // Of a partition that has acknowledged nothing yet anybody may be the leader.
        let is_doubtful = partition.leader_recovery_state != 0;
        let is_empty = self.checks.records.shown(key).is_empty();
        require(!is_doubtful || is_empty, || format!("records may be lost: {}", Shown(partition)))?;
        let fenced = partition.isr.iter().find(|id| !self.newest.is_live(**id));
        require(fenced.is_none() || !self.plan.has_eligible, || {
            format!("{fenced:?} is fenced and in sync")
        })?;
        self.check_leader(key, partition)
    }

    /// Whom the controller takes for in sync the leader's high watermark waits for.
    fn check_leader(&self, key: Key, partition: &PartitionImage) -> Result<(), Violation> {
        let leader = self.hosts.get(&partition.leader).and_then(|host| host.broker());
        let Some(leading) = leader.and_then(|broker| broker.leading(key)) else { return Ok(()) };
        let maximal = leading.machine.maximal_isr();
        let is_current = leading.machine.leader_epoch() == partition.leader_epoch;
        let is_covered = partition.isr.iter().all(|id| maximal.contains(id));
        require(!is_current || is_covered, || {
            format!("{} counts {maximal:?}, not all of {:?}", partition.leader, partition.isr)
        })
    }

    /// With the faults over for a while all is well: one leader of the quorum, all brokers let in,
    /// every partition led with all replicas in sync and alike, nobody waiting for anything.
    pub fn check_healed(&self) -> Result<(), Violation> {
        let leaders = self.quorum_leaders();
        let [leader] = leaders[..] else {
            return Err(format!("after healing {leaders:?} lead the quorum"));
        };
        let end = self.newest_end();
        for host in self.hosts.values() {
            let applied = host.process.as_ref().map_or(Offset::NONE, |process| process.applied);
            require(end.0 - applied.0 < 50, || {
                format!("after healing {} is at {applied}, and {leader} at {end}", host.id)
            })?;
            let is_in = !host.is_broker || self.newest.is_live(host.id);
            require(is_in, || format!("after healing {} is fenced", host.id))?;
        }
        require(self.is_made(), || "after healing the topics are not made".to_owned())?;
        for (key, partition) in partitions(&self.newest) {
            self.check_replicas(key, partition)?;
        }
        let waits = self.clients.committers.iter().any(|committer| !committer.is_done());
        require(!waits, || "after healing a commit of offsets waits".to_owned())?;
        self.check_members()?;
        self.checks.records.transactions.check_healed()?;
        let begun = self.clients.transactional.iter().position(|client| !client.is_resting());
        require(begun.is_none(), || format!("after healing producer {begun:?} is not at rest"))?;
        for producer in &self.clients.producers {
            require(producer.pending.is_empty(), || {
                format!("after healing a producer waits for {} batches", producer.pending.len())
            })?;
        }
        Ok(())
    }

    fn check_replicas(&self, key: Key, partition: &PartitionImage) -> Result<(), Violation> {
        let name = self.newest.topic_by_id(key.0).map(|topic| topic.name().clone());
        let name = format!("{}-{}", name.unwrap_or_default(), key.1);
        require(partition.leader != NodeId::NONE, || {
            format!("after healing nobody leads {name}: {partition:?}")
        })?;
        require(partition.isr.len() == partition.replicas.len(), || {
            format!("after healing not everybody is in sync in {name}: {partition:?}")
        })?;
        let is_moving =
            !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty();
        require(!is_moving, || format!("after healing {name} still moves: {partition:?}"))?;
        let shown = self.checks.records.shown(key);
        let end = shown.last().map_or(Offset::ZERO, |last| last.end_offset);
        for id in &partition.replicas {
            let log = self.host(*id).log(key);
            require(log == shown, || format!("after healing {id} has other records of {name}"))?;
            let known = self.high_watermark(*id, key);
            require(known == end, || format!("after healing {id} shows {known} of {name}"))?;
        }
        Ok(())
    }
}

/// All partitions of an image.
pub fn partitions(image: &MetadataImage) -> impl Iterator<Item = (Key, &PartitionImage)> {
    image.topics().flat_map(|topic| {
        topic.partitions().map(move |(index, partition)| ((topic.id(), index), partition))
    })
}

/// A partition in a line of a transcript.
struct Shown<'a>(&'a PartitionImage);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.0;
        write!(f, "led by {} in {} ({}), ", it.leader, it.leader_epoch, it.partition_epoch)?;
        write!(f, "at {:?}, in sync {:?}, ", it.replicas, it.isr)?;
        write!(f, "eligible {:?}, last {:?}", it.elr, it.last_known_elr)
    }
}
