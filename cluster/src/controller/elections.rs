//! Who leads a partition, and who is in sync (facts R8, R10–R14, D13).
//!
//! The leader stays while it may lead. Else the first replica in the order of the assignment leads
//! that is active and in the ISR, or, where the ISR is empty, the first that is eligible (KIP-966).
//! Nobody else has everything that was acknowledged. Where nobody is left who has, the last leader
//! that was known may return, and where the topic's `unclean.leader.election.enable` or a request
//! says so any active replica leads: such a leader is the ISR, and is marked as one that recovers,
//! for records may be lost.
//!
//! A fenced broker leads nothing and is in no ISR. Without the feature of eligible leaders there is
//! one exception: the last one stays in the ISR, and the partition waits for it.

use std::collections::BTreeMap;

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex};
use milena_protocol::metadata_record::{MetadataRecord, PartitionChangeRecord};

use super::features::ELIGIBLE_LEADERS;
use super::machine::{Controller, Decision, Refused};
use crate::configs;
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
    /// The leader begins another epoch though it stays.
    pub(super) is_renewed: bool,
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
            self.unclean_target(found, partition).ok_or_else(|| {
                let message = "no replica is active";
                Refused::new(ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, message)
            })?
        } else {
            if !self.may_lead(partition, preferred) || !partition.isr.contains(&preferred) {
                let message = "the preferred leader is not active and in sync";
                return Err(Refused::new(ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE, message));
            }
            Target { leader: preferred, ..Target::same(partition) }
        };
        change(found, index, partition, &target).ok_or_else(|| {
            let message = "the partition has the leader that was asked for";
            Refused::new(ErrorCode::ELECTION_NOT_NEEDED, message)
        })
    }

    /// What an election makes of a partition as it is, at any price.
    fn unclean_target(&self, topic: &TopicImage, partition: &PartitionImage) -> Option<Target> {
        let election = Election { is_unclean: true, ..self.election_of(topic, partition) };
        let target = election.target(partition.isr.clone(), partition.elr.clone());
        (target.leader != NodeId::NONE).then_some(target)
    }

    fn election_of<'a>(
        &'a self,
        topic: &TopicImage,
        partition: &'a PartitionImage,
    ) -> Election<'a> {
        Election {
            controller: self,
            partition,
            gone: None,
            back: None,
            min_in_sync: self.min_insync_replicas(topic, partition),
            has_eligible: self.image.feature(ELIGIBLE_LEADERS) > 0,
            is_unclean: self.allows_unclean(topic),
        }
    }

    /// What becomes of the partitions of a broker that leads and follows no longer. Whoever leaves
    /// an ISR that is too small stays eligible, so that no other takes over without its records.
    pub(super) fn without_broker(&self, gone: NodeId) -> Vec<MetadataRecord> {
        let involves =
            |partition: &PartitionImage| partition.leader == gone || partition.isr.contains(&gone);
        self.change_each(involves, |topic, partition| {
            Some(self.target_without(topic, partition, gone))
        })
    }

    /// What becomes of one partition without a broker.
    pub(super) fn target_without(
        &self,
        topic: &TopicImage,
        partition: &PartitionImage,
        gone: NodeId,
    ) -> Target {
        Election { gone: Some(gone), ..self.election_of(topic, partition) }.without(false)
    }

    /// What becomes of partitions without a leader when a broker comes back.
    pub(super) fn with_broker(&self, back: NodeId) -> Vec<MetadataRecord> {
        let involves = |partition: &PartitionImage| {
            partition.leader == NodeId::NONE && partition.replicas.contains(&back)
        };
        self.change_each(involves, |topic, partition| {
            let election = Election { back: Some(back), ..self.election_of(topic, partition) };
            let target = election.target(partition.isr.clone(), partition.elr.clone());
            (target.leader != NodeId::NONE).then_some(target)
        })
    }

    /// What becomes of the partitions of a broker that registers anew and has lost nothing: its
    /// process ended, its kernel did not. It is fenced and leaves each ISR as any other, and stays
    /// eligible. What it keeps alone nobody else could lead, and waits for it as it is.
    pub(super) fn after_lossless_restart(&self, broker: NodeId) -> Vec<MetadataRecord> {
        let involves = |partition: &PartitionImage| {
            let is_in = partition.leader == broker || partition.isr.contains(&broker);
            is_in && partition.replicas.len() > 1
        };
        self.change_each(involves, |topic, partition| {
            Some(
                Election { gone: Some(broker), ..self.election_of(topic, partition) }
                    .without(false),
            )
        })
    }

    /// What becomes of the partitions of a broker that registers anew and may have lost what it
    /// had not synced, by the loss witness or, of Apache Kafka's brokers, for want of a clean stop
    /// (KIP-966). It is in no ISR, not eligible and no leader until it has caught up. Two things
    /// remain as after a lossless restart: topics whose records are synced before they count
    /// (`flush.messages` is 1), or a power cut everywhere would leave nobody who may lead; and what
    /// it keeps alone, which goes on in another leader epoch.
    pub(super) fn after_lossy_restart(&self, broker: NodeId) -> Vec<MetadataRecord> {
        let involves = |partition: &PartitionImage| {
            partition.leader == broker
                || partition.isr.contains(&broker)
                || partition.elr.contains(&broker)
        };
        self.change_each(involves, |topic, partition| {
            let election = Election { gone: Some(broker), ..self.election_of(topic, partition) };
            if partition.replicas.len() == 1 {
                return (partition.leader == broker).then(|| Target::renewed(partition));
            }
            Some(election.without(!self.is_durable(topic)))
        })
    }

    /// Gives partitions without a leader to any active replica where their topics allow it, `limit`
    /// of them at most; answers how many (`unclean.leader.election.enable`).
    #[must_use]
    pub fn elect_where_unclean_is_allowed(&self, limit: usize) -> Decision<usize> {
        let is_waiting = |partition: &PartitionImage| partition.leader == NodeId::NONE;
        let mut records = self.change_each(is_waiting, |topic, partition| {
            self.allows_unclean(topic).then(|| self.unclean_target(topic, partition)).flatten()
        });
        records.truncate(limit);
        Decision { answer: records.len(), records }
    }

    /// Gives leaders back to the first replicas of their partitions, where these are in sync, of
    /// each broker that leads too few: more than `imbalance_percent` of the partitions that it is
    /// preferred for are led by others. `limit` of them at most; answers how many
    /// (`auto.leader.rebalance.enable`, fact R13; Apache Kafka allows no imbalance at all).
    #[must_use]
    pub fn balance_leaders(&self, imbalance_percent: usize, limit: usize) -> Decision<usize> {
        let mut led_by_others: BTreeMap<NodeId, (usize, usize)> = BTreeMap::new();
        for partition in self.image.topics().flat_map(|topic| topic.partitions()) {
            let preferred = partition.1.replicas.first().copied().unwrap_or(NodeId::NONE);
            let (all, others) = led_by_others.entry(preferred).or_default();
            *all += 1;
            *others += usize::from(partition.1.leader != preferred);
        }
        let is_imbalanced = |preferred: NodeId| {
            let (all, others) = led_by_others.get(&preferred).copied().unwrap_or_default();
            others * 100 > all * imbalance_percent
        };
        let involves = |partition: &PartitionImage| {
            let preferred = partition.replicas.first().copied().unwrap_or(NodeId::NONE);
            partition.leader != preferred
                && partition.isr.contains(&preferred)
                && self.may_lead(partition, preferred)
                && is_imbalanced(preferred)
        };
        let mut records = self.change_each(involves, |_, partition| {
            let leader = partition.replicas.first().copied()?;
            Some(Target { leader, ..Target::same(partition) })
        });
        records.truncate(limit);
        Decision { answer: records.len(), records }
    }

    /// The changes of those partitions that are involved and get a target.
    fn change_each(
        &self,
        involves: impl Fn(&PartitionImage) -> bool,
        target: impl Fn(&TopicImage, &PartitionImage) -> Option<Target>,
    ) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for topic in self.image.topics() {
            for (index, partition) in topic.partitions().filter(|(_, it)| involves(it)) {
                let target = target(topic, partition);
                records.extend(target.and_then(|target| change(topic, index, partition, &target)));
            }
        }
        records
    }

    pub(super) fn min_insync_replicas(
        &self,
        topic: &TopicImage,
        partition: &PartitionImage,
    ) -> usize {
        let min = self.resolver().topic_number(topic.name(), "min.insync.replicas");
        configs::min_in_sync(usize::try_from(min).unwrap_or(1), partition.replicas.len())
    }

    pub(super) fn allows_unclean(&self, topic: &TopicImage) -> bool {
        self.resolver().topic_text(topic.name(), "unclean.leader.election.enable") == "true"
    }

    /// Whether its records are synced before they count.
    fn is_durable(&self, topic: &TopicImage) -> bool {
        self.resolver().topic_number(topic.name(), "flush.messages") == 1
    }
}

