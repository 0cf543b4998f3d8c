//! Records applied to an image, and what they changed.
//!
//! [`MetadataImage::replay`] is the only place where a record changes an image. A [`Delta`] keeps
//! count of what the records between two images changed, so that a broker reacts in one place.
//! Texts are detached from the batch that they were read from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use milena_protocol::codec::Text;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};
use milena_protocol::metadata_record::{
    BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord, MetadataRecord,
    PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
};

use super::image::{
    BrokerImage, ConfigResource, EndpointImage, MetadataImage, PartitionImage, TopicImage,
};
use super::map::SortedMap;

/// A record that contradicts what came before it: the log is damaged, or a mistake of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// A record is about a topic that does not exist.
    UnknownTopic(Uuid),
    /// A topic is made whose name or id exists.
    DuplicateTopic(Text),
    /// A record is about a partition that does not exist.
    UnknownPartition(Uuid, PartitionIndex),
    /// A record is about a broker, or an epoch of it, that is not registered.
    UnknownBroker(NodeId, BrokerEpoch),
    /// A metadata transaction begins inside another, or ends without one.
    Transaction,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTopic(id) => write!(f, "no topic has the id {id}"),
            Self::DuplicateTopic(name) => write!(f, "topic {name} exists already"),
            Self::UnknownPartition(id, index) => write!(f, "topic {id} has no partition {index}"),
            Self::UnknownBroker(id, epoch) => {
                write!(f, "broker {id} is not registered with epoch {epoch}")
            }
            Self::Transaction => f.write_str("metadata transactions are not properly nested"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// What changed between two images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Partitions that are new or changed, by topic; of a new topic, all of them.
    pub partitions: BTreeMap<Uuid, BTreeSet<PartitionIndex>>,
    /// Topics that did not exist before.
    pub created_topics: BTreeSet<Uuid>,
    /// Topics that are gone, with the names they had.
    pub removed_topics: BTreeMap<Uuid, Text>,
    /// Resources whose overrides changed.
    pub configs: BTreeSet<ConfigResource>,
    /// Brokers that registered, were fenced or unfenced, or left.
    pub brokers: BTreeSet<NodeId>,
    /// Whether a feature level changed.
    pub features: bool,
    /// Whether ACLs, credentials, tokens or quotas changed.
    pub security: bool,
}

impl Changes {
    /// What is different between two images, as a snapshot that takes the place of the log makes
    /// it. A topic that was deleted and made again is one that is gone and a new one.
    #[must_use]
    pub fn between(old: &MetadataImage, new: &MetadataImage) -> Self {
        let mut changes = Self::default();
        for topic in new.topics() {
            let before = old.topic_by_id(topic.id());
            if before.is_none() {
                changes.created_topics.insert(topic.id());
            }
            let is_new = |index, partition| {
                before.and_then(|topic| topic.partition(index)) != Some(partition)
            };
            let partitions = topic.partitions().filter(|(index, it)| is_new(*index, *it));
            let partitions: BTreeSet<PartitionIndex> = partitions.map(|(index, _)| index).collect();
            if !partitions.is_empty() {
                changes.partitions.insert(topic.id(), partitions);
            }
        }
        let removed = old.topics().filter(|topic| new.topic_by_id(topic.id()).is_none());
        changes.removed_topics = removed.map(|topic| (topic.id(), topic.name().clone())).collect();
        let resources = old.config_resources().chain(new.config_resources());
        changes.configs =
            resources.filter(|it| old.config(it) != new.config(it)).cloned().collect();
        let brokers = old.brokers.keys().chain(new.brokers.keys()).copied();
        changes.brokers = brokers.filter(|id| old.broker(*id) != new.broker(*id)).collect();
        changes.features = old.features != new.features;
        changes.security = old.acls != new.acls
            || old.credentials != new.credentials
            || old.tokens != new.tokens
            || old.quotas != new.quotas;
        changes
    }
}

/// An image in the making.
#[derive(Clone, Debug)]
pub struct Delta {
    image: MetadataImage,
    changes: Changes,
}

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
        self.image.advance(offset, epoch);
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
        self.image.replay_into(record, &mut self.changes)?;
        self.advance(offset, epoch);
        Ok(())
    }
}

impl MetadataImage {
    /// Replays a record in place, for those who need not know what it changed.
    ///
    /// # Errors
    /// [`ReplayError`] when it does not fit; the image must not be used any more then.
    pub fn replay(
        &mut self,
        offset: Offset,
        epoch: LeaderEpoch,
        record: &MetadataRecord,
    ) -> Result<(), ReplayError> {
        self.replay_into(record, &mut Changes::default())?;
        self.advance(offset, epoch);
        Ok(())
    }

