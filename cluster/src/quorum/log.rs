//! What the machine knows of its log: where it begins and ends, what is on stable storage, and
//! where each epoch begins. The records themselves are the driver's.
//!
//! | | |
//! | --- | --- |
//! | start ≤ flushed ≤ end | a snapshot stands for everything below the start |
//! | epochs | first the epoch of the record before the start, then each epoch with its first offset |
//! | generation | counts truncations, so that a sync from before one does not count after it |

use milena_protocol::ids::{LeaderEpoch, Offset};

use super::message::SnapshotId;
use super::rules::{LogEnd, Rules};

/// Where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset of its first record.
    pub start_offset: Offset,
}

/// Counts the truncations of a log since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// How a replica's log relates to the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// It is a prefix.
    Prefix,
    /// It leaves the leader's log.
    Diverging(EpochEnd),
    /// It ends before the leader's log begins.
    Snapshot(SnapshotId),
    /// It is no place in a log.
    Invalid,
}

/// An epoch and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset after its last record.
    pub end_offset: Offset,
}

/// The log in outline.
#[derive(Clone, Debug)]
pub struct Outline {
    start: Offset,
    flushed: Offset,
    end: Offset,
    epochs: Vec<EpochStart>,
    generation: Generation,
    snapshot: Option<SnapshotId>,
}

/// What is found on the disk; everything found counts as flushed, so it must be.
#[derive(Clone, Debug, Default)]
pub struct RestoredLog {
    /// The snapshot below the log, if any: the log begins where it ends.
    pub snapshot: Option<SnapshotId>,
    /// Where each epoch of the log behind the snapshot begins, in order.
    pub epochs: Vec<EpochStart>,
    /// Where the log ends; not below the snapshot.
    pub end_offset: Offset,
}

impl Outline {
    /// The outline of a log as it was found.
    #[must_use]
    pub fn restore(restored: RestoredLog) -> Self {
        let start = restored.snapshot.map_or(Offset::ZERO, |snapshot| snapshot.end_offset);
        let end = restored.end_offset.max(start);
        let mut outline = Self {
            start,
            flushed: end,
            end,
            epochs: Vec::new(),
            generation: Generation::default(),
            snapshot: restored.snapshot,
        };
        if let Some(SnapshotId { epoch, end_offset }) = restored.snapshot {
            outline.begin_epoch(epoch, end_offset);
        }
        for epoch in restored.epochs {
            outline.begin_epoch(epoch.epoch, epoch.start_offset);
        }
        outline
    }

    /// Where it begins.
    #[must_use]
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Where it ends.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Everything below is on stable storage.
    #[must_use]
    pub fn flushed(&self) -> Offset {
        self.flushed
    }

