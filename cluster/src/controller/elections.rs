//! Who leads a partition, and who is in sync (facts R8, R10–R14, D13).
//!
//! The leader stays while it may lead. Else the first replica in the order of the assignment that
//! is active and in the ISR leads, or, where the ISR is empty, the first that is eligible
//! (KIP-966). An unclean election, only when asked for, takes any active replica and makes it the
//! ISR.

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex};
use milena_protocol::metadata_record::{MetadataRecord, PartitionChangeRecord};

use super::features::ELIGIBLE_LEADERS;
use super::machine::{Controller, Decision, Refused};
use crate::metadata::image::{PartitionImage, TopicImage};

/// Leaves the leader, and its epoch, as they are.
const LEADER_UNCHANGED: NodeId = NodeId(-2);
/// The leader was elected without being in sync.
const RECOVERING: i8 = 1;
/// The leader has everything that its partition is to have.
const RECOVERED: i8 = 0;

/// A partition and what became of its election.
pub type Elected = (Text, PartitionIndex, Result<(), Refused>);

/// What a partition shall become.
pub(super) struct Target {
    pub(super) isr: Vec<NodeId>,
    pub(super) elr: Vec<NodeId>,
    pub(super) leader: NodeId,
    pub(super) is_unclean: bool,
    /// The leader has recovered from an unclean election.
    pub(super) recovers: bool,
}

impl Controller {
    /// Elects leaders of partitions, or of all where none is named: the preferred one, or, where
    /// `unclean`, any that is active. Of all, those that need no election are left out.
    #[must_use]
    pub fn elect_leaders(
        &self,
        partitions: Option<&[(Text, PartitionIndex)]>,
        unclean: bool,
    ) -> Decision<Vec<Elected>> {
        let all: Vec<(Text, PartitionIndex)>;
        let wanted = match partitions {
            Some(partitions) => partitions,
            None => {
                let each = |topic: &TopicImage| {
                    let name = topic.name().clone();
                    topic.partitions().map(move |(index, _)| (name.clone(), index)).collect()
                };
                all = self.image.topics().flat_map(|topic| -> Vec<_> { each(topic) }).collect();
                &all
            }
        };
        let mut records = Vec::new();
        let mut answer = Vec::new();
        for (name, index) in wanted {
            let result = self.election(name, *index, unclean);
            let result = result.map(|record| records.push(self.completed(record)));
            let is_idle = result
                .as_ref()
                .is_err_and(|refused| refused.code == ErrorCode::ELECTION_NOT_NEEDED);
            if partitions.is_some() || !is_idle {
                answer.push((name.clone(), *index, result));
            }
        }
        Decision { records, answer }
    }

    /// Whether a partition has the leader that an election would give it, or could get it.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, ELECTION_NOT_NEEDED, PREFERRED_LEADER_NOT_AVAILABLE or
    /// ELIGIBLE_LEADERS_NOT_AVAILABLE.
    pub fn elect_leader(
        &self,
        topic: &str,
        index: PartitionIndex,
        unclean: bool,
    ) -> Result<(), Refused> {
        self.election(topic, index, unclean).map(drop)
    }

    fn election(
        &self,
        topic: &str,
        index: PartitionIndex,
        unclean: bool,
    ) -> Result<MetadataRecord, Refused> {
        let unknown = || {
            let message = format!("there is no partition {topic}-{index}");
            Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
        };
        let found = self.image.topic(topic).ok_or_else(unknown)?;
        let partition = found.partition(index).ok_or_else(unknown)?;
        let preferred = partition.replicas.first().copied().unwrap_or(NodeId::NONE);
        let has_leader = self.may_lead(partition, partition.leader);
        if has_leader && (unclean || partition.leader == preferred) {
            let message = "the partition has the leader that was asked for";
            return Err(Refused::new(ErrorCode::ELECTION_NOT_NEEDED, message));
        }
        let target = if unclean {
            self.unclean_target(partition).ok_or_else(|| {
                let message = "no replica is active";
                Refused::new(ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, message)
            })?
        } else {
            if !self.may_lead(partition, preferred) || !partition.isr.contains(&preferred) {
                let message = "the preferred leader is not active and in sync";
                return Err(Refused::new(ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE, message));
            }
            let (isr, elr) = (partition.isr.clone(), partition.elr.clone());
            Target { isr, elr, leader: preferred, is_unclean: false, recovers: false }
        };
        change(found, index, partition, &target).ok_or_else(|| {
            let message = "the partition has the leader that was asked for";
            Refused::new(ErrorCode::ELECTION_NOT_NEEDED, message)
        })
    }

    fn unclean_target(&self, partition: &PartitionImage) -> Option<Target> {
        if let Some(leader) = self.clean_leader(partition, &partition.isr, &partition.elr) {
            return Some(self.target_with(partition, partition.isr.clone(), leader));
        }
        let may_lead = |id: &NodeId| self.may_lead(partition, *id);
        let leader = partition.replicas.iter().copied().find(may_lead)?;
        Some(Target {
            isr: vec![leader],
            elr: Vec::new(),
            leader,
            is_unclean: true,
            recovers: false,
        })
    }

