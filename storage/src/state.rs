//! The state of one log, shared by its writer, its readers and the directory's threads.
//!
//! Who may do what:
//!
//! * The writer (`Log`) holds `tail` while it appends, rolls or truncates.
//! * Readers take no lock that a writer holds while it works: they load the end offset, then the
//!   segment list, then a map's published length, each published after what it covers.
//! * The threads of the directory take `tail` for moments, to learn what to save or to put an
//!   idle log to rest.
//! * Whoever takes segments away, puts others in their place or moves the whole log holds
//!   `replacing`, and the others look at the segment list again once they have it.
//!
//! Order of publication in an append: bytes in the map → published length → index entry → size
//! of the segment → log end offset. Order of locks: `replacing` → `sync` → `saving` → `tail` →
//! everything else; `starting` comes before `tail`, and never together with the others.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp, Uuid};
use parking_lot::{Condvar, Mutex, RwLock};

use crate::admission::{self, AdmittedBatch, Origin};
use crate::checkpoint::{self, Survives};
use crate::config::LogConfig;
use crate::damage::Damage;
use crate::disk::Mode;
use crate::environment::{Environment, LogNumber, Populate, TICK};
use crate::epochs::Epochs;
use crate::error::{AppendError, ReadError, StorageError};
use crate::ledger::Marks;
use crate::map::{MapError, MapWriter};
use crate::producers::Producers;
use crate::segment::{Kind, Largest, Segment};

/// The file that says whose log a directory holds.
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";
/// A file grows by a quarter of itself, but by this much at least and at most.
const SMALLEST_CHUNK: usize = 64 << 10;
const LARGEST_CHUNK: usize = 8 << 20;
/// Batches from this size on are written to the file instead of copied into the map.
const WRITE_FROM_BYTES: usize = 8 << 10;
/// Unsaved bytes after which the log asks for its recovery to be shortened.
const URGENT_BYTES: u64 = 8 << 20;

/// How urgently a log has asked to be synced: not at all, in time, now.
const NOT_ASKED: u8 = 0;
const ASKED_IN_TIME: u8 = 1;
const ASKED_NOW: u8 = 2;

/// Segments in the order of their offsets; the last one is active. Never empty.
pub(crate) type Segments = Vec<Arc<Segment>>;

#[derive(Debug)]
pub(crate) struct LogState {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: PartitionIndex,
    pub(crate) number: LogNumber,
    pub(crate) directory: Arc<Path>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) segments: ArcSwap<Segments>,
    pub(crate) epochs: RwLock<Epochs>,
    epochs_file: Mutex<()>,
    pub(crate) tail: Mutex<Tail>,
    pub(crate) replacing: Mutex<()>,
    /// Held by who compacts.
    pub(crate) compacting: Mutex<()>,
    pub(crate) saving: Mutex<Saving>,
    /// Held by whoever raises the log start offset.
    pub(crate) starting: Mutex<()>,
    pub(crate) sync: Mutex<Sync>,
    pub(crate) sync_ended: Condvar,
    log_start: AtomicI64,
    log_end: AtomicI64,
    high_watermark: AtomicI64,
    recovery_point: AtomicI64,
    sealed_bytes: AtomicU64,
    unsaved_bytes: AtomicU64,
    appended_at: AtomicU32,
    names_dirty: AtomicBool,
    identity_synced: AtomicBool,
    deleted: AtomicBool,
    truncation_count: AtomicU64,
    sync_asked: AtomicU8,
    /// What was given up when it was opened.
    pub(crate) damage: Option<Damage>,
}

/// What only the writer changes, and what the directory's threads look at for moments.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) config: Arc<LogConfig>,
    pub(crate) writer: Option<MapWriter>,
    /// The active segment's file ends where its batches end.
    pub(crate) is_trimmed: bool,
    pub(crate) producers: Producers,
    pub(crate) producers_changed: bool,
    pub(crate) epochs_changed: bool,
    pub(crate) bytes_since_index: usize,
    pub(crate) largest: Largest,
    /// Largest timestamp of the active segment's first batch, which its age counts from.
    pub(crate) first_timestamp: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    /// Producer snapshots of rolls that are not in their files yet.
    pub(crate) snapshots: Vec<(Offset, Vec<u8>)>,
}

