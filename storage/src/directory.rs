//! One data directory: whose it is, which logs it holds, and whether it can be trusted.
//!
//! | name | what |
//! |---|---|
//! | `.lock` | held with `flock` while the process lives |
//! | `meta.properties` | `version=1`, `cluster.id`, `node.id`, `directory.id` |
//! | `reserve` | space to fall back on: see `reserve.rs` |
//! | `loss-witness` | kernel boot id, mount id, directory id, broker epoch: see [`Witness`] |
//! | `<topic>-<partition>` | a log |
//! | `<topic>-<partition>.<hex>-delete` | a log on its way out |
//! | `<topic>-<partition>.<hex>-stray` | a log put aside because nobody knows its topic |
//!
//! and the files of the ledger (`ledger.rs`). Whatever else is there is left alone and listed by
//! [`LogDirectory::quarantined`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use milena_protocol::ids::{BrokerEpoch, NodeId, PartitionIndex, Uuid};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, FlockOperation, StatxFlags};

use crate::checkpoint::{self, Survives};
use crate::config::LogConfig;
use crate::disk::{Disk, Mode, Space};
use crate::environment::Environment;
use crate::error::{OpenDirectoryError, OpenLogError, StorageError};
use crate::ledger::{Kernel, Ledger, Page, TailMark};
use crate::log::Log;
use crate::recovery::{self, Target};
use crate::registry::Registry;
use crate::reserve::Reserve;
use crate::state::PARTITION_METADATA;

const META: &str = "meta.properties";
const WITNESS: &str = "loss-witness";
/// What Kafka leaves when it was stopped in order; with it there, Kafka believes every file.
const KAFKA_CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// Space kept back for internal logs: this much, or a 64th of the file system if that is less.
const RESERVE_BYTES: u64 = 64 << 20;

/// What a data directory is told when it is opened.
#[derive(Clone, Debug)]
pub struct DirectoryOptions {
    /// The cluster it must belong to; a new directory is marked with it.
    pub cluster_id: Option<String>,
    /// The node it must belong to; a new directory is marked with it.
    pub node_id: NodeId,
    /// Descriptors that logs may hold open together.
    pub descriptor_budget: usize,
    /// Whether the directory runs its own threads. Without them the caller does their work with
    /// [`LogDirectory::maintain`], which tests want.
    pub runs_threads: bool,
}

impl DirectoryOptions {
    /// Kafka-like defaults for a node.
    #[must_use]
    pub fn new(node_id: NodeId) -> Self {
        Self { cluster_id: None, node_id, descriptor_budget: 1024, runs_threads: true }
    }
}

/// One log that was found in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: PartitionIndex,
    /// The topic's id, if the directory says.
    pub topic_id: Option<Uuid>,
}

/// How a directory fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Space of its file system, if it can be asked.
    pub space: Option<Space>,
    /// Why it is out of service, if it is.
    pub offline_reason: Option<String>,
}

/// What the previous process left so that this one can tell whether pages were lost.
///
/// The page cache survives a process but not a kernel. Same boot id and same mount id mean that
/// what was written is there, synced or not; anything else means that the unsynced may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Boot id of the kernel.
    pub boot_id: String,
    /// Id of the mount, new with each mounting.
    pub mount_id: u64,
    /// Id of the directory.
    pub directory_id: Uuid,
    /// Epoch of the broker's last registration, −1 if it had none.
    pub broker_epoch: BrokerEpoch,
    /// The incarnation id that it is going to register under, until it knows its epoch.
    pub incarnation_id: Option<Uuid>,
}

/// One data directory, locked for this process.
#[derive(Debug)]
pub struct LogDirectory {
    registry: Arc<Registry>,
    id: Uuid,
    cluster_id: Option<String>,
    previous: Option<Witness>,
    witness: Mutex<Witness>,
    known: Mutex<BTreeMap<(String, PartitionIndex), Option<Uuid>>>,
    quarantined: Vec<String>,
    threads: Vec<JoinHandle<()>>,
    _lock: File,
}

