//! A disk that keeps what was synced, and of the rest as much as chance leaves.

use std::collections::VecDeque;

use milena_cluster::quorum::{Batch, EpochStart, Membership, QuorumState, RestoredLog, SnapshotId};
use milena_protocol::ids::Offset;

use crate::simulation::rng::Rng;

/// A snapshot as it lies on a disk.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub membership: Membership,
}

/// A log as it lies on a disk.
#[derive(Clone, Debug, Default)]
pub struct LogImage {
    pub snapshot: Option<Snapshot>,
    pub batches: Vec<Batch>,
}

#[derive(Clone, Debug)]
enum Change {
    Append(Batch),
    Truncate(Offset),
}

impl LogImage {
    pub fn start(&self) -> Offset {
        self.snapshot.as_ref().map_or(Offset::ZERO, |snapshot| snapshot.id.end_offset)
    }

    pub fn end(&self) -> Offset {
        self.batches.last().map_or(self.start(), |last| last.end_offset.max(self.start()))
    }

    /// The batch that ends at an offset.
    pub fn ending_at(&self, end_offset: Offset) -> Option<&Batch> {
        let found = self.batches.binary_search_by_key(&end_offset, |batch| batch.end_offset);
        found.ok().map(|index| &self.batches[index])
    }

    /// Consecutive batches from an offset on.
    pub fn read(&self, from: Offset, end: Offset, max_bytes: usize) -> Vec<Batch> {
        let first = self.batches.partition_point(|batch| batch.base_offset < from);
        let mut bytes = 0;
        let mut found = Vec::new();
        for batch in &self.batches[first..] {
            bytes += batch.bytes.len();
            if batch.end_offset > end || (!found.is_empty() && bytes > max_bytes) {
                break;
            }
            found.push(batch.clone());
        }
        found
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Append(batch) => {
                assert_eq!(batch.base_offset, self.end(), "a gap in a log");
                self.batches.push(batch);
            }
            Change::Truncate(end) => {
                self.batches.retain(|batch| batch.end_offset <= end);
                assert_eq!(self.end(), end, "a cut through a batch");
            }
        }
    }

    fn trim(&mut self, snapshot: Snapshot) {
        let end = snapshot.id.end_offset;
        self.batches.retain(|batch| batch.base_offset >= end);
        self.snapshot = Some(snapshot);
    }
}

/// The disk of a node.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// What a power cut leaves.
    pub state: QuorumState,
    /// What the process reads.
    pub cached: LogImage,
    /// What a power cut leaves at least.
    pub durable: LogImage,
    unsynced: VecDeque<Change>,
    /// Changes since the beginning.
    changes: u64,
}

/// A sync that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Sync {
    changes: u64,
    pub end: Offset,
}

impl Disk {
    pub fn append(&mut self, batch: Batch) {
        self.change(Change::Append(batch));
    }

    pub fn truncate(&mut self, end: Offset) {
        self.change(Change::Truncate(end));
    }

    fn change(&mut self, change: Change) {
        self.cached.apply(change.clone());
        self.unsynced.push_back(change);
        self.changes += 1;
    }

    pub fn begin_sync(&self) -> Sync {
        Sync { changes: self.changes, end: self.cached.end() }
    }

    pub fn end_sync(&mut self, sync: Sync) {
        let synced = self.changes - self.unsynced.len() as u64;
        for _ in synced..sync.changes.max(synced) {
            if let Some(change) = self.unsynced.pop_front() {
                self.durable.apply(change);
            }
        }
    }

    /// A snapshot that is durable stands for the log below it.
    pub fn trim(&mut self, snapshot: Snapshot) {
        // A snapshot never ends above what is synced, so the durable log goes the same way.
        self.durable.trim(snapshot.clone());
        self.cached.trim(snapshot);
    }

    /// A snapshot takes the place of the whole log, durably.
    pub fn install(&mut self, snapshot: Snapshot) {
        self.cached = LogImage { snapshot: Some(snapshot), batches: Vec::new() };
        self.durable = self.cached.clone();
        self.unsynced.clear();
    }

    /// The power goes: of what was not synced the first changes may have made it.
    pub fn crash(&mut self, rng: &mut Rng) {
        let kept = match rng.below(3) {
            0 => 0,
            1 => self.unsynced.len() as u64,
            _ => rng.below(self.unsynced.len() as u64 + 1),
        };
        for change in self.unsynced.drain(..).take(kept as usize) {
            self.durable.apply(change);
        }
        self.unsynced.clear();
        self.cached = self.durable.clone();
    }

    /// The log as a start finds it.
    pub fn restored(&self) -> RestoredLog {
        let mut epochs: Vec<EpochStart> = Vec::new();
        for batch in &self.cached.batches {
            if epochs.last().is_none_or(|last| last.epoch < batch.epoch) {
                epochs.push(EpochStart { epoch: batch.epoch, start_offset: batch.base_offset });
            }
        }
        RestoredLog {
            snapshot: self.cached.snapshot.as_ref().map(|snapshot| snapshot.id),
            epochs,
            end_offset: self.cached.end(),
        }
    }
}