/// What the saver remembers from one time to the next.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    /// The newest snapshot that is at no segment's base, to be removed after the next.
    pub(crate) loose_snapshot: Option<Offset>,
    /// Where there are files of producers. The last is the newest; the others go when the tail
    /// mark that names the last is in its file.
    pub(crate) windows: Vec<Offset>,
}

impl Saving {
    /// Forgets what was saved of a log behind its new end.
    pub(crate) fn cut(&mut self, end: Offset) {
        self.loose_snapshot = self.loose_snapshot.filter(|offset| *offset <= end);
        self.windows.retain(|offset| *offset <= end);
    }
}

/// Who syncs.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    pub(crate) running: bool,
}

/// A batch that is ready to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) leader_epoch: LeaderEpoch,
    /// May use the space that is kept back for internal logs.
    pub(crate) is_internal: bool,
}

/// What a recovered or new log begins with.
pub(crate) struct Beginning {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: PartitionIndex,
    pub(crate) number: LogNumber,
    pub(crate) directory: Arc<Path>,
    pub(crate) segments: Segments,
    pub(crate) epochs: Epochs,
    pub(crate) tail: Tail,
    pub(crate) saving: Saving,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) high_watermark: Offset,
    pub(crate) recovery_point: Offset,
    pub(crate) unsaved_bytes: u64,
    pub(crate) damage: Option<Damage>,
}

impl LogState {
    pub(crate) fn new(environment: Arc<Environment>, beginning: Beginning) -> Self {
        let sealed = beginning.segments.iter().rev().skip(1).map(|segment| segment.size()).sum();
        let state = Self {
            topic: beginning.topic,
            topic_id: beginning.topic_id,
            partition: beginning.partition,
            number: beginning.number,
            directory: beginning.directory,
            damage: beginning.damage,
            segments: ArcSwap::from_pointee(beginning.segments),
            epochs: RwLock::new(beginning.epochs),
            epochs_file: Mutex::new(()),
            tail: Mutex::new(beginning.tail),
            replacing: Mutex::default(),
            compacting: Mutex::default(),
            saving: Mutex::new(beginning.saving),
            starting: Mutex::default(),
            sync: Mutex::default(),
            sync_ended: Condvar::new(),
            log_start: AtomicI64::new(beginning.log_start.0),
            log_end: AtomicI64::new(beginning.log_end.0),
            high_watermark: AtomicI64::new(beginning.high_watermark.0),
            recovery_point: AtomicI64::new(beginning.recovery_point.0),
            sealed_bytes: AtomicU64::new(sealed),
            unsaved_bytes: AtomicU64::new(beginning.unsaved_bytes),
            appended_at: AtomicU32::new(environment.seconds()),
            // Whoever made the names may have been killed before they were synced.
            names_dirty: AtomicBool::new(true),
            identity_synced: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
            truncation_count: AtomicU64::new(0),
            sync_asked: AtomicU8::new(NOT_ASKED),
            environment,
        };
        let is_trimmed = state.tail.lock().is_trimmed;
        if beginning.recovery_point < beginning.log_end || !is_trimmed {
            state.environment.attention.awake(state.number);
        }
        state
    }

    pub(crate) fn log_start(&self) -> Offset {
        Offset(self.log_start.load(Ordering::Acquire))
    }

    pub(crate) fn log_end(&self) -> Offset {
        Offset(self.log_end.load(Ordering::Acquire))
    }

    pub(crate) fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// Everything below this offset is on the medium.
    pub(crate) fn recovery_point(&self) -> Offset {
        Offset(self.recovery_point.load(Ordering::Acquire))
    }

    pub(crate) fn raise_log_start(&self, offset: Offset) {
        self.log_start.fetch_max(offset.0, Ordering::AcqRel);
    }

    pub(crate) fn raise_high_watermark(&self, offset: Offset) {
        self.high_watermark.fetch_max(offset.0, Ordering::AcqRel);
    }

    pub(crate) fn raise_recovery_point(&self, offset: Offset) {
        self.recovery_point.fetch_max(offset.0, Ordering::AcqRel);
    }

