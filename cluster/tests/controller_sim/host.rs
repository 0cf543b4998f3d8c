//! A broker's machine: disks that outlive its processes, and the process that runs.

use std::collections::{BTreeMap, BTreeSet};

use milena_cluster::controller::isr::IsrChange;
use milena_cluster::metadata::image::{MetadataImage, PartitionImage};
use milena_protocol::ids::{BrokerEpoch, NodeId, PartitionIndex, Uuid};

use crate::simulation::rng::Rng;

/// A partition.
pub type Key = (Uuid, PartitionIndex);

/// A log on a disk.
#[derive(Clone, Debug)]
pub struct Log {
    pub directory: Uuid,
    /// Each record is told from all others by its number.
    pub records: Vec<u64>,
}

/// A machine.
#[derive(Debug)]
pub struct Host {
    pub id: NodeId,
    pub directories: Vec<Uuid>,
    /// Those that failed since the process began.
    pub failed: Vec<Uuid>,
    pub logs: BTreeMap<Key, Log>,
    pub process: Option<Process>,
    /// The epoch that a process finds on disk, where all that it acknowledged is there too.
    pub witness: Option<BrokerEpoch>,
    /// Processes that were started.
    pub starts: u64,
    /// The first process that knows of a loss the controller has not been told of.
    pub lost_before: Option<u64>,
    /// Directories that were ever used.
    disks: u64,
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    pub start: u64,
    /// What it was registered with.
    pub epoch: Option<BrokerEpoch>,
    /// The metadata that it has read.
    pub view: MetadataImage,
    pub wants_stop: bool,
    /// What it has proposed and does not know the outcome of.
    pub pending: BTreeMap<Key, Pending>,
}

/// What a leader has proposed on one state of a partition.
#[derive(Clone, Debug)]
pub struct Pending {
    pub change: IsrChange,
    /// Everybody who was proposed on that state: a copy of any proposal may still be accepted.
    pub counted: BTreeSet<NodeId>,
    /// Whether it names somebody who may not join, so that another one has to be made.
    pub is_refused: bool,
}

impl Host {
    /// A machine with two disks, whose process runs.
    pub fn new(id: i32) -> Self {
        let mut host = Self {
            id: NodeId(id),
            directories: Vec::new(),
            failed: Vec::new(),
            logs: BTreeMap::new(),
            process: None,
            witness: None,
            starts: 0,
            lost_before: None,
            disks: 0,
        };
        host.start();
        host
    }

    /// What tells a process from all others.
    pub fn incarnation(&self, start: u64) -> Uuid {
        Uuid::from_u128(1_000_000 * (1 + self.id.0 as u128) + start as u128)
    }

    /// Starts a process, with a new disk in place of each that failed.
    pub fn start(&mut self) {
        assert!(self.process.is_none());
        self.starts += 1;
        if !self.failed.is_empty() {
            // A new disk has no witness.
            self.witness = None;
            self.lost_before = Some(self.starts);
        }
        self.directories.retain(|directory| !self.failed.contains(directory));
        self.failed.clear();
        while self.directories.len() < 2 {
            self.disks += 1;
            let number = 100_000 * (1 + self.id.0 as u128) + self.disks as u128;
            self.directories.push(Uuid::from_u128(number));
        }
        self.process = Some(Process {
            start: self.starts,
            epoch: None,
            view: MetadataImage::default(),
            wants_stop: false,
            pending: BTreeMap::new(),
        });
    }

    /// The machine goes down, and with it what was not synced.
    pub fn cut_power(&mut self, rng: &mut Rng) {
        self.process = None;
        self.witness = None;
        self.lost_before = Some(self.starts + 1);
        for log in self.logs.values_mut() {
            let length = rng.below(log.records.len() as u64 + 1) as usize;
            log.records.truncate(length);
        }
    }

    /// A disk fails; the process ends with the last one.
    pub fn lose_disk(&mut self, directory: Uuid) {
        self.failed.push(directory);
        self.logs.retain(|_, log| log.directory != directory);
        if self.directories.iter().all(|directory| self.failed.contains(directory)) {
            self.process = None;
            self.witness = None;
            self.lost_before = Some(self.starts + 1);
        }
    }

    /// The process, once it is registered and has read that it is.
    pub fn current(&self) -> Option<&Process> {
        let process = self.process.as_ref()?;
        let epoch = process.epoch?;
        let known = process.view.broker(self.id)?;
        (known.epoch == epoch).then_some(process)
    }

    /// What the process knows of a partition that it has a replica of, and whose log it can use.
    pub fn replica(&self, key: Key) -> Option<&PartitionImage> {
        let partition = self.current()?.view.partition(key.0, key.1)?;
        let is_there = partition.replicas.contains(&self.id) && self.logs.contains_key(&key);
        is_there.then_some(partition)
    }

    /// The same, where it believes that it leads.
    pub fn led(&self, key: Key) -> Option<&PartitionImage> {
        let is_fenced = self.current()?.view.broker(self.id)?.fenced;
        self.replica(key).filter(|partition| partition.leader == self.id && !is_fenced)
    }

    /// The process reads the metadata: it makes logs that it is to have, and forgets those of
    /// partitions that it has no longer.
    pub fn read(&mut self, image: &MetadataImage, rng: &mut Rng) {
        let Some(process) = &mut self.process else { return };
        process.view = image.clone();
        let view = &process.view;
        process.pending.retain(|key, Pending { change, .. }| {
            view.partition(key.0, key.1).is_some_and(|known| {
                known.leader_epoch == change.leader_epoch
                    && known.partition_epoch == change.partition_epoch
            })
        });
        if self.current().is_none() {
            return;
        }
        let id = self.id;
        let is_mine = |key: &Key| {
            image.partition(key.0, key.1).is_some_and(|known| known.replicas.contains(&id))
        };
        self.logs.retain(|key, _| is_mine(key));
        let good: Vec<Uuid> =
            self.directories.iter().filter(|it| !self.failed.contains(it)).copied().collect();
        for topic in image.topics() {
            for (index, partition) in topic.partitions() {
                let key = (topic.id(), index);
                let place = partition.directory_of(id);
                // What is in a directory that failed, or may have been, is not made anew elsewhere
                // meanwhile.
                let is_lost = place.is_some_and(|place| {
                    let is_unknown = place == Uuid::UNASSIGNED_DIRECTORY;
                    self.failed.contains(&place) || (is_unknown && !self.failed.is_empty())
                });
                if !is_mine(&key) || self.logs.contains_key(&key) || is_lost {
                    continue;
                }
                let known = place.filter(|place| good.contains(place));
                if let Some(directory) = known.or_else(|| rng.pick(&good).copied()) {
                    self.logs.insert(key, Log { directory, records: Vec::new() });
                }
            }
        }
    }
}