impl LogDirectory {
    /// Opens a data directory, making it if there is none, and locks it.
    ///
    /// # Errors
    /// See [`OpenDirectoryError`].
    pub fn open(
        path: &Path,
        options: DirectoryOptions,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, OpenDirectoryError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenDirectoryError::Io { path, error }
        };
        std::fs::create_dir_all(path).map_err(at(path))?;
        let lock = lock(path)?;
        let meta = Meta::open(path, &options, &*disk)?;
        let kernel = kernel_of(path).map_err(at(path))?;
        let previous = Witness::read(&path.join(WITNESS));
        let now = Witness {
            boot_id: kernel.boot.clone(),
            mount_id: kernel.mount,
            directory_id: meta.directory_id,
            broker_epoch: BrokerEpoch(-1),
            incarnation_id: None,
        };
        // What another kernel knew must not be taken for this one's by the next process, should
        // this one end before it is registered.
        let last = previous.as_ref().filter(|last| last.is_of_same_kernel(&now));
        let witness = last.cloned().unwrap_or(now);
        let space = disk.space(path).map_err(at(path))?;
        let ledger = Ledger::load(path.to_owned(), kernel);
        // Before anything is written: the disk may be full.
        let reserve = Reserve::find(path, space, &*disk);
        let reserve_bytes = RESERVE_BYTES.min(space.total_bytes / 64);
        let environment = Arc::new(Environment::new(
            disk,
            path.to_owned(),
            options.descriptor_budget,
            reserve_bytes,
            reserve,
            ledger,
            vec![path.join(WITNESS), path.join(Page::Tail.name())],
        ));
        let registry = Arc::new(Registry::new(Arc::clone(&environment)));
        let mut directory = Self {
            registry,
            id: meta.directory_id,
            cluster_id: meta.cluster_id,
            previous,
            witness: Mutex::new(witness.clone()),
            known: Mutex::default(),
            quarantined: Vec::new(),
            threads: Vec::new(),
            _lock: lock,
        };
        directory.survey().map_err(at(path))?;
        if directory.previous.as_ref() != Some(&witness) {
            directory.write_witness(&witness).map_err(at(&path.join(WITNESS)))?;
        }
        if options.runs_threads {
            directory.start().map_err(at(path))?;
        }
        Ok(directory)
    }

    /// Sorts the names in the directory into logs, leftovers and the unknown.
    fn survey(&mut self) -> io::Result<()> {
        let environment = &self.registry.environment;
        let known = self.known.get_mut();
        for entry in environment.disk.list(&environment.root)? {
            if !entry.is_directory {
                if entry.name == KAFKA_CLEAN_SHUTDOWN {
                    // It is not true any more: should the directory go back, Kafka must recover.
                    let path = environment.root.join(&entry.name);
                    environment.disk.remove_file(&path)?;
                    environment.disk.sync_directory(&environment.root)?;
                }
                continue;
            }
            let path = environment.root.join(&entry.name);
            if is_deleted_name(&entry.name) && holds_only_files(&*environment.disk, &path)? {
                self.registry.unlink_directory(path, Duration::ZERO);
            } else if let Some((topic, partition)) = parse_log_name(&entry.name) {
                known.insert((topic.to_owned(), partition), None);
            } else {
                self.quarantined.push(entry.name);
            }
        }
        self.quarantined.sort();
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        type Work = fn(&Registry);
        let works: [(&str, Work); 3] = [
            ("storage-sync", Registry::run_sync),
            ("storage-save", Registry::run_save),
            ("storage-pages", Registry::run_populate),
        ];
        for (name, work) in works {
            let registry = Arc::clone(&self.registry);
            let builder = std::thread::Builder::new().name(name.to_owned());
            self.threads.push(builder.spawn(move || work(&registry))?);
        }
        Ok(())
    }

    /// The directory's own id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The cluster it belongs to, if it was ever told.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.registry.environment.root
    }

    /// The disk that it is on.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.registry.environment.disk
    }

    /// What the previous process left, if there was one.
    #[must_use]
    pub fn previous_witness(&self) -> Option<&Witness> {
        self.previous.as_ref()
    }

    /// Whether the kernel that held the previous process's unsynced pages is still the same one. A
    /// directory that no process of ours has used before has lost nothing either.
    #[must_use]
    pub fn is_same_kernel(&self) -> bool {
        let witness = self.witness.lock();
        self.previous.as_ref().is_none_or(|previous| previous.is_of_same_kernel(&witness))
    }

    /// Whether everything that the previous process wrote is still there, synced or not. To be
    /// asked when the logs are open; blocks.
    ///
    /// The same kernel and mount are not enough: the kernel may have failed to write a page, which
    /// it tells at the next sync of the file. So the logs that end in unsynced records are synced
    /// first, and a failure takes the directory offline.
    #[must_use]
    pub fn is_lossless_restart(&self) -> bool {
        let is_known = self.previous.is_some() && self.is_same_kernel();
        is_known && self.registry.sync(false).is_ok() && !self.is_offline()
    }

    /// Leaves the broker's epoch for the next process. To be called when the broker is registered
    /// and before any of its partitions has a role under it; a second call changes nothing.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub fn witness_broker_epoch(&self, broker_epoch: BrokerEpoch) -> Result<(), StorageError> {
        let mut witness = self.witness.lock();
        // A failure took the witness back for good.
        self.registry.environment.health.check()?;
        if witness.broker_epoch == broker_epoch && witness.incarnation_id.is_none() {
            return Ok(());
        }
        witness.broker_epoch = broker_epoch;
        witness.incarnation_id = None;
        let written = self.write_witness(&witness);
        self.registry.environment.judge("write the loss witness", written)
    }

    /// The incarnation id that the process before was going to register under, where it did not
    /// live to hear of its epoch and nothing is lost since.
    #[must_use]
    pub fn unanswered_incarnation(&self) -> Option<Uuid> {
        self.witness.lock().incarnation_id
    }

    /// Leaves the incarnation id for the next process, until the epoch takes its place. To be
    /// called before the broker registers.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub fn witness_incarnation(&self, incarnation_id: Uuid) -> Result<(), StorageError> {
        let mut witness = self.witness.lock();
        self.registry.environment.health.check()?;
        if witness.incarnation_id == Some(incarnation_id) {
            return Ok(());
        }
        witness.incarnation_id = Some(incarnation_id);
        let written = self.write_witness(&witness);
        self.registry.environment.judge("write the loss witness", written)
    }

    fn write_witness(&self, witness: &Witness) -> io::Result<()> {
        let environment = &self.registry.environment;
        let path = environment.root.join(WITNESS);
        checkpoint::replace(&*environment.disk, &path, witness.render().as_bytes(), Survives::Power)
    }

    /// The logs that the directory holds.
    #[must_use]
    pub fn partitions(&self) -> Vec<FoundPartition> {
        let mut known = self.known.lock();
        for ((topic, partition), topic_id) in known.iter_mut() {
            if topic_id.is_none() {
                *topic_id = read_topic_id(&self.log_path(topic, *partition));
            }
        }
        known
            .iter()
            .map(|((topic, partition), topic_id)| FoundPartition {
                topic: topic.clone(),
                partition: *partition,
                topic_id: *topic_id,
            })
            .collect()
    }

    /// The logs that are there and not open.
    #[must_use]
    pub fn unopened(&self) -> Vec<(String, PartitionIndex)> {
        let is_open = |(topic, partition): &(String, PartitionIndex)| {
            self.registry.find(&(Arc::from(topic.as_str()), *partition)).is_some()
        };
        self.known.lock().keys().filter(|key| !is_open(key)).cloned().collect()
    }

    /// Names of directories that are nobody's; they are never touched.
    #[must_use]
    pub fn quarantined(&self) -> &[String] {
        &self.quarantined
    }

    fn log_path(&self, topic: &str, partition: PartitionIndex) -> PathBuf {
        self.registry.environment.root.join(format!("{topic}-{partition}"))
    }

    /// Opens a log, making it if there is none; recovers what the last process left. Logs may be
    /// opened on several threads at once.
    ///
    /// A new log's files are not synced: an empty log can be made again, because the metadata
    /// log knows it.
    ///
    /// # Errors
    /// See [`OpenLogError`].
    pub fn open_log(
        &self,
        topic: &str,
        topic_id: Uuid,
        partition: PartitionIndex,
        config: LogConfig,
    ) -> Result<Log, OpenLogError> {
        let environment = &self.registry.environment;
        environment.health.check()?;
        if !is_valid_name(topic) || partition.0 < 0 {
            return Err(OpenLogError::InvalidName);
        }
        let topic: Arc<str> = Arc::from(topic);
        let key = (Arc::clone(&topic), partition);
        if self.registry.find(&key).is_some_and(|state| !state.is_deleted()) {
            return Err(OpenLogError::AlreadyOpen);
        }
        let directory: Arc<Path> = Arc::from(self.log_path(&topic, partition));
        let is_known = self.known.lock().contains_key(&(topic.to_string(), partition));
        let is_new = if is_known {
            let mark = environment.ledger.marks(&topic, partition).tail;
            self.check_topic_id(&directory, topic_id, mark)?;
            false
        } else {
            // What is left of an older log of that name must not be said of this one.
            environment.ledger.forget(&topic, partition);
            environment.with_reserve(|| {
                let settled = environment.ledger.settle(&*environment.disk, &topic, partition);
                environment.judge("write checkpoints", settled)
            })?;
            match environment.disk.create_directory(&directory) {
                // Made before, when there was no space for what belongs in it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => environment.judge("create a log", made)?,
            }
            self.write_topic_id(&directory, topic_id)?;
            true
        };
        let marks = environment.ledger.marks(&topic, partition);
        let target = Target {
            topic: Arc::clone(&topic),
            topic_id,
            partition,
            directory,
            config,
            marks,
            is_new,
        };
        let state = Arc::new(recovery::recover(environment, target)?);
        self.known.lock().insert((topic.to_string(), partition), Some(topic_id));
        self.registry.add(&state);
        Ok(Log { state })
    }

    fn check_topic_id(
        &self,
        directory: &Path,
        expected: Uuid,
        mark: Option<TailMark>,
    ) -> Result<(), OpenLogError> {
        if let Some(found) = read_topic_id(directory) {
            if found == expected {
                return Ok(());
            }
            return Err(OpenLogError::TopicIdMismatch { found, expected });
        }
        // A crash at its birth, or the file was lost. Every log has the file, Kafka's too, and it
        // is durable before a record is, so records without it may be an older topic's. Of some
        // logs it is known otherwise whose they are.
        let is_told = expected.is_reserved() || mark.is_some_and(|mark| mark.topic_id == expected);
        let holds_records = recovery::holds_records(&*self.registry.environment.disk, directory);
        let holds_records = self.registry.environment.judge("list a log", holds_records)?;
        if holds_records && !is_told {
            return Err(OpenLogError::TopicIdMissing { expected });
        }
        self.write_topic_id(directory, expected)
    }

    fn write_topic_id(&self, directory: &Path, topic_id: Uuid) -> Result<(), OpenLogError> {
        let disk = &*self.registry.environment.disk;
        let text = format!("version: 0\ntopic_id: {topic_id}\n");
        let written = disk
            .open(&directory.join(PARTITION_METADATA), Mode::Replace)
            .and_then(|file| disk.write_at(&file, text.as_bytes(), 0));
        Ok(self.registry.environment.judge("write partition metadata", written)?)
    }

    /// Gives up a log because a committed record deleted its topic. Its directory is renamed at
    /// once and unlinked after `file.delete.delay.ms`; readers keep what they hold.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn delete_log(&self, topic: &str, partition: PartitionIndex) -> Result<(), StorageError> {
        if let Some((path, delay)) = self.set_aside(topic, partition, "delete")? {
            self.registry.unlink_directory(path, delay);
        }
        Ok(())
    }

    /// Puts a log aside that no committed record knows: renamed, never deleted.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn quarantine_log(
        &self,
        topic: &str,
        partition: PartitionIndex,
    ) -> Result<(), StorageError> {
        self.set_aside(topic, partition, "stray").map(|_| ())
    }

    fn set_aside(
        &self,
        topic: &str,
        partition: PartitionIndex,
        suffix: &str,
    ) -> Result<Option<(PathBuf, Duration)>, StorageError> {
        let environment = &self.registry.environment;
        environment.health.check()?;
        if self.known.lock().remove(&(topic.to_owned(), partition)).is_none() {
            return Ok(None);
        }
        let state = self.registry.remove(&(Arc::from(topic), partition));
        let delay = state.as_ref().map_or(0, |state| {
            state.set_deleted();
            state.tail.lock().config.file_delete_delay_ms
        });
        let unique = random().map(u128::from_be_bytes);
        let unique = environment.judge("draw a random name", unique)?;
        let ending = format!("-{partition}.{unique:032x}-{suffix}");
        // File names end at 255 bytes, which a long topic name would exceed.
        let kept = topic.get(..topic.len().min(255 - ending.len())).unwrap_or(topic);
        let path = environment.root.join(format!("{kept}{ending}"));
        // A thread that is at work on the log must not find its files gone, or another log's in
        // their place.
        let rename = || environment.disk.rename(&self.log_path(topic, partition), &path);
        let renamed = state.map_or_else(rename, |state| state.undisturbed(rename));
        environment.judge("rename a log", renamed)?;
        environment.ledger.forget(topic, partition);
        Ok(Some((path, Duration::from_millis(delay))))
    }

    /// Space and health.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let environment = &self.registry.environment;
        Usage {
            space: environment.disk.space(&environment.root).ok(),
            offline_reason: environment.health.offline_reason().map(str::to_owned),
        }
    }

    /// Whether a failed write or sync put the directory out of service.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.registry.environment.health.offline_reason().is_some()
    }

    /// Does now what the directory's threads do in time: sync, save, put to rest what has been
    /// idle for 10 s, write the ledger, unlink what is due.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn maintain(&self) -> Result<(), StorageError> {
        let awake = self.registry.environment.attention.awake_logs();
        self.registry.sync(false)?;
        self.registry.save(&awake)?;
        self.registry.save(&[])?;
        self.registry.sync(true)?;
        self.registry.write(Page::Tail, Survives::Process)?;
        self.registry.unlink_due(Instant::now());
        Ok(())
    }

    /// Descriptors that logs hold open at the moment.
    #[must_use]
    pub fn open_descriptors(&self) -> usize {
        self.registry.environment.descriptors.count()
    }
}

