//! Opening a log: finding out what it holds, by reading as little as can be justified.
//!
//! Where reading starts:
//!
//! * Behind the ledger's tail mark, if this kernel wrote it: the page cache is what it was, so
//!   everything before the mark is as whole as when the mark was made.
//! * Else at the beginning of the segment that holds the recovery point: everything before that
//!   was synced.
//!
//! From there on every batch must parse, follow the one before and match its checksum. The first
//! that does not ends the log, whatever comes behind it: bytes behind it are kept aside under
//! `.quarantined` if they are not zeros, and so are later segments. Nothing is deleted, and the log
//! says what was given up.
//! Indexes, epochs and producers of what is read are rebuilt on the way.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_protocol::ids::{Offset, PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::batch::{Batch, HEADER_BYTES};

use crate::admission;
use crate::config::LogConfig;
use crate::damage::Damage;
use crate::disk::{Disk, Entry, Mode};
use crate::environment::Environment;
use crate::epochs::Epochs;
use crate::error::{OpenLogError, StorageError};
use crate::index::{AbortedTransaction, OffsetIndex, TimeIndex, TransactionIndex};
use crate::ledger::{Marks, TailMark};
use crate::map::SegmentMap;
use crate::producers::{ProducerWrite, Producers, window};
use crate::segment::{Kind, Largest, Segment, with_suffix};
use crate::state::{Beginning, LogState, Saving, Tail};
use crate::swap;

/// What a file that recovery puts aside is called.
const QUARANTINED_SUFFIX: &str = ".quarantined";

/// Which log to open.
pub(crate) struct Target {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: PartitionIndex,
    pub(crate) directory: Arc<Path>,
    pub(crate) config: LogConfig,
    pub(crate) marks: Marks,
    pub(crate) is_new: bool,
}

struct Recovery<'r> {
    environment: &'r Environment,
    directory: Arc<Path>,
    index_interval_bytes: usize,
    epochs: Epochs,
    producers: Producers,
    largest: Largest,
    bytes_since_index: usize,
    is_trimmed: bool,
    damage: Option<Damage>,
}

