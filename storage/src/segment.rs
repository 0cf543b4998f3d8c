//! One segment: a `.log` file with its indexes, and finding things in it.
//!
//! A segment knows how many of its bytes are published (`size`); a file may be longer while it is
//! written to, the rest being zeros. Readers reach the bytes through a map that is made when
//! needed and dropped when idle; a view that was handed out keeps its map.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::record::batch::Batch;
use parking_lot::Mutex;
use rustix::io::ReadWriteFlags;

use crate::descriptors::FileId;
use crate::disk::Mode;
use crate::environment::{Environment, LogNumber};
use crate::error::{ReadError, StorageError};
use crate::health;
use crate::index::{OffsetEntry, OffsetIndex, TimeEntry, TimeIndex, TransactionIndex};
use crate::map::SegmentMap;

/// The kinds of files that belong to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    Snapshot,
    /// All of what is known of the producers: ours.
    Producers,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Log,
        Self::OffsetIndex,
        Self::TimeIndex,
        Self::TransactionIndex,
        Self::Snapshot,
        Self::Producers,
    ];

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::OffsetIndex => "index",
            Self::TimeIndex => "timeindex",
            Self::TransactionIndex => "txnindex",
            Self::Snapshot => "snapshot",
            Self::Producers => "producers",
        }
    }

    /// The offset and kind of a file that belongs to a segment, by its name.
    pub(crate) fn parse(name: &str) -> Option<(Offset, Self)> {
        let (stem, extension) = name.split_once('.')?;
        let kind = Self::ALL.into_iter().find(|kind| kind.extension() == extension)?;
        let is_number = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
        Some((Offset(is_number.then(|| stem.parse().ok())??), kind))
    }

    /// The path of this kind of file at an offset.
    pub(crate) fn path(self, directory: &Path, offset: Offset) -> PathBuf {
        directory.join(format!("{:020}.{}", offset.0, self.extension()))
    }
}

/// A path with something behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The record with a segment's largest timestamp, as closely as the indexes know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Largest {
    pub(crate) timestamp: Timestamp,
    /// Last offset of the batch that holds it.
    pub(crate) offset: Offset,
}

impl Largest {
    pub(crate) const NONE: Self = Self { timestamp: Timestamp::NONE, offset: Offset::NONE };

    pub(crate) fn observe(&mut self, timestamp: Timestamp, last_offset: Offset) {
        if timestamp > self.timestamp {
            *self = Self { timestamp, offset: last_offset };
        }
    }
}

/// The end of an active segment that counts as being in memory without asking.
const HOT_TAIL_BYTES: usize = 8 << 20;
/// One byte in so many is asked for when asking whether a range is in memory.
const PROBE_BYTES: usize = 128 << 10;

/// So many ranges of a segment are remembered as verified: one for each reader that reads on.
const VERIFIED_RANGES: usize = 16;
/// A read may begin so far before what is verified and still count as verified: a search begins at
/// an index entry.
const VERIFIED_SLACK_BYTES: usize = 64 << 10;

/// Ranges of whole batches, apart from each other, the newest last.
#[derive(Clone, Debug, Default)]
struct Verified(Vec<Range<usize>>);

impl Verified {
    /// Where the range ends that holds a position.
    fn end_at(&self, position: usize) -> Option<usize> {
        self.0.iter().find(|range| range.contains(&position)).map(|range| range.end)
    }

    fn nearly_covers(&self, wanted: &Range<usize>) -> bool {
        self.0.iter().any(|range| {
            range.start <= wanted.start.saturating_add(VERIFIED_SLACK_BYTES)
                && range.end >= wanted.end
        })
    }

    fn add(&mut self, mut added: Range<usize>) {
        self.0.retain(|range| {
            let is_apart = range.end < added.start || added.end < range.start;
            if !is_apart {
                added = range.start.min(added.start)..range.end.max(added.end);
            }
            is_apart
        });
        if self.0.len() == VERIFIED_RANGES {
            self.0.remove(0);
        }
        self.0.push(added);
    }
}

