//! The directories of brokers: which failed, which get nothing new, and which replica is in which
//! (KIP-858, KIP-1066; facts R18, R19).

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, PartitionIndex, Uuid};
use milena_protocol::metadata_record::{
    BrokerRegistrationChangeRecord, MetadataRecord, PartitionChangeRecord,
};

use super::elections::change;
use super::features::ELIGIBLE_LEADERS;
use super::machine::{Controller, Decision, Refused};
use crate::metadata::batch::{CORDONED, DIRECTORIES};
use crate::metadata::image::{BrokerImage, PartitionImage, TopicImage};

/// A replica of a broker, and the directory that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The directory.
    pub directory: Uuid,
    /// The topic.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: PartitionIndex,
}

/// What became of each replica that was placed, in their order.
pub type PlacedAnswer = Vec<Result<(), Refused>>;

impl Controller {
    /// Takes note of where a broker has put its replicas. In a directory that failed it can lead
    /// and follow no longer. One that is somewhere else after its directory failed begins anew,
    /// and is not eligible to lead until it has caught up.
    #[must_use]
    pub fn place_replicas(
        &self,
        broker: NodeId,
        epoch: BrokerEpoch,
        placed: &[Placed],
    ) -> Decision<Result<PlacedAnswer, Refused>> {
        let refuse = |refused| Decision { records: Vec::new(), answer: Err(refused) };
        if self.image.metadata_version() < DIRECTORIES {
            let message = "metadata.version is too old for directories to be known";
            return refuse(Refused::new(ErrorCode::UNSUPPORTED_VERSION, message));
        }
        let broker = match self.registered(broker, epoch) {
            Ok(broker) => broker,
            Err(refused) => return refuse(refused),
        };
        let mut records = Vec::new();
        let answer = placed
            .iter()
            .map(|it| {
                let (topic, partition) = self.check_placed(broker.id, it)?;
                records.extend(self.place_replica(broker, topic, partition, it));
                Ok(())
            })
            .collect();
        Decision { records, answer: Ok(answer) }
    }

    fn check_placed(
        &self,
        broker: NodeId,
        placed: &Placed,
    ) -> Result<(&TopicImage, &PartitionImage), Refused> {
        let index = placed.partition;
        let topic = self.image.topic_by_id(placed.topic_id).ok_or_else(|| {
            Refused::new(ErrorCode::UNKNOWN_TOPIC_ID, "there is no topic of that id")
        })?;
        let partition = topic.partition(index).ok_or_else(|| {
            let message = format!("there is no partition {}-{index}", topic.name());
            Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
        })?;
        if !partition.replicas.contains(&broker) {
            let message = format!("broker {broker} is no replica of {}-{index}", topic.name());
            return Err(Refused::new(ErrorCode::NOT_LEADER_OR_FOLLOWER, message));
        }
        Ok((topic, partition))
    }

    fn place_replica(
        &self,
        broker: &BrokerImage,
        topic: &TopicImage,
        partition: &PartitionImage,
        placed: &Placed,
    ) -> Option<MetadataRecord> {
        let before = partition.directory_of(broker.id)?;
        let is_moved = before != placed.directory;
        let with_elr = self.image.feature(ELIGIBLE_LEADERS) > 0;
        let is_lost = with_elr && is_moved && !broker.has_online(before);
        let is_out = is_lost || !broker.has_online(placed.directory);
        let holds = [&partition.isr, &partition.elr].iter().any(|it| it.contains(&broker.id));
        let consequence = (is_out && holds).then(|| {
            let mut target = self.target_without(topic, partition, broker.id);
            target.elr.retain(|id| *id != broker.id || !is_lost);
            change(topic, placed.partition, partition, &target)
        });
        let mut record = match consequence.flatten() {
            Some(MetadataRecord::PartitionChange(record)) => record,
            _ if !is_moved => return None,
            _ => PartitionChangeRecord {
                partition_id: placed.partition,
                topic_id: topic.id(),
                ..Default::default()
            },
        };
        if is_moved {
            let own = partition.replicas.iter().position(|id| *id == broker.id)?;
            let mut directories = partition.directories.clone();
            *directories.get_mut(own)? = placed.directory;
            record.directories = Some(directories);
        }
        Some(record.into())
    }

