//! The metadata image as this broker sees it: an immutable value behind an atomic pointer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::{MetadataImage, PartitionImage};
use milena_protocol::ids::NodeId;
use tokio::sync::watch;

/// The published image.
#[derive(Debug)]
pub struct Published {
    image: ArcSwap<MetadataImage>,
    offset: watch::Sender<i64>,
    /// Elections seen of replicas that may lack acknowledged records.
    unclean_elections: AtomicU64,
}

impl Published {
    /// Starts with an image.
    #[must_use]
    pub fn new(image: Arc<MetadataImage>) -> Self {
        let offset = watch::Sender::new(image.offset().0);
        Self { image: ArcSwap::new(image), offset, unclean_elections: AtomicU64::new(0) }
    }

    /// The image now, for the length of a look.
    #[must_use]
    pub fn image(&self) -> Guard<Arc<MetadataImage>> {
        self.image.load()
    }

    /// The image now, to be kept across waits.
    #[must_use]
    pub fn image_owned(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    /// Replaces the image by a later one, which differs from it by these changes.
    pub fn publish(&self, image: Arc<MetadataImage>, changes: &Changes) {
        let before = self.image_owned();
        let offset = image.offset().0;
        assert!(offset >= before.offset().0, "a metadata image never goes back");
        let changed = changes
            .partitions
            .iter()
            .flat_map(|(topic_id, partitions)| partitions.iter().map(|index| (*topic_id, *index)));
        let is_unclean = |(topic_id, index): &(_, _)| {
            let after = image.partition(*topic_id, *index);
            before.partition(*topic_id, *index).zip(after).is_some_and(is_unclean)
        };
        let unclean = changed.filter(is_unclean).count() as u64;
        self.unclean_elections.fetch_add(unclean, Ordering::Relaxed);
        self.image.store(image);
        self.offset.send_replace(offset);
    }

    /// Waits for the next image.
    pub async fn moved(&self) {
        // The sender lives as long as this.
        let _ = self.offset.subscribe().changed().await;
    }

    /// Waits for an image of which something holds.
    pub async fn until(&self, holds: impl Fn(&MetadataImage) -> bool) {
        let mut offset = self.offset.subscribe();
        while !holds(&self.image()) {
            // The sender lives as long as this.
            let _ = offset.changed().await;
        }
    }

    /// How many elections since the start took a replica that was neither in sync nor eligible.
    #[must_use]
    pub fn unclean_elections(&self) -> u64 {
        self.unclean_elections.load(Ordering::Relaxed)
    }
}

/// Whether a partition got a leader that may lack acknowledged records.
fn is_unclean((before, after): (&PartitionImage, &PartitionImage)) -> bool {
    let leader = after.leader;
    leader != NodeId::NONE
        && leader != before.leader
        && !before.isr.contains(&leader)
        && !before.elr.contains(&leader)
}

#[cfg(test)]
mod tests {
    use milena_cluster::metadata::delta::Delta;
    use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
    use milena_protocol::metadata_record::{
        MetadataRecord, PartitionChangeRecord, PartitionRecord, TopicRecord,
    };

    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(7);

    fn change(leader: i32, isr: &[i32], leader_recovery_state: i8) -> MetadataRecord {
        let change = PartitionChangeRecord {
            partition_id: PartitionIndex(0),
            topic_id: TOPIC,
            isr: Some(isr.iter().copied().map(NodeId).collect()),
            leader: NodeId(leader),
            leader_recovery_state,
            ..Default::default()
        };
        change.into()
    }

    /// The one figure that tells of lost records would stay 0, or count elections that lost none.
    #[test]
    fn elections_that_may_lose_records_are_counted() {
        let published = Published::new(Arc::new(MetadataImage::default()));
        let topic = TopicRecord { name: "t".into(), topic_id: TOPIC };
        let partition = PartitionRecord {
            partition_id: PartitionIndex(0),
            topic_id: TOPIC,
            replicas: vec![NodeId(1), NodeId(2), NodeId(3)],
            directories: vec![Uuid::ZERO; 3],
            isr: vec![NodeId(1), NodeId(2)],
            leader: NodeId(1),
            ..Default::default()
        };
        let born = vec![topic.into(), partition.into()];
        let steps = [
            (born, 0),
            (vec![change(2, &[2], -1)], 0),
            (vec![change(-1, &[2], -1)], 0),
            (vec![change(3, &[3], 1)], 1),
            (vec![change(3, &[3, 1], 0)], 1),
        ];
        for (offset, (records, count)) in (1..).zip(steps) {
            let mut delta = Delta::new(&published.image());
            for record in &records {
                delta.replay(Offset(offset), LeaderEpoch(1), record).unwrap();
            }
            let (image, changes) = delta.finish();
            published.publish(Arc::new(image), &changes);
            assert_eq!(published.unclean_elections(), count, "behind {records:?}");
        }
    }
}
