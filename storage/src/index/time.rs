//! The time index: from which offset on records of a time can be found.
//!
//! | bytes | field |
//! |---|---|
//! | 0–7 | largest timestamp so far, milliseconds, big-endian |
//! | 8–11 | last offset of the batch that has it, relative to the base offset, big-endian |
//!
//! Both rise strictly. Every record before an entry's offset has at most its timestamp. The last
//! entry of a sealed segment is its largest timestamp, which is what retention by time goes by.

use std::fs::File;
use std::io;

use milena_protocol::ids::Timestamp;

use crate::disk::Disk;

const ENTRY_BYTES: usize = 12;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// The largest timestamp up to here.
    pub(crate) timestamp: Timestamp,
    /// Offset of the record, or of its batch's last, minus the segment's base offset.
    pub(crate) relative_offset: u32,
}

/// The time index of one segment: what is in the file, and what is not yet.
#[derive(Debug, Default)]
pub(crate) struct TimeIndex {
    in_file: usize,
    last: Option<TimeEntry>,
    recent: Vec<TimeEntry>,
}

impl TimeIndex {
    /// An index whose file holds `in_file` good entries, the last of which is given.
    pub(crate) fn with_file(in_file: usize, last: Option<TimeEntry>) -> Self {
        Self { in_file, last, recent: Vec::new() }
    }

    /// Entries that a file of so many bytes may hold.
    pub(crate) fn entries_in(file_bytes: u64) -> usize {
        usize::try_from(file_bytes).unwrap_or(usize::MAX) / ENTRY_BYTES
    }

    /// The entries of a file's content, plausible or not.
    pub(crate) fn entries(bytes: &[u8]) -> impl Iterator<Item = TimeEntry> {
        bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(|entry| decode(*entry))
    }

    /// Size that the file has or will have.
    pub(crate) fn file_bytes(&self) -> usize {
        (self.in_file + self.recent.len()) * ENTRY_BYTES
    }

    /// Adds an entry unless it says nothing new.
    pub(crate) fn push(&mut self, entry: TimeEntry) {
        let is_new = self.last.is_none_or(|last| {
            entry.timestamp > last.timestamp && entry.relative_offset > last.relative_offset
        });
        if is_new && entry.timestamp.0 >= 0 {
            self.recent.push(entry);
            self.last = Some(entry);
        }
    }

    /// What is only in memory, to be written at the returned entry number.
    pub(crate) fn unwritten(&self) -> (usize, Vec<TimeEntry>) {
        (self.in_file, self.recent.clone())
    }

    /// Notes that so many of the entries in memory are in the file.
    pub(crate) fn written(&mut self, count: usize) {
        self.in_file += self.recent.drain(..count.min(self.recent.len())).count();
    }

    /// Where to start looking for the first record at or after `timestamp`: the relative offset
    /// of the last entry below it. `file` is the content of the index file.
    pub(crate) fn floor(&self, file: &[u8], timestamp: Timestamp) -> u32 {
        let below = |entry: &TimeEntry| entry.timestamp < timestamp;
        let count = self.recent.partition_point(below);
        if let Some(entry) = count.checked_sub(1).and_then(|last| self.recent.get(last)) {
            return entry.relative_offset;
        }
        let (entries, _) = file.as_chunks::<ENTRY_BYTES>();
        let entries = entries.get(..self.in_file.min(entries.len())).unwrap_or_default();
        let count = entries.partition_point(|entry| below(&decode(*entry)));
        let last = count.checked_sub(1).and_then(|last| entries.get(last));
        last.map_or(0, |entry| decode(*entry).relative_offset)
    }

    /// How many entries at the front of `bytes` are plausible and lie below an offset, and the
    /// last of them.
    pub(crate) fn valid_prefix(bytes: &[u8], below: u32) -> (usize, Option<TimeEntry>) {
        let mut last: Option<TimeEntry> = None;
        let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
        for (index, entry) in entries.iter().enumerate() {
            let entry = decode(*entry);
            let rises = last.is_none_or(|last| {
                entry.timestamp > last.timestamp && entry.relative_offset > last.relative_offset
            });
            let is_zero = entry.timestamp.0 == 0 && entry.relative_offset == 0;
            if !rises || is_zero || entry.relative_offset >= below {
                return (index, last);
            }
            last = Some(entry);
        }
        (entries.len(), last)
    }

    /// Entry number `index` of the bytes of a file.
    pub(crate) fn entry_of(bytes: &[u8], index: usize) -> Option<TimeEntry> {
        bytes.as_chunks::<ENTRY_BYTES>().0.get(index).map(|entry| decode(*entry))
    }

    /// Writes entries at their place in the file.
    pub(crate) fn write(
        disk: &dyn Disk,
        file: &File,
        start: usize,
        entries: &[TimeEntry],
    ) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        for entry in entries {
            bytes.extend_from_slice(&entry.timestamp.0.to_be_bytes());
            bytes.extend_from_slice(&entry.relative_offset.to_be_bytes());
        }
        disk.write_at(file, &bytes, (start * ENTRY_BYTES) as u64)
    }
}

fn decode(entry: [u8; ENTRY_BYTES]) -> TimeEntry {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = entry;
    TimeEntry {
        timestamp: Timestamp(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
        relative_offset: u32::from_be_bytes([i, j, k, l]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::io::Read;

    fn entry(timestamp: i64, relative_offset: u32) -> TimeEntry {
        TimeEntry { timestamp: Timestamp(timestamp), relative_offset }
    }

    /// A search by time would skip records.
    #[test]
    fn floor_is_the_last_entry_below() {
        let mut index = TimeIndex::default();
        index.push(entry(100, 5));
        index.push(entry(100, 9));
        index.push(entry(200, 10));
        let (start, entries) = index.unwritten();
        let mut file = tempfile::tempfile().unwrap();
        TimeIndex::write(&RealDisk, &file, start, &entries).unwrap();
        index.written(entries.len());
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 24);
        index.push(entry(300, 20));
        for (timestamp, offset) in [(100, 0), (101, 5), (200, 5), (201, 10), (301, 20)] {
            assert_eq!(index.floor(&bytes, Timestamp(timestamp)), offset, "{timestamp}");
        }
        bytes.extend_from_slice(&[0; 24]);
        assert_eq!(TimeIndex::valid_prefix(&bytes, 1000), (2, Some(entry(200, 10))));
        assert_eq!(TimeIndex::valid_prefix(&bytes, 10), (1, Some(entry(100, 5))));
    }
}
