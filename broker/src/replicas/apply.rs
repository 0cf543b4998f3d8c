//! Where a change of metadata reaches the partitions: logs are opened, led or followed, configured
//! and deleted here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use milena_cluster::configs::{Resolver, Values};
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::{ConfigResource, MetadataImage, PartitionImage, TopicImage};
use milena_cluster::replica::Standing;
use milena_cluster::replica::follower::Leadership;
use milena_cluster::replica::quota::Windows;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};
use milena_storage::{LogDirectory, OpenLogError, RecordValidation, StorageError};
use parking_lot::{Mutex, RwLock};

use super::fetcher::Lanes;
use super::log_config::{TopicConfig, resolve};
use super::partition::{Identity, Partition};
use super::registry::Registry;
use super::shared::Shared;
use super::throttle::{Lists, Rates, Throttling};

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
    shared: Arc<Shared>,
    lanes: Arc<Lanes>,
    throttle_lists: Lists,
    max_lag: Duration,
    /// What was applied last.
    image: ArcSwap<MetadataImage>,
    /// Partitions whose logs could not be opened for want of space or descriptors. Its lock is held
    /// by whoever changes the registry.
    unopened: Mutex<BTreeSet<(Uuid, PartitionIndex)>>,
    /// Partitions whose logs could not be opened, for whatever reason.
    failed: RwLock<BTreeSet<(Uuid, PartitionIndex)>>,
}

/// A partition that this broker keeps, and what it is to be to it.
struct Opening<'a> {
    image: &'a MetadataImage,
    topic: &'a TopicImage,
    index: PartitionIndex,
    partition: &'a PartitionImage,
    config: &'a TopicConfig,
}

/// What became of logs that were to be opened.
#[derive(Default)]
struct Opened {
    partitions: Vec<Arc<Partition>>,
    failed: Vec<(Uuid, PartitionIndex)>,
    without_room: Vec<(Uuid, PartitionIndex)>,
}

/// Whether opening a log may succeed later without anybody's help.
fn is_for_want_of_room(error: &OpenLogError) -> bool {
    let passing =
        |error: &StorageError| matches!(error, StorageError::Full | StorageError::Exhausted { .. });
    matches!(error, OpenLogError::Storage(error) if passing(error))
}

/// `num.replica.fetchers`.
fn fetchers(resolver: &Resolver<'_>) -> u32 {
    u32::try_from(resolver.broker_number("num.replica.fetchers")).unwrap_or(1)
}

/// What rates of throttled replicas are measured over.
fn windows(resolver: &Resolver<'_>) -> Windows {
    let number = |name: &str| resolver.broker_number(name).max(1).unsigned_abs();
    let size = Duration::from_secs(number("replication.quota.window.size.seconds"));
    let count = u32::try_from(number("replication.quota.window.num")).unwrap_or(u32::MAX);
    Windows { count, size }
}

