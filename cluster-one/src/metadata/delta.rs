//! Changing an image: records are replayed one by one, and what they touched is remembered, so that
//! a broker reacts to a change in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_protocol::codec::Text;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::metadata_record::{PartitionChangeRecord, PartitionRecord};

use super::image::{
    BrokerImage, ConfigResource, EndpointImage, MetadataImage, PartitionImage, TopicImage,
};

/// The leader field of a change that keeps the leader.
const NO_LEADER_CHANGE: NodeId = NodeId(-2);

/// What changed between two images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Partitions that are new or changed, by topic.
    pub partitions: BTreeMap<Uuid, BTreeSet<PartitionIndex>>,
    /// Topics that are gone, with the names they had.
    pub removed_topics: BTreeMap<Uuid, Text>,
    /// Resources whose overrides changed.
    pub configs: BTreeSet<ConfigResource>,
    /// Brokers that registered, were fenced or unfenced, or left.
    pub brokers: BTreeSet<NodeId>,
    /// Whether a feature level changed.
    pub features: bool,
}

/// An image in the making.
#[derive(Clone, Debug)]
pub struct Delta {
    image: MetadataImage,
    changes: Changes,
}

/// Why a record does not fit the image; the log is damaged or of another cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// A topic that does not exist.
    UnknownTopic(Uuid),
    /// A partition that does not exist.
    UnknownPartition(Uuid, PartitionIndex),
    /// A broker that is not registered.
    UnknownBroker(NodeId),
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownTopic(id) => write!(f, "the record names the unknown topic {id}"),
            Self::UnknownPartition(id, index) => {
                write!(f, "the record names the unknown partition {index} of topic {id}")
            }
            Self::UnknownBroker(id) => write!(f, "the record names the unknown broker {id}"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl Delta {
    /// Begins at an image.
    #[must_use]
    pub fn new(base: &MetadataImage) -> Self {
        Self { image: base.clone(), changes: Changes::default() }
    }

    /// The image with everything replayed so far.
    #[must_use]
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Ends: the new image and what changed.
    #[must_use]
    pub fn finish(self) -> (MetadataImage, Changes) {
        (self.image, self.changes)
    }

    /// Moves on to an offset without a change, as control records do.
    pub fn advance(&mut self, offset: Offset, epoch: LeaderEpoch) {
        self.image.offset = offset;
        self.image.epoch = epoch;
    }

    /// Replays a record.
    ///
    /// # Errors
    /// [`ReplayError`] when it does not fit; the delta must not be used any more then.
    pub fn replay(
        &mut self,
        offset: Offset,
        epoch: LeaderEpoch,
        record: &MetadataRecord,
    ) -> Result<(), ReplayError> {
        self.apply(record)?;
        self.advance(offset, epoch);
        Ok(())
    }

    fn apply(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::RegisterBroker(record) => {
                let broker = BrokerImage {
                    id: record.broker_id,
                    epoch: record.broker_epoch,
                    incarnation_id: record.incarnation_id,
                    endpoints: record
                        .end_points
                        .iter()
                        .map(|endpoint| EndpointImage {
                            name: endpoint.name.detach(),
                            host: endpoint.host.detach(),
                            port: endpoint.port,
                            security_protocol: endpoint.security_protocol,
                        })
                        .collect(),
                    features: record
                        .features
                        .iter()
                        .map(|feature| {
                            let levels =
                                (feature.min_supported_version, feature.max_supported_version);
                            (feature.name.detach(), levels)
                        })
                        .collect(),
                    rack: record.rack.as_ref().map(Text::detach),
                    fenced: record.fenced,
                    in_controlled_shutdown: record.in_controlled_shutdown,
                    log_dirs: record.log_dirs.clone(),
                };
                self.changes.brokers.insert(broker.id);
                self.image.brokers.insert(broker.id, Arc::new(broker));
            }
            MetadataRecord::UnregisterBroker(record) => {
                self.changes.brokers.insert(record.broker_id);
                self.image.brokers.remove(&record.broker_id);
            }
            MetadataRecord::FenceBroker(record) => {
                self.broker(NodeId(record.id))?.fenced = true;
            }
            MetadataRecord::UnfenceBroker(record) => {
                self.broker(NodeId(record.id))?.fenced = false;
            }
            MetadataRecord::BrokerRegistrationChange(record) => {
                let broker = self.broker(record.broker_id)?;
                match record.fenced {
                    1 => broker.fenced = true,
                    -1 => broker.fenced = false,
                    _ => {}
                }
                if record.in_controlled_shutdown != 0 {
                    broker.in_controlled_shutdown = record.in_controlled_shutdown > 0;
                }
                if !record.log_dirs.is_empty() {
                    broker.log_dirs.clone_from(&record.log_dirs);
                }
            }
            MetadataRecord::Topic(record) => {
                let name = record.name.detach();
                self.changes.partitions.entry(record.topic_id).or_default();
                self.image.topic_names.insert(record.topic_id, name.clone());
                let topic = TopicImage::new(name.clone(), record.topic_id);
                self.image.topics.insert(name, Arc::new(topic));
            }
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record.topic_id)?,
            MetadataRecord::Partition(record) => self.add_partition(record)?,
            MetadataRecord::PartitionChange(record) => self.change_partition(record)?,
            MetadataRecord::Config(record) => {
                let resource = ConfigResource {
                    kind: record.resource_type,
                    name: record.resource_name.detach(),
                };
                self.change_config(resource, &record.name, record.value.as_ref());
            }
            MetadataRecord::FeatureLevel(record) => {
                self.changes.features = true;
                if record.feature_level == 0 {
                    self.image.features.remove(record.name.as_str());
                } else {
                    self.image.features.insert(record.name.detach(), record.feature_level);
                }
            }
            MetadataRecord::ProducerIds(record) => {
                self.image.next_producer_id = record.next_producer_id;
            }
            MetadataRecord::ClearElr(record) => self.clear_elr(&record.topic_name),
            // Security, quotas and the rest have no place in this image yet; a later version that
            // has one replays them from the log.
            _ => {}
        }
        Ok(())
    }

    fn broker(&mut self, id: NodeId) -> Result<&mut BrokerImage, ReplayError> {
        self.changes.brokers.insert(id);
        self.image.brokers.get_mut(&id).map(Arc::make_mut).ok_or(ReplayError::UnknownBroker(id))
    }

    fn topic(&mut self, id: Uuid) -> Result<&mut TopicImage, ReplayError> {
        let name = self.image.topic_names.get(&id).ok_or(ReplayError::UnknownTopic(id))?;
        let topic = self.image.topics.get_mut(name).ok_or(ReplayError::UnknownTopic(id))?;
        Ok(Arc::make_mut(topic))
    }

    fn remove_topic(&mut self, id: Uuid) -> Result<(), ReplayError> {
        let name = self.image.topic_names.remove(&id).ok_or(ReplayError::UnknownTopic(id))?;
        self.image.topics.remove(&name);
        self.image.configs.remove(&ConfigResource::topic(name.clone()));
        self.changes.partitions.remove(&id);
        self.changes.removed_topics.insert(id, name);
        Ok(())
    }

    fn add_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let partition = PartitionImage {
            replicas: record.replicas.clone(),
            directories: record.directories.clone(),
            isr: record.isr.clone(),
            elr: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            adding_replicas: record.adding_replicas.clone(),
            removing_replicas: record.removing_replicas.clone(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            leader_recovery_state: record.leader_recovery_state,
        };
        self.topic(record.topic_id)?.partitions_mut().insert(record.partition_id, partition);
        let changed = self.changes.partitions.entry(record.topic_id).or_default();
        changed.insert(record.partition_id);
        Ok(())
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        let (id, index) = (record.topic_id, record.partition_id);
        let partition = self
            .topic(id)?
            .partitions_mut()
            .get_mut(&index)
            .ok_or(ReplayError::UnknownPartition(id, index))?;
        let replace = |slot: &mut Vec<NodeId>, change: &Option<Vec<NodeId>>| {
            if let Some(change) = change {
                slot.clone_from(change);
            }
        };
        replace(&mut partition.isr, &record.isr);
        replace(&mut partition.replicas, &record.replicas);
        replace(&mut partition.adding_replicas, &record.adding_replicas);
        replace(&mut partition.removing_replicas, &record.removing_replicas);
        replace(&mut partition.elr, &record.eligible_leader_replicas);
        replace(&mut partition.last_known_elr, &record.last_known_elr);
        if let Some(directories) = &record.directories {
            partition.directories.clone_from(directories);
        }
        if record.leader != NO_LEADER_CHANGE {
            partition.leader = record.leader;
            partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0 + 1);
        }
        if record.leader_recovery_state >= 0 {
            partition.leader_recovery_state = record.leader_recovery_state;
        }
        partition.partition_epoch += 1;
        self.changes.partitions.entry(id).or_default().insert(index);
        Ok(())
    }

    fn change_config(&mut self, resource: ConfigResource, name: &Text, value: Option<&Text>) {
        let overrides = Arc::make_mut(self.image.configs.entry(resource.clone()).or_default());
        match value {
            Some(value) => overrides.insert(name.detach(), value.detach()),
            None => overrides.remove(name.as_str()),
        };
        if overrides.is_empty() {
            self.image.configs.remove(&resource);
        }
        self.changes.configs.insert(resource);
    }

    /// Forgets the eligible leaders of one topic, or with an empty name of all (KIP-966).
    fn clear_elr(&mut self, name: &str) {
        for (topic_name, topic) in &mut self.image.topics {
            if !name.is_empty() && topic_name.as_str() != name {
                continue;
            }
            let stale = |partition: &PartitionImage| {
                !partition.elr.is_empty() || !partition.last_known_elr.is_empty()
            };
            if !topic.partitions().any(|(_, partition)| stale(partition)) {
                continue;
            }
            let id = topic.id();
            for (index, partition) in Arc::make_mut(topic).partitions_mut() {
                if stale(partition) {
                    partition.elr.clear();
                    partition.last_known_elr.clear();
                    partition.partition_epoch += 1;
                    self.changes.partitions.entry(id).or_default().insert(*index);
                }
            }
        }
    }
}