#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: Offset,
    pub(crate) directory: Arc<Path>,
    pub(crate) log: LogNumber,
    pub(crate) file_id: FileId,
    size: AtomicU64,
    /// Bytes from here on were checked by this process, when it appended or recovered them.
    checked_from: AtomicU64,
    /// Bytes before that whose checksums were verified since the map was made.
    verified: Mutex<Verified>,
    map: ArcSwapOption<SegmentMap>,
    used_at: AtomicU32,
    pub(crate) offset_index: ArcSwap<OffsetIndex>,
    pub(crate) time_index: Mutex<TimeIndex>,
    pub(crate) transactions: Mutex<Option<TransactionIndex>>,
    /// `None` until someone asks and the time index is read.
    pub(crate) largest: Mutex<Option<Largest>>,
    /// Rolled: nothing is appended any more.
    pub(crate) sealed: AtomicBool,
    /// Sealed, trimmed, indexes written.
    pub(crate) finished: AtomicBool,
    /// Compaction has another segment in its place, whose files may have the names of this one's.
    replaced: AtomicBool,
}

/// A batch's place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) position: usize,
    pub(crate) bytes: usize,
    pub(crate) base_offset: Offset,
}

impl Segment {
    /// A segment whose file exists.
    pub(crate) fn new(
        environment: &Environment,
        log: LogNumber,
        directory: Arc<Path>,
        base_offset: Offset,
        size: u64,
    ) -> Self {
        Self {
            base_offset,
            directory,
            log,
            file_id: environment.descriptors.next_id(),
            size: AtomicU64::new(size),
            checked_from: AtomicU64::new(size),
            verified: Mutex::default(),
            map: ArcSwapOption::empty(),
            used_at: AtomicU32::new(environment.seconds()),
            offset_index: ArcSwap::default(),
            time_index: Mutex::default(),
            transactions: Mutex::new(None),
            largest: Mutex::new(None),
            sealed: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
        }
    }

    /// Says that the files under this segment's names are not its own from here on. To be said
    /// before they are; who has a map of it keeps it.
    pub(crate) fn set_replaced(&self) {
        self.replaced.store(true, Ordering::SeqCst);
    }

    fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::SeqCst)
    }

    pub(crate) fn path(&self, kind: Kind) -> PathBuf {
        kind.path(&self.directory, self.base_offset)
    }

    /// Published bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(crate) fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    /// The offset relative to the base, saturated: an index key.
    pub(crate) fn relative(&self, offset: Offset) -> u32 {
        u32::try_from(offset.0.saturating_sub(self.base_offset.0).max(0)).unwrap_or(u32::MAX)
    }

    /// Notes that recovery checked the bytes from a position on.
    pub(crate) fn set_checked_from(&self, position: u64) {
        self.checked_from.store(position, Ordering::Release);
    }

    /// Where the batches of a range end that may be shown: before the first one whose checksum
    /// does not match. Bytes that this process has checked before are not checked again.
    pub(crate) fn checked_end(
        &self,
        map: &SegmentMap,
        range: Range<usize>,
    ) -> Result<usize, ReadError> {
        let limit = self.limit(map);
        let checked_from = usize::try_from(self.checked_from.load(Ordering::Acquire));
        let until = range.end.min(checked_from.unwrap_or(usize::MAX));
        let mut position = range.start;
        let verified = self.verified.lock().clone();
        while position < until {
            if let Some(end) = verified.end_at(position) {
                position = end;
                continue;
            }
            let is_good = match self.batch_at(map, position, limit) {
                Ok(Some(batch)) if batch.verify_crc().is_ok() => Some(batch.total_bytes()),
                _ => None,
            };
            match is_good {
                Some(bytes) => position += bytes,
                None if position == range.start => return Err(self.corrupt(position)),
                None => {
                    self.verified.lock().add(range.start..position);
                    return Ok(position);
                }
            }
        }
        if range.start < until {
            self.verified.lock().add(range.start..position);
        }
        Ok(range.end)
    }

    /// The log file.
    pub(crate) fn file(&self, environment: &Environment) -> io::Result<Arc<File>> {
        let descriptors = &environment.descriptors;
        descriptors.borrow(&*environment.disk, self.file_id, &self.path(Kind::Log))
    }

    /// Makes the writer's map the readers' map too.
    pub(crate) fn attach(&self, map: &Arc<SegmentMap>) {
        self.map.store(Some(Arc::clone(map)));
    }

    /// When the log file was last written, by the file system's clock.
    pub(crate) fn modified_at(&self) -> Option<Timestamp> {
        let modified = std::fs::metadata(self.path(Kind::Log)).ok()?.modified().ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp(i64::try_from(since.as_millis()).ok()?))
    }

    /// Drops the maps unless they were used within `idle_seconds`; whether none is left.
    pub(crate) fn unmap_idle(&self, now: u32, idle_seconds: u32) -> bool {
        if self.map.load().is_none() {
            return true;
        }
        let is_idle = now.saturating_sub(self.used_at.load(Ordering::Relaxed)) >= idle_seconds;
        if is_idle {
            self.map.store(None);
            // The disk gives the bytes anew when they are mapped again.
            *self.verified.lock() = Verified::default();
            self.offset_index.load().unmap();
        }
        is_idle
    }

    /// The map, or `None` when nothing is published.
    pub(crate) fn map(
        &self,
        environment: &Environment,
    ) -> Result<Option<Arc<SegmentMap>>, StorageError> {
        self.used_at.store(environment.seconds(), Ordering::Relaxed);
        if let Some(map) = self.map.load_full() {
            return Ok(Some(map));
        }
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX);
        if size == 0 {
            return Ok(None);
        }
        let opened = environment.disk.open(&self.path(Kind::Log), Mode::Read);
        let mapped = opened.and_then(|file| SegmentMap::read_only(&file, size));
        if self.is_replaced() {
            // What was mapped may be the other's.
            return Err(StorageError::Deleted);
        }
        let map = match mapped {
            // Removed by retention, compaction or with its log since the caller looked. The name
            // may be another file's by then, of a cut log or of the next of its name: a shorter
            // one.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
                ) =>
            {
                return Err(StorageError::Deleted);
            }
            map => environment.judge("map a segment", map)?,
        };
        // The writer may have attached its own meanwhile; that one sees more.
        let previous = self.map.compare_and_swap(&None::<Arc<SegmentMap>>, Some(Arc::clone(&map)));
        environment.attention.mapped(self.log);
        Ok(Some((*previous).clone().unwrap_or(map)))
    }

    /// Published bytes of a map, as far as this segment counts them.
    pub(crate) fn limit(&self, map: &SegmentMap) -> usize {
        map.published().min(usize::try_from(self.size()).unwrap_or(usize::MAX))
    }

    fn corrupt(&self, position: usize) -> ReadError {
        ReadError::Corrupt { segment: self.base_offset, position: position as u64 }
    }

    /// The batch at a position; `None` at the end.
    pub(crate) fn batch_at<'m>(
        &self,
        map: &'m SegmentMap,
        position: usize,
        limit: usize,
    ) -> Result<Option<Batch<'m>>, ReadError> {
        if position >= limit {
            return Ok(None);
        }
        let bytes = map.bytes(position..limit).ok_or_else(|| self.corrupt(position))?;
        match Batch::parse(bytes) {
            Ok((batch, _)) => Ok(Some(batch)),
            Err(_) => Err(self.corrupt(position)),
        }
    }

    /// Where a search for `offset` may start: at or before the batch that holds it.
    fn start_of_search(
        &self,
        environment: &Environment,
        map: &SegmentMap,
        limit: usize,
        offset: Offset,
    ) -> usize {
        let index = self.offset_index.load();
        let path = self.path(Kind::OffsetIndex);
        let entry = index.floor(&path, &*environment.disk, self.relative(offset));
        // Of another segment's index nothing can be learnt.
        let position = if self.is_replaced() { 0 } else { entry.position as usize };
        // The index is not trusted: what it points at must be a batch at or before the offset.
        match self.batch_at(map, position, limit) {
            Ok(Some(batch)) if batch.base_offset() <= offset => position,
            _ => 0,
        }
    }

    /// The first batch whose last offset is at or behind `offset`.
    pub(crate) fn locate(
        &self,
        environment: &Environment,
        map: &SegmentMap,
        offset: Offset,
    ) -> Result<Option<Located>, ReadError> {
        self.first_batch(environment, map, offset, |batch| batch.last_offset() >= offset)
    }

    /// The position of the first batch that begins at or behind `offset`, or the end.
    pub(crate) fn position_of_end(
        &self,
        environment: &Environment,
        map: &SegmentMap,
        offset: Offset,
    ) -> Result<usize, ReadError> {
        let limit = self.limit(map);
        let found =
            self.first_batch(environment, map, offset, |batch| batch.base_offset() >= offset)?;
        Ok(found.map_or(limit, |located| located.position))
    }

    /// Whether reading from an offset's batch on may have to wait: for the disk, or for checksums
    /// that nobody has verified yet.
    pub(crate) fn may_block(
        &self,
        environment: &Environment,
        offset: Offset,
        max_bytes: usize,
    ) -> bool {
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX);
        let index = self.offset_index.load();
        let relative = self.relative(offset);
        if self.map.load().is_none() || !index.is_at_hand(relative) {
            return size > 0;
        }
        let path = self.path(Kind::OffsetIndex);
        let start = index.floor(&path, &*environment.disk, relative).position as usize;
        let end = start.saturating_add(max_bytes).min(size);
        let checked_from = usize::try_from(self.checked_from.load(Ordering::Acquire));
        let unchecked = start..end.min(checked_from.unwrap_or(usize::MAX));
        if !unchecked.is_empty() && !self.verified.lock().nearly_covers(&unchecked) {
            return true;
        }
        let is_active = !self.sealed.load(Ordering::Acquire);
        if is_active && size - start.min(size) <= HOT_TAIL_BYTES {
            return false;
        }
        let Ok(file) = self.file(environment) else { return true };
        (start..end).step_by(PROBE_BYTES).any(|position| !is_resident(&file, position as u64))
    }

    /// Brings what a read from an offset on will touch into memory. Blocks.
    pub(crate) fn fault_in(
        &self,
        environment: &Environment,
        map: &SegmentMap,
        offset: Offset,
        max_bytes: usize,
    ) -> Result<(), ReadError> {
        let index = self.offset_index.load();
        let path = self.path(Kind::OffsetIndex);
        let start = index.floor(&path, &*environment.disk, self.relative(offset)).position as usize;
        let end = start.saturating_add(max_bytes).min(self.limit(map));
        map.fault_in(start.min(end)..end).map_err(|_| self.corrupt(start))
    }

    fn first_batch(
        &self,
        environment: &Environment,
        map: &SegmentMap,
        offset: Offset,
        wanted: impl Fn(&Batch<'_>) -> bool,
    ) -> Result<Option<Located>, ReadError> {
        let limit = self.limit(map);
        let mut position = self.start_of_search(environment, map, limit, offset);
        while let Some(batch) = self.batch_at(map, position, limit)? {
            if wanted(&batch) {
                return Ok(Some(Located {
                    position,
                    bytes: batch.total_bytes(),
                    base_offset: batch.base_offset(),
                }));
            }
            position += batch.total_bytes();
        }
        Ok(None)
    }

    /// Visits the batches from a position on, until the visitor says stop.
    pub(crate) fn visit(
        &self,
        map: &SegmentMap,
        range: Range<usize>,
        mut visitor: impl FnMut(usize, &Batch<'_>) -> bool,
    ) -> Result<(), ReadError> {
        let mut position = range.start;
        let limit = range.end.min(self.limit(map));
        while let Some(batch) = self.batch_at(map, position, limit)? {
            if !visitor(position, &batch) {
                break;
            }
            position += batch.total_bytes();
        }
        Ok(())
    }

    /// Adds index entries for a batch that was appended at `position`.
    pub(crate) fn index(&self, last_offset: Offset, position: usize, largest: Largest) {
        let Ok(position) = u32::try_from(position) else { return };
        let relative_offset = self.relative(last_offset);
        self.offset_index.load().push(OffsetEntry { relative_offset, position });
        self.note_time(largest);
    }

    /// Adds a time index entry for the largest timestamp so far.
    pub(crate) fn note_time(&self, largest: Largest) {
        if largest.offset.0 >= 0 {
            self.time_index.lock().push(TimeEntry {
                timestamp: largest.timestamp,
                relative_offset: self.relative(largest.offset),
            });
        }
    }

    /// Writes index entries that are only in memory. One thread at a time.
    pub(crate) fn persist_indexes(&self, environment: &Environment) -> io::Result<()> {
        let disk = &*environment.disk;
        let index = self.offset_index.load_full();
        if index.is_dirty() {
            index.persist(disk, &open_or_create(environment, &self.path(Kind::OffsetIndex))?)?;
        }
        // Entries count as written when they are: on a full disk they wait in memory.
        let (start, entries) = self.time_index.lock().unwritten();
        if !entries.is_empty() {
            let file = open_or_create(environment, &self.path(Kind::TimeIndex))?;
            TimeIndex::write(disk, &file, start, &entries)?;
            self.time_index.lock().written(entries.len());
        }
        let unwritten = match self.transactions.lock().as_ref() {
            Some(index) if index.is_dirty() => Some(index.unwritten()),
            _ => None,
        };
        if let Some((start, bytes)) = unwritten {
            let file = open_or_create(environment, &self.path(Kind::TransactionIndex))?;
            disk.write_at(&file, &bytes, start)?;
            if let Some(index) = self.transactions.lock().as_mut() {
                index.written(start + bytes.len() as u64);
            }
        }
        Ok(())
    }

    /// Makes the index files of a sealed segment durable. The first two exist afterwards, empty
    /// where there is no entry: Kafka's tools open the one beside the other.
    pub(crate) fn sync_indexes(&self, environment: &Environment) -> io::Result<()> {
        for kind in [Kind::OffsetIndex, Kind::TimeIndex] {
            let file = open_or_create(environment, &self.path(kind))?;
            environment.disk.sync_data(&file).map_err(health::lost)?;
        }
        // Without this one aborted records would be shown, and nothing would tell that it is gone:
        // its name has to be as durable as its content.
        let path = self.path(Kind::TransactionIndex);
        if path.exists() {
            let file = environment.disk.open(&path, Mode::Write)?;
            environment.disk.sync_data(&file).map_err(health::lost)?;
            environment.disk.sync_directory(&self.directory).map_err(health::lost)?;
        }
        Ok(())
    }

    /// Lets the index live in its file alone, after all of it was written there.
    pub(crate) fn release_index_memory(&self) {
        let index = self.offset_index.load_full();
        if index.holds_memory() && !index.is_dirty() {
            self.offset_index.store(Arc::new(OffsetIndex::with_file(index.len())));
        }
    }

    /// The largest timestamp, from memory, else from the time index, else from the batches.
    pub(crate) fn largest(&self, environment: &Environment) -> Result<Largest, ReadError> {
        if let Some(largest) = *self.largest.lock() {
            return Ok(largest);
        }
        let found = match self.largest_in_index() {
            Some(largest) => largest,
            None => {
                let mut largest = Largest::NONE;
                if let Some(map) = self.map(environment)? {
                    self.visit(&map, 0..self.limit(&map), |_, batch| {
                        largest.observe(batch.max_timestamp(), batch.last_offset());
                        true
                    })?;
                }
                largest
            }
        };
        // Only a sealed segment's answer holds for good.
        if self.sealed.load(Ordering::Acquire) {
            *self.largest.lock() = Some(found);
        }
        Ok(found)
    }

    fn largest_in_index(&self) -> Option<Largest> {
        let file = File::open(self.path(Kind::TimeIndex)).ok()?;
        let entries = TimeIndex::entries_in(file.metadata().ok()?.len());
        let mut bytes = [0; 12];
        file.read_exact_at(&mut bytes, entries.checked_sub(1)? as u64 * 12).ok()?;
        let entry = TimeIndex::entry_of(&bytes, 0)?;
        let is_zero = entry.timestamp.0 <= 0 && entry.relative_offset == 0;
        (!is_zero).then(|| Largest {
            timestamp: entry.timestamp,
            offset: self.base_offset.plus(i64::from(entry.relative_offset)),
        })
    }

    /// The position to look from for the first record at or after a timestamp.
    pub(crate) fn floor_of_time(
        &self,
        environment: &Environment,
        map: &SegmentMap,
        timestamp: Timestamp,
    ) -> usize {
        let file = std::fs::read(self.path(Kind::TimeIndex)).unwrap_or_default();
        let relative = self.time_index.lock().floor(&file, timestamp);
        let relative = if self.is_replaced() { 0 } else { relative };
        let offset = self.base_offset.plus(i64::from(relative));
        self.start_of_search(environment, map, self.limit(map), offset)
    }

    /// Calls back with the index of aborted transactions, reading it first if need be.
    pub(crate) fn with_transactions<T>(&self, work: impl FnOnce(&mut TransactionIndex) -> T) -> T {
        let mut transactions = self.transactions.lock();
        let index = transactions.get_or_insert_with(|| {
            let bytes = std::fs::read(self.path(Kind::TransactionIndex)).unwrap_or_default();
            TransactionIndex::decode(&bytes, Offset(i64::MAX))
        });
        work(index)
    }
}

fn open_or_create(environment: &Environment, path: &Path) -> io::Result<File> {
    match environment.disk.open(path, Mode::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            environment.disk.open(path, Mode::CreateNew)
        }
        opened => opened,
    }
}

/// Whether a byte can be read without waiting for the disk.
fn is_resident(file: &File, position: u64) -> bool {
    let mut byte = [0];
    let mut buffers = [io::IoSliceMut::new(&mut byte)];
    let read = rustix::io::preadv2(file, &mut buffers, position, ReadWriteFlags::NOWAIT);
    // A file system that cannot say counts as fast.
    !matches!(read, Err(rustix::io::Errno::AGAIN))
}