fn throttled_rates(resolver: &Resolver<'_>) -> Rates {
    Rates {
        leader: resolver.broker_number("leader.replication.throttled.rate"),
        follower: resolver.broker_number("follower.replication.throttled.rate"),
    }
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
        let resolver =
            Resolver { node, static_values: &static_values, image: &MetadataImage::default() };
        let fetchers = u32::try_from(resolver.broker_number("num.replica.fetchers")).unwrap_or(1);
        let lag_ms = resolver.broker_number("replica.lag.time.max.ms");
        let shared = Shared::new(node, windows(&resolver));
        shared.throttles().set_limits(throttled_rates(&resolver));
        Self {
            node,
            record_validation,
            directories,
            registry: Registry::default(),
            shared: Arc::new(shared),
            lanes: Arc::new(Lanes::new(fetchers)),
            throttle_lists: Lists::default(),
            max_lag: Duration::from_millis(u64::try_from(lag_ms).unwrap_or(0)),
            image: ArcSwap::default(),
            static_values,
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
        match self.registry.find(topic_id, index) {
            Some(partition) if partition.is_leading() => Ok(partition),
            _ => Err(self.why_not(topic_id, index)),
        }
    }

    /// A partition that this broker leads or follows.
    ///
    /// # Errors
    /// As [`Replicas::leading`].
    pub fn hosting(
        &self,
        topic_id: &Uuid,
        index: PartitionIndex,
    ) -> Result<Arc<Partition>, ErrorCode> {
        self.registry.find(topic_id, index).ok_or_else(|| self.why_not(topic_id, index))
    }

    fn why_not(&self, topic_id: &Uuid, index: PartitionIndex) -> ErrorCode {
        if self.failed.read().contains(&(*topic_id, index)) {
            return ErrorCode::KAFKA_STORAGE_ERROR;
        }
        let image = self.image.load();
        match image.topic_by_id(*topic_id).map(|topic| topic.partition(index)) {
            Some(None) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            Some(Some(_)) | None => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        }
    }

    /// What all partitions have in common.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// `replica.lag.time.max.ms`.
    #[must_use]
    pub fn max_lag(&self) -> Duration {
        self.max_lag
    }

    /// Who fetches what from whom.
    #[must_use]
    pub fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    /// The metadata that was applied last.
    #[must_use]
    pub fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
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
    pub fn apply(&self, image: &Arc<MetadataImage>, changes: &Changes) {
        let mut unopened = self.unopened.lock();
        self.image.store(Arc::clone(image));
        for (topic_id, name) in &changes.removed_topics {
            unopened.retain(|(unopened, _)| unopened != topic_id);
            self.failed.write().retain(|(failed, _)| failed != topic_id);
            self.throttle_lists.forget_topic(name);
            self.delete(*topic_id, name);
        }
        unopened.extend(self.play_all(image, &changes.partitions));
        drop(unopened);
        self.configure(image, changes);
        self.learn_of_brokers(image, changes);
        self.lanes.announce();
    }

    /// Leaders and followers learn of brokers that came, went or registered anew.
    fn learn_of_brokers(&self, image: &MetadataImage, changes: &Changes) {
        if changes.brokers.is_empty() {
            return;
        }
        for id in &changes.brokers {
            self.lanes.look_again(*id);
        }
        for partition in self.registry.all().iter().filter(|partition| partition.is_leading()) {
            let (topic_id, index) = (partition.topic_id(), partition.index());
            let is_told = changes.partitions.get(&topic_id).is_some_and(|it| it.contains(&index));
            let standing = Standing::of(image, topic_id, index).filter(|standing| {
                !is_told && standing.replicas.iter().any(|id| changes.brokers.contains(id))
            });
            if let Some(standing) = standing {
                partition.learn(standing);
            }
        }
    }

    /// Puts aside the logs of partitions that this broker does not keep. A kill between the end of
    /// a topic and that of its logs leaves such; they are kept, for whoever wants to look. The
    /// image has to be of this start: what it does not know yet would be put aside too.
    pub fn put_strays_aside(&self, image: &MetadataImage) {
        for directory in &self.directories {
            for (name, index) in directory.unopened() {
                let known = image.topic(&name).and_then(|topic| topic.partition(index));
                let is_kept = known.is_some_and(|known| known.replicas.contains(&self.node));
                if is_kept || name == METADATA_TOPIC {
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
        unopened.extend(self.play_all(image, &partitions));
        self.lanes.announce();
    }

    /// Makes partitions what the image says that they are here; answers those whose logs there
    /// was no room to open.
    fn play_all(
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
        let mut openings = Vec::new();
        for (topic_id, indexes) in partitions {
            let (Some(topic), Some(config)) = (image.topic_by_id(*topic_id), configs.get(topic_id))
            else {
                continue;
            };
            for index in indexes.iter().copied() {
                let Some(partition) = topic.partition(index) else { continue };
                let is_kept = partition.replicas.contains(&self.node);
                let opening = Opening { image, topic, index, partition, config };
                match self.registry.find(topic_id, index) {
                    Some(hosted) if is_kept => self.play(&hosted, &opening),
                    Some(hosted) => self.remove(&hosted),
                    None if is_kept => openings.push(opening),
                    None => {
                        self.failed.write().remove(&(*topic_id, index));
                    }
                }
            }
        }
        self.open(&openings)
    }

    /// Leads or follows a partition, whichever the image says.
    fn play(&self, hosted: &Arc<Partition>, opening: &Opening<'_>) {
        if let Err(error) = self.try_to_play(hosted, opening) {
            tracing::error!(partition = ?hosted, %error, "cannot lead or follow");
            self.failed.write().insert((hosted.topic_id(), hosted.index()));
        }
    }

    fn try_to_play(
        &self,
        hosted: &Arc<Partition>,
        opening: &Opening<'_>,
    ) -> Result<(), StorageError> {
        let Opening { image, topic, index, partition, config } = opening;
        let (leader, epoch) = (partition.leader, partition.leader_epoch);
        self.throttle(hosted, config);
        if leader != self.node {
            hosted.stand_in_sync(partition.isr.contains(&self.node));
            if hosted.follow(Leadership { leader, epoch })? {
                self.lanes.assign(hosted, leader);
            }
            return Ok(());
        }
        self.lanes.remove(hosted.topic_id(), hosted.index());
        match Standing::of(image, topic.id(), *index) {
            Some(standing) => hosted.lead(standing, config.leader),
            None => Ok(()),
        }
    }

    /// The committed metadata does not name this broker as a replica any more.
    fn remove(&self, hosted: &Arc<Partition>) {
        self.registry.remove(hosted.topic_id(), hosted.index());
        tracing::info!(partition = ?hosted, "not a replica any more: the log is deleted");
        self.discard(hosted, hosted.topic());
    }

    fn discard(&self, hosted: &Partition, name: &str) {
        self.lanes.remove(hosted.topic_id(), hosted.index());
        hosted.retire();
        let id = hosted.directory_id();
        let directory = self.directories.iter().find(|directory| directory.id() == id);
        let deleted = directory.map(|directory| directory.delete_log(name, hosted.index()));
        if let Some(Err(error)) = deleted {
            tracing::error!(partition = ?hosted, %error, "cannot delete the log");
        }
    }

    fn config(&self, image: &MetadataImage, topic: &str) -> TopicConfig {
        let resolver = Resolver { node: self.node, static_values: &self.static_values, image };
        resolve(&resolver, topic, self.record_validation, &self.throttle_lists)
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

    fn open_one(&self, opening: &Opening<'_>) -> Result<Arc<Partition>, OpenLogError> {
        let Opening { topic, index, partition, config, .. } = opening;
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
        let identity = Identity {
            topic: topic.name().clone(),
            topic_id: topic.id(),
            index: *index,
            directory_id: directory.id(),
        };
        let hosted = Arc::new(Partition::host(identity, log, Arc::clone(&self.shared)));
        self.try_to_play(&hosted, opening)?;
        Ok(hosted)
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
        for hosted in self.registry.remove_topic(topic_id) {
            self.discard(&hosted, name);
        }
    }

    fn throttle(&self, partition: &Partition, config: &TopicConfig) {
        let (topic_id, index) = (partition.topic_id(), partition.index());
        let before = partition.throttle(Throttling {
            as_leader: config.throttled_as_leader.contains(index),
            as_follower: config.throttled_as_follower.contains(index),
        });
        // What it asks for itself does not depend on what it gives as a leader.
        if before.as_follower != config.throttled_as_follower.contains(index) {
            self.lanes.reconsider(topic_id, index);
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
        let resolver = Resolver { node: self.node, static_values: &self.static_values, image };
        if self.lanes.resize(fetchers(&resolver)) {
            for partition in self.registry.all().iter().filter(|it| !it.is_leading()) {
                self.lanes.assign(partition, partition.leader());
            }
        }
        if brokers_changed && self.shared.throttles().set_limits(throttled_rates(&resolver)) {
            self.lanes.reconsider_all();
        }
        for topic in image.topics().filter(|topic| changed(topic)) {
            let config = self.config(image, topic.name());
            for partition in self.registry.of_topic(topic.id()) {
                partition.configure(config.log.clone(), config.leader);
                // Who wants every record on stable storage is fetched for apart.
                self.lanes.assign_anew(&partition);
                self.throttle(&partition, &config);
            }
        }
    }
}
