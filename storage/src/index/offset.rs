//! The offset index: where in a segment the batch that holds an offset can be looked for.
//!
//! | bytes | field |
//! |---|---|
//! | 0–3 | last offset of a batch, relative to the segment's base offset, big-endian |
//! | 4–7 | position of that batch in the `.log` file, big-endian |
//!
//! Both rise strictly from entry to entry and no entry points at position 0, so zeros (Kafka
//! preallocates this file, and a power cut may leave a hole) end the index.
//! New entries live in memory until [`OffsetIndex::persist`] appends them to the file; lookups
//! among the newest never touch the file.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;

use super::growing::Growing;
use crate::disk::{Disk, Mode};
use crate::map::SegmentMap;

const ENTRY_BYTES: usize = 8;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// The batch's last offset minus the segment's base offset.
    pub(crate) relative_offset: u32,
    /// The batch's place in the log file.
    pub(crate) position: u32,
}

impl OffsetEntry {
    fn to_bits(self) -> u64 {
        u64::from(self.relative_offset) << 32 | u64::from(self.position)
    }

    fn from_bits(bits: u64) -> Self {
        Self { relative_offset: (bits >> 32) as u32, position: bits as u32 }
    }
}

/// The offset index of one segment.
#[derive(Debug, Default)]
pub(crate) struct OffsetIndex {
    /// Entries in the file when this value was made.
    in_file: usize,
    map: ArcSwapOption<SegmentMap>,
    recent: Growing,
    /// How many of `recent` are in the file by now.
    persisted: AtomicUsize,
}

impl OffsetIndex {
    /// An index whose file holds `in_file` good entries.
    pub(crate) fn with_file(in_file: usize) -> Self {
        Self { in_file, ..Self::default() }
    }

    /// Entries that a file of so many bytes may hold.
    pub(crate) fn entries_in(file_bytes: u64) -> usize {
        usize::try_from(file_bytes).unwrap_or(usize::MAX) / ENTRY_BYTES
    }

    /// The entries of a file's content, plausible or not.
    pub(crate) fn entries(bytes: &[u8]) -> impl Iterator<Item = OffsetEntry> {
        bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(|entry| decode(*entry))
    }

    /// All entries, in the file and in memory.
    pub(crate) fn len(&self) -> usize {
        self.in_file + self.recent.len()
    }

    /// Size that the file has or will have.
    pub(crate) fn file_bytes(&self) -> usize {
        self.len() * ENTRY_BYTES
    }

    /// Whether some entries are only in memory.
    pub(crate) fn is_dirty(&self) -> bool {
        self.persisted.load(Ordering::Relaxed) < self.recent.len()
    }

    /// Whether the entries in memory could be dropped for the file's.
    pub(crate) fn holds_memory(&self) -> bool {
        self.recent.len() > 0
    }

    /// Adds an entry; only the log's writer may.
    pub(crate) fn push(&self, entry: OffsetEntry) {
        self.recent.push(entry.to_bits());
    }

    /// The last entry at or below `relative_offset`: where to start looking for that offset.
    /// A damaged file costs time, not truth: callers check what they find there.
    pub(crate) fn floor(&self, path: &Path, disk: &dyn Disk, relative_offset: u32) -> OffsetEntry {
        let count = self.recent.partition_point(|bits| {
            OffsetEntry::from_bits(bits).relative_offset <= relative_offset
        });
        if count > 0 {
            return OffsetEntry::from_bits(self.recent.at(count - 1));
        }
        self.floor_in_file(path, disk, relative_offset)
            .unwrap_or(OffsetEntry { relative_offset: 0, position: 0 })
    }

    /// Whether [`floor`](Self::floor) needs no file that is not mapped yet.
    pub(crate) fn is_at_hand(&self, relative_offset: u32) -> bool {
        let is_in_memory = || {
            self.recent.len() > 0
                && OffsetEntry::from_bits(self.recent.at(0)).relative_offset <= relative_offset
        };
        self.in_file == 0 || self.map.load().is_some() || is_in_memory()
    }

