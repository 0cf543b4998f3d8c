//! AlterPartition: a leader proposes who is in sync, the controller decides (KIP-497, KIP-841,
//! KIP-903; facts R2–R4, R10, R11).
//!
//! A proposal is made on what the leader knows, so it names the epochs of that: its own as a
//! broker, the partition's leader epoch and partition epoch, and the broker epoch of each replica.
//! Any of them being another one refuses it, and a replica that restarted meanwhile never slips
//! back into the ISR.

use std::collections::BTreeSet;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, PartitionIndex, Uuid};
use milena_protocol::metadata_record::{MetadataRecord, PartitionChangeRecord};

use super::elections::{Target, change};
use super::features::ELIGIBLE_LEADERS;
use super::machine::{Controller, Decision, Refused};
use crate::metadata::image::{PartitionImage, TopicImage};

/// A proposal for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrChange {
    /// The topic.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: PartitionIndex,
    /// The epoch that the proposer leads in.
    pub leader_epoch: LeaderEpoch,
    /// The partition's epoch that the proposal is made on.
    pub partition_epoch: i32,
    /// Who shall be in sync, each with its broker epoch where the proposer knows it.
    pub isr: Vec<(NodeId, Option<BrokerEpoch>)>,
    /// Whether the leader has yet to recover from an unclean election.
    pub is_recovering: bool,
}

/// A partition after a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// The leader.
    pub leader: NodeId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// Who is in sync.
    pub isr: Vec<NodeId>,
    /// 1 while the leader has yet to recover, else 0.
    pub leader_recovery_state: i8,
    /// The partition's epoch, which the next proposal has to name.
    pub partition_epoch: i32,
}

/// What became of each proposal, in their order.
pub type AlterPartitionAnswer = Vec<Result<Altered, Refused>>;

impl Controller {
    /// Decides what a broker proposes for partitions that it leads. A broker of another epoch is
    /// refused as a whole, with STALE_BROKER_EPOCH.
    #[must_use]
    pub fn alter_partitions(
        &self,
        broker: NodeId,
        broker_epoch: BrokerEpoch,
        changes: &[IsrChange],
    ) -> Decision<Result<AlterPartitionAnswer, Refused>> {
        let mut records = Vec::new();
        if let Err(refused) = self.registered(broker, broker_epoch) {
            return Decision { records, answer: Err(refused) };
        }
        let mut seen = BTreeSet::new();
        let answer = changes
            .iter()
            .map(|wanted| {
                if !seen.insert((wanted.topic_id, wanted.partition)) {
                    let message = "the partition is named twice";
                    return Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
                }
                let (topic, partition) = self.check_isr_change(broker, wanted)?;
                let target = self.isr_target(topic, partition, wanted);
                let changed = change(topic, wanted.partition, partition, &target);
                let renewed = || renewed(topic, wanted.partition, partition);
                let record = self.completed(changed.unwrap_or_else(renewed));
                let altered = altered(broker, partition, &record);
                records.push(record);
                altered
            })
            .collect();
        Decision { records, answer: Ok(answer) }
    }

    fn check_isr_change(
        &self,
        broker: NodeId,
        wanted: &IsrChange,
    ) -> Result<(&TopicImage, &PartitionImage), Refused> {
        let topic = self.image.topic_by_id(wanted.topic_id).ok_or_else(|| {
            Refused::new(ErrorCode::UNKNOWN_TOPIC_ID, "there is no topic of that id")
        })?;
        let partition = topic.partition(wanted.partition).ok_or_else(|| {
            let message = format!("there is no partition {}-{}", topic.name(), wanted.partition);
            Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
        })?;
        check_epochs(broker, partition, wanted)?;
        check_members(broker, partition, wanted)?;
        self.check_eligible(partition, wanted)?;
        Ok((topic, partition))
    }

