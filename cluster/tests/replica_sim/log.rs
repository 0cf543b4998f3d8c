//! A replica's log in memory, and what of it is on stable storage.

use milena_cluster::replica::follower::EpochEnd;
use milena_protocol::ids::{LeaderEpoch, Offset};

/// A record: the epoch that it was appended in, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub epoch: LeaderEpoch,
    pub value: u64,
}

/// A log from offset 0 on.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub records: Vec<Record>,
    /// So many of them outlive a power cut.
    pub synced: usize,
}

/// An offset as a count of records.
pub fn count(offset: Offset) -> usize {
    usize::try_from(offset.0).unwrap_or(0)
}

impl Log {
    pub fn end(&self) -> Offset {
        Offset(self.records.len() as i64)
    }

    pub fn last_epoch(&self) -> LeaderEpoch {
        self.records.last().map_or(LeaderEpoch::NONE, |record| record.epoch)
    }

    pub fn sync(&mut self) {
        self.synced = self.records.len();
    }

    pub fn truncate(&mut self, end: usize) {
        self.records.truncate(end);
        self.synced = self.synced.min(end);
    }

    pub fn starts_with(&self, prefix: &[Record]) -> bool {
        self.records.starts_with(prefix)
    }

    /// So much of the beginning that both have.
    pub fn common(&self, other: &[Record]) -> usize {
        self.records.iter().zip(other).take_while(|(own, other)| own == other).count()
    }

    /// The highest epoch not above this one, and where it ends.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> EpochEnd {
        let end = self.records.partition_point(|record| record.epoch <= epoch);
        let epoch = end.checked_sub(1).map_or(LeaderEpoch::NONE, |last| self.records[last].epoch);
        EpochEnd { epoch, end_offset: Offset(end as i64) }
    }

    /// Where a follower's log, which ends here, leaves this one; nothing where it does not.
    pub fn diverges(&self, fetch_offset: Offset, last_epoch: LeaderEpoch) -> Option<EpochEnd> {
        let known = self.epoch_end(last_epoch);
        let is_prefix = fetch_offset == Offset::ZERO
            || known.epoch == last_epoch && known.end_offset >= fetch_offset;
        (!is_prefix).then_some(known)
    }
}
