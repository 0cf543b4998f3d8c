//! The writer's side of one log: append, roll, move its marks, forget its oldest segments.
//!
//! The caller holds the partition's one lock and so has `&mut Log`. Everything that a reader
//! needs is published through [`LogState`](crate::state::LogState), in the order its head gives.

use std::sync::Arc;

use milena_protocol::ids::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, Uuid,
};
use milena_protocol::record::batch::{Batch, HEADER_BYTES, patch};

use crate::admission::{self, Admitted, AdmittedBatch, Origin};
use crate::compaction::Compaction;
use crate::config::{LogConfig, LogTimestamps};
use crate::damage::Damage;
use crate::error::{AppendError, StorageError};
use crate::flush::FlushHandle;
use crate::producers::{ActiveProducer, ProducerWrite};
use crate::reader::LogReader;
use crate::retention::RemovedSegment;
use crate::start::StartHandle;
use crate::state::{Incoming, LogState, Tail};

/// What a leader knows when it appends.
#[derive(Clone, Copy, Debug)]
pub struct AppendContext {
    /// The leader's epoch, written into the batch.
    pub leader_epoch: LeaderEpoch,
    /// The time of the append.
    pub now: Timestamp,
    /// Who wrote the batch.
    pub origin: Origin,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// The time it was stamped with, on topics that stamp at the append.
    pub log_append_time: Option<Timestamp>,
    /// First readable offset of the log.
    pub log_start_offset: Offset,
    /// The producer sent it before: nothing was appended, the offsets are those of the first
    /// time.
    pub duplicate: bool,
}

/// The writer of one log.
#[derive(Debug)]
pub struct Log {
    pub(crate) state: Arc<LogState>,
}

