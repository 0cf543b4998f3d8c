//! Moving replicas from broker to broker (KIP-455, KIP-860; facts R8, R15, D14).
//!
//! A partition that is being moved has the replicas of its target first, then those that it will
//! lose. *Adding* are the ones that were no replicas before the move began, *removing* those that
//! are not in the target; so without the removing ones it is the target, without the adding ones
//! what it was. Both at once is a replica of a target that was given up meanwhile, which stays for
//! as long as it is in sync: nobody who holds acknowledged records goes before the target has them.
//!
//! A move is over with the change that has the whole target in sync. The leader begins a new epoch
//! with every change that takes a replica away, so that it does not count that one any more.

use std::collections::BTreeMap;

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};
use milena_protocol::metadata_record::{MetadataRecord, PartitionChangeRecord};

use super::machine::{Controller, Decision, Refused};
use crate::configs;
use crate::metadata::batch::DIRECTORIES;
use crate::metadata::image::{MetadataImage, PartitionImage, TopicImage};

/// Leaves the leader, and its epoch, as they are.
const LEADER_UNCHANGED: NodeId = NodeId(-2);
/// The leader was elected without being in sync.
const RECOVERING: i8 = 1;

/// Where a partition shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    /// The topic.
    pub topic: Text,
    /// The partition.
    pub partition: PartitionIndex,
    /// The replicas, the preferred leader first; nothing gives up the move that goes on.
    pub replicas: Option<Vec<NodeId>>,
}

/// A partition that is being moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    /// The topic.
    pub topic: Text,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Those that it gets.
    pub adding: Vec<NodeId>,
    /// Those that it loses.
    pub removing: Vec<NodeId>,
}

impl Moving {
    fn of(topic: &TopicImage, index: PartitionIndex, partition: &PartitionImage) -> Self {
        Self {
            topic: topic.name().clone(),
            partition: index,
            replicas: partition.replicas.clone(),
            adding: partition.adding_replicas.clone(),
            removing: partition.removing_replicas.clone(),
        }
    }
}

/// The partitions that are being moved, of those that are named or of all.
#[must_use]
pub fn moving(image: &MetadataImage, named: Option<&[(Text, Vec<PartitionIndex>)]>) -> Vec<Moving> {
    let Some(named) = named else {
        let all = image.reassignments();
        return all.map(|(topic, index, it)| Moving::of(topic, index, it)).collect();
    };
    let found = named.iter().filter_map(|(name, indexes)| Some((image.topic(name)?, indexes)));
    found
        .flat_map(|(topic, indexes)| {
            let partitions =
                indexes.iter().filter_map(|index| Some((*index, topic.partition(*index)?)));
            let moving = partitions.filter(|(_, partition)| partition.is_moving());
            moving.map(|(index, partition)| Moving::of(topic, index, partition))
        })
        .collect()
}

fn without(nodes: &[NodeId], gone: &[NodeId]) -> Vec<NodeId> {
    nodes.iter().copied().filter(|id| !gone.contains(id)).collect()
}

fn invalid(message: String) -> Refused {
    Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message)
}

impl Controller {
    /// Begins, changes and gives up moves of partitions, each as it is asked for.
    #[must_use]
    pub fn reassign(
        &self,
        wanted: &[Reassignment],
        may_change_factor: bool,
    ) -> Decision<Vec<Result<(), Refused>>> {
        let mut counts: BTreeMap<(&str, PartitionIndex), usize> = BTreeMap::new();
        for it in wanted {
            *counts.entry((it.topic.as_str(), it.partition)).or_default() += 1;
        }
        let mut records = Vec::new();
        let answer = wanted
            .iter()
            .map(|it| {
                if counts.get(&(it.topic.as_str(), it.partition)).is_some_and(|count| *count > 1) {
                    let message = "the request names this partition more than once";
                    return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
                }
                records.extend(self.reassignment(it, may_change_factor)?);
                Ok(())
            })
            .collect();
        Decision { records, answer }
    }

