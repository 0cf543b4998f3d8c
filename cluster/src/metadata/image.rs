//! The metadata image: everything that the records up to an offset say, as an immutable value.
//!
//! Copies share what they have in common, so an image per change costs what the change costs.
//! The image is a fold of the log: the same prefix gives the same image on every node.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_protocol::codec::Text;
use milena_protocol::ids::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, Uuid,
};
use milena_protocol::metadata_record::{
    AccessControlEntryRecord, DelegationTokenRecord, MetadataRecord, PartitionRecord,
    RegisterControllerRecord, UserScramCredentialRecord,
};

use super::map::SortedMap;

/// The feature that says which records may be written.
pub const METADATA_VERSION: &str = "metadata.version";
/// The level of `metadata.version` that holds where no record says one: 3.3-IV3.
pub const MINIMUM_METADATA_VERSION: i16 = 7;
/// Topics that the brokers keep for themselves.
pub const INTERNAL_TOPICS: [&str; 3] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A resource that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// 2 topic, 4 broker, 8 broker loggers, 16 client metrics, 32 group.
    pub kind: i8,
    /// Its name; empty is the default of all brokers.
    pub name: Text,
}

impl ConfigResource {
    /// A topic.
    pub const TOPIC: i8 = 2;
    /// A broker, or with an empty name all of them.
    pub const BROKER: i8 = 4;
    /// The loggers of a broker, which are not kept in the metadata.
    pub const BROKER_LOGGER: i8 = 8;
    /// A subscription to client metrics (KIP-714).
    pub const CLIENT_METRICS: i8 = 16;
    /// A group (KIP-848).
    pub const GROUP: i8 = 32;

    /// A topic's configuration.
    #[must_use]
    pub fn topic(name: Text) -> Self {
        Self { kind: Self::TOPIC, name }
    }

    /// A broker's configuration.
    #[must_use]
    pub fn broker(name: Text) -> Self {
        Self { kind: Self::BROKER, name }
    }
}

/// The overrides of one resource.
pub type Entries = BTreeMap<Text, Text>;
/// What a quota applies to: pairs of a type and a name; no name is the type's default.
pub type QuotaEntity = Vec<(Text, Option<Text>)>;

/// Everything that the metadata log says up to an offset.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataImage {
    pub(super) offset: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) topics: SortedMap<Uuid, Arc<TopicImage>>,
    pub(super) names: SortedMap<Text, Uuid>,
    pub(super) brokers: Arc<BTreeMap<NodeId, Arc<BrokerImage>>>,
    pub(super) configs: SortedMap<ConfigResource, Arc<Entries>>,
    pub(super) features: Arc<BTreeMap<Text, i16>>,
    pub(super) next_producer_id: ProducerId,
    pub(super) controllers: Arc<BTreeMap<NodeId, RegisterControllerRecord>>,
    pub(super) quotas: Arc<BTreeMap<QuotaEntity, BTreeMap<Text, f64>>>,
    pub(super) acls: Arc<BTreeMap<Uuid, AccessControlEntryRecord>>,
    pub(super) credentials: Arc<BTreeMap<(i8, Text), UserScramCredentialRecord>>,
    pub(super) tokens: Arc<BTreeMap<Text, DelegationTokenRecord>>,
    /// The records of a metadata transaction that has not ended (KIP-868).
    pub(super) transaction: Option<Arc<Vec<MetadataRecord>>>,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self {
            offset: Offset::NONE,
            epoch: LeaderEpoch::NONE,
            topics: SortedMap::default(),
            names: SortedMap::default(),
            brokers: Arc::default(),
            configs: SortedMap::default(),
            features: Arc::default(),
            next_producer_id: ProducerId(0),
            controllers: Arc::default(),
            quotas: Arc::default(),
            acls: Arc::default(),
            credentials: Arc::default(),
            tokens: Arc::default(),
            transaction: None,
        }
    }
}

