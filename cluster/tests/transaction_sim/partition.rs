//! A partition that transactions write to, as far as producers and markers go (facts I5, T11).

use std::collections::{BTreeMap, BTreeSet};

use milena_cluster::coordinator::Producer;
use milena_cluster::transaction::{MarkerOutcome, Markers};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, ProducerEpoch, ProducerId};

/// One transaction of one producer, as the world counts them.
pub type Uid = u64;

/// What a partition knows of a producer.
#[derive(Clone, Debug)]
pub struct Known {
    pub epoch: ProducerEpoch,
    pub coordinator_epoch: LeaderEpoch,
    /// Transactions that wrote since the last marker.
    pub open: BTreeSet<Uid>,
}

/// A partition.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    pub producers: BTreeMap<ProducerId, Known>,
    /// It has no leader.
    pub is_down: bool,
}

impl Partition {
    fn known(&mut self, producer: Producer) -> &mut Known {
        self.producers.entry(producer.id).or_insert_with(|| Known {
            epoch: producer.epoch,
            coordinator_epoch: LeaderEpoch(-1),
            open: BTreeSet::new(),
        })
    }

    /// Appends what a producer writes in a transaction.
    pub fn write(&mut self, producer: Producer, uid: Uid) -> Result<(), ErrorCode> {
        if self.is_down {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        let known = self.known(producer);
        if producer.epoch < known.epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        known.epoch = producer.epoch;
        known.open.insert(uid);
        Ok(())
    }

    /// Appends a marker; returns what it ended.
    pub fn mark(&mut self, markers: &Markers) -> (MarkerOutcome, BTreeSet<Uid>) {
        let refused = |code| (MarkerOutcome::Failed(code), BTreeSet::new());
        if self.is_down {
            return refused(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        let known = self.known(markers.producer);
        if markers.attempt.coordinator_epoch < known.coordinator_epoch {
            return refused(ErrorCode::TRANSACTION_COORDINATOR_FENCED);
        }
        let is_strict = markers.transaction_version >= 2 && !known.open.is_empty();
        let epoch = markers.producer.epoch;
        if epoch < known.epoch || (is_strict && epoch == known.epoch) {
            return refused(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        known.epoch = epoch;
        known.coordinator_epoch = markers.attempt.coordinator_epoch;
        (MarkerOutcome::Written, std::mem::take(&mut known.open))
    }
}