    /// The leader without loss: the current one while it may, else by the order of assignment.
    fn clean_leader(
        &self,
        partition: &PartitionImage,
        isr: &[NodeId],
        elr: &[NodeId],
    ) -> Option<NodeId> {
        let eligible = if isr.is_empty() { elr } else { isr };
        let may_lead = |id: &NodeId| self.may_lead(partition, *id) && eligible.contains(id);
        if may_lead(&partition.leader) {
            return Some(partition.leader);
        }
        partition.replicas.iter().copied().find(may_lead)
    }

    fn target_with(&self, partition: &PartitionImage, isr: Vec<NodeId>, leader: NodeId) -> Target {
        // An eligible replica that leads begins the ISR anew.
        let isr = if isr.is_empty() { vec![leader] } else { isr };
        let elr = partition.elr.iter().copied().filter(|id| !isr.contains(id)).collect();
        Target { isr, elr, leader, is_unclean: false, recovers: false }
    }

    /// What becomes of the partitions of a broker that leads and follows no longer. Whoever is
    /// the last in sync stays in the ISR, or with KIP-966 stays eligible, so that no other takes
    /// over without its records.
    pub(super) fn without_broker(&self, gone: NodeId) -> Vec<MetadataRecord> {
        let with_elr = self.image.feature(ELIGIBLE_LEADERS) > 0;
        let mut records = Vec::new();
        for topic in self.image.topics() {
            for (index, partition) in topic.partitions() {
                if partition.leader != gone && !partition.isr.contains(&gone) {
                    continue;
                }
                let target = self.target_without(topic, partition, gone, with_elr);
                records.extend(change(topic, index, partition, &target));
            }
        }
        records
    }

    pub(super) fn target_without(
        &self,
        topic: &TopicImage,
        partition: &PartitionImage,
        gone: NodeId,
        with_elr: bool,
    ) -> Target {
        let mut isr: Vec<NodeId> = partition.isr.iter().copied().filter(|id| *id != gone).collect();
        let mut elr: Vec<NodeId> =
            partition.elr.iter().copied().filter(|id| !isr.contains(id)).collect();
        if with_elr && isr.len() < self.min_insync_replicas(topic, partition) {
            let left = partition.isr.iter().copied().filter(|id| !isr.contains(id));
            let more: Vec<NodeId> = left.filter(|id| !elr.contains(id)).collect();
            elr.extend(more);
        } else if isr.is_empty() {
            isr.clone_from(&partition.isr);
        }
        let may_lead =
            |id: &NodeId| *id != gone && self.may_lead(partition, *id) && isr.contains(id);
        let leader = if may_lead(&partition.leader) {
            partition.leader
        } else {
            partition.replicas.iter().copied().find(may_lead).unwrap_or(NodeId::NONE)
        };
        Target { isr, elr, leader, is_unclean: false, recovers: false }
    }

    /// What becomes of partitions without a leader when a broker comes back.
    pub(super) fn with_broker(&self, back: NodeId) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for topic in self.image.topics() {
            for (index, partition) in topic.partitions() {
                let in_sync = partition.isr.contains(&back);
                let eligible = partition.isr.is_empty() && partition.elr.contains(&back);
                let may_lead = (in_sync || eligible) && self.is_reachable(partition, back);
                if partition.leader == NodeId::NONE && may_lead {
                    let target = self.target_with(partition, partition.isr.clone(), back);
                    records.extend(change(topic, index, partition, &target));
                }
            }
        }
        records
    }

    /// A new epoch for every partition that a broker leads: what its machine had not written down
    /// when it went is lost, and the offsets are given out again. In the old epoch nobody could
    /// tell (KIP-320).
    #[must_use]
    pub fn renew_epochs(&self, leader: NodeId) -> Decision<usize> {
        let led = self.image.topics().flat_map(|topic| {
            let partitions = topic.partitions().filter(|(_, known)| known.leader == leader);
            partitions.map(move |(partition_id, _)| (topic.id(), partition_id))
        });
        let renewed = led.map(|(topic_id, partition_id)| {
            let record =
                PartitionChangeRecord { partition_id, topic_id, leader, ..Default::default() };
            MetadataRecord::PartitionChange(record)
        });
        let records: Vec<MetadataRecord> = renewed.collect();
        Decision { answer: records.len(), records }
    }

    pub(super) fn min_insync_replicas(
        &self,
        topic: &TopicImage,
        partition: &PartitionImage,
    ) -> usize {
        let min = self.resolver().topic_number(topic.name(), "min.insync.replicas");
        usize::try_from(min).unwrap_or(1).clamp(1, partition.replicas.len().max(1))
    }
}

/// The record that makes a partition what it shall be; nothing where it is that already.
pub(super) fn change(
    topic: &TopicImage,
    partition_id: PartitionIndex,
    partition: &PartitionImage,
    target: &Target,
) -> Option<MetadataRecord> {
    let new_leader = target.leader != partition.leader;
    let new_isr = target.isr != partition.isr;
    let new_elr = target.elr != partition.elr;
    (new_leader || new_isr || new_elr || target.recovers).then(|| {
        MetadataRecord::PartitionChange(PartitionChangeRecord {
            partition_id,
            topic_id: topic.id(),
            isr: new_isr.then(|| target.isr.clone()),
            leader: if new_leader { target.leader } else { LEADER_UNCHANGED },
            eligible_leader_replicas: new_elr.then(|| target.elr.clone()),
            leader_recovery_state: match (target.is_unclean, target.recovers) {
                (true, _) => RECOVERING,
                (false, true) => RECOVERED,
                (false, false) => -1,
            },
            ..Default::default()
        })
    })
}