impl Log {
    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.state.topic
    }

    /// The topic's id.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        self.state.topic_id
    }

    /// The partition's number.
    #[must_use]
    pub fn partition(&self) -> PartitionIndex {
        self.state.partition
    }

    /// A reader; any number of them, on any threads.
    #[must_use]
    pub fn reader(&self) -> Arc<LogReader> {
        Arc::new(LogReader::new(Arc::clone(&self.state)))
    }

    /// A handle to wait for durability with, outside of the partition's lock.
    #[must_use]
    pub fn flush_handle(&self) -> FlushHandle {
        FlushHandle::new(Arc::clone(&self.state))
    }

    /// A handle to compact with, outside of the partition's lock.
    #[must_use]
    pub fn compaction(&self) -> Compaction {
        Compaction::new(Arc::clone(&self.state))
    }

    /// Syncs everything that is in the log. Blocks.
    ///
    /// # Errors
    /// When the sync failed: the directory is offline.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.state.flush(self.state.log_end())
    }

    /// Everything below this offset is on the medium.
    #[must_use]
    pub fn flushed_offset(&self) -> Offset {
        self.state.recovery_point()
    }

    /// Whether so many bytes more can be written while what is kept back for emergencies stays
    /// where it is. Asks for the space already.
    ///
    /// # Errors
    /// [`StorageError::Full`], or when the directory is offline.
    pub fn check_room(&self, bytes: usize) -> Result<(), StorageError> {
        let state = &*self.state;
        state.check()?;
        state.check_room(&mut state.tail.lock(), bytes)
    }

    /// First readable offset.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.state.log_start()
    }

    /// One past the last offset.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.state.log_end()
    }

    /// One past the last committed offset, as the log was told.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.state.high_watermark()
    }

    /// The newest leader epoch in the log.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.state.epochs.read().latest()
    }

    /// Notes that a leader's epoch begins at the log's end, though nothing is written in it yet: an
    /// older epoch ends here from now on (KIP-101). A restart forgets it.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        let mut tail = self.state.tail.lock();
        tail.epochs_changed |= self.state.epochs.write().assign(epoch, self.state.log_end());
    }

    /// Forgets epochs in which nothing is written: whoever led in them and follows now takes what
    /// another leader wrote at that place, which may be of an older epoch.
    pub fn forget_unwritten_epochs(&mut self) {
        let mut tail = self.state.tail.lock();
        tail.epochs_changed |= self.state.epochs.write().truncate_to(self.state.log_end());
    }

    /// What was given up when it was opened; none where all could be read.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        self.state.damage.as_ref()
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.state.tail.lock().config)
    }

    /// Puts settings in force; they apply to what comes next.
    pub fn set_config(&mut self, config: LogConfig) {
        self.state.tail.lock().config = Arc::new(config);
    }

    /// The producers that the log knows, by id.
    #[must_use]
    pub fn producers(&self) -> Vec<ActiveProducer> {
        self.state.tail.lock().producers.active()
    }

    /// Whether a producer has a transaction open here, in this epoch.
    #[must_use]
    pub fn has_open_transaction(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.state.tail.lock().producers.has_open_transaction(id, epoch)
    }

    /// Whether the log remembers anything of a producer.
    #[must_use]
    pub fn knows_producer(&self, id: ProducerId) -> bool {
        self.state.tail.lock().producers.knows(id)
    }

    /// Where the oldest open transaction begins: the last stable offset is the smaller of this
    /// and the high watermark.
    #[must_use]
    pub fn first_open_transaction_offset(&self) -> Option<Offset> {
        self.state.tail.lock().producers.first_open_offset()
    }

    /// Appends one batch as the partition's leader: checks it, recognises a retry, gives it the
    /// next offsets and stores it.
    ///
    /// # Errors
    /// Nothing was appended; see [`AppendError`].
    pub fn append_as_leader(
        &mut self,
        batch: &[u8],
        context: AppendContext,
    ) -> Result<Appended, AppendError> {
        let admitted = self.state.admit(batch, context.origin, context.now)?;
        self.append_admitted(admitted, context)
    }

    /// Appends a batch that [`LogReader::admit`] has looked at.
    ///
    /// # Errors
    /// As [`Log::append_as_leader`].
    pub fn append_admitted(
        &mut self,
        admitted: AdmittedBatch<'_>,
        context: AppendContext,
    ) -> Result<Appended, AppendError> {
        let AdmittedBatch { batch, admitted } = admitted;
        let state = &*self.state;
        state.check()?;
        let mut tail = state.tail.lock();
        let base_offset = state.log_end();
        let latest = state.epochs.read().latest().unwrap_or(LeaderEpoch::NONE);
        if context.leader_epoch < latest {
            return Err(AppendError::StaleLeaderEpoch { latest, found: context.leader_epoch });
        }
        if let Some(retried) = check_producer(&tail, &batch, base_offset, context.origin)? {
            return Ok(Appended { log_start_offset: state.log_start(), ..retried });
        }
        let (mut bytes, mut head, log_append_time);
        let (head, body) = match admitted {
            Admitted::InPlace { head: original } => {
                head = original;
                log_append_time = None;
                (&mut head[..], batch.records_bytes())
            }
            Admitted::Rebuilt { batch, log_append_time: stamp } => {
                bytes = batch;
                log_append_time = stamp;
                let head_bytes = HEADER_BYTES.min(bytes.len());
                let (head, body) = bytes.split_at_mut(head_bytes);
                (head, &*body)
            }
        };
        patch::place(head, base_offset, context.leader_epoch);
        let last_offset = base_offset.plus(i64::from(batch.last_offset_delta()));
        let incoming = Incoming {
            max_timestamp: admission::max_timestamp(head),
            head,
            body,
            base_offset,
            last_offset,
            leader_epoch: context.leader_epoch,
            is_internal: context.origin != Origin::Client,
        };
        state.append(&mut tail, incoming, context.now)?;
        note_producer(state, &mut tail, &batch, base_offset, log_append_time);
        let log_start_offset = state.log_start();
        Ok(Appended {
            base_offset,
            last_offset,
            log_append_time,
            log_start_offset,
            duplicate: false,
        })
    }

    /// Appends batches that a leader has numbered already, byte for byte: fetched from another
    /// replica, or the metadata quorum's own. A batch cut at the end is left out. Returns the
    /// log's new end.
    ///
    /// # Errors
    /// The batches before the bad one are in the log.
    pub fn append_as_follower(
        &mut self,
        records: &[u8],
        now: Timestamp,
    ) -> Result<Offset, AppendError> {
        let state = &*self.state;
        state.check()?;
        let mut tail = state.tail.lock();
        let mut rest = records;
        while let Some((batch, behind)) = admission::next_whole(rest)? {
            rest = behind;
            let log_end_offset = state.log_end();
            // Offsets may skip: compaction leaves gaps, and an empty log takes any start.
            if batch.base_offset() < log_end_offset || batch.last_offset_delta() < 0 {
                let found = batch.base_offset();
                return Err(AppendError::UnexpectedOffset { log_end_offset, found });
            }
            let latest = state.epochs.read().latest().unwrap_or(LeaderEpoch::NONE);
            if batch.leader_epoch() < latest {
                return Err(AppendError::StaleLeaderEpoch { latest, found: batch.leader_epoch() });
            }
            batch
                .verify_crc()
                .map_err(|error| AppendError::Corrupt { reason: error.to_string() })?;
            let incoming = Incoming {
                head: batch.bytes(),
                body: &[],
                base_offset: batch.base_offset(),
                last_offset: batch.last_offset(),
                max_timestamp: batch.max_timestamp(),
                leader_epoch: batch.leader_epoch(),
                is_internal: true,
            };
            state.append(&mut tail, incoming, now)?;
            note_producer(state, &mut tail, &batch, batch.base_offset(), None);
        }
        Ok(state.log_end())
    }

    /// Raises the high watermark; it never falls and never passes the log's end.
    pub fn update_high_watermark(&mut self, offset: Offset) {
        self.state.raise_high_watermark(offset.min(self.state.log_end()));
    }

    /// Raises the log's first readable offset, as [`StartHandle::advance`] does.
    ///
    /// # Errors
    /// When the mark cannot be kept; the log begins where it did.
    pub fn advance_log_start_offset(&mut self, offset: Offset) -> Result<(), StorageError> {
        self.start_handle().advance(offset)
    }

    /// A handle to move the log's start with, outside of the partition's lock.
    #[must_use]
    pub fn start_handle(&self) -> StartHandle {
        StartHandle::new(Arc::clone(&self.state))
    }

    /// Begins a new segment, unless the active one is empty.
    ///
    /// # Errors
    /// When the disk refuses; the log goes on with its old segment.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), StorageError> {
        let mut tail = self.state.tail.lock();
        self.state.roll(&mut tail, self.state.log_end(), now)
    }

    /// Removes segments, as [`StartHandle::retain`] does.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn retain(&mut self, now: Timestamp) -> Result<Vec<RemovedSegment>, StorageError> {
        self.start_handle().retain(now)
    }

    /// Cuts the log to end at `end`: of the batch that holds it nothing is kept. Readers keep
    /// what they hold, because the cut segment is written anew.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn truncate_to(&mut self, end: Offset, now: Timestamp) -> Result<(), StorageError> {
        self.state.truncate_to(end, now)
    }

    /// Empties the log and lets it begin at `start`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn truncate_fully_and_start_at(
        &mut self,
        start: Offset,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        self.state.truncate_fully(start, now)
    }
}