impl Drop for LogDirectory {
    fn drop(&mut self) {
        self.registry.environment.attention.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has aborted the process already.
            let _ = thread.join();
        }
    }
}

/// The content of `meta.properties`.
struct Meta {
    cluster_id: Option<String>,
    directory_id: Uuid,
}

impl Meta {
    fn open(
        root: &Path,
        options: &DirectoryOptions,
        disk: &dyn Disk,
    ) -> Result<Self, OpenDirectoryError> {
        let path = root.join(META);
        let io = |error| OpenDirectoryError::Io { path: path.clone(), error };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io(error)),
        };
        let properties: BTreeMap<&str, &str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        if properties.get("version").is_some_and(|version| *version != "1") {
            let reason = "only version 1 is understood".to_owned();
            return Err(OpenDirectoryError::Malformed { path, reason });
        }
        let node_id = options.node_id.to_string();
        let foreign = |key, found: &str, expected: &str| OpenDirectoryError::Foreign {
            path: root.to_owned(),
            key,
            found: found.to_owned(),
            expected: expected.to_owned(),
        };
        if let Some(found) = properties.get("node.id").filter(|found| **found != node_id) {
            return Err(foreign("node.id", found, &node_id));
        }
        let found = properties.get("cluster.id").copied();
        if let (Some(found), Some(expected)) = (found, &options.cluster_id)
            && found != expected
        {
            return Err(foreign("cluster.id", found, expected));
        }
        let cluster_id = options.cluster_id.clone().or(found.map(str::to_owned));
        let directory_id = match properties.get("directory.id") {
            None => new_uuid().map_err(io)?,
            Some(text) => Uuid::parse(text).ok_or_else(|| OpenDirectoryError::Malformed {
                path: path.clone(),
                reason: format!("directory.id {text} is no id"),
            })?,
        };
        let keys: BTreeSet<&str> = properties.keys().copied().collect();
        let is_complete = ["version", "node.id", "directory.id"].iter().all(|k| keys.contains(k))
            && (cluster_id.is_none() || keys.contains("cluster.id"));
        if !is_complete {
            let mut text = format!("version=1\nnode.id={node_id}\ndirectory.id={directory_id}\n");
            if let Some(cluster_id) = &cluster_id {
                text.push_str(&format!("cluster.id={cluster_id}\n"));
            }
            checkpoint::replace(disk, &path, text.as_bytes(), Survives::Power).map_err(io)?;
        }
        Ok(Self { cluster_id, directory_id })
    }
}

