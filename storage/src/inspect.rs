//! What stands in a log's small files, for people who look at them with tools. A file is taken as
//! it is: zeros behind the last entry, which were allocated and never written, are shown as entries
//! too where a format cannot tell them apart.

use milena_protocol::ids::{Offset, Timestamp};

use crate::index::{AbortedTransaction, OffsetIndex, TimeIndex, TransactionIndex};
use crate::producers::{ActiveProducer, Producers};

/// An entry of an offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetIndexEntry {
    /// The offset less the segment's base offset.
    pub relative_offset: u32,
    /// Where the batch that holds it begins, in bytes from the start of the segment.
    pub position: u32,
}

/// An entry of a time index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeIndexEntry {
    /// The largest timestamp up to that offset.
    pub timestamp: Timestamp,
    /// The offset less the segment's base offset.
    pub relative_offset: u32,
}

/// The entries of an offset index file.
#[must_use]
pub fn offset_index(bytes: &[u8]) -> Vec<OffsetIndexEntry> {
    let entries = OffsetIndex::entries(bytes);
    let shown = entries.map(|entry| OffsetIndexEntry {
        relative_offset: entry.relative_offset,
        position: entry.position,
    });
    shown.collect()
}

/// The entries of a time index file.
#[must_use]
pub fn time_index(bytes: &[u8]) -> Vec<TimeIndexEntry> {
    let entries = TimeIndex::entries(bytes);
    let shown = entries.map(|entry| TimeIndexEntry {
        timestamp: entry.timestamp,
        relative_offset: entry.relative_offset,
    });
    shown.collect()
}

/// The entries of a transaction index file, up to the first one that is none.
#[must_use]
pub fn transaction_index(bytes: &[u8]) -> Vec<AbortedTransaction> {
    TransactionIndex::decode(bytes, Offset(i64::MAX)).into_entries()
}

/// The producers of a snapshot file; `None` if it is damaged.
#[must_use]
pub fn producer_snapshot(bytes: &[u8]) -> Option<Vec<ActiveProducer>> {
    Producers::decode(bytes).map(|producers| producers.active())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator would be shown another place than the one that stands in the file.
    #[test]
    fn entries_are_shown_as_they_stand() {
        let entry = OffsetIndexEntry { relative_offset: 5, position: 70 };
        assert_eq!(offset_index(&[0, 0, 0, 5, 0, 0, 0, 70, 9]), [entry]);
        let entry = TimeIndexEntry { timestamp: Timestamp(258), relative_offset: 3 };
        assert_eq!(time_index(&[0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]), [entry]);
        assert!(transaction_index(&[0; 33]).is_empty());
        assert_eq!(producer_snapshot(&[0; 10]), None);
    }
}
