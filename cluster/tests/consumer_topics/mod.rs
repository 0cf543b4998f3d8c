//! Topics for consumer groups to read.

use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex, Uuid};
use milena_protocol::metadata_record::{
    MetadataRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};

/// The id of a topic that was deleted and made again so often.
pub fn incarnation(name: &str, count: u128) -> Uuid {
    let number = name.bytes().fold(1000u128, |sum, byte| sum * 256 + u128::from(byte));
    Uuid::from_u128(number + (count << 64))
}

/// Topics that come and go.
pub struct Topics {
    pub image: MetadataImage,
    next: i64,
    removed: u128,
}

impl Topics {
    pub fn new(topics: &[(&str, i32)]) -> Self {
        let mut it = Self { image: MetadataImage::default(), next: 0, removed: 0 };
        topics.iter().for_each(|(name, count)| it.grow(name, *count));
        it
    }

    fn replay(&mut self, record: MetadataRecord) {
        self.image.replay(Offset(self.next), LeaderEpoch(1), &record).unwrap();
        self.next += 1;
    }

    /// Makes a topic, or gives it more partitions.
    pub fn grow(&mut self, name: &str, count: i32) {
        let found = self.image.topic(name);
        let has = found.map_or(0, |topic| topic.partition_count());
        let id = found.map_or_else(|| incarnation(name, self.removed), |topic| topic.id());
        if has == 0 {
            let name = name.into();
            self.replay(MetadataRecord::Topic(TopicRecord { name, topic_id: id }));
        }
        for index in has..count {
            self.replay(MetadataRecord::Partition(PartitionRecord {
                partition_id: PartitionIndex(index),
                topic_id: id,
                replicas: vec![NodeId(1)],
                isr: vec![NodeId(1)],
                leader: NodeId(1),
                leader_epoch: LeaderEpoch(0),
                partition_epoch: 0,
                ..Default::default()
            }));
        }
    }

    pub fn remove(&mut self, name: &str) {
        let Some(topic_id) = self.image.topic(name).map(|topic| topic.id()) else { return };
        self.removed += 1;
        self.replay(MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }));
    }
}
