//! The metadata of the cluster at an offset of its log: an immutable value.
//!
//! An image is the fold of a prefix of the metadata log. Topics are shared between images, so a
//! change copies only what it touches.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_protocol::codec::Text;
use milena_protocol::ids::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, Uuid,
};

/// The three topics that Kafka keeps for itself.
pub const INTERNAL_TOPICS: [&str; 3] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A resource that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// 2 topic, 4 broker, 16 client metrics, 32 group.
    pub kind: i8,
    /// Its name; empty is the default of all brokers.
    pub name: Text,
}

impl ConfigResource {
    /// A topic.
    pub const TOPIC: i8 = 2;
    /// A broker, or with an empty name all of them.
    pub const BROKER: i8 = 4;

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

/// A broker as it registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its id.
    pub id: NodeId,
    /// The offset of its registration.
    pub epoch: BrokerEpoch,
    /// One run of its process.
    pub incarnation_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<EndpointImage>,
    /// Feature levels that it can run at: lowest and highest by name.
    pub features: BTreeMap<Text, (i16, i16)>,
    /// Its rack.
    pub rack: Option<Text>,
    /// Whether it is kept from leading.
    pub fenced: bool,
    /// Whether it is about to stop.
    pub in_controlled_shutdown: bool,
    /// Its log directories.
    pub log_dirs: Vec<Uuid>,
}

/// A listener of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointImage {
    /// The listener's name.
    pub name: Text,
    /// Its host.
    pub host: Text,
    /// Its port.
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    name: Text,
    id: Uuid,
    partitions: BTreeMap<PartitionIndex, PartitionImage>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// All replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The directory of each replica, in the same order.
    pub directories: Vec<Uuid>,
    /// Replicas in sync.
    pub isr: Vec<NodeId>,
    /// Eligible leaders outside of the ISR (KIP-966).
    pub elr: Vec<NodeId>,
    /// The last known eligible leader.
    pub last_known_elr: Vec<NodeId>,
    /// Replicas that are being added.
    pub adding_replicas: Vec<NodeId>,
    /// Replicas that are being removed.
    pub removing_replicas: Vec<NodeId>,
    /// The leader; −1 none.
    pub leader: NodeId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// Counts every change.
    pub partition_epoch: i32,
    /// 1 while an unclean leader recovers.
    pub leader_recovery_state: i8,
}

impl TopicImage {
    pub(super) fn new(name: Text, id: Uuid) -> Self {
        Self { name, id, partitions: BTreeMap::new() }
    }

    pub(super) fn partitions_mut(&mut self) -> &mut BTreeMap<PartitionIndex, PartitionImage> {
        &mut self.partitions
    }

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

    /// Whether it is one of Kafka's own.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        INTERNAL_TOPICS.contains(&self.name.as_str())
    }

    /// Its partitions by number.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = (PartitionIndex, &PartitionImage)> {
        self.partitions.iter().map(|(index, partition)| (*index, partition))
    }

    /// One partition.
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(&index)
    }
}

/// All metadata at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataImage {
    pub(super) offset: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) brokers: BTreeMap<NodeId, Arc<BrokerImage>>,
    pub(super) topics: BTreeMap<Text, Arc<TopicImage>>,
    pub(super) topic_names: BTreeMap<Uuid, Text>,
    pub(super) configs: BTreeMap<ConfigResource, Arc<BTreeMap<Text, Text>>>,
    pub(super) features: BTreeMap<Text, i16>,
    pub(super) next_producer_id: ProducerId,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self {
            offset: Offset::NONE,
            epoch: LeaderEpoch::NONE,
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            topic_names: BTreeMap::new(),
            configs: BTreeMap::new(),
            features: BTreeMap::new(),
            next_producer_id: ProducerId(0),
        }
    }
}

impl MetadataImage {
    /// The offset of the last record that it holds; −1 for the empty image.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// The epoch of that record.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Every registered broker.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerImage> {
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

    /// Every topic, by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// A topic by name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    /// A topic by id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topic_names.get(&id).and_then(|name| self.topics.get(name))
    }

    /// The overrides of a resource.
    #[must_use]
    pub fn config(&self, resource: &ConfigResource) -> Option<&Arc<BTreeMap<Text, Text>>> {
        self.configs.get(resource)
    }

    /// Every resource with overrides.
    pub fn config_resources(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// Features and their levels.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (name.as_str(), *level))
    }

    /// The level of a feature; 0 where it is not in use.
    #[must_use]
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// The first producer id of the next block.
    #[must_use]
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }
}