    /// Sets the ends after a truncation, which is the one thing that lowers them.
    pub(crate) fn truncated(&self, start: Offset, end: Offset) {
        self.truncation_count.fetch_add(1, Ordering::AcqRel);
        self.log_end.store(end.0, Ordering::Release);
        self.log_start.store(start.0, Ordering::Release);
        for mark in [&self.high_watermark, &self.recovery_point] {
            mark.fetch_min(end.0, Ordering::AcqRel);
            mark.fetch_max(start.0.min(end.0), Ordering::AcqRel);
        }
    }

    /// How often the log was truncated since it was opened.
    pub(crate) fn truncation_count(&self) -> u64 {
        self.truncation_count.load(Ordering::Acquire)
    }

    pub(crate) fn set_sealed_bytes(&self, bytes: u64) {
        self.sealed_bytes.store(bytes, Ordering::Release);
    }

    /// Bytes of all batches.
    pub(crate) fn size_bytes(&self) -> u64 {
        let active = self.active().size();
        self.sealed_bytes.load(Ordering::Acquire) + active
    }

    pub(crate) fn active(&self) -> Arc<Segment> {
        let segments = self.segments.load();
        Arc::clone(segments.last().expect("a log has at least its active segment"))
    }

    pub(crate) fn unsaved_bytes(&self) -> u64 {
        self.unsaved_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn saved(&self, bytes: u64) {
        self.unsaved_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Seconds of the environment's clock at the last append.
    pub(crate) fn appended_at(&self) -> u32 {
        self.appended_at.load(Ordering::Relaxed)
    }

    /// Whether names in the log's directory are not on the medium yet; clears the mark.
    pub(crate) fn take_names_dirty(&self) -> bool {
        self.names_dirty.swap(false, Ordering::AcqRel)
    }

    /// Puts the file that says whose log it is on the medium, once.
    pub(crate) fn sync_identity(&self) -> Result<(), StorageError> {
        if self.identity_synced.load(Ordering::Acquire) {
            return Ok(());
        }
        let environment = &self.environment;
        match environment.disk.open(&self.directory.join(PARTITION_METADATA), Mode::Read) {
            // Somebody took it away: there is nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => {
                let file = environment.judge("open partition metadata", opened)?;
                let synced = environment.disk.sync_data(&file);
                synced.map_err(|error| environment.health.poison("fdatasync", &error))?;
            }
        }
        self.identity_synced.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn names_changed(&self) {
        self.names_dirty.store(true, Ordering::Release);
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Changes what the ledger remembers, unless the log is gone: another of its name may be there.
    pub(crate) fn update_marks(&self, change: impl FnOnce(&mut Marks)) {
        self.environment.ledger.update(&self.topic, self.partition, |marks| {
            // Whoever deletes the log lets the ledger forget it after setting this.
            if !self.is_deleted() {
                change(marks);
            }
        });
    }

    /// Runs `work` while nobody changes the log's files. Whoever wants to afterwards looks first
    /// whether the log is still there.
    pub(crate) fn undisturbed<T>(&self, work: impl FnOnce() -> T) -> T {
        let _alone = self.replacing.lock();
        self.without_sync(|| {
            let _saving = self.saving.lock();
            let _tail = self.tail.lock();
            work()
        })
    }

    pub(crate) fn set_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
        for segment in self.segments.load().iter() {
            self.environment.descriptors.forget(segment.file_id);
        }
    }

    /// Writes the leader epochs of this moment to their file. The threads that do it take turns.
    pub(crate) fn write_epochs(&self, survives: Survives) -> io::Result<()> {
        let _turn = self.epochs_file.lock();
        let text = self.epochs.read().render();
        let path = self.directory.join("leader-epoch-checkpoint");
        checkpoint::replace(&*self.environment.disk, &path, text.as_bytes(), survives)
    }

    /// Refuses work on a log that is gone or whose directory is offline.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if self.is_deleted() {
            return Err(StorageError::Deleted);
        }
        self.environment.health.check()
    }

