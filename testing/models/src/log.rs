//! A log of a few records, small enough to be copied: the models have millions of them.

use std::fmt;

/// The most records that a log of a model holds.
const CAPACITY: usize = 6;

/// A record, known by the epoch that it was appended in and a value; there is no other content.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The leader epoch that it was appended in; real ones begin at 1.
    pub epoch: u8,
    /// What tells it from other records of its epoch.
    pub value: u8,
}

/// The records from offset 0 on.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Log {
    end_offset: u8,
    /// Zero from the end on, so that equal logs are equal.
    records: [Record; CAPACITY],
}

impl Log {
    /// The offset after the last record.
    #[must_use]
    pub fn end_offset(&self) -> u8 {
        self.end_offset
    }

    /// The epoch of the last record; 0 of an empty log.
    #[must_use]
    pub fn last_epoch(&self) -> u8 {
        self.records().last().map_or(0, |record| record.epoch)
    }

    /// All records.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records[..usize::from(self.end_offset)]
    }

    /// The record at an offset.
    #[must_use]
    pub fn get(&self, offset: u8) -> Option<Record> {
        self.records().get(usize::from(offset)).copied()
    }

    /// Appends a record.
    ///
    /// # Panics
    /// When the log is full: the scope of the model is larger than its logs.
    pub fn append(&mut self, record: Record) {
        assert!(usize::from(self.end_offset) < CAPACITY, "a log of the model is full");
        self.records[usize::from(self.end_offset)] = record;
        self.end_offset += 1;
    }

    /// Cuts what is at an offset and after it.
    pub fn truncate(&mut self, end_offset: u8) {
        self.end_offset = self.end_offset.min(end_offset);
        self.records[usize::from(self.end_offset)..].fill(Record::default());
    }

    /// The records below an offset.
    #[must_use]
    pub fn prefix(&self, end_offset: u8) -> Self {
        let mut prefix = *self;
        prefix.truncate(end_offset);
        prefix
    }

    /// Whether the log begins with all records of another.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.records().starts_with(other.records())
    }

    /// Where the log ends the highest epoch that is not above the given one.
    #[must_use]
    pub fn end_of(&self, epoch: u8) -> (u8, u8) {
        let below = self.records().iter().take_while(|record| record.epoch <= epoch);
        below.fold((0, 0), |(_, end_offset), record| (record.epoch, end_offset + 1))
    }

    /// Whether a log that ends here, with a record of this epoch, is a prefix of this log, as far
    /// as epochs can tell.
    #[must_use]
    pub fn continues(&self, last_epoch: u8, end_offset: u8) -> bool {
        let (epoch, end) = self.end_of(last_epoch);
        epoch == last_epoch && end_offset <= end
    }

    /// Cuts what another log, which does not continue this one, does not have: back to where that
    /// one ends the last epoch of this one, or an earlier epoch.
    pub fn truncate_to_branch(&mut self, other: &Self) {
        let (epoch, end_offset) = other.end_of(self.last_epoch());
        let (_, own_end_offset) = self.end_of(epoch);
        self.truncate(end_offset.min(own_end_offset));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.records()).finish()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.epoch, self.value)
    }
}
