//! A broker: what a run of its process knows, and what it is to its partitions.

mod clearance;
mod epochs;
mod follower;
mod groups;
mod leader;
mod lifecycle;
mod producers;
mod roles;
mod shard;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use milena_cluster::group;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::replica::follower::Leadership;
use milena_cluster::replica::{Follower, Leader, ProposalId, Rules};
use milena_cluster::transaction;
use milena_cluster::transaction::verification::Verifications;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, ProducerId, Uuid};

use crate::host::Key;
pub use clearance::{Naming, Unopened};
pub use leader::Shown;
pub use producers::{Aborted, Marker, Producers, Sent, Written, written};
pub use shard::{Asked, Caller, Shard};
pub use transactions::{Orders, home};

/// What a run of a broker knows.
pub struct Broker<L> {
    /// This run, as the controller knows it.
    pub incarnation: Uuid,
    /// The registration of the controller's answer.
    pub epoch: Option<BrokerEpoch>,
    /// The registration as the metadata tells it; from then on its images take effect.
    pub registered: Option<BrokerEpoch>,
    /// The metadata in effect.
    pub image: Arc<MetadataImage>,
    pub parts: BTreeMap<Key, Part<L>>,
    pub wants_shut_down: bool,
    /// What it asks the controller is numbered; an answer counts once.
    asks: u64,
    awaited: BTreeSet<u64>,
    pub proposals: BTreeMap<u64, (Key, ProposalId)>,
    /// Producer ids that it may give away.
    pub producer_ids: Vec<ProducerId>,
}

/// A partition as a run of a broker has it.
pub struct Part<L> {
    /// Who leads, as far as it knows.
    pub leader: NodeId,
    pub epoch: LeaderEpoch,
    pub role: Role<L>,
}

/// What it is to a partition.
pub enum Role<L> {
    /// There is no leader, or it cannot go on.
    Idle(Offset),
    Leader(Box<Leading<L>>),
    Follower {
        machine: Follower,
        wanted: Option<Wanted>,
    },
}

/// A leader, and who waits for it.
pub struct Leading<L> {
    pub machine: Leader<L>,
    pub producers: Producers,
    pub waiting: Vec<Waiting>,
    /// The coordinator of groups, of a partition of theirs.
    pub groups: Option<Shard<group::Coordinator>>,
    /// The coordinator of transactions, of a partition of theirs, and its markers on their way.
    pub transactions: Option<Shard<transaction::Coordinator>>,
    pub orders: Orders,
    /// Who may begin a transaction here, and who waits to be told.
    pub verifications: Verifications,
    pub unopened: BTreeMap<u64, Unopened>,
}

/// Whoever waits until something counts.
#[derive(Clone, Copy, Debug)]
pub enum Waiter {
    Producer { client: NodeId, attempt: u64 },
    Coordinator { id: NodeId, run: u64, home: Key, number: u64 },
}

/// Somebody waits until what was appended counts.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub who: Waiter,
    pub base_offset: Offset,
    pub end_offset: Offset,
}

/// A fetch that is to be made, or that an answer is awaited for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub serial: u64,
    pub from: Leadership,
    pub fetch_offset: Offset,
    pub last_epoch: LeaderEpoch,
}

impl<L: Rules> Broker<L> {
    /// A run that has just begun.
    pub fn new(incarnation: Uuid) -> Self {
        Self {
            incarnation,
            epoch: None,
            registered: None,
            image: Arc::default(),
            parts: BTreeMap::new(),
            wants_shut_down: false,
            asks: 0,
            awaited: BTreeSet::new(),
            proposals: BTreeMap::new(),
            producer_ids: Vec::new(),
        }
    }

    /// What it knows as acknowledged.
    pub fn high_watermarks(&self) -> impl Iterator<Item = (Key, Offset)> {
        self.parts.iter().map(|(key, part)| (*key, part.high_watermark()))
    }

    /// A partition that it leads.
    pub fn leading(&self, key: Key) -> Option<&Leading<L>> {
        match &self.parts.get(&key)?.role {
            Role::Leader(leading) => Some(leading),
            _ => None,
        }
    }

    /// A partition that it leads, to change.
    pub fn leading_mut(&mut self, key: Key) -> Option<&mut Leading<L>> {
        match &mut self.parts.get_mut(&key)?.role {
            Role::Leader(leading) => Some(leading),
            _ => None,
        }
    }

    /// Whether an answer is the first one.
    pub fn is_awaited(&mut self, number: u64) -> bool {
        self.awaited.remove(&number)
    }

    /// The number of the next request to the controller.
    pub fn next_ask(&mut self) -> u64 {
        self.asks += 1;
        self.awaited.insert(self.asks);
        self.asks
    }
}

impl<L: Rules> Part<L> {
    /// Everything below is acknowledged, as far as is known here.
    pub fn high_watermark(&self) -> Offset {
        match &self.role {
            Role::Idle(high_watermark) => *high_watermark,
            Role::Leader(leading) => leading.machine.high_watermark(),
            Role::Follower { machine, .. } => machine.high_watermark(),
        }
    }
}
