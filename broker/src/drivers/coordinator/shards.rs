//! The coordinators of one kind on this broker: one for each partition of their topic that it
//! leads, loaded when it is first asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::coordinator::{Machine, partition_for};
use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::ground::Ground;
use super::load;
use super::shard::{Effects, Shard, Surroundings};
use super::topic::InternalTopic;
use crate::blocking;
use crate::replicas::partition::Partition;

/// Makes the machine for a partition, before anything is replayed.
type Make<M> = Box<dyn Fn(&Partition) -> M + Send + Sync>;
type Slot<M> = Arc<OnceCell<Arc<Shard<M>>>>;

/// How long a partition that could not be read is not read again: whoever asks meanwhile is told
/// at once.
const FAILED_LOAD_PAUSE: Duration = Duration::from_secs(1);

/// The coordinators of one kind on this broker.
pub struct Shards<M: Machine> {
    topic: InternalTopic,
    ground: Ground,
    make: Make<M>,
    effects: Effects<M>,
    slots: Mutex<BTreeMap<PartitionIndex, Slot<M>>>,
    /// Partitions that could not be read when it was last tried.
    failed: Mutex<BTreeMap<PartitionIndex, FailedLoad>>,
    started_at: tokio::time::Instant,
}

/// Why a partition could not be read.
struct FailedLoad {
    topic_id: Uuid,
    tried_at: tokio::time::Instant,
    reason: String,
}

/// The coordinators that this broker has.
#[derive(Debug)]
pub struct All<M: Machine> {
    /// Those that can be asked.
    pub shards: Vec<Arc<Shard<M>>>,
    /// Why others cannot, if there are any.
    pub missing: Option<ErrorCode>,
}

impl<M: Machine> Shards<M> {
    /// None is loaded yet.
    #[must_use]
    pub fn new(
        topic: InternalTopic,
        ground: Ground,
        make: impl Fn(&Partition) -> M + Send + Sync + 'static,
        effects: impl Fn(&Arc<Shard<M>>, M::Effect) + Send + Sync + 'static,
    ) -> Self {
        Self {
            topic,
            ground,
            make: Box::new(make),
            effects: Arc::new(effects),
            slots: Mutex::default(),
            failed: Mutex::default(),
            started_at: tokio::time::Instant::now(),
        }
    }

