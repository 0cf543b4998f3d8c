//! All partitions of this broker, and the one place where a metadata change reaches them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::partition::Partition;

/// The partitions of one topic, by number.
type Hosted = BTreeMap<PartitionIndex, Arc<Partition>>;

/// The partitions that this broker hosts.
///
/// Looked up on every produce and fetch without a lock; changed by one thread only, that which
/// applies metadata.
#[derive(Debug, Default)]
pub struct Registry {
    topics: ArcSwap<BTreeMap<Uuid, Arc<Hosted>>>,
}

impl Registry {
    /// A partition whose log this broker keeps.
    #[must_use]
    pub fn find(&self, topic_id: &Uuid, index: PartitionIndex) -> Option<Arc<Partition>> {
        self.topics.load().get(topic_id)?.get(&index).cloned()
    }

    /// Every partition, topic by topic.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.load();
        topics.values().flat_map(|hosted| hosted.values().cloned()).collect()
    }

    /// How many partitions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.topics.load().values().map(|hosted| hosted.len()).sum()
    }

    /// Takes partitions into service, all at once.
    pub fn insert(&self, partitions: Vec<Arc<Partition>>) {
        let mut topics = (**self.topics.load()).clone();
        for partition in partitions {
            let hosted = topics.entry(partition.topic_id()).or_default();
            Arc::make_mut(hosted).insert(partition.index(), partition);
        }
        self.topics.store(Arc::new(topics));
    }

    /// Takes a topic's partitions out of service.
    pub fn remove_topic(&self, topic_id: Uuid) -> Vec<Arc<Partition>> {
        let mut topics = (**self.topics.load()).clone();
        let removed = topics.remove(&topic_id);
        self.topics.store(Arc::new(topics));
        removed.map(|hosted| hosted.values().cloned().collect()).unwrap_or_default()
    }

    /// Takes one partition out of service.
    pub fn remove(&self, topic_id: Uuid, index: PartitionIndex) {
        let mut topics = (**self.topics.load()).clone();
        if let Some(hosted) = topics.get_mut(&topic_id) {
            Arc::make_mut(hosted).remove(&index);
            if hosted.is_empty() {
                topics.remove(&topic_id);
            }
        }
        self.topics.store(Arc::new(topics));
    }

    /// The partitions of one topic.
    #[must_use]
    pub fn of_topic(&self, topic_id: Uuid) -> Vec<Arc<Partition>> {
        let topics = self.topics.load();
        topics.get(&topic_id).map(|hosted| hosted.values().cloned().collect()).unwrap_or_default()
    }
}
