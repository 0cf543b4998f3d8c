//! What all partitions of a broker have in common.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use milena_cluster::replica::Proposal;
use milena_cluster::replica::quota::Windows;
use milena_protocol::ids::{BrokerEpoch, NodeId, PartitionIndex, Uuid};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::absent::Absent;
use super::throttle::Throttles;
use crate::clock::SteadyClock;

/// A broker that is not registered, so that it neither fetches nor proposes.
const UNREGISTERED: i64 = -1;

/// A proposal of a partition, on its way to the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// The topic.
    pub topic_id: Uuid,
    /// The partition.
    pub index: PartitionIndex,
    /// What it wants.
    pub proposal: Proposal,
}

/// What all partitions of a broker have in common.
#[derive(Debug)]
pub struct Shared {
    node: NodeId,
    clock: SteadyClock,
    broker_epoch: AtomicI64,
    registered: Notify,
    proposals: Mutex<Vec<Proposed>>,
    proposed: Notify,
    retry: Notify,
    leadership: watch::Sender<u64>,
    isr_changes: IsrChanges,
    absent: Absent,
    throttles: Throttles,
}

/// How often who is in sync has changed.
#[derive(Debug, Default)]
pub struct IsrChanges {
    /// Some left.
    pub shrinks: AtomicU64,
    /// Some joined.
    pub expands: AtomicU64,
    /// The controller refused, or did not answer.
    pub failures: AtomicU64,
}

impl Shared {
    /// Of a broker that is not registered yet, which measures what it throttles over these windows.
    #[must_use]
    pub fn new(node: NodeId, windows: Windows) -> Self {
        Self {
            node,
            clock: SteadyClock::default(),
            broker_epoch: AtomicI64::new(UNREGISTERED),
            registered: Notify::new(),
            proposals: Mutex::default(),
            proposed: Notify::new(),
            retry: Notify::new(),
            leadership: watch::Sender::new(0),
            isr_changes: IsrChanges::default(),
            absent: Absent::default(),
            throttles: Throttles::new(windows),
        }
    }

    /// This broker.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The clock of the machines.
    #[must_use]
    pub fn clock(&self) -> SteadyClock {
        self.clock
    }

    /// This broker has registered.
    pub fn register(&self, epoch: BrokerEpoch) {
        self.broker_epoch.store(epoch.0, Ordering::Release);
        self.registered.notify_waiters();
    }

    /// This registration; waits for the first one.
    pub async fn broker_epoch(&self) -> BrokerEpoch {
        loop {
            let registered = self.registered.notified();
            let epoch = self.broker_epoch.load(Ordering::Acquire);
            if epoch != UNREGISTERED {
                return BrokerEpoch(epoch);
            }
            registered.await;
        }
    }

    pub(super) fn propose(&self, proposed: Proposed) {
        self.proposals.lock().push(proposed);
        self.proposed.notify_one();
    }

    /// Takes all proposals; waits for the first one.
    pub(super) async fn proposals(&self) -> Vec<Proposed> {
        loop {
            let proposed = self.proposed.notified();
            let all = std::mem::take(&mut *self.proposals.lock());
            if !all.is_empty() {
                return all;
            }
            proposed.await;
        }
    }

    /// This broker leads a partition that it did not lead in this epoch, or leads one no more.
    pub(super) fn leadership_changed(&self) {
        self.leadership.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells whenever this broker begins or ends to lead a partition.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<u64> {
        self.leadership.subscribe()
    }

    /// Leaders may have something to try again.
    pub(super) fn retry(&self) {
        self.retry.notify_one();
    }

    pub(super) async fn retried(&self) {
        self.retry.notified().await;
    }

    /// Leaders that cannot be asked.
    #[must_use]
    pub fn absent(&self) -> &Absent {
        &self.absent
    }

    /// What throttled replicas may take.
    #[must_use]
    pub fn throttles(&self) -> &Throttles {
        &self.throttles
    }

    /// How often who is in sync has changed.
    #[must_use]
    pub fn isr_changes(&self) -> &IsrChanges {
        &self.isr_changes
    }

    pub(super) fn count_failed_isr_change(&self) {
        self.isr_changes.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// So many are in sync with a leader that were so many before.
    pub(super) fn count_isr_change(&self, before: usize, after: usize) {
        let changes = &self.isr_changes;
        let count = if before > after { &changes.shrinks } else { &changes.expands };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
