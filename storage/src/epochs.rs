//! Which leader wrote which part of a log (KIP-101, KIP-279).
//!
//! An entry is an epoch and the offset of the first record written in it; epochs and offsets both
//! rise strictly. Kept as `leader-epoch-checkpoint`, lines `epoch startOffset`; what is not in
//! the file yet is found again by reading the batches behind the recovery point.

use milena_protocol::ids::{LeaderEpoch, Offset};

use crate::checkpoint;

/// One epoch and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset of its first record.
    pub start_offset: Offset,
}

/// The leader epochs of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs {
    entries: Vec<EpochEntry>,
}

impl Epochs {
    /// Reads a checkpoint's text; entries that do not rise end it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut epochs = Self::default();
        for row in checkpoint::parse(text)? {
            let [epoch, start] = row.as_slice() else { return None };
            epochs.assign(LeaderEpoch(epoch.parse().ok()?), Offset(start.parse().ok()?));
        }
        Some(epochs)
    }

    /// The checkpoint's text.
    pub(crate) fn render(&self) -> String {
        checkpoint::render(
            self.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start_offset)),
        )
    }

    pub(crate) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch.
    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes that a batch of `epoch` begins at `offset`; whether that was news.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, offset: Offset) -> bool {
        if epoch.0 < 0 || self.latest().is_some_and(|latest| latest >= epoch) {
            return false;
        }
        // An epoch in which nothing was written leaves no trace.
        while self.entries.last().is_some_and(|entry| entry.start_offset >= offset) {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset: offset });
        true
    }

    /// The largest epoch at or below `epoch` and where it ends: the start of the next epoch, or
    /// the log's end. `None` when the epoch is newer than all.
    pub(crate) fn end_offset(
        &self,
        epoch: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        let next = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let floor = next.checked_sub(1).and_then(|index| self.entries.get(index));
        match (floor, self.entries.get(next)) {
            (Some(floor), Some(next)) => Some((floor.epoch, next.start_offset)),
            (Some(floor), None) if floor.epoch == epoch => Some((floor.epoch, log_end_offset)),
            // Older than all that is left: such a log ends where ours begins.
            (None, Some(next)) => Some((epoch, next.start_offset)),
            _ => None,
        }
    }

    /// The epoch that an offset was written in.
    pub(crate) fn epoch_at(&self, offset: Offset) -> LeaderEpoch {
        let count = self.entries.partition_point(|entry| entry.start_offset <= offset);
        let entry = count.checked_sub(1).and_then(|index| self.entries.get(index));
        entry.map_or(LeaderEpoch::NONE, |entry| entry.epoch)
    }

    /// Forgets epochs that begin at or behind the log's new end; whether there were any.
    pub(crate) fn truncate_to(&mut self, end: Offset) -> bool {
        let count = self.entries.partition_point(|entry| entry.start_offset < end);
        let changed = count < self.entries.len();
        self.entries.truncate(count);
        changed
    }

    /// Forgets epochs that end at or before the log's new start.
    pub(crate) fn advance_start(&mut self, start: Offset) -> bool {
        let count = self.entries.partition_point(|entry| entry.start_offset <= start);
        let Some(last) = count.checked_sub(1).filter(|last| *last > 0) else {
            return self.clamp_first(start);
        };
        self.entries.drain(..last);
        self.clamp_first(start);
        true
    }

    fn clamp_first(&mut self, start: Offset) -> bool {
        match self.entries.first_mut() {
            Some(first) if first.start_offset < start => {
                first.start_offset = start;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        for (epoch, start) in entries {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    /// A follower would truncate too much or too little.
    #[test]
    fn end_of_an_epoch_is_the_start_of_the_next() {
        let epochs = epochs(&[(2, 10), (4, 20), (7, 30)]);
        let end = |epoch| epochs.end_offset(LeaderEpoch(epoch), Offset(40));
        assert_eq!(end(1), Some((LeaderEpoch(1), Offset(10))));
        assert_eq!(end(2), Some((LeaderEpoch(2), Offset(20))));
        assert_eq!(end(3), Some((LeaderEpoch(2), Offset(20))));
        assert_eq!(end(7), Some((LeaderEpoch(7), Offset(40))));
        assert_eq!(end(8), None);
        assert_eq!(Epochs::default().end_offset(LeaderEpoch(0), Offset(0)), None);
        assert_eq!(epochs.epoch_at(Offset(29)), LeaderEpoch(4));
        assert_eq!(epochs.epoch_at(Offset(9)), LeaderEpoch::NONE);
    }

    /// Epochs would outlive the records that were written in them.
    #[test]
    fn truncation_and_retention_forget_epochs() {
        let mut cut = epochs(&[(2, 10), (4, 20), (7, 30)]);
        assert!(cut.truncate_to(Offset(20)));
        assert_eq!(cut.latest(), Some(LeaderEpoch(2)));
        assert!(!cut.truncate_to(Offset(20)));
        let mut cut = epochs(&[(2, 10), (4, 20), (7, 30)]);
        assert!(cut.advance_start(Offset(25)));
        assert_eq!(cut, epochs(&[(4, 25), (7, 30)]));
        assert!(cut.advance_start(Offset(30)));
        assert_eq!(cut, epochs(&[(7, 30)]));
        let mut same = epochs(&[(7, 30)]);
        assert!(!same.assign(LeaderEpoch(6), Offset(50)));
        assert!(same.assign(LeaderEpoch(8), Offset(30)));
        assert_eq!(same, epochs(&[(8, 30)]));
    }

    /// Kafka's checkpoint would not be understood, nor ours by Kafka.
    #[test]
    fn text_form_is_kafkas() {
        let text = "0\n2\n0 0\n3 17\n";
        let epochs = Epochs::parse(text).unwrap();
        assert_eq!(epochs.entries().len(), 2);
        assert_eq!(epochs.render(), text);
        assert_eq!(Epochs::parse("0\n3\n0 0\n"), None);
    }
}