    /// How many truncations there were.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The newest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<SnapshotId> {
        self.snapshot
    }

    /// The epoch of the last record; −1 of an empty log.
    #[must_use]
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.last().map_or(LeaderEpoch::NONE, |last| last.epoch)
    }

    /// How it ends, for elections.
    #[must_use]
    pub fn log_end(&self) -> LogEnd {
        (self.last_epoch(), self.end)
    }

    /// The epoch of the record before an offset; −1 where there is none.
    #[must_use]
    pub fn epoch_before(&self, offset: Offset) -> LeaderEpoch {
        let at_start = (offset == self.start).then(|| self.snapshot.map(|id| id.epoch)).flatten();
        let found = self.epochs.iter().rev().find(|epoch| epoch.start_offset < offset);
        at_start.or(found.map(|epoch| epoch.epoch)).unwrap_or(LeaderEpoch::NONE)
    }

    /// The highest epoch that is not above the given one, and where it ends.
    #[must_use]
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> EpochEnd {
        let above = self.epochs.iter().position(|start| start.epoch > epoch);
        let index = above.unwrap_or(self.epochs.len());
        let end_offset = self.epochs.get(index).map_or(self.end, |next| next.start_offset);
        let below = index.checked_sub(1).and_then(|index| self.epochs.get(index));
        match below {
            Some(found) => EpochEnd { epoch: found.epoch, end_offset },
            None => EpochEnd { epoch: LeaderEpoch::NONE, end_offset: self.start },
        }
    }

    /// How the log of a replica relates to this one, the leader's.
    #[must_use]
    pub fn position<R: Rules>(&self, fetch_offset: Offset, last_epoch: LeaderEpoch) -> Position {
        if fetch_offset < Offset::ZERO {
            return Position::Invalid;
        }
        let snapshot = self.snapshot.map_or(Position::Invalid, Position::Snapshot);
        let is_empty = fetch_offset == Offset::ZERO;
        if fetch_offset < self.start || (is_empty && self.snapshot.is_some_and(has_records)) {
            return snapshot;
        }
        if is_empty {
            return Position::Prefix;
        }
        let found = self.epoch_end(last_epoch);
        if R::is_prefix((last_epoch, fetch_offset), (found.epoch, found.end_offset)) {
            return Position::Prefix;
        }
        if found.epoch == LeaderEpoch::NONE {
            return if self.start > Offset::ZERO {
                snapshot
            } else {
                Position::Diverging(EpochEnd { end_offset: Offset::ZERO, ..found })
            };
        }
        Position::Diverging(found)
    }

    /// Where this log, a follower's, has to be cut so that it may be a prefix of a leader's that
    /// ends an epoch at the given place. None where it need not be.
    #[must_use]
    pub fn divergence(&self, leader: EpochEnd) -> Option<Offset> {
        let own = self.epoch_end(leader.epoch);
        let common = if own.epoch == leader.epoch {
            own.end_offset.min(leader.end_offset)
        } else {
            own.end_offset
        };
        let common = common.max(self.start);
        (common < self.end).then_some(common)
    }

    /// Records were appended.
    pub fn append(&mut self, epoch: LeaderEpoch, end_offset: Offset) {
        assert!(end_offset > self.end, "an empty batch");
        assert!(epoch >= self.last_epoch(), "an epoch that went back");
        self.begin_epoch(epoch, self.end);
        self.end = end_offset;
    }

    fn begin_epoch(&mut self, epoch: LeaderEpoch, start_offset: Offset) {
        if epoch > self.last_epoch() {
            self.epochs.push(EpochStart { epoch, start_offset });
        }
    }

    /// The log is on stable storage up to here, if the sync was of this generation.
    pub fn flush(&mut self, generation: Generation, end_offset: Offset) {
        if generation == self.generation {
            self.flushed = self.flushed.max(end_offset.min(self.end));
        }
    }

    /// The log is cut. A sync that is under way no longer counts.
    pub fn truncate(&mut self, end_offset: Offset) {
        assert!(self.start <= end_offset && end_offset < self.end, "a cut outside of the log");
        self.end = end_offset;
        self.flushed = self.flushed.min(end_offset);
        self.epochs.retain(|epoch| {
            epoch.start_offset < end_offset
                || self
                    .snapshot
                    .is_some_and(|id| epoch.start_offset == self.start && epoch.epoch == id.epoch)
        });
        self.generation.0 += 1;
    }

    /// A snapshot of this log stands for everything below its end.
    pub fn trim(&mut self, snapshot: SnapshotId) {
        let kept = self.epochs.iter().filter(|epoch| epoch.start_offset >= snapshot.end_offset);
        let mut epochs =
            vec![EpochStart { epoch: snapshot.epoch, start_offset: snapshot.end_offset }];
        epochs.extend(kept.filter(|epoch| epoch.epoch > snapshot.epoch));
        self.epochs = epochs;
        self.start = snapshot.end_offset;
        self.snapshot = Some(snapshot);
    }

    /// A snapshot of the leader's replaced the log.
    pub fn replace(&mut self, snapshot: SnapshotId) {
        self.generation.0 += 1;
        let generation = self.generation;
        *self = Self::restore(RestoredLog {
            snapshot: Some(snapshot),
            epochs: Vec::new(),
            end_offset: snapshot.end_offset,
        });
        self.generation = generation;
    }

    /// What holds after every step.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self) {
        assert!(self.start <= self.flushed, "the log begins beyond what is flushed");
        assert!(self.flushed <= self.end, "flushed beyond the log");
        let mut pairs = self.epochs.iter().zip(self.epochs.iter().skip(1));
        assert!(
            pairs.all(|(a, b)| a.epoch < b.epoch && a.start_offset <= b.start_offset),
            "epochs grow along the log"
        );
        let last = self.epochs.last().map_or(self.end, |last| last.start_offset);
        assert!(last <= self.end, "an epoch that begins beyond the log");
    }
}