    fn reassignment(
        &self,
        wanted: &Reassignment,
        may_change_factor: bool,
    ) -> Result<Option<MetadataRecord>, Refused> {
        let unknown = || {
            let message = format!("there is no partition {}-{}", wanted.topic, wanted.partition);
            Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
        };
        let topic = self.image.topic(&wanted.topic).ok_or_else(unknown)?;
        let partition = topic.partition(wanted.partition).ok_or_else(unknown)?;
        let record = match &wanted.replicas {
            None => self.give_up(topic, partition)?,
            Some(target) => {
                self.check_replicas(target, None)?;
                if !may_change_factor {
                    check_factor(partition, target)?;
                }
                let record = self.begin(partition, target);
                self.complete(partition, record)
            }
        };
        let is_idle = record == PartitionChangeRecord::default();
        let (partition_id, topic_id) = (wanted.partition, topic.id());
        let record = PartitionChangeRecord { partition_id, topic_id, ..record };
        Ok((!is_idle).then(|| record.into()))
    }

    fn begin(&self, partition: &PartitionImage, target: &[NodeId]) -> PartitionChangeRecord {
        let original = without(&partition.replicas, &partition.adding_replicas);
        let extra = without(&partition.adding_replicas, target);
        let holds = |id: &NodeId| partition.isr.contains(id) || partition.elr.contains(id);
        let kept: Vec<NodeId> = extra.into_iter().filter(holds).collect();
        let mut removing = without(&original, target);
        removing.extend(without(&kept, &removing));
        let mut adding = without(target, &original);
        adding.extend(without(&kept, &adding));
        let replicas: Vec<NodeId> = target.iter().chain(&removing).copied().collect();
        self.assignment(partition, replicas, adding, removing)
    }

    /// A move is given up where what remains in sync is as safe as a partition is to be: otherwise
    /// records would be lost with brokers that did nothing wrong.
    fn give_up(
        &self,
        topic: &TopicImage,
        partition: &PartitionImage,
    ) -> Result<PartitionChangeRecord, Refused> {
        if !partition.is_moving() {
            let message = "the partition is not being moved";
            return Err(Refused::new(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, message));
        }
        let replicas = without(&partition.replicas, &partition.adding_replicas);
        let isr = without(&partition.isr, &partition.adding_replicas);
        let elr = without(&partition.elr, &partition.adding_replicas);
        let least = self.least_in_sync(topic, &replicas).min(partition.isr.len());
        let is_unclean_allowed = self.allows_unclean(topic);
        let loses_eligible = partition.isr.is_empty() && elr.len() < partition.elr.len();
        if (isr.len() < least || loses_eligible) && !is_unclean_allowed {
            return Err(invalid(format!(
                "of the replicas before the move {} are in sync, not {least}: the move cannot be \
                 given up without the risk of losing records",
                isr.len()
            )));
        }
        let is_lost = isr.is_empty() && !partition.isr.is_empty();
        let mut record = self.assignment(partition, replicas.clone(), Vec::new(), Vec::new());
        if elr != partition.elr {
            record.eligible_leader_replicas = Some(elr);
        }
        let may_lead = |id: &NodeId| self.may_lead(partition, *id);
        if is_lost {
            let leader = replicas.iter().copied().find(may_lead);
            let leader = leader.ok_or_else(|| {
                invalid("no replica of before the move is active, so it cannot be given up".into())
            })?;
            record.isr = Some(vec![leader]);
            record.eligible_leader_replicas = (!partition.elr.is_empty()).then(Vec::new);
            record.leader = leader;
            record.leader_recovery_state = RECOVERING;
            return Ok(record);
        }
        if isr != partition.isr {
            record.isr = Some(isr.clone());
        }
        record.leader = self.leader_after(partition, partition.leader, &replicas, &isr);
        Ok(record)
    }

    /// The least copies in sync that a topic with these replicas is to have.
    fn least_in_sync(&self, topic: &TopicImage, replicas: &[NodeId]) -> usize {
        let min = self.resolver().topic_number(topic.name(), "min.insync.replicas");
        configs::min_in_sync(usize::try_from(min).unwrap_or(1), replicas.len())
    }