/// An election for one partition, and whom it may elect.
struct Election<'a> {
    controller: &'a Controller,
    partition: &'a PartitionImage,
    /// Who leads no longer, and who leads again, whatever the image says yet.
    gone: Option<NodeId>,
    back: Option<NodeId>,
    min_in_sync: usize,
    /// Whether who leaves an ISR that is too small stays eligible (KIP-966).
    has_eligible: bool,
    /// Whether anybody may lead rather than nobody.
    is_unclean: bool,
}

impl Election<'_> {
    fn may_lead(&self, id: NodeId) -> bool {
        let (controller, partition) = (self.controller, self.partition);
        let is_back = Some(id) == self.back && controller.is_reachable(partition, id);
        Some(id) != self.gone && (is_back || controller.may_lead(partition, id))
    }

    /// What remains without the one that is gone. Where its log is lossy it is not eligible either.
    fn without(&self, is_lossy: bool) -> Target {
        let partition = self.partition;
        let mut isr: Vec<NodeId> =
            partition.isr.iter().copied().filter(|id| Some(*id) != self.gone).collect();
        if isr.is_empty() && !self.has_eligible {
            isr.clone_from(&partition.isr);
        }
        let had_all = partition.elr.iter().chain(&partition.isr).copied();
        let elr = had_all.filter(|id| !(is_lossy && Some(*id) == self.gone)).collect();
        let is_doubtful = is_lossy && self.gone.is_some_and(|gone| isr.contains(&gone));
        let target = self.target(isr, elr);
        // The partition has to wait for a log that may lack records: that is told, as an unclean
        // election is.
        Target { is_unclean: target.is_unclean || is_doubtful, ..target }
    }

    /// The leader for such an ISR, and what the election makes of it. Of those that may be eligible
    /// who is counted already is not, and nobody where enough are in sync.
    fn target(&self, isr: Vec<NodeId>, elr: Vec<NodeId>) -> Target {
        let candidates = if isr.is_empty() { &elr } else { &isr };
        let clean = self.first(|id| candidates.contains(&id));
        let last_known =
            || match (isr.is_empty() && elr.is_empty(), &*self.partition.last_known_elr) {
                (true, [last]) => self.first(|id| id == *last),
                _ => None,
            };
        let any = || self.first(|_| true).filter(|_| self.is_unclean);
        match clean {
            Some(leader) => {
                // An eligible replica that leads begins the ISR anew.
                let isr = if isr.is_empty() { vec![leader] } else { isr };
                let elr = self.eligible(&isr, &elr);
                Target { isr, elr, leader, is_unclean: false, recovers: false, is_renewed: false }
            }
            None => match last_known().or_else(any) {
                Some(leader) => Target {
                    isr: vec![leader],
                    elr: Vec::new(),
                    leader,
                    is_unclean: true,
                    recovers: false,
                    is_renewed: false,
                },
                None => {
                    let elr = self.eligible(&isr, &elr);
                    Target {
                        isr,
                        elr,
                        leader: NodeId::NONE,
                        is_unclean: false,
                        recovers: false,
                        is_renewed: false,
                    }
                }
            },
        }
    }

    /// The leader while it may lead, else the first in the order of the assignment.
    fn first(&self, is_candidate: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let may_lead = |id: &NodeId| is_candidate(*id) && self.may_lead(*id);
        let stays = Some(self.partition.leader).filter(may_lead);
        stays.or_else(|| self.partition.replicas.iter().copied().find(may_lead))
    }

    fn eligible(&self, isr: &[NodeId], elr: &[NodeId]) -> Vec<NodeId> {
        let mut eligible = Vec::new();
        if self.has_eligible && isr.len() < self.min_in_sync {
            for id in elr.iter().filter(|id| !isr.contains(id)) {
                if !eligible.contains(id) {
                    eligible.push(*id);
                }
            }
        }
        eligible
    }
}