    /// The name of the topic that they write.
    #[must_use]
    pub fn topic(&self) -> &'static str {
        self.topic.name
    }

    /// Makes their topic if it is missing, and says how many partitions it has.
    ///
    /// # Errors
    /// What the controller says.
    pub async fn ensure_topic(&self) -> Result<usize, ErrorCode> {
        self.topic.ensure(&self.ground).await
    }

    /// The broker that coordinates a group or a transactional id: [`NodeId::NONE`] while nobody
    /// does, nothing where there is no topic yet.
    #[must_use]
    pub fn leader_of(&self, key: &str) -> Option<NodeId> {
        self.leader_in(&self.ground.metadata.image(), key)
    }

    /// The same by some image.
    #[must_use]
    pub fn leader_in(&self, image: &MetadataImage, key: &str) -> Option<NodeId> {
        let topic = image.topic(self.topic.name)?;
        let partition = topic.partition(partition_for(key, topic.partitions().len()))?;
        Some(partition.leader)
    }

    /// The coordinator of a group or a transactional id. While it is being loaded, whoever asks is
    /// held instead of being told to come again.
    ///
    /// # Errors
    /// NOT_COORDINATOR where this broker does not lead its partition, COORDINATOR_NOT_AVAILABLE
    /// where there is no such topic or it cannot be read.
    pub async fn of_key(&self, key: &str) -> Result<Arc<Shard<M>>, ErrorCode> {
        let count = self.topic.count(&self.ground).ok_or(ErrorCode::NOT_COORDINATOR)?;
        self.of_partition(partition_for(key, count)).await
    }

    /// The coordinator of a partition.
    ///
    /// # Errors
    /// As [`Shards::of_key`].
    pub async fn of_partition(&self, index: PartitionIndex) -> Result<Arc<Shard<M>>, ErrorCode> {
        let topic_id = self.ground.metadata.image().topic(self.topic.name).map(|topic| topic.id());
        let topic_id = topic_id.ok_or(ErrorCode::NOT_COORDINATOR)?;
        let partition = self
            .ground
            .replicas
            .leading(&topic_id, index)
            .map_err(|_| ErrorCode::NOT_COORDINATOR)?;
        let slot = self.slot(index, &partition);
        let shard = slot.get_or_try_init(|| self.load(partition)).await?;
        Ok(Arc::clone(shard))
    }

    /// Every coordinator that this broker has. One that cannot be loaded is in nobody else's way.
    pub async fn all(&self) -> All<M> {
        let mut all = All { shards: Vec::new(), missing: None };
        for index in 0..self.topic.count(&self.ground).unwrap_or(0) {
            let index = PartitionIndex(i32::try_from(index).unwrap_or(i32::MAX));
            match self.of_partition(index).await {
                Ok(shard) => all.shards.push(shard),
                // Another broker has it.
                Err(ErrorCode::NOT_COORDINATOR) => {}
                Err(code) => all.missing = Some(code),
            }
        }
        all
    }

    /// The coordinators that are loaded; the others are not waited for.
    #[must_use]
    pub fn loaded(&self) -> Vec<Arc<Shard<M>>> {
        let loaded: Vec<_> =
            self.slots.lock().values().filter_map(|slot| slot.get().cloned()).collect();
        loaded.into_iter().filter(|shard| !shard.is_over()).collect()
    }

    /// Ends the coordinators of partitions that this broker leads no more, or leads anew: whoever
    /// waits for them asks elsewhere, and what is due is somebody else's.
    pub fn resign(&self) {
        self.slots.lock().retain(|_, slot| {
            let Some(shard) = slot.get().filter(|shard| !shard.is_current()) else { return true };
            tracing::info!(?shard, "no coordinator any more");
            shard.end();
            false
        });
    }

    /// The place for a partition's coordinator; one that is over, or was of a topic that has been
    /// deleted, makes room for the next.
    fn slot(&self, index: PartitionIndex, partition: &Arc<Partition>) -> Slot<M> {
        let mut slots = self.slots.lock();
        let slot = slots.entry(index).or_default();
        if let Some(shard) = slot.get() {
            let is_of_it = Arc::ptr_eq(shard.partition(), partition) && shard.is_current();
            if !is_of_it {
                shard.end();
            }
            if !is_of_it || shard.is_over() {
                *slot = Slot::default();
            }
        }
        Arc::clone(slot)
    }

    async fn load(&self, partition: Arc<Partition>) -> Result<Arc<Shard<M>>, ErrorCode> {
        let (index, topic_id) = (partition.index(), partition.topic_id());
        let is_too_soon = self.failed.lock().get(&index).is_some_and(|failed| {
            failed.topic_id == topic_id && failed.tried_at.elapsed() < FAILED_LOAD_PAUSE
        });
        if is_too_soon {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        let epoch = partition.leader_epoch();
        match self.read(&partition).await {
            // Another leader may have written meanwhile.
            Ok(_) if !partition.is_leading() || partition.leader_epoch() != epoch => {
                Err(ErrorCode::NOT_COORDINATOR)
            }
            Ok(machine) => {
                self.failed.lock().remove(&index);
                let surroundings = Surroundings {
                    metadata: Arc::clone(&self.ground.metadata),
                    effects: Arc::clone(&self.effects),
                    commit_timeout: self.topic.commit_timeout,
                    started_at: self.started_at,
                };
                Ok(Shard::begin(partition, epoch, machine, surroundings))
            }
            Err(reason) => {
                let mut failed = self.failed.lock();
                if failed.get(&index).is_none_or(|before| before.reason != reason) {
                    tracing::error!(?partition, reason, "coordinator cannot be loaded");
                }
                let tried_at = tokio::time::Instant::now();
                failed.insert(index, FailedLoad { topic_id, tried_at, reason });
                Err(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
        }
    }

    /// Replays a partition into a new machine.
    async fn read(&self, partition: &Arc<Partition>) -> Result<M, String> {
        let mut machine = (self.make)(partition);
        let source = Arc::clone(partition);
        let loaded =
            blocking::spawn(move || load::replay(source.reader(), &mut machine).map(|()| machine));
        loaded.await.unwrap_or_else(|error| Err(error.to_string()))
    }
}

impl<M: Machine> fmt::Debug for Shards<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shards({})", self.topic.name)
    }
}

#[cfg(test)]
mod tests;