    /// Stores a batch at the end of the log, rolling before it if the rules say so.
    pub(crate) fn append(
        &self,
        tail: &mut Tail,
        incoming: Incoming<'_>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.check()?;
        let bytes = incoming.head.len() + incoming.body.len();
        let mut segment = self.active();
        if self.must_roll(tail, &segment, incoming, bytes, now)? {
            self.roll(tail, self.log_end(), now)?;
            segment = self.active();
        }
        let position = usize::try_from(segment.size()).unwrap_or(usize::MAX);
        self.make_room(tail, &segment, position, bytes, incoming.is_internal)?;
        self.copy(tail, &segment, incoming, bytes)?;

        // Nothing below can fail: the batch is in the log.
        tail.largest.observe(incoming.max_timestamp, incoming.last_offset);
        if position == 0 {
            tail.first_timestamp = Some(incoming.max_timestamp);
        }
        if tail.bytes_since_index > tail.config.index_interval_bytes as usize {
            segment.index(incoming.last_offset, position, tail.largest);
            tail.bytes_since_index = 0;
        }
        tail.bytes_since_index += bytes;
        if self.epochs.read().latest().is_none_or(|latest| latest < incoming.leader_epoch)
            && self.epochs.write().assign(incoming.leader_epoch, incoming.base_offset)
        {
            tail.epochs_changed = true;
        }
        segment.set_size((position + bytes) as u64);
        self.log_end.store(incoming.last_offset.0 + 1, Ordering::Release);
        self.appended_at.store(self.environment.seconds(), Ordering::Relaxed);
        let unsaved = self.unsaved_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.ask_for_sync(&tail.config);
        if unsaved / URGENT_BYTES < (unsaved + bytes as u64) / URGENT_BYTES {
            self.environment.attention.urgent(self.number);
        }
        Ok(())
    }

    /// Asks for a sync where `flush.messages` or `flush.ms` wants one before the next tick. One
    /// message at a time is not asked for here: whoever appends waits for it.
    fn ask_for_sync(&self, config: &LogConfig) {
        let unsynced = self.log_end().0.saturating_sub(self.recovery_point().0).unsigned_abs();
        let flush_after = Duration::from_millis(config.flush_ms);
        let (urgency, after) = if config.flush_messages > 1 && unsynced >= config.flush_messages {
            (ASKED_NOW, Duration::ZERO)
        } else if flush_after < TICK {
            (ASKED_IN_TIME, flush_after)
        } else {
            return;
        };
        if self.sync_asked.fetch_max(urgency, Ordering::AcqRel) < urgency {
            self.environment.attention.sync_by(self.number, Instant::now() + after);
        }
    }

    /// A sync that was asked for begins: what is appended from now on asks for another.
    pub(crate) fn sync_begins(&self) {
        self.sync_asked.store(NOT_ASKED, Ordering::Release);
    }

    fn must_roll(
        &self,
        tail: &mut Tail,
        segment: &Segment,
        incoming: Incoming<'_>,
        bytes: usize,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let size = segment.size();
        if size == 0 {
            return Ok(false);
        }
        let config = Arc::clone(&tail.config);
        if size + bytes as u64 > u64::from(config.segment_bytes)
            || incoming.last_offset.0 - segment.base_offset.0 > i64::from(i32::MAX)
        {
            return Ok(true);
        }
        let jitter = jitter(self.number, segment.base_offset, config.segment_jitter_ms);
        let limit = config.longest_segment_ms().saturating_sub(jitter);
        // Age goes by the records' own time, where they have one (so replaying old data rolls
        // as the original did).
        let age = match self.first_timestamp(tail, segment)? {
            first if first.0 >= 0 => incoming.max_timestamp.0.saturating_sub(first.0),
            _ => {
                if tail.created_at == Timestamp::NONE {
                    tail.created_at = now;
                }
                now.0.saturating_sub(tail.created_at.0)
            }
        };
        let index_bytes = config.segment_index_bytes as usize;
        Ok(age > limit
            || segment.offset_index.load().file_bytes() + 8 > index_bytes
            || segment.time_index.lock().file_bytes() + 12 > index_bytes)
    }

    pub(crate) fn first_timestamp(
        &self,
        tail: &mut Tail,
        segment: &Segment,
    ) -> Result<Timestamp, StorageError> {
        if let Some(timestamp) = tail.first_timestamp {
            return Ok(timestamp);
        }
        let mut timestamp = Timestamp::NONE;
        if let Some(map) = segment.map(&self.environment)? {
            let batch = segment.batch_at(&map, 0, segment.limit(&map));
            if let Ok(Some(batch)) = batch {
                timestamp = batch.max_timestamp();
            }
        }
        tail.first_timestamp = Some(timestamp);
        Ok(timestamp)
    }