    /// Says up to where the log was replayed, control records included.
    pub fn advance(&mut self, last: Offset, epoch: LeaderEpoch) {
        assert!(last >= self.offset && epoch >= self.epoch, "an image never goes back");
        self.offset = last;
        self.epoch = epoch;
    }

    fn replay_into(
        &mut self,
        record: &MetadataRecord,
        changes: &mut Changes,
    ) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::BeginTransaction(_) => match self.transaction {
                Some(_) => Err(ReplayError::Transaction),
                None => {
                    self.transaction = Some(Arc::default());
                    Ok(())
                }
            },
            MetadataRecord::AbortTransaction(_) => {
                self.transaction.take().map(drop).ok_or(ReplayError::Transaction)
            }
            MetadataRecord::EndTransaction(_) => {
                let held = self.transaction.take().ok_or(ReplayError::Transaction)?;
                held.iter().try_for_each(|record| self.change(record, changes))
            }
            record => match &mut self.transaction {
                Some(held) => {
                    Arc::make_mut(held).push(record.clone());
                    Ok(())
                }
                None => self.change(record, changes),
            },
        }
    }

    fn change(
        &mut self,
        record: &MetadataRecord,
        changes: &mut Changes,
    ) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::Topic(record) => self.create_topic(record, changes)?,
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record.topic_id, changes)?,
            MetadataRecord::Partition(record) => self.set_partition(record, changes)?,
            MetadataRecord::PartitionChange(record) => self.change_partition(record, changes)?,
            MetadataRecord::ClearElr(record) => self.clear_elr(&record.topic_name, changes),
            MetadataRecord::Config(record) => self.set_config(record, changes),
            MetadataRecord::RegisterBroker(record) => self.register(record, changes),
            MetadataRecord::UnregisterBroker(record) => {
                self.registered(record.broker_id, record.broker_epoch)?;
                changes.brokers.insert(record.broker_id);
                Arc::make_mut(&mut self.brokers).remove(&record.broker_id);
            }
            MetadataRecord::FenceBroker(record) => {
                self.broker_mut(NodeId(record.id), record.epoch, changes)?.fenced = true;
            }
            MetadataRecord::UnfenceBroker(record) => {
                self.broker_mut(NodeId(record.id), record.epoch, changes)?.fenced = false;
            }
            MetadataRecord::BrokerRegistrationChange(record) => {
                let broker = self.broker_mut(record.broker_id, record.broker_epoch, changes)?;
                change_registration(broker, record);
            }
            MetadataRecord::RegisterController(record) => {
                let controllers = Arc::make_mut(&mut self.controllers);
                controllers.insert(record.controller_id, record.clone());
            }
            MetadataRecord::FeatureLevel(record) => {
                changes.features = true;
                let features = Arc::make_mut(&mut self.features);
                match record.feature_level {
                    0 => features.remove(&record.name),
                    level => features.insert(record.name.detach(), level),
                };
            }
            MetadataRecord::ProducerIds(record) => {
                self.next_producer_id = record.next_producer_id;
            }
            MetadataRecord::NoOp(_) | MetadataRecord::ZkMigrationState(_) => {}
            // A transaction's brackets were taken off before.
            MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_) => return Err(ReplayError::Transaction),
            security => self.change_security(security, changes),
        }
        Ok(())
    }

    fn change_security(&mut self, record: &MetadataRecord, changes: &mut Changes) {
        changes.security = true;
        match record {
            MetadataRecord::AccessControlEntry(record) => {
                Arc::make_mut(&mut self.acls).insert(record.id, record.clone());
            }
            MetadataRecord::RemoveAccessControlEntry(record) => {
                Arc::make_mut(&mut self.acls).remove(&record.id);
            }
            MetadataRecord::UserScramCredential(record) => {
                let key = (record.mechanism, record.name.detach());
                Arc::make_mut(&mut self.credentials).insert(key, record.clone());
            }
            MetadataRecord::RemoveUserScramCredential(record) => {
                let key = (record.mechanism, record.name.clone());
                Arc::make_mut(&mut self.credentials).remove(&key);
            }
            MetadataRecord::DelegationToken(record) => {
                let key = record.token_id.detach();
                Arc::make_mut(&mut self.tokens).insert(key, record.clone());
            }
            MetadataRecord::RemoveDelegationToken(record) => {
                Arc::make_mut(&mut self.tokens).remove(&record.token_id);
            }
            MetadataRecord::ClientQuota(record) => self.set_quota(record),
            _ => {}
        }
    }

    fn create_topic(
        &mut self,
        record: &TopicRecord,
        changes: &mut Changes,
    ) -> Result<(), ReplayError> {
        let id = record.topic_id;
        if self.topics.get(&id).is_some() || self.names.get(&record.name).is_some() {
            return Err(ReplayError::DuplicateTopic(record.name.detach()));
        }
        let name = record.name.detach();
        let topic = TopicImage { name: name.clone(), id, partitions: SortedMap::default() };
        self.names.insert(name, id);
        self.topics.insert(id, Arc::new(topic));
        changes.created_topics.insert(id);
        changes.partitions.entry(id).or_default();
        Ok(())
    }

    fn remove_topic(&mut self, id: Uuid, changes: &mut Changes) -> Result<(), ReplayError> {
        let topic = self.topics.remove(&id).ok_or(ReplayError::UnknownTopic(id))?;
        self.names.remove(topic.name());
        let resource = ConfigResource::topic(topic.name().clone());
        if self.configs.remove(&resource).is_some() {
            changes.configs.insert(resource);
        }
        changes.partitions.remove(&id);
        // A topic that came and went between two images was never there.
        if !changes.created_topics.remove(&id) {
            changes.removed_topics.insert(id, topic.name().clone());
        }
        Ok(())
    }

    fn topic_mut(&mut self, id: Uuid) -> Result<&mut TopicImage, ReplayError> {
        self.topics.get_mut(&id).map(Arc::make_mut).ok_or(ReplayError::UnknownTopic(id))
    }

    fn set_partition(
        &mut self,
        record: &PartitionRecord,
        changes: &mut Changes,
    ) -> Result<(), ReplayError> {
        let mut directories = record.directories.clone();
        directories.resize(record.replicas.len(), Uuid::ZERO);
        let partition = PartitionImage {
            replicas: record.replicas.clone(),
            directories,
            isr: record.isr.clone(),
            removing_replicas: record.removing_replicas.clone(),
            adding_replicas: record.adding_replicas.clone(),
            elr: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            leader_recovery_state: record.leader_recovery_state,
        };
        let topic = self.topic_mut(record.topic_id)?;
        topic.partitions.insert(record.partition_id, Arc::new(partition));
        changes.partitions.entry(record.topic_id).or_default().insert(record.partition_id);
        Ok(())
    }

    fn change_partition(
        &mut self,
        record: &PartitionChangeRecord,
        changes: &mut Changes,
    ) -> Result<(), ReplayError> {
        let (id, index) = (record.topic_id, record.partition_id);
        let topic = self.topic_mut(id)?;
        let partition =
            topic.partitions.get_mut(&index).ok_or(ReplayError::UnknownPartition(id, index))?;
        merge(Arc::make_mut(partition), record);
        changes.partitions.entry(id).or_default().insert(index);
        Ok(())
    }

    /// Forgets eligible leaders of one topic, or of all where the name is empty. A topic that is
    /// gone by now has none.
    fn clear_elr(&mut self, name: &Text, changes: &mut Changes) {
        let named = |topic: &&Arc<TopicImage>| name.is_empty() || topic.name() == name;
        let has_elr = |partition: &PartitionImage| {
            !partition.elr.is_empty() || !partition.last_known_elr.is_empty()
        };
        let found: Vec<(Uuid, PartitionIndex)> = self
            .topics()
            .filter(named)
            .flat_map(|topic| topic.partitions().map(|(index, it)| (topic.id(), index, it)))
            .filter(|(_, _, partition)| has_elr(partition))
            .map(|(id, index, _)| (id, index))
            .collect();
        for (id, index) in found {
            let partition = self.topics.get_mut(&id).map(Arc::make_mut);
            if let Some(partition) = partition.and_then(|topic| topic.partitions.get_mut(&index)) {
                let partition = Arc::make_mut(partition);
                partition.elr.clear();
                partition.last_known_elr.clear();
                partition.partition_epoch += 1;
                changes.partitions.entry(id).or_default().insert(index);
            }
        }
    }

    fn set_config(&mut self, record: &ConfigRecord, changes: &mut Changes) {
        let resource =
            ConfigResource { kind: record.resource_type, name: record.resource_name.detach() };
        changes.configs.insert(resource.clone());
        if self.configs.get(&resource).is_none() {
            self.configs.insert(resource.clone(), Arc::default());
        }
        let entries = self.configs.get_mut(&resource).map(Arc::make_mut);
        let entries = entries.expect("it was inserted where it was missing");
        match &record.value {
            Some(value) => entries.insert(record.name.detach(), value.detach()),
            None => entries.remove(&record.name),
        };
        if entries.is_empty() {
            self.configs.remove(&resource);
        }
    }

    fn set_quota(&mut self, record: &ClientQuotaRecord) {
        let mut entity: Vec<_> = record
            .entity
            .iter()
            .map(|part| (part.entity_type.detach(), part.entity_name.as_ref().map(Text::detach)))
            .collect();
        entity.sort();
        let quotas = Arc::make_mut(&mut self.quotas);
        if !record.remove {
            quotas.entry(entity).or_default().insert(record.key.detach(), record.value);
        } else if let Some(keys) = quotas.get_mut(&entity) {
            keys.remove(&record.key);
            if keys.is_empty() {
                quotas.remove(&entity);
            }
        }
    }

    fn register(&mut self, record: &RegisterBrokerRecord, changes: &mut Changes) {
        let endpoint =
            |end_point: &milena_protocol::metadata_record::RegisterBrokerEndpoint| EndpointImage {
                name: end_point.name.detach(),
                host: end_point.host.detach(),
                port: end_point.port,
                security_protocol: end_point.security_protocol,
            };
        let broker = BrokerImage {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(endpoint).collect(),
            features: record
                .features
                .iter()
                .map(|feature| {
                    let levels = (feature.min_supported_version, feature.max_supported_version);
                    (feature.name.detach(), levels)
                })
                .collect(),
            rack: record.rack.as_ref().map(Text::detach),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        };
        changes.brokers.insert(broker.id);
        Arc::make_mut(&mut self.brokers).insert(broker.id, Arc::new(broker));
    }

    fn registered(&self, id: NodeId, epoch: BrokerEpoch) -> Result<(), ReplayError> {
        match self.brokers.get(&id) {
            Some(broker) if broker.epoch == epoch => Ok(()),
            _ => Err(ReplayError::UnknownBroker(id, epoch)),
        }
    }

    fn broker_mut(
        &mut self,
        id: NodeId,
        epoch: BrokerEpoch,
        changes: &mut Changes,
    ) -> Result<&mut BrokerImage, ReplayError> {
        self.registered(id, epoch)?;
        changes.brokers.insert(id);
        let brokers = Arc::make_mut(&mut self.brokers);
        brokers.get_mut(&id).map(Arc::make_mut).ok_or(ReplayError::UnknownBroker(id, epoch))
    }
}