    fn floor_in_file(&self, path: &Path, disk: &dyn Disk, offset: u32) -> Option<OffsetEntry> {
        if self.in_file == 0 {
            return None;
        }
        let map = match self.map.load_full() {
            Some(map) => map,
            None => {
                let file = disk.open(path, Mode::Read).ok()?;
                let map = SegmentMap::read_only(&file, self.in_file * ENTRY_BYTES).ok()?;
                self.map.store(Some(Arc::clone(&map)));
                map
            }
        };
        let (entries, _) = map.bytes(0..map.published())?.as_chunks::<ENTRY_BYTES>();
        let count = entries.partition_point(|entry| decode(*entry).relative_offset <= offset);
        count.checked_sub(1).and_then(|last| entries.get(last)).map(|entry| decode(*entry))
    }

    /// Drops the map of the file.
    pub(crate) fn unmap(&self) {
        self.map.store(None);
    }

    /// Appends to the file what is only in memory. One thread at a time.
    pub(crate) fn persist(&self, disk: &dyn Disk, file: &File) -> io::Result<()> {
        let from = self.persisted.load(Ordering::Relaxed);
        let to = self.recent.len();
        if from == to {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity((to - from) * ENTRY_BYTES);
        for index in from..to {
            bytes.extend_from_slice(&self.recent.at(index).to_be_bytes());
        }
        disk.write_at(file, &bytes, ((self.in_file + from) * ENTRY_BYTES) as u64)?;
        self.persisted.store(to, Ordering::Relaxed);
        Ok(())
    }

    /// How many entries at the front of `bytes` are plausible and point below `log_end`.
    pub(crate) fn valid_prefix(bytes: &[u8], log_end: u64) -> usize {
        let mut last = OffsetEntry { relative_offset: 0, position: 0 };
        let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
        for (index, entry) in entries.iter().enumerate() {
            let entry = decode(*entry);
            let rises = entry.position > last.position
                && (entry.relative_offset > last.relative_offset || index == 0);
            if !rises || u64::from(entry.position) >= log_end {
                return index;
            }
            last = entry;
        }
        entries.len()
    }
}

fn decode(entry: [u8; ENTRY_BYTES]) -> OffsetEntry {
    OffsetEntry::from_bits(u64::from_be_bytes(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn entry(relative_offset: u32, position: u32) -> OffsetEntry {
        OffsetEntry { relative_offset, position }
    }

    /// A fetch would start behind the batch it asks for.
    #[test]
    fn floor_is_found_in_file_and_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.index");
        let index = OffsetIndex::default();
        index.push(entry(10, 100));
        index.push(entry(20, 200));
        let file = RealDisk.open(&path, Mode::CreateNew).unwrap();
        index.persist(&RealDisk, &file).unwrap();
        assert!(!index.is_dirty());
        let index = OffsetIndex::with_file(2);
        index.push(entry(30, 300));
        index.persist(&RealDisk, &file).unwrap();
        assert_eq!(std::fs::read(&path).unwrap().len(), 24);
        for (offset, position) in [(0, 0), (9, 0), (10, 100), (25, 200), (30, 300), (99, 300)] {
            assert_eq!(index.floor(&path, &RealDisk, offset).position, position);
        }
    }

    /// Kafka's preallocated zeros, or a hole left by a power cut, would be taken for entries.
    #[test]
    fn zeros_end_an_index() {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&entry(10, 100).to_bits().to_be_bytes());
        bytes.extend_from_slice(&entry(20, 200).to_bits().to_be_bytes());
        bytes.extend_from_slice(&[0; 64]);
        assert_eq!(OffsetIndex::valid_prefix(&bytes, 1000), 2);
        assert_eq!(OffsetIndex::valid_prefix(&bytes, 200), 1);
    }
}