impl Witness {
    /// Whether the kernel that held one's pages is the other's, and the directory too.
    fn is_of_same_kernel(&self, other: &Self) -> bool {
        self.boot_id == other.boot_id
            && self.mount_id == other.mount_id
            && self.directory_id == other.directory_id
    }

    fn render(&self) -> String {
        let mut body = format!(
            "boot.id={}\nmount.id={}\ndirectory.id={}\nbroker.epoch={}\n",
            self.boot_id, self.mount_id, self.directory_id, self.broker_epoch,
        );
        if let Some(incarnation_id) = self.incarnation_id {
            body.push_str(&format!("incarnation.id={incarnation_id}\n"));
        }
        format!("{body}crc={:08x}\n", crc32fast::hash(body.as_bytes()))
    }

    /// Reads the file; a damaged witness is no witness.
    fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let (body, crc) = text.split_at_checked(text.rfind("crc=")?)?;
        let crc = crc.strip_prefix("crc=")?.trim_end();
        if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(body.as_bytes())) {
            return None;
        }
        let field =
            |name: &str| body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Some(Self {
            boot_id: field("boot.id")?.to_owned(),
            mount_id: field("mount.id")?.parse().ok()?,
            directory_id: Uuid::parse(field("directory.id")?)?,
            broker_epoch: BrokerEpoch(field("broker.epoch")?.parse().ok()?),
            incarnation_id: field("incarnation.id").and_then(Uuid::parse),
        })
    }
}

