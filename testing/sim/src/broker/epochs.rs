//! Where the leader epochs of a log end.

use milena_cluster::quorum::Batch;
use milena_cluster::replica::follower::EpochEnd;
use milena_protocol::ids::{LeaderEpoch, Offset};

/// The highest epoch not above this one, and where it ends.
pub fn epoch_end(log: &[Batch], epoch: LeaderEpoch) -> EpochEnd {
    let count = log.partition_point(|batch| batch.epoch <= epoch);
    let last = count.checked_sub(1).and_then(|last| log.get(last));
    EpochEnd {
        epoch: last.map_or(LeaderEpoch::NONE, |batch| batch.epoch),
        end_offset: last.map_or(Offset::ZERO, |batch| batch.end_offset),
    }
}

/// Where a follower's log, which ends here, leaves this one; nothing where it does not.
pub fn diverges(log: &[Batch], fetch_offset: Offset, last_epoch: LeaderEpoch) -> Option<EpochEnd> {
    let known = epoch_end(log, last_epoch);
    let is_prefix = fetch_offset == Offset::ZERO
        || known.epoch == last_epoch && known.end_offset >= fetch_offset;
    (!is_prefix).then_some(known)
}