impl Target {
    /// Nothing changes.
    fn same(partition: &PartitionImage) -> Self {
        Self {
            isr: partition.isr.clone(),
            elr: partition.elr.clone(),
            leader: partition.leader,
            is_unclean: false,
            recovers: false,
            is_renewed: false,
        }
    }

    /// The same leader goes on in another epoch.
    fn renewed(partition: &PartitionImage) -> Self {
        Self { is_renewed: true, ..Self::same(partition) }
    }
}

/// The record that makes a partition what it shall be; nothing where it is that already.
pub(super) fn change(
    topic: &TopicImage,
    partition_id: PartitionIndex,
    partition: &PartitionImage,
    target: &Target,
) -> Option<MetadataRecord> {
    let new_leader = target.leader != partition.leader || target.is_renewed;
    let new_isr = target.isr != partition.isr;
    let new_elr = target.elr != partition.elr;
    let recovery_state = match (target.is_unclean, target.recovers) {
        (true, _) => RECOVERING,
        (false, true) => RECOVERED,
        (false, false) => -1,
    };
    let new_state = recovery_state >= 0 && recovery_state != partition.leader_recovery_state;
    (new_leader || new_isr || new_elr || new_state).then(|| {
        MetadataRecord::PartitionChange(PartitionChangeRecord {
            partition_id,
            topic_id: topic.id(),
            isr: new_isr.then(|| target.isr.clone()),
            leader: if new_leader { target.leader } else { LEADER_UNCHANGED },
            eligible_leader_replicas: new_elr.then(|| target.elr.clone()),
            last_known_elr: last_known(partition, target),
            leader_recovery_state: recovery_state,
            ..Default::default()
        })
    })
}

/// Who led last is noted when nobody is in sync any more, and forgotten once somebody leads. It may
/// return when nobody is eligible either (KIP-966).
fn last_known(partition: &PartitionImage, target: &Target) -> Option<Vec<NodeId>> {
    let is_led = target.leader != NodeId::NONE;
    if target.isr.is_empty() && !partition.isr.is_empty() && partition.leader != NodeId::NONE {
        return Some(vec![partition.leader]);
    }
    (is_led && !partition.last_known_elr.is_empty()).then(Vec::new)
}

#[cfg(test)]
mod tests;