    /// Seals the active segment and begins one at `base_offset`, unless the active one is empty
    /// and begins there already.
    pub(crate) fn roll(
        &self,
        tail: &mut Tail,
        base_offset: Offset,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.check()?;
        let old = self.active();
        if old.base_offset == base_offset {
            return Ok(());
        }
        let new = self.create_segment(base_offset)?;
        old.note_time(tail.largest);
        *old.largest.lock() = Some(tail.largest);
        old.sealed.store(true, Ordering::Release);
        tail.writer = None;
        tail.is_trimmed = true;
        tail.largest = Largest::NONE;
        tail.first_timestamp = None;
        tail.created_at = now;
        tail.bytes_since_index = 0;
        tail.snapshots.push((base_offset, tail.producers.encode()));
        let mut segments = Segments::clone(&self.segments.load());
        segments.push(new);
        self.sealed_bytes.fetch_add(old.size(), Ordering::AcqRel);
        self.segments.store(Arc::new(segments));
        self.environment.attention.mapped(self.number);
        self.environment.attention.awake(self.number);
        self.environment.attention.urgent(self.number);
        Ok(())
    }

    /// Makes the file of a new, empty segment.
    pub(crate) fn create_segment(&self, base_offset: Offset) -> Result<Arc<Segment>, StorageError> {
        let environment = &self.environment;
        let segment =
            Segment::new(environment, self.number, Arc::clone(&self.directory), base_offset, 0);
        let file = environment.disk.open(&segment.path(Kind::Log), Mode::Replace);
        let file = environment.judge("create a segment", file)?;
        environment.descriptors.keep(segment.file_id, Arc::new(file));
        self.names_changed();
        Ok(Arc::new(segment))
    }

