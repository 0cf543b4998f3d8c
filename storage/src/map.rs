//! Segment files in memory: the only unsafe code of Milena.
//!
//! The invariant that everything here upholds: **a published byte never changes, and never goes
//! away while someone can see it.** In detail:
//!
//! 1. A map has one writer ([`MapWriter`] is not `Clone`, and its methods take `&mut self`). It
//!    writes only at and beyond `published`, then moves `published` up with a release store.
//! 2. References are given out only to bytes below `published`, read with an acquire load.
//! 3. The file has blocks for every byte below `allocated` before the writer touches it, so a
//!    full disk is an error of `allocate` and never a fault. The file is never cut below
//!    `published`: truncation of a log starts a new file, trimming keeps what is published.
//! 4. The directory is locked against other processes (`.lock`); a program that ignores the lock
//!    and rewrites or cuts our files breaks the promise, as it would for anyone who maps a file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::disk::Disk;

/// A mapped file, of which the first `published` bytes may be read.
#[derive(Debug)]
pub(crate) struct SegmentMap {
    raw: MmapRaw,
    published: AtomicUsize,
}

impl SegmentMap {
    /// Maps a file that nobody writes, whole.
    pub(crate) fn read_only(file: &File, len: usize) -> io::Result<Arc<Self>> {
        let file_len = file.metadata()?.len();
        if len == 0 || u64::try_from(len).is_ok_and(|len| len > file_len) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "file is shorter than told"));
        }
        let raw = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(Arc::new(Self { raw, published: AtomicUsize::new(len) }))
    }

    /// How many bytes may be read.
    #[inline]
    pub(crate) fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// Published bytes, or `None` when the range is not wholly published.
    #[inline]
    pub(crate) fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.start > range.end || range.end > self.published() {
            return None;
        }
        // SAFETY: the range lies below `published`, hence inside the mapping and inside the
        // file; published bytes are initialised and never written again (module head, 1 to 4),
        // and the mapping lives as long as `self`.
        Some(unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(range.start), range.len()) })
    }

    /// A view of published bytes that keeps the map alive.
    pub(crate) fn view(self: &Arc<Self>, range: Range<usize>) -> Option<Bytes> {
        self.bytes(range.clone())?;
        Some(Bytes::from_owner(View { map: Arc::clone(self), range }))
    }

    /// Reads pages of a range into memory, so that touching them does not wait for the disk.
    /// Blocks. A range that cannot be read is reported here instead of by a fault.
    pub(crate) fn fault_in(&self, range: Range<usize>) -> io::Result<()> {
        if range.is_empty() || range.end > self.raw.len() {
            return Ok(());
        }
        self.raw.advise_range(Advice::PopulateRead, range.start, range.len())
    }

    /// Makes the pages of an allocated range present and writable. Blocks; best effort.
    pub(crate) fn populate(&self, range: Range<usize>) {
        if !range.is_empty() && range.end <= self.raw.len() {
            // A refusal (an old kernel, a file trimmed meanwhile) only means that the writer
            // takes the page faults itself.
            let _ = self.raw.advise_range(Advice::PopulateWrite, range.start, range.len());
        }
    }
}

struct View {
    map: Arc<SegmentMap>,
    range: Range<usize>,
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self.map.bytes(self.range.clone()).expect("the range was published when the view was made")
    }
}

/// Why an append to a map failed.
#[derive(Debug)]
pub(crate) enum MapError {
    /// The disk refused.
    Io(io::Error),
    /// The bytes do not fit into the mapping; the caller should have rolled.
    Beyond,
}

/// The one writer of a mapped file.
#[derive(Debug)]
pub(crate) struct MapWriter {
    map: Arc<SegmentMap>,
    allocated: usize,
}