    /// Only who is there, and is the same as the leader saw, joins an ISR (KIP-841, KIP-903).
    fn check_eligible(
        &self,
        partition: &PartitionImage,
        wanted: &IsrChange,
    ) -> Result<(), Refused> {
        for (id, epoch) in &wanted.isr {
            let known = self.image.broker(*id).filter(|known| known.is_active());
            let is_same = known.is_some_and(|known| epoch.is_none_or(|epoch| epoch == known.epoch));
            if !is_same || !self.is_reachable(partition, *id) {
                let message = format!("replica {id} is fenced, stopping, or another incarnation");
                return Err(Refused::new(ErrorCode::INELIGIBLE_REPLICA, message));
            }
        }
        Ok(())
    }

    /// Who leaves an ISR that becomes too small stays eligible (KIP-966); an ISR that is large
    /// enough needs nobody else.
    fn isr_target(
        &self,
        topic: &TopicImage,
        partition: &PartitionImage,
        wanted: &IsrChange,
    ) -> Target {
        // In the order of the assignment, so that equal sets are equal.
        let is_wanted = |id: &NodeId| wanted.isr.iter().any(|(wanted, _)| wanted == id);
        let isr: Vec<NodeId> = partition.replicas.iter().copied().filter(is_wanted).collect();
        let is_same =
            isr.len() == partition.isr.len() && partition.isr.iter().all(|id| isr.contains(id));
        let isr = if is_same { partition.isr.clone() } else { isr };
        let with_elr = self.image.feature(ELIGIBLE_LEADERS) > 0;
        let mut elr = Vec::new();
        if with_elr && isr.len() < self.min_insync_replicas(topic, partition) {
            let before = partition.elr.iter().chain(&partition.isr).copied();
            for id in before.filter(|id| !isr.contains(id)) {
                if !elr.contains(&id) {
                    elr.push(id);
                }
            }
        }
        let leader = partition.leader;
        let recovers = partition.leader_recovery_state != 0 && !wanted.is_recovering;
        Target { isr, elr, leader, is_unclean: false, recovers, is_renewed: false }
    }
}

/// A proposal of the future comes from a broker that knows more than this controller; one of the
/// past was overtaken.
fn check_epochs(
    broker: NodeId,
    partition: &PartitionImage,
    wanted: &IsrChange,
) -> Result<(), Refused> {
    let refuse = |code, message: &str| Err(Refused::new(code, message));
    if wanted.leader_epoch > partition.leader_epoch
        || wanted.partition_epoch > partition.partition_epoch
    {
        return refuse(ErrorCode::NOT_CONTROLLER, "the proposal is ahead of this controller");
    }
    if wanted.leader_epoch < partition.leader_epoch {
        return refuse(ErrorCode::FENCED_LEADER_EPOCH, "another leader epoch has begun");
    }
    if broker != partition.leader {
        return refuse(ErrorCode::INVALID_REQUEST, "only the leader proposes who is in sync");
    }
    if wanted.partition_epoch < partition.partition_epoch {
        return refuse(ErrorCode::INVALID_UPDATE_VERSION, "the partition has changed meanwhile");
    }
    Ok(())
}

fn check_members(
    broker: NodeId,
    partition: &PartitionImage,
    wanted: &IsrChange,
) -> Result<(), Refused> {
    let refuse = |message: &str| Err(Refused::new(ErrorCode::INVALID_REQUEST, message));
    let ids: BTreeSet<NodeId> = wanted.isr.iter().map(|(id, _)| *id).collect();
    if ids.len() != wanted.isr.len() || !ids.iter().all(|id| partition.replicas.contains(id)) {
        return refuse("the ISR names a node twice, or one that is no replica");
    }
    if !ids.contains(&broker) {
        return refuse("a leader is in sync with itself");
    }
    if wanted.is_recovering && ids.len() > 1 {
        return refuse("nobody is in sync with a leader that has yet to recover");
    }
    if wanted.is_recovering && partition.leader_recovery_state == 0 {
        return refuse("a leader that has recovered does not unrecover");
    }
    Ok(())
}

