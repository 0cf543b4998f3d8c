//! Where a change of metadata reaches the disk: logs are opened, configured and deleted here and
//! nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_cluster::configs::{Resolver, Values};
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::{ConfigResource, MetadataImage, PartitionImage, TopicImage};
use milena_cluster::replica::{Begin, Leader, Standing};
use milena_cluster::time::Instant;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};
use milena_storage::{Log, LogDirectory, OpenLogError, RecordValidation, StorageError};
use parking_lot::{Mutex, RwLock};

use super::log_config::{TopicConfig, resolve};
use super::partition::Partition;
use super::registry::Registry;

/// The log of the metadata, which is no topic's.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Threads that open logs side by side.
const OPENERS: usize = 2;
/// Fewer logs than this are opened on the calling thread.
const PARALLEL_FROM: usize = 16;

/// All partitions of this broker, and the directories that hold their logs.
pub struct Replicas {
    node: NodeId,
    static_values: Values,
    record_validation: RecordValidation,
    directories: Vec<Arc<LogDirectory>>,
    registry: Registry,
    /// Partitions whose logs could not be opened for want of space or descriptors. Its lock is held
    /// by whoever changes the registry.
    unopened: Mutex<BTreeSet<(Uuid, PartitionIndex)>>,
    /// Partitions whose logs could not be opened, for whatever reason.
    failed: RwLock<BTreeSet<(Uuid, PartitionIndex)>>,
}

/// A partition to be led here.
struct Opening<'a> {
    topic: &'a TopicImage,
    index: PartitionIndex,
    partition: &'a PartitionImage,
    standing: Standing,
    config: &'a TopicConfig,
}

/// What became of logs that were to be opened.
#[derive(Default)]
struct Opened {
    partitions: Vec<Partition>,
    failed: Vec<(Uuid, PartitionIndex)>,
    without_room: Vec<(Uuid, PartitionIndex)>,
}

/// Whether opening a log may succeed later without anybody's help.
fn is_for_want_of_room(error: &OpenLogError) -> bool {
    let passing =
        |error: &StorageError| matches!(error, StorageError::Full | StorageError::Exhausted { .. });
    matches!(error, OpenLogError::Storage(error) if passing(error))
}

/// Puts a log that is to be led where its topic wants what is acknowledged, because its leader
/// takes all of it for acknowledged. A kill leaves records that nobody has synced.
fn make_count(log: &Log) -> Result<(), StorageError> {
    if log.config().flush_messages == 1 { log.flush() } else { Ok(()) }
}

impl Replicas {
    /// No partitions yet.
    #[must_use]
    pub fn new(
        node: NodeId,
        static_values: Values,
        record_validation: RecordValidation,
        directories: Vec<Arc<LogDirectory>>,
    ) -> Self {
        Self {
            node,
            static_values,
            record_validation,
            directories,
            registry: Registry::default(),
            unopened: Mutex::default(),
            failed: RwLock::default(),
        }
    }

    /// The data directories.
    #[must_use]
    pub fn directories(&self) -> &[Arc<LogDirectory>] {
        &self.directories
    }

    /// A partition that this broker leads.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION where the topic has no such partition, or
    /// KAFKA_STORAGE_ERROR where its log could not be opened.
    pub fn leading(
        &self,
        topic_id: &Uuid,
        index: PartitionIndex,
    ) -> Result<Arc<Partition>, ErrorCode> {
        self.registry.leading(topic_id, index).map_err(|code| {
            let has_failed = self.failed.read().contains(&(*topic_id, index));
            if has_failed { ErrorCode::KAFKA_STORAGE_ERROR } else { code }
        })
    }

