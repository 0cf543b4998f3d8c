//! A broker: what its disk keeps, and what a run of its process knows.

use std::sync::Arc;

use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::replica::follower::{Leadership, LogPosition};
use milena_cluster::replica::{Follower, Leader};
use milena_cluster::time::Instant;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, Uuid};

use crate::log::{Log, count};
use crate::simulation::rng::Rng;

/// What outlives the process; all but what is not synced outlives the kernel.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub log: Log,
    /// The high watermark as of some time ago.
    pub high_watermark: usize,
    /// Which kernel holds its pages.
    pub boot: u64,
    /// The loss witness: the registration, and the kernel that it ran on.
    pub witness: Option<(BrokerEpoch, u64)>,
    /// Under which incarnation it asked to be registered, and on which kernel, where it has not
    /// heard the answer. The next run asks under the same one: who never knew its epoch has never
    /// done anything in it, and a registration that counts as another would take away its place.
    pub unanswered: Option<(Uuid, u64)>,
}

/// A broker.
pub struct Broker<R> {
    pub id: NodeId,
    /// Counts the runs of its process.
    pub run: u64,
    pub disk: Disk,
    pub process: Option<Process<R>>,
    /// It is stopped until then: what reaches it waits.
    pub paused_until: u64,
    /// Power went, and it has not registered since.
    pub is_unaware: bool,
}

/// A run of the process.
pub struct Process<R> {
    pub incarnation: Uuid,
    /// Its registration, once it knows it.
    pub epoch: Option<BrokerEpoch>,
    pub image: Option<Arc<MetadataImage>>,
    /// The leader epoch that it knows.
    pub leader_epoch: LeaderEpoch,
    pub high_watermark: Offset,
    pub role: Role<R>,
    pub wants_shut_down: bool,
}

/// What it is to the partition.
pub enum Role<R> {
    /// Nothing yet, or there is no leader.
    Idle,
    Leader {
        machine: Box<Leader<R>>,
        /// What acks=all waits for: the end of each record.
        waiting: Vec<(Offset, u64)>,
    },
    Follower {
        machine: Follower,
        /// What it wants to fetch, and under which number.
        wanted: Option<Wanted>,
    },
}

/// A fetch that is to be made, or that an answer is awaited for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub serial: u64,
    pub from: Leadership,
    pub fetch_offset: Offset,
    pub last_epoch: LeaderEpoch,
}

/// A run of a broker's process.
pub fn incarnation(id: NodeId, run: u64) -> Uuid {
    Uuid::from_u128((id.0 as u128) << 32 | u128::from(run) << 8 | 1)
}

impl<R> Broker<R> {
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            run: 0,
            disk: Disk::default(),
            process: None,
            paused_until: 0,
            is_unaware: false,
        }
    }

    /// Under which incarnation it registers; noted before it asks.
    fn next_incarnation(&mut self) -> Uuid {
        let known = self.disk.unanswered.filter(|(_, boot)| *boot == self.disk.boot);
        let id = known.map_or_else(|| incarnation(self.id, self.run), |(id, _)| id);
        self.disk.unanswered = Some((id, self.disk.boot));
        id
    }

    /// The registration before, if nothing was lost since.
    pub fn previous_epoch(&self) -> Option<BrokerEpoch> {
        let (epoch, boot) = self.disk.witness?;
        (boot == self.disk.boot).then_some(epoch)
    }

    /// Where the log stands, with this high watermark.
    pub fn position(&self, high_watermark: Offset) -> LogPosition {
        let log = &self.disk.log;
        LogPosition {
            start_offset: Offset::ZERO,
            end_offset: log.end(),
            last_epoch: log.last_epoch(),
            high_watermark: high_watermark.min(log.end()),
        }
    }

    /// The process ends, and some time ago it noted its high watermark.
    pub fn kill(&mut self, rng: &mut Rng) {
        if let Some(process) = self.process.take() {
            let known = count(process.high_watermark) as u64;
            let noted = rng.within(self.disk.high_watermark.min(known as usize) as u64, known);
            self.disk.high_watermark = noted as usize;
        }
    }

    /// The kernel ends too, and with it some of what was not synced.
    pub fn cut_power(&mut self, rng: &mut Rng) {
        self.kill(rng);
        let (synced, end) = (self.disk.log.synced as u64, self.disk.log.records.len() as u64);
        let kept = rng.within(synced, end) as usize;
        self.disk.log.truncate(kept);
        self.disk.log.sync();
        self.disk.high_watermark = self.disk.high_watermark.min(kept);
        self.disk.boot += 1;
        self.is_unaware = true;
    }

    /// The process starts.
    pub fn start(&mut self) {
        self.run += 1;
        self.paused_until = 0;
        let incarnation = self.next_incarnation();
        self.process = Some(Process {
            incarnation,
            epoch: None,
            image: None,
            leader_epoch: LeaderEpoch::NONE,
            high_watermark: Offset(self.disk.high_watermark as i64),
            role: Role::Idle,
            wants_shut_down: false,
        });
    }
}

impl<R: milena_cluster::replica::Rules> Broker<R> {
    /// When its leader has to look at the time.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.process.as_ref()?.role {
            Role::Leader { machine, .. } => machine.deadline(),
            _ => None,
        }
    }
}