/// The rules of idempotence and of markers, for a batch that a leader is about to number;
/// `Some` is the answer to a retry.
fn check_producer(
    tail: &Tail,
    batch: &Batch<'_>,
    base_offset: Offset,
    origin: Origin,
) -> Result<Option<Appended>, AppendError> {
    if let Some(write) = ProducerWrite::of(batch, base_offset) {
        if origin != Origin::Client {
            return Ok(None);
        }
        return Ok(tail.producers.check(&write)?.map(|first| Appended {
            base_offset: first.first_offset(),
            last_offset: first.last_offset,
            log_append_time: (tail.config.timestamp_type == LogTimestamps::LogAppendTime)
                .then_some(first.timestamp),
            log_start_offset: Offset::NONE,
            duplicate: true,
        }));
    }
    match admission::marker(batch, base_offset) {
        Some((marker, _)) => {
            let is_raised = origin == Origin::RaisedMarker;
            tail.producers.check_marker(&marker, is_raised).map(|()| None)
        }
        None => Ok(None),
    }
}

/// Folds a stored batch into the state of producers and transactions.
fn note_producer(
    state: &LogState,
    tail: &mut Tail,
    batch: &Batch<'_>,
    base_offset: Offset,
    log_append_time: Option<Timestamp>,
) {
    if let Some(mut write) = ProducerWrite::of(batch, base_offset) {
        write.timestamp = log_append_time.unwrap_or(write.timestamp);
        tail.producers.appended(&write);
        tail.producers_changed = true;
    } else if let Some((marker, aborts)) = admission::marker(batch, base_offset) {
        if let Some(aborted) = tail.producers.ended(&marker, aborts) {
            state.active().with_transactions(|index| index.push(aborted));
        }
        tail.producers_changed = true;
    }
}