    /// Looks at a batch for a leader, without the writer.
    pub(crate) fn admit<'a>(
        &self,
        bytes: &'a [u8],
        origin: Origin,
        now: Timestamp,
    ) -> Result<AdmittedBatch<'a>, AppendError> {
        self.check()?;
        let config = Arc::clone(&self.tail.lock().config);
        let batch = admission::parse(bytes)?;
        let admitted = admission::admit(batch, &config, origin, now)?;
        Ok(AdmittedBatch { batch, admitted })
    }

    /// As [`LogState::make_room`] for what comes next, without what is kept back for emergencies.
    pub(crate) fn check_room(&self, tail: &mut Tail, bytes: usize) -> Result<(), StorageError> {
        let active = self.active();
        let position = active.size() as usize;
        if position + bytes <= tail.config.segment_bytes as usize {
            return self.make_room(tail, &active, position, bytes, false);
        }
        // It goes into a segment that is not there yet.
        let environment = &self.environment;
        let space =
            environment.judge("ask for space", environment.disk.space(&environment.root))?;
        let needed = (bytes + SMALLEST_CHUNK) as u64;
        if space.usable_bytes < needed + environment.reserve_bytes {
            return Err(StorageError::Full);
        }
        Ok(())
    }

    /// Sees to it that `bytes` can be written at `position`.
    fn make_room(
        &self,
        tail: &mut Tail,
        segment: &Segment,
        position: usize,
        bytes: usize,
        is_internal: bool,
    ) -> Result<(), StorageError> {
        let environment = &self.environment;
        let end = position + bytes;
        let capacity = (tail.config.segment_bytes as usize).max(end);
        // A mapping made under a smaller `segment.bytes` is left to its readers.
        if tail.writer.as_ref().is_some_and(|writer| writer.capacity() < end) {
            tail.writer = None;
        }
        let writer = match &mut tail.writer {
            Some(writer) => writer,
            empty => {
                let file = environment.judge("open a segment", segment.file(environment))?;
                let opened = MapWriter::open(&file, capacity, position);
                let writer = environment.judge("map a segment", opened)?;
                segment.attach(writer.map());
                tail.is_trimmed = false;
                environment.attention.awake(self.number);
                empty.insert(writer)
            }
        };
        let allocated = writer.allocated();
        let chunk = (allocated / 4).clamp(SMALLEST_CHUNK, LARGEST_CHUNK);
        if end <= allocated && (allocated - end >= chunk / 4 || allocated >= capacity) {
            return Ok(());
        }
        let wanted = (end.max(allocated) + chunk).next_multiple_of(4096).min(capacity);
        let needed = end.next_multiple_of(4096).min(capacity);
        let grown = self.grow(writer, segment, wanted, is_internal).or_else(|error| {
            // Growing ahead of need may fail; so may a big step where a small one fits.
            match error {
                _ if end <= allocated => Ok(()),
                StorageError::Full => self.grow(writer, segment, needed, is_internal),
                error => Err(error),
            }
        });
        match grown {
            Err(StorageError::Full)
                if is_internal && environment.reserve.give_up(&*environment.disk) =>
            {
                self.grow(writer, segment, needed, is_internal)?;
            }
            grown => grown?,
        }
        let grown_to = writer.allocated();
        if bytes < WRITE_FROM_BYTES && grown_to - allocated.min(grown_to) > SMALLEST_CHUNK {
            environment.attention.populate(Populate {
                map: Arc::downgrade(writer.map()),
                range: allocated.max(end)..grown_to,
            });
        }
        Ok(())
    }

    fn grow(
        &self,
        writer: &mut MapWriter,
        segment: &Segment,
        end: usize,
        is_internal: bool,
    ) -> Result<(), StorageError> {
        let environment = &self.environment;
        let step = end.saturating_sub(writer.allocated()) as u64;
        let space =
            environment.judge("ask for space", environment.disk.space(&environment.root))?;
        let kept_back = if is_internal { 0 } else { environment.reserve_bytes };
        if space.usable_bytes < step + kept_back {
            return Err(StorageError::Full);
        }
        let file = environment.judge("open a segment", segment.file(environment))?;
        environment.judge("allocate", writer.reserve(&*environment.disk, &file, end))
    }

    fn copy(
        &self,
        tail: &mut Tail,
        segment: &Segment,
        incoming: Incoming<'_>,
        bytes: usize,
    ) -> Result<(), StorageError> {
        let environment = &self.environment;
        let disk = &*environment.disk;
        let parts = [incoming.head, incoming.body];
        let writer = tail.writer.as_mut().expect("make_room attached a writer");
        let result = if bytes >= WRITE_FROM_BYTES {
            let file = environment.judge("open a segment", segment.file(environment))?;
            writer.append_by_write(disk, &file, parts)
        } else {
            writer.append(disk, parts)
        };
        match result {
            Ok(()) => Ok(()),
            // Whatever the code: nobody knows what is behind the published end now.
            Err(MapError::Io(error)) => Err(environment.health.poison("write a batch", &error)),
            Err(MapError::Beyond) => {
                unreachable!("make_room reserved {bytes} bytes in segment {}", segment.base_offset)
            }
        }
    }

    /// The segment that holds `offset`, or the first one behind it.
    pub(crate) fn segment_index(segments: &Segments, offset: Offset) -> usize {
        segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    /// Bytes of batches between two offsets, roughly: whole batches, as positions tell.
    pub(crate) fn bytes_between(&self, from: Offset, upper: Offset) -> Result<u64, ReadError> {
        if from >= upper {
            return Ok(0);
        }
        let segments = self.segments.load_full();
        let mut total = 0;
        for segment in segments.iter().skip(Self::segment_index(&segments, from)) {
            if segment.base_offset >= upper {
                break;
            }
            total += self.position_in(segment, upper)? - self.position_in(segment, from)?;
        }
        Ok(total)
    }

    fn position_in(&self, segment: &Segment, offset: Offset) -> Result<u64, ReadError> {
        if offset <= segment.base_offset {
            return Ok(0);
        }
        if offset >= self.log_end() {
            return Ok(segment.size());
        }
        match segment.map(&self.environment)? {
            None => Ok(0),
            Some(map) => Ok(segment.position_of_end(&self.environment, &map, offset)? as u64),
        }
    }
}

/// A stable number of milliseconds below `jitter_ms`, different from log to log and from segment
/// to segment.
fn jitter(log: LogNumber, base_offset: Offset, jitter_ms: i64) -> i64 {
    if jitter_ms <= 0 {
        return 0;
    }
    let mixed =
        (log.0 ^ (base_offset.0 as u64).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 1) as i64 % jitter_ms
}