/// A leader of −2 leaves the leader as it is, and with it the leader epoch.
const LEADER_UNCHANGED: NodeId = NodeId(-2);

impl PartitionImage {
    /// The partition as a change of it makes it.
    #[must_use]
    pub fn changed(&self, record: &PartitionChangeRecord) -> Self {
        let mut after = self.clone();
        merge(&mut after, record);
        after
    }
}

fn merge(partition: &mut PartitionImage, record: &PartitionChangeRecord) {
    let set = |field: &mut Vec<NodeId>, value: &Option<Vec<NodeId>>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    set(&mut partition.isr, &record.isr);
    set(&mut partition.replicas, &record.replicas);
    set(&mut partition.removing_replicas, &record.removing_replicas);
    set(&mut partition.adding_replicas, &record.adding_replicas);
    set(&mut partition.elr, &record.eligible_leader_replicas);
    set(&mut partition.last_known_elr, &record.last_known_elr);
    if let Some(directories) = &record.directories {
        partition.directories.clone_from(directories);
    }
    partition.directories.resize(partition.replicas.len(), Uuid::UNASSIGNED_DIRECTORY);
    if record.leader != LEADER_UNCHANGED {
        partition.leader = record.leader;
        partition.leader_epoch.0 += 1;
    }
    if record.leader_recovery_state >= 0 {
        partition.leader_recovery_state = record.leader_recovery_state;
    }
    partition.partition_epoch += 1;
}

fn change_registration(broker: &mut BrokerImage, record: &BrokerRegistrationChangeRecord) {
    match record.fenced {
        -1 => broker.fenced = false,
        1 => broker.fenced = true,
        _ => {}
    }
    if record.in_controlled_shutdown == 1 {
        broker.in_controlled_shutdown = true;
    }
    if !record.log_dirs.is_empty() {
        broker.log_dirs.clone_from(&record.log_dirs);
    }
    if record.cordoned_log_dirs.is_some() {
        broker.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
    }
}