/// The record of a proposal that changes nothing: it begins a partition epoch all the same, so that
/// no copy of another proposal on the one before is accepted any more. A leader that was refused
/// asks for this.
fn renewed(
    topic: &TopicImage,
    partition_id: PartitionIndex,
    partition: &PartitionImage,
) -> MetadataRecord {
    MetadataRecord::PartitionChange(PartitionChangeRecord {
        partition_id,
        topic_id: topic.id(),
        isr: Some(partition.isr.clone()),
        ..Default::default()
    })
}

/// The partition as it is then. A move that the change ends may have taken it from its leader,
/// which has to wait for the metadata.
fn altered(
    broker: NodeId,
    partition: &PartitionImage,
    record: &MetadataRecord,
) -> Result<Altered, Refused> {
    let after = match record {
        MetadataRecord::PartitionChange(record) => partition.changed(record),
        _ => partition.clone(),
    };
    if after.leader != broker {
        let message = "the partition was moved, and another one leads it now";
        return Err(Refused::new(ErrorCode::NEW_LEADER_ELECTED, message));
    }
    Ok(Altered {
        leader: after.leader,
        leader_epoch: after.leader_epoch,
        isr: after.isr,
        leader_recovery_state: after.leader_recovery_state,
        partition_epoch: after.partition_epoch,
    })
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::Offset;
    use milena_protocol::metadata_record::{PartitionRecord, RegisterBrokerRecord, TopicRecord};

    use super::*;
    use crate::configs::Values;
    use crate::metadata::image::MetadataImage;

    const TOPIC: Uuid = Uuid::from_u128(4711);

    /// Brokers 1 to 4, with their epochs 101 to 104; 4 is fenced. A partition on 1, 2, 3 and 4, led
    /// by 1 in leader epoch 7, partition epoch 9, with 1 and 2 in sync.
    fn controller() -> Controller {
        let mut image = MetadataImage::default();
        let brokers = (1..=4).map(|id| {
            MetadataRecord::from(RegisterBrokerRecord {
                broker_id: NodeId(id),
                broker_epoch: BrokerEpoch(100 + i64::from(id)),
                fenced: id == 4,
                ..Default::default()
            })
        });
        let topic = TopicRecord { name: "t".into(), topic_id: TOPIC };
        let partition = PartitionRecord {
            topic_id: TOPIC,
            partition_id: PartitionIndex(0),
            replicas: [1, 2, 3, 4].map(NodeId).to_vec(),
            isr: [1, 2].map(NodeId).to_vec(),
            leader: NodeId(1),
            leader_epoch: LeaderEpoch(7),
            partition_epoch: 9,
            ..Default::default()
        };
        let records = brokers.chain([topic.into(), partition.into()]);
        for (offset, record) in records.enumerate() {
            image.replay(Offset(offset as i64), LeaderEpoch(1), &record).unwrap();
        }
        Controller::new(NodeId(1), Values::default(), image)
    }

    fn proposal(isr: &[i32]) -> IsrChange {
        let member = |id: &i32| (NodeId(*id), Some(BrokerEpoch(100 + i64::from(*id))));
        IsrChange {
            topic_id: TOPIC,
            partition: PartitionIndex(0),
            leader_epoch: LeaderEpoch(7),
            partition_epoch: 9,
            isr: isr.iter().map(member).collect(),
            is_recovering: false,
        }
    }

    fn code(broker: i32, wanted: IsrChange) -> ErrorCode {
        let epoch = BrokerEpoch(100 + i64::from(broker));
        let decided = controller().alter_partitions(NodeId(broker), epoch, &[wanted]);
        assert!(decided.records.is_empty());
        decided.answer.unwrap()[0].as_ref().unwrap_err().code
    }

    /// A replica that has caught up would never count, or one that left would hold writes back.
    #[test]
    fn a_leader_says_who_is_in_sync() {
        let mut controller = controller();
        let (broker, epoch) = (NodeId(1), BrokerEpoch(101));
        let decided = controller.alter_partitions(broker, epoch, &[proposal(&[3, 1, 2])]);
        let altered = decided.answer.unwrap()[0].clone().unwrap();
        assert_eq!(altered.isr, [1, 2, 3].map(NodeId));
        assert_eq!((altered.partition_epoch, altered.leader_epoch), (10, LeaderEpoch(7)));
        controller.replay(Offset(50), LeaderEpoch(1), &decided.records).unwrap();
        let partition = controller.image().partition(TOPIC, PartitionIndex(0)).unwrap();
        assert_eq!(partition.isr, altered.isr);
        assert_eq!((partition.partition_epoch, partition.leader_epoch), (10, LeaderEpoch(7)));
    }

    /// A leader that was refused could never know that no copy of its proposal is accepted later,
    /// and its high watermark would wait for ever for whom it had proposed.
    #[test]
    fn a_proposal_that_changes_nothing_ends_those_before_it() {
        let mut controller = controller();
        let (broker, epoch) = (NodeId(1), BrokerEpoch(101));
        let decided = controller.alter_partitions(broker, epoch, &[proposal(&[1, 2])]);
        let altered = decided.answer.unwrap()[0].clone().unwrap();
        assert_eq!((altered.isr, altered.partition_epoch), ([1, 2].map(NodeId).to_vec(), 10));
        controller.replay(Offset(50), LeaderEpoch(1), &decided.records).unwrap();
        let late = controller.alter_partitions(broker, epoch, &[proposal(&[1, 2, 3])]);
        let refused = late.answer.unwrap()[0].clone().unwrap_err();
        assert_eq!(refused.code, ErrorCode::INVALID_UPDATE_VERSION);
        let partition = controller.image().partition(TOPIC, PartitionIndex(0)).unwrap();
        assert_eq!((partition.partition_epoch, partition.leader_epoch), (10, LeaderEpoch(7)));
    }

    /// A proposal made on what no longer holds would undo what was decided meanwhile.
    #[test]
    fn a_proposal_names_the_epochs_it_was_made_on() {
        let with = |leader_epoch, partition_epoch| IsrChange {
            leader_epoch: LeaderEpoch(leader_epoch),
            partition_epoch,
            ..proposal(&[1, 2, 3])
        };
        assert_eq!(code(1, with(6, 9)), ErrorCode::FENCED_LEADER_EPOCH);
        assert_eq!(code(1, with(8, 9)), ErrorCode::NOT_CONTROLLER);
        assert_eq!(code(1, with(7, 8)), ErrorCode::INVALID_UPDATE_VERSION);
        assert_eq!(code(1, with(7, 10)), ErrorCode::NOT_CONTROLLER);
        assert_eq!(code(2, proposal(&[1, 2])), ErrorCode::INVALID_REQUEST);
        let stale = controller().alter_partitions(NodeId(1), BrokerEpoch(99), &[]);
        assert_eq!(stale.answer.unwrap_err().code, ErrorCode::STALE_BROKER_EPOCH);
    }

    /// A replica that lost its records over a restart would count as in sync (KIP-903).
    #[test]
    fn who_joins_is_there_and_is_who_the_leader_saw() {
        assert_eq!(code(1, proposal(&[1, 2, 4])), ErrorCode::INELIGIBLE_REPLICA);
        let mut restarted = proposal(&[1, 2, 3]);
        restarted.isr[2].1 = Some(BrokerEpoch(77));
        assert_eq!(code(1, restarted), ErrorCode::INELIGIBLE_REPLICA);
        assert_eq!(code(1, proposal(&[2, 3])), ErrorCode::INVALID_REQUEST);
        assert_eq!(code(1, proposal(&[1, 2, 2])), ErrorCode::INVALID_REQUEST);
        assert_eq!(code(1, proposal(&[1, 9])), ErrorCode::INVALID_REQUEST);
        let recovering = IsrChange { is_recovering: true, ..proposal(&[1]) };
        assert_eq!(code(1, recovering), ErrorCode::INVALID_REQUEST);
    }
}