impl MapWriter {
    /// Maps `capacity` bytes of a file, most of which it need not have yet. The first
    /// `published` bytes are what it holds; bytes beyond them must read as zeros.
    pub(crate) fn open(file: &File, capacity: usize, published: usize) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if published > len || published > capacity {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "file is shorter than told"));
        }
        let raw = MmapOptions::new().len(capacity.max(1)).map_raw(file)?;
        let map = Arc::new(SegmentMap { raw, published: AtomicUsize::new(published) });
        // Blocks beyond the published end may be holes; `reserve` gives them blocks.
        Ok(Self { map, allocated: published })
    }

    /// The map, for readers.
    pub(crate) fn map(&self) -> &Arc<SegmentMap> {
        &self.map
    }

    /// Bytes that the mapping can reach.
    pub(crate) fn capacity(&self) -> usize {
        self.map.raw.len()
    }

    /// Bytes of the file that may be written without asking the disk for more.
    #[inline]
    pub(crate) fn allocated(&self) -> usize {
        self.allocated
    }

    /// Gives the file blocks up to `end`.
    pub(crate) fn reserve(&mut self, disk: &dyn Disk, file: &File, end: usize) -> io::Result<()> {
        let end = end.min(self.map.raw.len());
        if end > self.allocated {
            disk.allocate(file, self.allocated as u64, end as u64)?;
            self.allocated = end;
        }
        Ok(())
    }

    /// Copies `parts` behind what is published and publishes them together.
    #[inline]
    pub(crate) fn append(&mut self, disk: &dyn Disk, parts: [&[u8]; 2]) -> Result<(), MapError> {
        let start = self.map.published.load(Ordering::Relaxed);
        let len = parts[0].len() + parts[1].len();
        let end = start.checked_add(len).ok_or(MapError::Beyond)?;
        if end > self.allocated {
            return Err(MapError::Beyond);
        }
        let admitted = disk.admit_mapped_write(len);
        let first = parts[0].len().min(admitted);
        let second = parts[1].len().min(admitted - first);
        // SAFETY: `start..end` lies below `allocated`, hence inside the mapping and on blocks
        // of the file; it lies beyond `published`, so nobody holds a reference to it, and this
        // is the only writer. The sources are ordinary slices that cannot overlap unpublished
        // bytes of a map.
        unsafe {
            let target = self.map.raw.as_mut_ptr().add(start);
            std::ptr::copy_nonoverlapping(parts[0].as_ptr(), target, first);
            std::ptr::copy_nonoverlapping(parts[1].as_ptr(), target.add(first), second);
        }
        if first + second < len {
            return Err(MapError::Io(io::Error::other("the copy was cut short")));
        }
        self.map.published.store(end, Ordering::Release);
        Ok(())
    }

    /// Writes `parts` to the file behind what is published and publishes them together: cheaper
    /// than [`append`](Self::append) for large batches, since no page has to be mapped for it.
    /// File and map are one page cache on Linux.
    pub(crate) fn append_by_write(
        &mut self,
        disk: &dyn Disk,
        file: &File,
        parts: [&[u8]; 2],
    ) -> Result<(), MapError> {
        let start = self.map.published.load(Ordering::Relaxed);
        let len = parts[0].len() + parts[1].len();
        let end = start.checked_add(len).ok_or(MapError::Beyond)?;
        if end > self.allocated {
            return Err(MapError::Beyond);
        }
        // In order, as in `append`: recovery concludes from zeros where a head belongs that
        // nothing is behind them.
        disk.write_at(file, parts[0], start as u64).map_err(MapError::Io)?;
        disk.write_at(file, parts[1], (start + parts[0].len()) as u64).map_err(MapError::Io)?;
        self.map.published.store(end, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn file() -> File {
        tempfile::tempfile().unwrap()
    }

    /// Readers would see bytes that are still being written, or none at all.
    #[test]
    fn views_end_where_publishing_ended() {
        let file = file();
        let mut writer = MapWriter::open(&file, 1 << 20, 0).unwrap();
        assert!(matches!(writer.append(&RealDisk, [b"a", b""]), Err(MapError::Beyond)));
        writer.reserve(&RealDisk, &file, 4096).unwrap();
        writer.append(&RealDisk, [b"head", b"body"]).unwrap();
        let view = writer.map().view(0..8).unwrap();
        writer.append_by_write(&RealDisk, &file, [b"HEAD", b"BODY"]).unwrap();
        assert_eq!(&view[..], b"headbody");
        assert_eq!(writer.map().bytes(0..16).unwrap(), b"headbodyHEADBODY");
        assert!(writer.map().view(8..17).is_none());
        let map = Arc::clone(writer.map());
        drop(writer);
        file.set_len(16).unwrap();
        assert_eq!(&map.view(4..12).unwrap()[..], b"bodyHEAD");
    }

    /// A view would dangle once its segment is deleted.
    #[test]
    fn views_outlive_their_map() {
        let file = file();
        RealDisk.write_at(&file, b"0123456789", 0).unwrap();
        let map = SegmentMap::read_only(&file, 10).unwrap();
        assert!(SegmentMap::read_only(&file, 11).is_err());
        let view = map.view(3..6).unwrap();
        drop(map);
        drop(file);
        assert_eq!(&view[..], b"345");
    }
}