/// Opens a log whose directory exists.
pub(crate) fn recover(
    environment: &Arc<Environment>,
    target: Target,
) -> Result<LogState, OpenLogError> {
    let directory = Arc::clone(&target.directory);
    let number = environment.next_log();
    let mut files = Files::default();
    if !target.is_new {
        files =
            Files::settled(environment, &directory).map_err(|error| io_error(&directory, error))?;
    }
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(files.logs.len().max(1));
    for base_offset in &files.logs {
        let path = Kind::Log.path(&directory, *base_offset);
        let size = std::fs::metadata(&path).map_err(|error| io_error(&path, error))?.len();
        segments.push(Arc::new(Segment::new(
            environment,
            number,
            Arc::clone(&directory),
            *base_offset,
            size,
        )));
    }
    let begins_empty = segments.is_empty();
    if begins_empty {
        let base_offset = target.marks.log_start.unwrap_or(Offset::ZERO);
        let path = Kind::Log.path(&directory, base_offset);
        let created = environment.disk.open(&path, Mode::Replace);
        environment.judge("create a segment", created)?;
        let segment = Segment::new(environment, number, Arc::clone(&directory), base_offset, 0);
        segments.push(Arc::new(segment));
    }
    let mut recovery = Recovery {
        environment,
        directory: Arc::clone(&directory),
        index_interval_bytes: target.config.index_interval_bytes as usize,
        epochs: Epochs::default(),
        producers: Producers::default(),
        largest: Largest::NONE,
        bytes_since_index: 0,
        is_trimmed: true,
        damage: None,
    };
    let start = Start::choose(&segments, &target);
    files.drop_windows(environment, &directory, start.mark.map(|mark| mark.offset))?;
    for segment in segments.iter().take(start.segment) {
        let loaded = load_sealed(environment, segment, recovery.index_interval_bytes);
        environment.judge("read an index", loaded)?;
    }
    recovery.load_epochs(&segments, start)?;
    recovery.load_producers(&segments, &files, start)?;
    let (log_end, scanned_bytes) = recovery.scan(&mut segments, start)?;

    let first = segments.first().map_or(Offset::ZERO, |segment| segment.base_offset);
    let log_start = target.marks.log_start.unwrap_or(first).max(first).min(log_end);
    let recovery_point = target.marks.recovery_point.unwrap_or(first).max(first).min(log_end);
    let high_watermark = target.marks.high_watermark.unwrap_or(log_start);
    for segment in segments.iter().rev().skip(1) {
        segment.sealed.store(true, Ordering::Release);
        segment.finished.store(true, Ordering::Release);
    }
    recovery.epochs.advance_start(log_start);
    let bases: Vec<Offset> = segments.iter().map(|segment| segment.base_offset).collect();
    let saving = Saving {
        loose_snapshot: files.snapshots.iter().rev().copied().find(|at| !bases.contains(at)),
        windows: files.windows,
    };
    let tail = Tail {
        config: Arc::new(target.config),
        writer: None,
        is_trimmed: recovery.is_trimmed,
        producers: recovery.producers,
        producers_changed: scanned_bytes > 0,
        // The file may be behind, or not durable as far as it is needed next.
        epochs_changed: recovery
            .epochs
            .entries()
            .last()
            .is_some_and(|last| last.start_offset >= recovery_point.min(start.offset)),
        bytes_since_index: recovery.bytes_since_index,
        largest: recovery.largest,
        first_timestamp: None,
        created_at: Timestamp::NONE,
        snapshots: Vec::new(),
    };
    let beginning = Beginning {
        topic: target.topic,
        topic_id: target.topic_id,
        partition: target.partition,
        number,
        directory,
        segments,
        epochs: recovery.epochs,
        tail,
        saving,
        log_start,
        log_end,
        high_watermark: high_watermark.max(log_start).min(log_end),
        recovery_point,
        unsaved_bytes: scanned_bytes,
        damage: recovery.damage,
    };
    Ok(LogState::new(Arc::clone(environment), beginning))
}

/// Rebuilds the producers of a log that was cut, from snapshots and the batches behind them.
pub(crate) fn replay_producers(state: &LogState, tail: &mut Tail) -> Result<(), StorageError> {
    let environment = &*state.environment;
    let files = environment.judge("list a log", Files::list(environment, &state.directory))?;
    let mut recovery = Recovery {
        environment,
        directory: Arc::clone(&state.directory),
        index_interval_bytes: usize::MAX,
        epochs: Epochs::default(),
        producers: Producers::default(),
        largest: Largest::NONE,
        bytes_since_index: 0,
        is_trimmed: true,
        damage: None,
    };
    recovery.replay_to(&state.segments.load_full(), &files, state.log_end())?;
    tail.producers = recovery.producers;
    Ok(())
}