impl MetadataImage {
    /// The last offset that it holds; −1 where nothing was replayed.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// The epoch of that offset.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Whether a metadata transaction is open, which no snapshot may cut.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// All topics in the order of their names.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.names.iter().map(|(_, id)| self.topics.get(id).expect("a name stands for a topic"))
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// A topic by its name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        let id = self.names.find(|other| other.as_str().cmp(name))?;
        self.topics.get(id)
    }

    /// A topic by its id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// A partition by its topic's id.
    #[must_use]
    pub fn partition(&self, id: Uuid, index: PartitionIndex) -> Option<&PartitionImage> {
        self.topic_by_id(id)?.partition(index)
    }

    /// All registered brokers in the order of their ids.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &BrokerImage> {
        self.brokers.values().map(|broker| &**broker)
    }

    /// A registered broker.
    #[must_use]
    pub fn broker(&self, id: NodeId) -> Option<&BrokerImage> {
        self.brokers.get(&id).map(|broker| &**broker)
    }

    /// Whether a broker is registered and not fenced.
    #[must_use]
    pub fn is_live(&self, id: NodeId) -> bool {
        self.broker(id).is_some_and(|broker| !broker.fenced)
    }

    /// The overrides of a resource; nothing where it has none.
    #[must_use]
    pub fn config(&self, resource: &ConfigResource) -> Option<&Arc<Entries>> {
        self.configs.get(resource)
    }

    /// One override of a resource, looked up without a copy of its name.
    #[must_use]
    pub fn config_entry(&self, kind: i8, name: &str, key: &str) -> Option<&str> {
        self.configs
            .find(|other| other.kind.cmp(&kind).then_with(|| other.name.as_str().cmp(name)))?
            .get(key)
            .map(Text::as_str)
    }

    /// Every resource with overrides.
    pub fn config_resources(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.iter().map(|(resource, _)| resource)
    }

    /// Every resource with its overrides.
    pub fn configs(&self) -> impl Iterator<Item = (&ConfigResource, &Entries)> {
        self.configs.iter().map(|(resource, entries)| (resource, &**entries))
    }

    /// The finalized features and their levels, by name.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (name.as_str(), *level))
    }

    /// The finalized level of a feature; 0 is off.
    #[must_use]
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// The level of `metadata.version`.
    #[must_use]
    pub fn metadata_version(&self) -> i16 {
        self.feature(METADATA_VERSION).max(MINIMUM_METADATA_VERSION)
    }

    /// The first producer id that is still free.
    #[must_use]
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// The registered controllers.
    pub fn controllers(&self) -> impl Iterator<Item = &RegisterControllerRecord> {
        self.controllers.values()
    }

    /// The quotas, by what they apply to.
    pub fn quotas(&self) -> impl Iterator<Item = (&QuotaEntity, &BTreeMap<Text, f64>)> {
        self.quotas.iter()
    }

    /// The access control entries.
    pub fn acls(&self) -> impl Iterator<Item = &AccessControlEntryRecord> {
        self.acls.values()
    }

    /// A user's SCRAM credential.
    #[must_use]
    pub fn credential(&self, mechanism: i8, user: &str) -> Option<&UserScramCredentialRecord> {
        self.credentials.get(&(mechanism, user.into()))
    }

    /// All SCRAM credentials.
    pub fn credentials(&self) -> impl Iterator<Item = &UserScramCredentialRecord> {
        self.credentials.values()
    }

    /// The delegation tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &DelegationTokenRecord> {
        self.tokens.values()
    }

    /// The partitions that a reassignment is moving, with the topic of each.
    pub fn reassignments(
        &self,
    ) -> impl Iterator<Item = (&Arc<TopicImage>, PartitionIndex, &PartitionImage)> {
        self.topics().flat_map(|topic| {
            topic
                .partitions()
                .filter(|(_, partition)| partition.is_moving())
                .map(move |(index, partition)| (topic, index, partition))
        })
    }

    /// Panics when the image contradicts itself.
    pub fn check_invariants(&self) {
        self.topics.check_invariants();
        self.names.check_invariants();
        self.configs.check_invariants();
        assert_eq!(self.topics.len(), self.names.len(), "every topic has one name and one id");
        for (name, id) in self.names.iter() {
            let topic = self.topics.get(id).expect("a name stands for a topic");
            assert!(topic.name() == name && topic.id() == *id, "a topic knows its name");
            topic.check_invariants();
        }
        assert!(self.brokers.iter().all(|(id, broker)| *id == broker.id), "ids are the keys");
        assert!(self.configs.iter().all(|(_, entries)| !entries.is_empty()));
        assert!(self.next_producer_id >= ProducerId(0));
    }
}

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicImage {
    pub(super) name: Text,
    pub(super) id: Uuid,
    pub(super) partitions: SortedMap<PartitionIndex, Arc<PartitionImage>>,
}

impl TopicImage {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether the brokers keep it for themselves.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        INTERNAL_TOPICS.contains(&self.name.as_str())
    }

    /// Its partitions in the order of their numbers.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = (PartitionIndex, &PartitionImage)> {
        self.partitions.iter().map(|(index, partition)| (*index, &**partition))
    }

    /// How many partitions it has.
    #[must_use]
    pub fn partition_count(&self) -> i32 {
        self.partitions.len() as i32
    }

    /// One of its partitions.
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(&index).map(|partition| &**partition)
    }

    fn check_invariants(&self) {
        self.partitions.check_invariants();
        for (_, partition) in self.partitions() {
            partition.check_invariants();
        }
    }
}