fn lock(root: &Path) -> Result<File, OpenDirectoryError> {
    let path = root.join(".lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|error| OpenDirectoryError::Io { path: path.clone(), error })?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(OpenDirectoryError::InUse { path: root.to_owned() })
        }
        Err(error) => Err(OpenDirectoryError::Io { path, error: error.into() }),
    }
}

/// Asks which kernel and which mount hold a path.
fn kernel_of(path: &Path) -> io::Result<Kernel> {
    /// `STATX_MNT_ID_UNIQUE`: an id that is never used again, since Linux 6.8.
    const UNIQUE: u32 = 0x4000;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let mask = StatxFlags::MNT_ID | StatxFlags::from_bits_retain(UNIQUE);
    let stat = rustix::fs::statx(CWD, path, AtFlags::empty(), mask)?;
    Ok(Kernel { boot: boot.trim().to_owned(), mount: stat.stx_mnt_id })
}

fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn new_uuid() -> io::Result<Uuid> {
    loop {
        if let Some(id) = Uuid::from_random(random()?) {
            return Ok(id);
        }
    }
}

fn read_topic_id(directory: &Path) -> Option<Uuid> {
    let text = std::fs::read_to_string(directory.join(PARTITION_METADATA)).ok()?;
    text.lines().find_map(|line| Uuid::parse(line.strip_prefix("topic_id:")?.trim()))
}

fn parse_log_name(name: &str) -> Option<(&str, PartitionIndex)> {
    let (topic, number) = name.rsplit_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let partition = PartitionIndex(is_number.then(|| number.parse().ok())??);
    is_valid_name(topic).then_some((topic, partition))
}

/// Whether a directory is a deleted log as we and Kafka name it, `<topic>-<n>.<32 hex>-delete`.
fn is_deleted_name(name: &str) -> bool {
    let Some((log, unique)) = name.strip_suffix("-delete").and_then(|rest| rest.rsplit_once('.'))
    else {
        return false;
    };
    let is_unique = unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_unique && parse_log_name(log).is_some()
}

/// Logs hold no directories.
fn holds_only_files(disk: &dyn Disk, directory: &Path) -> io::Result<bool> {
    Ok(disk.list(directory)?.iter().all(|entry| !entry.is_directory))
}

fn is_valid_name(topic: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&topic.len()) && topic.bytes().all(is_legal) && topic != "." && topic != ".."
}
