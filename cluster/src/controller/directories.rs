//! The directories of brokers: which failed, which get nothing new, and which replica is in which
//! (KIP-858, KIP-1066; facts R18, R19).

use milena_protocol::ids::{NodeId, Uuid};
use milena_protocol::metadata_record::{BrokerRegistrationChangeRecord, MetadataRecord};

use super::elections::change;
use super::features::ELIGIBLE_LEADERS;
use super::machine::Controller;
use crate::metadata::batch::{CORDONED, DIRECTORIES};
use crate::metadata::image::{BrokerImage, PartitionImage};

impl Controller {
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

    /// What becomes of a broker's replicas in directories that failed just now; nothing where none
    /// did, or where no other is left, since such a broker is fenced. They lead and are in sync no longer, and the broker goes on with its other directories.
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
        let with_elr = self.image.feature(ELIGIBLE_LEADERS) > 0;
        for topic in self.image.topics() {
            for (index, partition) in topic.partitions() {
                let takes_part =
                    partition.leader == broker.id || partition.isr.contains(&broker.id);
                let is_there = partition.directory_of(broker.id).is_some_and(|it| failed(&it));
                if takes_part && is_there {
                    let target = self.target_without(topic, partition, broker.id, with_elr);
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