fn has_records(snapshot: SnapshotId) -> bool {
    snapshot.end_offset > Offset::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::rules::Kraft;

    /// Epoch 1 at 0–4, 3 at 5–8, 4 at 9–11.
    fn outline() -> Outline {
        let mut log = Outline::restore(RestoredLog::default());
        log.append(LeaderEpoch(1), Offset(5));
        log.append(LeaderEpoch(3), Offset(9));
        log.append(LeaderEpoch(4), Offset(12));
        log
    }

    fn position(log: &Outline, offset: i64, epoch: i32) -> Position {
        log.position::<Kraft>(Offset(offset), LeaderEpoch(epoch))
    }

    fn diverging(epoch: i32, end: i64) -> Position {
        Position::Diverging(EpochEnd { epoch: LeaderEpoch(epoch), end_offset: Offset(end) })
    }

    /// A replica with other records would count as one that has the leader's.
    #[test]
    fn a_position_counts_only_on_the_leaders_branch() {
        let log = outline();
        assert_eq!(position(&log, 0, -1), Position::Prefix);
        assert_eq!(position(&log, 5, 1), Position::Prefix);
        assert_eq!(position(&log, 9, 3), Position::Prefix);
        assert_eq!(position(&log, 10, 3), diverging(3, 9));
        assert_eq!(position(&log, 7, 2), diverging(1, 5));
        assert_eq!(position(&log, 13, 4), diverging(4, 12));
        assert_eq!(position(&log, 3, 0), diverging(-1, 0));
        assert_eq!(position(&log, -4, 0), Position::Invalid);
    }

    /// A follower would keep records that the leader does not have, or never agree with it.
    #[test]
    fn a_follower_cuts_to_where_the_epochs_agree() {
        let log = outline();
        let cut = |epoch, end| {
            log.divergence(EpochEnd { epoch: LeaderEpoch(epoch), end_offset: Offset(end) })
        };
        assert_eq!(cut(3, 7), Some(Offset(7)));
        assert_eq!(cut(3, 99), Some(Offset(9)));
        assert_eq!(cut(2, 7), Some(Offset(5)));
        assert_eq!(cut(-1, 0), Some(Offset(0)));
        assert_eq!(cut(4, 12), None);
    }

    /// A sync from before a cut would make records count that came after it.
    #[test]
    fn a_sync_names_its_generation() {
        let mut log = outline();
        let before = log.generation();
        log.truncate(Offset(6));
        log.append(LeaderEpoch(5), Offset(10));
        log.flush(before, Offset(12));
        assert_eq!(log.flushed(), Offset::ZERO);
        log.flush(log.generation(), Offset(10));
        assert_eq!(log.flushed(), Offset(10));
        log.check_invariants();
    }

    /// A replica would be sent records that are no longer there.
    #[test]
    fn a_snapshot_stands_for_what_is_below_it() {
        let mut log = outline();
        log.flush(log.generation(), Offset(12));
        let snapshot = SnapshotId { end_offset: Offset(7), epoch: LeaderEpoch(3) };
        log.trim(snapshot);
        log.check_invariants();
        assert_eq!(position(&log, 0, -1), Position::Snapshot(snapshot));
        assert_eq!(position(&log, 5, 1), Position::Snapshot(snapshot));
        assert_eq!(position(&log, 7, 3), Position::Prefix);
        assert_eq!(position(&log, 8, 2), Position::Snapshot(snapshot));
        assert_eq!(log.epoch_before(Offset(7)), LeaderEpoch(3));
        log.truncate(Offset(7));
        assert_eq!(log.log_end(), (LeaderEpoch(3), Offset(7)));
    }
}
