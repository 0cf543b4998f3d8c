//! The index of aborted transactions, for readers that want only decided records.
//!
//! | bytes | field |
//! |---|---|
//! | 0–1 | version 0 |
//! | 2–9 | producer id |
//! | 10–17 | first offset |
//! | 18–25 | last offset, that of the abort marker |
//! | 26–33 | last stable offset when the marker was written |
//!
//! All big-endian. The file exists only when a transaction was aborted in its segment.

use milena_protocol::ids::{Offset, ProducerId};

const ENTRY_BYTES: usize = 34;

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Who wrote it.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its abort marker.
    pub last_offset: Offset,
    /// The last stable offset when the marker was written.
    pub last_stable_offset: Offset,
}

/// The aborted transactions whose markers are in one segment, in the order of the markers.
#[derive(Debug, Default)]
pub(crate) struct TransactionIndex {
    entries: Vec<AbortedTransaction>,
    persisted: usize,
}

impl TransactionIndex {
    /// Reads the file's content, leaving out markers at or behind `below`.
    pub(crate) fn decode(bytes: &[u8], below: Offset) -> Self {
        let (chunks, _) = bytes.as_chunks::<ENTRY_BYTES>();
        let entries: Vec<AbortedTransaction> =
            chunks.iter().map_while(decode).take_while(|entry| entry.last_offset < below).collect();
        let persisted = entries.len();
        Self { entries, persisted }
    }

    /// The entries of a file's content.
    pub(crate) fn into_entries(self) -> Vec<AbortedTransaction> {
        self.entries
    }

    /// Size that the file has or will have.
    pub(crate) fn file_bytes(&self) -> usize {
        self.entries.len() * ENTRY_BYTES
    }

    pub(crate) fn push(&mut self, entry: AbortedTransaction) {
        self.entries.push(entry);
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.persisted < self.entries.len()
    }

    /// The entries not written yet and where in the file they belong.
    pub(crate) fn unwritten(&self) -> (u64, Vec<u8>) {
        let start = self.persisted * ENTRY_BYTES;
        let bytes = self.entries.iter().skip(self.persisted).flat_map(encode).collect();
        (start as u64, bytes)
    }

    /// Notes that the file holds so many bytes of entries.
    pub(crate) fn written(&mut self, file_bytes: u64) {
        let entries = usize::try_from(file_bytes).unwrap_or(usize::MAX) / ENTRY_BYTES;
        self.persisted = entries.min(self.entries.len());
    }

    /// Those with records in `from..upper`, appended to `found`; whether the search can end.
    pub(crate) fn collect(
        &self,
        from: Offset,
        upper: Offset,
        found: &mut Vec<AbortedTransaction>,
    ) -> bool {
        for entry in &self.entries {
            if entry.last_offset >= from && entry.first_offset < upper {
                found.push(*entry);
            }
            if entry.last_stable_offset >= upper {
                return true;
            }
        }
        false
    }
}

fn encode(entry: &AbortedTransaction) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[2..10].copy_from_slice(&entry.producer_id.0.to_be_bytes());
    bytes[10..18].copy_from_slice(&entry.first_offset.0.to_be_bytes());
    bytes[18..26].copy_from_slice(&entry.last_offset.0.to_be_bytes());
    bytes[26..34].copy_from_slice(&entry.last_stable_offset.0.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<AbortedTransaction> {
    let (version, rest) = bytes.split_first_chunk::<2>()?;
    if *version != [0, 0] {
        return None;
    }
    let mut numbers = rest.as_chunks::<8>().0.iter().map(|number| i64::from_be_bytes(*number));
    let entry = AbortedTransaction {
        producer_id: ProducerId(numbers.next()?),
        first_offset: Offset(numbers.next()?),
        last_offset: Offset(numbers.next()?),
        last_stable_offset: Offset(numbers.next()?),
    };
    (entry.first_offset <= entry.last_offset).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(7),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    /// Aborted records would be shown to readers of decided records.
    #[test]
    fn overlapping_transactions_are_found() {
        let mut index = TransactionIndex::default();
        index.push(aborted(0, 10, 5));
        index.push(aborted(20, 30, 31));
        let (start, bytes) = index.unwritten();
        assert_eq!((start, bytes.len()), (0, 68));
        let index = TransactionIndex::decode(&bytes, Offset(100));
        let mut found = Vec::new();
        assert!(index.collect(Offset(10), Offset(20), &mut found));
        assert_eq!(found, [aborted(0, 10, 5)]);
        found.clear();
        index.collect(Offset(5), Offset(25), &mut found);
        assert_eq!(found.len(), 2);
        assert_eq!(TransactionIndex::decode(&bytes, Offset(30)).entries.len(), 1);
    }
}