/// Whether a log's directory has anything in it that may be a record.
pub(crate) fn holds_records(disk: &dyn Disk, directory: &Path) -> io::Result<bool> {
    for entry in disk.list(directory)? {
        if matches!(Kind::parse(&entry.name), Some((_, Kind::Log)))
            && std::fs::metadata(directory.join(&entry.name))?.len() > 0
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The names in a log's directory, sorted out.
#[derive(Default)]
struct Files {
    logs: Vec<Offset>,
    snapshots: Vec<Offset>,
    /// Files of all that is known of producers.
    windows: Vec<Offset>,
}

impl Files {
    /// What is there once an interrupted replacement of segments was finished or undone. For who
    /// opens a log: later such files may be those of a compaction under way.
    fn settled(environment: &Environment, directory: &Path) -> io::Result<Self> {
        let disk = &*environment.disk;
        let mut entries = disk.list(directory)?;
        if swap::settle(disk, directory, &entries)? {
            entries = disk.list(directory)?;
        }
        Self::sort(environment, directory, entries)
    }

    fn list(environment: &Environment, directory: &Path) -> io::Result<Self> {
        Self::sort(environment, directory, environment.disk.list(directory)?)
    }

    fn sort(environment: &Environment, directory: &Path, entries: Vec<Entry>) -> io::Result<Self> {
        let mut files = Self::default();
        for entry in entries {
            match Kind::parse(&entry.name) {
                Some((offset, Kind::Log)) => files.logs.push(offset),
                Some((offset, Kind::Snapshot)) => files.snapshots.push(offset),
                Some((offset, Kind::Producers)) => files.windows.push(offset),
                Some(_) => {}
                None => remove_leftover(environment, &directory.join(&entry.name), &entry.name)?,
            }
        }
        files.logs.sort_unstable();
        files.snapshots.sort_unstable();
        files.windows.sort_unstable();
        Ok(files)
    }

    /// Removes the files of producers but for the tail mark's: what they tell of may not be in the
    /// log any more.
    fn drop_windows(
        &mut self,
        environment: &Environment,
        directory: &Path,
        mark: Option<Offset>,
    ) -> Result<(), StorageError> {
        for offset in self.windows.extract_if(.., |offset| Some(*offset) != mark) {
            let removed = environment.disk.remove_file(&Kind::Producers.path(directory, offset));
            environment.judge("remove a file of producers", removed)?;
        }
        Ok(())
    }

    /// The files that tell of producers at or before an offset, the best one first.
    fn producers_before(&self, end: Offset) -> Vec<(Offset, Kind)> {
        let windows = self.windows.iter().map(|offset| (*offset, Kind::Producers));
        let snapshots = self.snapshots.iter().map(|offset| (*offset, Kind::Snapshot));
        let mut found: Vec<_> = windows.chain(snapshots).filter(|(at, _)| *at <= end).collect();
        // Stable, so ours comes before the snapshot of the same offset, which tells less.
        found.sort_by_key(|(offset, _)| std::cmp::Reverse(*offset));
        found
    }
}

/// Finishes what a crash interrupted: files on their way out, and new ones that never got their
/// name. Everything else that is unknown stays untouched.
fn remove_leftover(environment: &Environment, path: &Path, name: &str) -> io::Result<()> {
    let is_ours = [".deleted", ".truncated", ".tmp"].iter().any(|suffix| {
        let Some(stem) = name.strip_suffix(suffix) else { return false };
        Kind::parse(stem).is_some() || stem == "leader-epoch-checkpoint"
    });
    if is_ours { environment.disk.remove_file(path) } else { Ok(()) }
}

/// Where reading starts.
#[derive(Clone, Copy)]
struct Start {
    segment: usize,
    position: u64,
    offset: Offset,
    mark: Option<TailMark>,
}

impl Start {
    fn choose(segments: &[Arc<Segment>], target: &Target) -> Self {
        if let Some(mark) = target.marks.tail.filter(|mark| mark.topic_id == target.topic_id) {
            let found = segments.iter().position(|segment| segment.base_offset == mark.segment);
            if let Some(segment) = found
                && segments.get(segment).is_some_and(|segment| mark.position <= segment.size())
            {
                let TailMark { position, offset, .. } = mark;
                return Self { segment, position, offset, mark: Some(mark) };
            }
        }
        let point = target.marks.recovery_point.unwrap_or(Offset::ZERO);
        // A segment that ends right at the point may have been sealed since, and not trimmed.
        let count = segments.partition_point(|segment| segment.base_offset < point);
        let segment = count.saturating_sub(1);
        let offset = segments.get(segment).map_or(Offset::ZERO, |segment| segment.base_offset);
        Self { segment, position: 0, offset, mark: None }
    }
}

impl Recovery<'_> {
    fn load_epochs(&mut self, segments: &[Arc<Segment>], start: Start) -> Result<(), StorageError> {
        let text = std::fs::read_to_string(self.directory.join("leader-epoch-checkpoint"));
        if let Some(epochs) = text.ok().and_then(|text| Epochs::parse(&text)) {
            self.epochs = epochs;
            self.epochs.truncate_to(start.offset);
            return Ok(());
        }
        // The file can be deleted: the batches say the same.
        for segment in segments {
            if segment.base_offset >= start.offset {
                break;
            }
            self.visit(segment, start.offset, |recovery, batch| {
                recovery.epochs.assign(batch.leader_epoch(), batch.base_offset());
            })?;
        }
        Ok(())
    }

    fn load_producers(
        &mut self,
        segments: &[Arc<Segment>],
        files: &Files,
        start: Start,
    ) -> Result<(), StorageError> {
        if start.mark.is_some_and(|mark| !mark.has_producers) {
            return Ok(());
        }
        self.replay_to(segments, files, start.offset)
    }

    /// Producers as of `end`: the newest whole snapshot or file of ours at or before it, and the
    /// batches between.
    fn replay_to(
        &mut self,
        segments: &[Arc<Segment>],
        files: &Files,
        end: Offset,
    ) -> Result<(), StorageError> {
        let mut from = Offset(i64::MIN);
        for (offset, kind) in files.producers_before(end) {
            let read = std::fs::read(kind.path(&self.directory, offset)).ok();
            let decode = if kind == Kind::Producers { window::decode } else { Producers::decode };
            if let Some(producers) = read.and_then(|bytes| decode(&bytes)) {
                self.producers = producers;
                from = offset;
                break;
            }
        }
        if from >= end {
            return Ok(());
        }
        for (index, segment) in segments.iter().enumerate() {
            let next = segments.get(index + 1).map_or(Offset(i64::MAX), |next| next.base_offset);
            if next <= from || segment.base_offset >= end {
                continue;
            }
            self.visit(segment, end, |recovery, batch| {
                if batch.base_offset() >= from {
                    recovery.note_producer(batch);
                }
            })?;
        }
        Ok(())
    }

    /// Visits the batches of a segment that begin before `end`. They were checked before, or
    /// will be; the first that cannot be read ends the visit.
    fn visit(
        &mut self,
        segment: &Segment,
        end: Offset,
        mut visitor: impl FnMut(&mut Self, &Batch<'_>),
    ) -> Result<(), StorageError> {
        let Some(map) = segment.map(self.environment)? else { return Ok(()) };
        let limit = segment.limit(&map);
        let mut position = 0;
        while let Ok(Some(batch)) = segment.batch_at(&map, position, limit) {
            if batch.base_offset() >= end {
                break;
            }
            visitor(self, &batch);
            position += batch.total_bytes();
        }
        Ok(())
    }

    fn note_producer(&mut self, batch: &Batch<'_>) -> Option<AbortedTransaction> {
        if let Some((marker, aborts)) = admission::marker(batch, batch.base_offset()) {
            return self.producers.ended(&marker, aborts);
        }
        if let Some(write) = ProducerWrite::of(batch, batch.base_offset()) {
            self.producers.appended(&write);
        } else if batch.producer_id().0 >= 0 && batch.record_count() == 0 {
            // A marker that compaction emptied and kept for its producer's epoch.
            self.producers.known(
                batch.producer_id(),
                batch.producer_epoch(),
                batch.max_timestamp(),
            );
        }
        None
    }

    /// Reads everything from `start` on; returns the log's end and how many bytes were read.
    fn scan(
        &mut self,
        segments: &mut Vec<Arc<Segment>>,
        start: Start,
    ) -> Result<(Offset, u64), StorageError> {
        let mut next_offset = start.offset;
        let mut scanned_bytes = 0;
        let mut index = start.segment;
        while let Some(segment) = segments.get(index).cloned() {
            let is_first = index == start.segment;
            let from = if is_first { start.position } else { 0 };
            self.largest = match start.mark {
                Some(mark) if is_first => {
                    Largest { timestamp: mark.largest_timestamp, offset: mark.largest_offset }
                }
                _ => Largest::NONE,
            };
            next_offset = next_offset.max(segment.base_offset);
            let end = self.scan_segment(&segment, from, &mut next_offset)?;
            scanned_bytes += end - from;
            let follower = segments.get(index + 1).map(|next| next.base_offset);
            let is_clean = end == segment.size();
            if follower.is_none() && start.mark.is_some() && self.ends_in_zeros(&segment, end)? {
                self.is_trimmed = is_clean;
            } else {
                self.cut(&segment, end, next_offset, follower.is_some())?;
            }
            segment.set_size(end);
            // A gap before the next segment is lawful only if this one's file was in its final
            // form (compaction leaves such gaps).
            if follower.is_some_and(|base| base < next_offset || base > next_offset && !is_clean) {
                self.note_damage(&segment, end, next_offset);
                self.quarantine_from(segments, index + 1)?;
                break;
            }
            if follower.is_some() {
                *segment.largest.lock() = Some(self.largest);
                segment.note_time(self.largest);
                let persisted = segment.persist_indexes(self.environment);
                self.environment.judge("write an index", persisted)?;
                segment.release_index_memory();
            }
            index += 1;
        }
        Ok((next_offset, scanned_bytes))
    }

    /// Reads one segment from a position on and rebuilds its indexes behind it; returns where
    /// its last good batch ends.
    fn scan_segment(
        &mut self,
        segment: &Segment,
        from: u64,
        next_offset: &mut Offset,
    ) -> Result<u64, StorageError> {
        self.bytes_since_index = 0;
        let is_whole = from == segment.size();
        let disk = &*self.environment.disk;
        let indexes = load_indexes(disk, segment, from, *next_offset, is_whole && from > 0);
        self.environment.judge("read an index", indexes)?;
        if is_whole {
            return Ok(from);
        }
        let map = {
            let opened = File::open(segment.path(Kind::Log));
            let len = usize::try_from(segment.size()).unwrap_or(usize::MAX);
            let map = opened.and_then(|file| SegmentMap::read_only(&file, len));
            self.environment.judge("map a segment", map)?
        };
        let mut position = usize::try_from(from).unwrap_or(usize::MAX);
        while let Ok(Some(batch)) = segment.batch_at(&map, position, map.published()) {
            let follows = batch.base_offset() >= *next_offset
                && batch.last_offset_delta() >= 0
                && batch.last_offset().0 < i64::MAX
                && self.epochs.latest().is_none_or(|latest| batch.leader_epoch() >= latest);
            if !follows || batch.verify_crc().is_err() {
                break;
            }
            self.epochs.assign(batch.leader_epoch(), batch.base_offset());
            if let Some(aborted) = self.note_producer(&batch) {
                segment.with_transactions(|index| index.push(aborted));
            }
            self.largest.observe(batch.max_timestamp(), batch.last_offset());
            if self.bytes_since_index > self.index_interval_bytes && position > 0 {
                segment.index(batch.last_offset(), position, self.largest);
                self.bytes_since_index = 0;
            }
            self.bytes_since_index += batch.total_bytes();
            *next_offset = batch.next_offset();
            position += batch.total_bytes();
        }
        segment.set_checked_from(from);
        Ok(position as u64)
    }

    /// Whether nothing was written behind the last good batch, if this kernel saw all writes:
    /// a batch is written from its head on. Such a file is trimmed when its log rests, since
    /// cutting off pages that were made ready costs more than all else that opening does.
    fn ends_in_zeros(&self, segment: &Segment, end: u64) -> Result<bool, StorageError> {
        let mut head = [0; HEADER_BYTES];
        let left = usize::try_from(segment.size() - end).unwrap_or(usize::MAX);
        let Some(head) = head.get_mut(..left.min(HEADER_BYTES)) else { return Ok(false) };
        let read = File::open(segment.path(Kind::Log))
            .and_then(|file| file.read_exact_at(head, end))
            .map(|()| head.iter().all(|byte| *byte == 0));
        self.environment.judge("read the end of a log", read)
    }

    /// Cuts a segment's file behind its last good batch.
    fn cut(
        &mut self,
        segment: &Segment,
        end: u64,
        next_offset: Offset,
        is_sealed: bool,
    ) -> Result<(), StorageError> {
        let file_bytes = segment.size();
        if end == file_bytes {
            return Ok(());
        }
        let path = segment.path(Kind::Log);
        let disk = &*self.environment.disk;
        let mut damage = None;
        let mut cut = || -> io::Result<()> {
            let file = disk.open(&path, Mode::Write)?;
            let len = usize::try_from(file_bytes).unwrap_or(usize::MAX);
            let map = SegmentMap::read_only(&file, len)?;
            let start = usize::try_from(end).unwrap_or(usize::MAX);
            let rest = map.bytes(start..len).unwrap_or_default();
            // Zeros where a header belongs are space that was never written; to look further
            // would read all of it.
            let is_torn = rest.iter().take(HEADER_BYTES).any(|byte| *byte != 0);
            if is_torn && let Some(kept) = rest.get(..written_bytes(rest)) {
                let aside =
                    self.directory.join(format!("{:020}{QUARANTINED_SUFFIX}", next_offset.0));
                let aside = disk.open(&aside, Mode::Replace)?;
                disk.write_at(&aside, kept, 0)?;
                damage.insert(begin_damage(segment, end, next_offset)).observe(kept);
                disk.sync_data(&aside)?;
            }
            drop(map);
            disk.set_len(&file, end)?;
            if is_sealed {
                // Nothing else would make the cut durable before the recovery point passes it.
                disk.sync_data(&file)?;
            }
            Ok(())
        };
        self.environment.judge("cut a torn log", cut())?;
        self.damage = self.damage.take().or(damage);
        Ok(())
    }

    /// Something is given up from here on, if nothing was before.
    fn note_damage(&mut self, segment: &Segment, end: u64, next_offset: Offset) {
        self.damage.get_or_insert_with(|| begin_damage(segment, end, next_offset));
    }

    /// Puts segments aside that cannot follow what was read.
    fn quarantine_from(
        &mut self,
        segments: &mut Vec<Arc<Segment>>,
        index: usize,
    ) -> Result<(), StorageError> {
        for segment in segments.drain(index..).rev() {
            if let Some(damage) = &mut self.damage {
                damage.later_segments += 1;
                let map = File::open(segment.path(Kind::Log)).and_then(|file| {
                    let len = usize::try_from(segment.size()).unwrap_or(usize::MAX);
                    SegmentMap::read_only(&file, len)
                });
                let map = self.environment.judge("map a segment", map)?;
                damage.observe(map.bytes(0..map.published()).unwrap_or_default());
            }
            for kind in Kind::ALL {
                let path = segment.path(kind);
                let aside = with_suffix(&path, QUARANTINED_SUFFIX);
                match self.environment.disk.rename(&path, &aside) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    renamed => self.environment.judge("put a segment aside", renamed)?,
                }
            }
        }
        Ok(())
    }
}

fn begin_damage(segment: &Segment, position: u64, from: Offset) -> Damage {
    Damage { path: segment.path(Kind::Log), position, from, end: from, later_segments: 0 }
}

/// Bytes up to the last that is not zero.
fn written_bytes(bytes: &[u8]) -> usize {
    const STEP: usize = 4096;
    let last = bytes.chunks(STEP).rposition(|chunk| chunk.iter().any(|byte| *byte != 0));
    last.map_or(0, |last| ((last + 1) * STEP).min(bytes.len()))
}

/// Takes over the part of a segment's indexes that lies before what will be read.
fn load_indexes(
    disk: &dyn Disk,
    segment: &Segment,
    from: u64,
    offset: Offset,
    is_whole: bool,
) -> io::Result<()> {
    let read = |kind: Kind| match std::fs::read(segment.path(kind)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    };
    let below = segment.relative(offset);
    if is_whole {
        // Nothing will be read, and all that the index file has is below the end.
        let len = std::fs::metadata(segment.path(Kind::OffsetIndex)).map_or(0, |file| file.len());
        let index = OffsetIndex::with_file(OffsetIndex::entries_in(len));
        segment.offset_index.store(Arc::new(index));
    } else {
        let bytes = read(Kind::OffsetIndex)?;
        let entries = OffsetIndex::valid_prefix(&bytes, from);
        shorten(disk, segment, Kind::OffsetIndex, bytes.len(), entries * 8)?;
        segment.offset_index.store(Arc::new(OffsetIndex::with_file(entries)));
    }
    let bytes = read(Kind::TimeIndex)?;
    let (entries, last) = TimeIndex::valid_prefix(&bytes, below);
    shorten(disk, segment, Kind::TimeIndex, bytes.len(), entries * 12)?;
    *segment.time_index.lock() = TimeIndex::with_file(entries, last);
    let transactions = read(Kind::TransactionIndex)?;
    if !transactions.is_empty() {
        *segment.transactions.lock() = Some(TransactionIndex::decode(&transactions, offset));
    }
    Ok(())
}

/// Cuts an index file, so that what is written behind its good part ends it.
fn shorten(
    disk: &dyn Disk,
    segment: &Segment,
    kind: Kind,
    from: usize,
    to: usize,
) -> io::Result<()> {
    if to < from {
        disk.set_len(&disk.open(&segment.path(kind), Mode::Write)?, to as u64)?;
    }
    Ok(())
}

/// Makes the indexes of a sealed segment usable: as their files are, or anew if they are gone.
fn load_sealed(environment: &Environment, segment: &Segment, interval: usize) -> io::Result<()> {
    let len = |kind: Kind| std::fs::metadata(segment.path(kind)).map(|file| file.len());
    match (len(Kind::OffsetIndex), len(Kind::TimeIndex)) {
        (Ok(offsets), Ok(times)) => {
            let entries = OffsetIndex::entries_in(offsets);
            segment.offset_index.store(Arc::new(OffsetIndex::with_file(entries)));
            *segment.time_index.lock() = TimeIndex::with_file(TimeIndex::entries_in(times), None);
        }
        _ if segment.size() > interval as u64 => rebuild(environment, segment, interval)?,
        _ => {}
    }
    Ok(())
}

/// Makes a sealed segment's indexes anew from its batch headers.
fn rebuild(environment: &Environment, segment: &Segment, interval: usize) -> io::Result<()> {
    for kind in [Kind::OffsetIndex, Kind::TimeIndex] {
        match environment.disk.remove_file(&segment.path(kind)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    let file = File::open(segment.path(Kind::Log))?;
    let map = SegmentMap::read_only(&file, usize::try_from(segment.size()).unwrap_or(usize::MAX))?;
    let mut largest = Largest::NONE;
    let (mut since, mut position) = (0, 0);
    while let Ok(Some(batch)) = segment.batch_at(&map, position, map.published()) {
        largest.observe(batch.max_timestamp(), batch.last_offset());
        if since > interval {
            segment.index(batch.last_offset(), position, largest);
            since = 0;
        }
        since += batch.total_bytes();
        position += batch.total_bytes();
    }
    segment.note_time(largest);
    segment.persist_indexes(environment)?;
    segment.release_index_memory();
    Ok(())
}

fn io_error(path: &Path, error: io::Error) -> OpenLogError {
    OpenLogError::Io { path: path.to_owned(), error }
}