    /// The leader of a partition whose replicas change: the same one while it is a replica, else
    /// the first in sync that may lead. A replica that is taken away brings a new epoch.
    fn leader_after(
        &self,
        partition: &PartitionImage,
        leader: NodeId,
        replicas: &[NodeId],
        isr: &[NodeId],
    ) -> NodeId {
        if leader != NodeId::NONE && !replicas.contains(&leader) {
            let may_lead = |id: &NodeId| isr.contains(id) && self.may_lead(partition, *id);
            return replicas.iter().copied().find(may_lead).unwrap_or(NodeId::NONE);
        }
        let is_removal = partition.replicas.iter().any(|id| !replicas.contains(id));
        if is_removal || leader != partition.leader { leader } else { LEADER_UNCHANGED }
    }

    /// What gives a partition other replicas; nothing of it is set that stays as it is.
    fn assignment(
        &self,
        partition: &PartitionImage,
        replicas: Vec<NodeId>,
        adding: Vec<NodeId>,
        removing: Vec<NodeId>,
    ) -> PartitionChangeRecord {
        let differs = |new: &Vec<NodeId>, old: &Vec<NodeId>| (new != old).then(|| new.clone());
        let is_removal = partition.replicas.iter().any(|id| !replicas.contains(id));
        let is_known = self.image.metadata_version() >= DIRECTORIES;
        let directories: Vec<Uuid> = replicas
            .iter()
            .map(|id| partition.directory_of(*id).unwrap_or_else(|| self.default_directory(*id)))
            .collect();
        PartitionChangeRecord {
            replicas: differs(&replicas, &partition.replicas),
            adding_replicas: differs(&adding, &partition.adding_replicas),
            removing_replicas: differs(&removing, &partition.removing_replicas),
            directories: (is_known && directories != partition.directories).then_some(directories),
            leader: if is_removal { partition.leader } else { LEADER_UNCHANGED },
            ..Default::default()
        }
    }

    /// Ends a move with the change that has the whole target in sync.
    pub(super) fn completed(&self, record: MetadataRecord) -> MetadataRecord {
        let MetadataRecord::PartitionChange(change) = record else { return record };
        match self.image.partition(change.topic_id, change.partition_id) {
            Some(partition) => self.complete(partition, change).into(),
            None => change.into(),
        }
    }

    fn complete(
        &self,
        partition: &PartitionImage,
        record: PartitionChangeRecord,
    ) -> PartitionChangeRecord {
        let after = partition.changed(&record);
        let target = without(&after.replicas, &after.removing_replicas);
        let is_over = !target.is_empty() && target.iter().all(|id| after.isr.contains(id));
        if !after.is_moving() || !is_over {
            return record;
        }
        let isr = without(&after.isr, &after.removing_replicas);
        // The whole target is in sync: nobody else need be eligible.
        let eligible_leader_replicas = (!partition.elr.is_empty()).then(Vec::new);
        let leader = self.leader_after(partition, after.leader, &target, &isr);
        // An election that the change brings stands, be it of the leader there was.
        let is_renewed = record.leader != LEADER_UNCHANGED && leader == LEADER_UNCHANGED;
        let assignment = self.assignment(partition, target, Vec::new(), Vec::new());
        PartitionChangeRecord {
            isr: (isr != partition.isr).then_some(isr),
            leader: if is_renewed { record.leader } else { leader },
            replicas: assignment.replicas,
            adding_replicas: assignment.adding_replicas,
            removing_replicas: assignment.removing_replicas,
            directories: assignment.directories,
            eligible_leader_replicas,
            ..record
        }
    }
}

/// Whether a target has as many replicas as the partition is to have now (KIP-860).
fn check_factor(partition: &PartitionImage, target: &[NodeId]) -> Result<(), Refused> {
    let factor = without(&partition.replicas, &partition.removing_replicas).len();
    if factor == target.len() {
        return Ok(());
    }
    let message = format!("the partition has {factor} replicas and may not get {}", target.len());
    Err(Refused::new(ErrorCode::INVALID_REPLICATION_FACTOR, message))
}
