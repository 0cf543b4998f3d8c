//! The image at an offset is the same everywhere, whether it was folded from the log or read from
//! a snapshot; and what it says of a partition does not contradict itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use super::require;
use crate::host::Key;
use crate::quorum_checks::Violation;

/// The images that anybody had.
#[derive(Default)]
pub struct Images {
    known: BTreeMap<Offset, Arc<MetadataImage>>,
    leaders: BTreeMap<(Key, LeaderEpoch), NodeId>,
    epochs: BTreeMap<Key, (LeaderEpoch, i32)>,
}

impl Images {
    /// A node has this image as of its commit.
    pub fn is_the_same(
        &mut self,
        node: NodeId,
        image: &Arc<MetadataImage>,
    ) -> Result<(), Violation> {
        let known = self.known.entry(image.offset()).or_insert_with(|| Arc::clone(image));
        require(Arc::ptr_eq(known, image) || known == image, || {
            format!("{node} has another image at {} than others", image.offset())
        })
    }

    /// The newest image: one leader per epoch, and epochs that grow.
    pub fn follows(&mut self, image: &MetadataImage) -> Result<(), Violation> {
        for topic in image.topics() {
            for (index, partition) in topic.partitions() {
                let (key, leader) = ((topic.id(), index), partition.leader);
                let epoch = partition.leader_epoch;
                let known = *self.leaders.entry((key, epoch)).or_insert(leader);
                require(known == leader, || {
                    format!("epoch {epoch} of {}-{index} is {known}'s and {leader}'s", topic.name())
                })?;
                let epochs = (epoch, partition.partition_epoch);
                let before = self.epochs.insert(key, epochs).unwrap_or(epochs);
                require(before.0 <= epochs.0 && before.1 <= epochs.1, || {
                    format!("{}-{index} goes from {before:?} to {epochs:?}", topic.name())
                })?;
            }
        }
        Ok(())
    }
}