    /// Whether a replica of a partition may lead it, as far as its broker and its directory go.
    pub(super) fn may_lead(&self, partition: &PartitionImage, id: NodeId) -> bool {
        self.is_active(id) && self.is_reachable(partition, id)
    }

    /// Whether a replica is in a directory that its broker still has.
    pub(super) fn is_reachable(&self, partition: &PartitionImage, id: NodeId) -> bool {
        let directory = partition.directory_of(id).unwrap_or(Uuid::UNASSIGNED_DIRECTORY);
        self.image.broker(id).is_some_and(|broker| broker.has_online(directory))
    }

    /// The directory that a new replica will be in, where that is certain: the only one of its
    /// broker that takes new ones.
    pub(super) fn default_directory(&self, id: NodeId) -> Uuid {
        let Some(broker) = self.image.broker(id) else { return Uuid::UNASSIGNED_DIRECTORY };
        let mut open = broker.open_directories();
        match (open.next(), open.next()) {
            (Some(only), None) => only,
            _ => Uuid::UNASSIGNED_DIRECTORY,
        }
    }

    /// What becomes of a broker's replicas in directories that failed just now: they lead and are
    /// in sync no longer, and the broker goes on with its other directories. Nothing where none
    /// failed, or where no other is left: such a broker is fenced.
    pub(super) fn without_directories(
        &self,
        broker: &BrokerImage,
        offline: &[Uuid],
    ) -> Vec<MetadataRecord> {
        let failed = |directory: &Uuid| offline.contains(directory);
        let is_news = broker.log_dirs.iter().any(failed) && !has_lost_all(broker, offline);
        if !is_news || self.image.metadata_version() < DIRECTORIES {
            return Vec::new();
        }
        let log_dirs = broker.log_dirs.iter().copied().filter(|it| !failed(it)).collect();
        let record = BrokerRegistrationChangeRecord { log_dirs, ..unchanged(broker) };
        let mut records = vec![record.into()];
        for topic in self.image.topics() {
            for (index, partition) in topic.partitions() {
                let takes_part =
                    partition.leader == broker.id || partition.isr.contains(&broker.id);
                let is_there = partition.directory_of(broker.id).is_some_and(|it| failed(&it));
                if takes_part && is_there {
                    let target = self.target_without(topic, partition, broker.id);
                    records.extend(change(topic, index, partition, &target));
                }
            }
        }
        records
    }

    /// What a broker says about directories that shall get nothing new; nothing where that is
    /// known.
    pub(super) fn cordon(
        &self,
        broker: &BrokerImage,
        cordoned: Option<&[Uuid]>,
    ) -> Option<MetadataRecord> {
        let known = broker.cordoned_log_dirs.as_deref().unwrap_or_default();
        let cordoned = cordoned.filter(|cordoned| *cordoned != known)?;
        if self.image.metadata_version() < CORDONED {
            return None;
        }
        let cordoned_log_dirs = Some(cordoned.to_vec());
        Some(BrokerRegistrationChangeRecord { cordoned_log_dirs, ..unchanged(broker) }.into())
    }
}

/// Whether no directory of a broker is left.
pub(super) fn has_lost_all(broker: &BrokerImage, offline: &[Uuid]) -> bool {
    let mut directories = broker.log_dirs.iter();
    !broker.log_dirs.is_empty() && directories.all(|directory| offline.contains(directory))
}

fn unchanged(broker: &BrokerImage) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id,
        broker_epoch: broker.epoch,
        ..Default::default()
    }
}