    /// Every partition.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.registry.all()
    }

    /// How many partitions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.registry.count()
    }

    /// Makes the logs follow a new image.
    pub fn apply(&self, image: &MetadataImage, changes: &Changes) {
        let mut unopened = self.unopened.lock();
        for (topic_id, name) in &changes.removed_topics {
            unopened.retain(|(unopened, _)| unopened != topic_id);
            self.failed.write().retain(|(failed, _)| failed != topic_id);
            self.delete(*topic_id, name);
        }
        unopened.extend(self.open_all(image, &changes.partitions));
        drop(unopened);
        self.configure(image, changes);
    }

    /// Puts aside the logs of partitions that there are not. A kill between the end of a topic and
    /// that of its logs leaves such; they are kept, for whoever wants to look.
    pub fn put_strays_aside(&self, image: &MetadataImage) {
        for directory in &self.directories {
            for (name, index) in directory.unopened() {
                let is_there = image.topic(&name).is_some_and(|t| t.partition(index).is_some());
                if is_there || name == METADATA_TOPIC {
                    continue;
                }
                let partition = index.0;
                match directory.quarantine_log(&name, index) {
                    Ok(()) => tracing::warn!(topic = name, partition, "stray log put aside"),
                    Err(error) => {
                        tracing::error!(topic = name, partition, %error, "stray log left alone");
                    }
                }
            }
        }
    }

    /// Whether there is something to open again.
    #[must_use]
    pub fn has_unopened(&self) -> bool {
        !self.unopened.lock().is_empty()
    }

    /// Tries again to open what could not be opened.
    pub fn open_again(&self, image: &MetadataImage) {
        let mut unopened = self.unopened.lock();
        let mut partitions: BTreeMap<Uuid, BTreeSet<PartitionIndex>> = BTreeMap::new();
        for (topic_id, index) in std::mem::take(&mut *unopened) {
            partitions.entry(topic_id).or_default().insert(index);
        }
        unopened.extend(self.open_all(image, &partitions));
    }

    /// Opens the logs that this broker leads; answers those for which there was no room.
    fn open_all(
        &self,
        image: &MetadataImage,
        partitions: &BTreeMap<Uuid, BTreeSet<PartitionIndex>>,
    ) -> Vec<(Uuid, PartitionIndex)> {
        let mut configs: BTreeMap<Uuid, TopicConfig> = BTreeMap::new();
        for topic_id in partitions.keys() {
            if let Some(topic) = image.topic_by_id(*topic_id) {
                configs.insert(*topic_id, self.config(image, topic.name()));
            }
        }
        let openings: Vec<Opening<'_>> = partitions
            .iter()
            .filter_map(|(id, indexes)| Some((image.topic_by_id(*id)?, configs.get(id)?, indexes)))
            .flat_map(|(topic, config, indexes)| {
                indexes.iter().filter_map(|index| {
                    let partition = topic.partition(*index)?;
                    let opens = partition.leader == self.node
                        && self.registry.leading(&topic.id(), *index).is_err();
                    let standing =
                        opens.then(|| Standing::of(image, topic.id(), *index)).flatten()?;
                    Some(Opening { topic, index: *index, partition, standing, config })
                })
            })
            .collect();
        self.open(&openings)
    }

    fn config(&self, image: &MetadataImage, topic: &str) -> TopicConfig {
        let resolver = Resolver { node: self.node, static_values: &self.static_values, image };
        resolve(&resolver, topic, self.record_validation)
    }

    /// Opens logs, several at once where there are many.
    fn open(&self, openings: &[Opening<'_>]) -> Vec<(Uuid, PartitionIndex)> {
        let mut opened = Opened::default();
        if openings.len() < PARALLEL_FROM {
            opened = self.open_each(openings);
        } else {
            std::thread::scope(|scope| {
                let workers: Vec<_> = openings
                    .chunks(openings.len().div_ceil(OPENERS))
                    .map(|chunk| scope.spawn(|| self.open_each(chunk)))
                    .collect();
                for worker in workers {
                    let other = worker.join().expect("opening a log does not panic");
                    opened.partitions.extend(other.partitions);
                    opened.failed.extend(other.failed);
                    opened.without_room.extend(other.without_room);
                }
            });
        }
        let mut failed = self.failed.write();
        for partition in &opened.partitions {
            failed.remove(&(partition.topic_id(), partition.index()));
        }
        failed.extend(opened.failed);
        drop(failed);
        if !opened.partitions.is_empty() {
            self.registry.insert(opened.partitions);
        }
        opened.without_room
    }

    fn open_each(&self, openings: &[Opening<'_>]) -> Opened {
        let mut opened = Opened::default();
        for opening in openings {
            match self.open_one(opening) {
                Ok(partition) => opened.partitions.push(partition),
                Err(error) => {
                    let (topic, partition) = (opening.topic.name(), opening.index.0);
                    tracing::error!(%topic, partition, %error, "cannot open the log");
                    opened.failed.push((opening.topic.id(), opening.index));
                    if is_for_want_of_room(&error) {
                        opened.without_room.push((opening.topic.id(), opening.index));
                    }
                }
            }
        }
        opened
    }

    fn open_one(&self, opening: &Opening<'_>) -> Result<Partition, OpenLogError> {
        let Opening { topic, index, partition, standing, config } = opening;
        let directory = self.directory_of(partition);
        let name = topic.name().as_str();
        let open = || directory.open_log(name, topic.id(), *index, config.log.clone());
        let log = match open() {
            // The topic was deleted and made again while this node was away.
            Err(
                error
                @ (OpenLogError::TopicIdMismatch { .. } | OpenLogError::TopicIdMissing { .. }),
            ) => {
                tracing::warn!(topic = name, partition = index.0, %error, "foreign log put aside");
                directory.quarantine_log(name, *index)?;
                open()?
            }
            opened => opened?,
        };
        if let Some(damage) = log.damage() {
            let partition = index.0;
            tracing::error!(topic = name, partition, %damage, "records that were damaged are gone");
        }
        make_count(&log)?;
        let begin = Begin {
            node: self.node,
            standing: standing.clone(),
            log_end_offset: log.log_end_offset(),
            high_watermark: log.high_watermark(),
            settings: config.replication,
        };
        let role = Leader::begin(begin, Instant::default(), &mut Vec::new());
        Ok(Partition::lead(topic.name().clone(), topic.id(), *index, directory.id(), log, role))
    }

    /// The directory that the metadata names; the first where it names none.
    fn directory_of(&self, partition: &PartitionImage) -> &Arc<LogDirectory> {
        let place = partition.replicas.iter().position(|replica| *replica == self.node);
        let named = place.and_then(|at| partition.directories.get(at));
        self.directories
            .iter()
            .find(|directory| Some(&directory.id()) == named)
            .or(self.directories.first())
            .expect("a broker has at least one data directory")
    }

    fn delete(&self, topic_id: Uuid, name: &str) {
        for partition in self.registry.remove_topic(topic_id) {
            partition.retire();
            let id = partition.directory_id();
            let directory = self.directories.iter().find(|directory| directory.id() == id);
            let deleted = directory.map(|directory| directory.delete_log(name, partition.index()));
            if let Some(Err(error)) = deleted {
                tracing::error!(?partition, %error, "cannot delete the log");
            }
        }
    }

    fn configure(&self, image: &MetadataImage, changes: &Changes) {
        let brokers_changed =
            changes.configs.iter().any(|resource| resource.kind == ConfigResource::BROKER);
        let changed = |topic: &TopicImage| {
            brokers_changed
                || changes.configs.contains(&ConfigResource::topic(topic.name().clone()))
        };
        if changes.configs.is_empty() {
            return;
        }
        for topic in image.topics().filter(|topic| changed(topic)) {
            let config = self.config(image, topic.name());
            for partition in self.registry.of_topic(topic.id()) {
                partition.configure(config.log.clone(), config.replication);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp};
    use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
    use milena_storage::{AppendContext, DirectoryOptions, LogConfig, Origin, RealDisk};

    use super::*;

    fn open(root: &std::path::Path, flush_messages: u64) -> Log {
        let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(NodeId(1)) };
        let directory = LogDirectory::open(root, options, Arc::new(RealDisk)).unwrap();
        let config = LogConfig { flush_messages, ..LogConfig::default() };
        directory.open_log("t", Uuid::from_u128(9 << 64), PartitionIndex(0), config).unwrap()
    }

    /// After a kill a durable topic would acknowledge, and show, records that a power cut takes.
    #[test]
    fn what_a_kill_left_unsynced_does_not_count_on_a_durable_topic() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path(), 1);
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.append(Timestamp(1), None, Some(b"v"), &[]);
        let context = AppendContext {
            leader_epoch: LeaderEpoch(0),
            now: Timestamp(1),
            origin: Origin::Client,
        };
        log.append_as_leader(&batch.build().unwrap(), context).unwrap();
        drop(log);
        for (flush_messages, flushed) in [(u64::MAX, Offset(0)), (1, Offset(1))] {
            let log = open(root.path(), flush_messages);
            make_count(&log).unwrap();
            assert_eq!((log.flushed_offset(), log.log_end_offset()), (flushed, Offset(1)));
        }
    }
}