/// The state of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// The replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The directory of each replica, in their order.
    pub directories: Vec<Uuid>,
    /// Replicas in sync.
    pub isr: Vec<NodeId>,
    /// Replicas that a reassignment removes.
    pub removing_replicas: Vec<NodeId>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<NodeId>,
    /// Replicas out of the ISR that still hold every acknowledged record (KIP-966).
    pub elr: Vec<NodeId>,
    /// Replicas that were the last to be eligible.
    pub last_known_elr: Vec<NodeId>,
    /// The leader; −1 none.
    pub leader: NodeId,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change.
    pub partition_epoch: i32,
    /// 1 until an unclean leader confirms that it recovered, else 0.
    pub leader_recovery_state: i8,
}

impl PartitionImage {
    /// Whether a reassignment is moving it.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// The directory that a node keeps it in; nothing where the node is no replica.
    #[must_use]
    pub fn directory_of(&self, node: NodeId) -> Option<Uuid> {
        let index = self.replicas.iter().position(|replica| *replica == node)?;
        Some(self.directories.get(index).copied().unwrap_or(Uuid::UNASSIGNED_DIRECTORY))
    }

    /// The record that makes it as it is.
    #[must_use]
    pub fn to_record(&self, topic_id: Uuid, partition_id: PartitionIndex) -> PartitionRecord {
        let filled = |nodes: &Vec<NodeId>| (!nodes.is_empty()).then(|| nodes.clone());
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing_replicas.clone(),
            adding_replicas: self.adding_replicas.clone(),
            leader: self.leader,
            leader_recovery_state: self.leader_recovery_state,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            directories: self.directories.clone(),
            eligible_leader_replicas: filled(&self.elr),
            last_known_elr: filled(&self.last_known_elr),
        }
    }

    fn check_invariants(&self) {
        let is_replica = |node: &NodeId| self.replicas.contains(node);
        assert!(!self.replicas.is_empty(), "a partition has replicas");
        assert!(self.isr.iter().all(is_replica), "the ISR is among the replicas");
        assert!(self.elr.iter().all(is_replica), "eligible leaders are among the replicas");
        assert!(self.isr.iter().all(|node| !self.elr.contains(node)), "ISR and ELR are apart");
        let mut moved = self.adding_replicas.iter().chain(&self.removing_replicas);
        assert!(moved.all(is_replica), "who comes and who goes is a replica");
        assert_eq!(self.directories.len(), self.replicas.len(), "each replica has a directory");
        assert!(
            self.leader == NodeId::NONE || self.isr.contains(&self.leader),
            "a leader is in its ISR"
        );
        assert!(self.leader_epoch >= LeaderEpoch(0) && self.partition_epoch >= 0);
    }
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its id.
    pub id: NodeId,
    /// This registration: the offset of its record.
    pub epoch: BrokerEpoch,
    /// Differs between two starts of the process.
    pub incarnation_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<EndpointImage>,
    /// The lowest and highest level of each feature that it can run at.
    pub features: BTreeMap<Text, (i16, i16)>,
    /// Its rack.
    pub rack: Option<Text>,
    /// Whether it leads nothing and is in no ISR.
    pub fenced: bool,
    /// Whether it is handing over its partitions to stop.
    pub in_controlled_shutdown: bool,
    /// Its directories.
    pub log_dirs: Vec<Uuid>,
    /// Directories that get no new partitions.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

impl BrokerImage {
    /// Whether it may lead partitions and be in an ISR.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Its directories that new replicas may go to.
    pub fn open_directories(&self) -> impl Iterator<Item = Uuid> {
        let cordoned = self.cordoned_log_dirs.as_deref().unwrap_or_default();
        self.log_dirs.iter().copied().filter(|directory| !cordoned.contains(directory))
    }

    /// Whether a replica that is said to be in a directory can be reached there. One of which
    /// nobody has said where it is, is taken to be well; so is one of a broker that has not
    /// registered its directories.
    #[must_use]
    pub fn has_online(&self, directory: Uuid) -> bool {
        let is_unknown = [Uuid::ZERO, Uuid::UNASSIGNED_DIRECTORY].contains(&directory);
        is_unknown || self.log_dirs.is_empty() || self.log_dirs.contains(&directory)
    }
}

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointImage {
    /// The listener's name.
    pub name: Text,
    /// The host.
    pub host: Text,
    /// The port.
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}
