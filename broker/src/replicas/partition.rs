//! One partition on this broker: its log, its role, one lock, and those who wait for it.
//!
//! The lock is held for validation and the copy into the log, never across an await. Readers take
//! no lock: they see the log through its published offsets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::time::Instant;

use milena_cluster::coordinator::Producer;
use milena_cluster::{replica, time};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{
    LeaderEpoch, NodeId, Offset, PartitionIndex, Sequence, Timestamp, Uuid,
};
use milena_protocol::record::control::{ControlType, end_transaction_marker};
use milena_storage::{
    ActiveProducer, AppendContext, AppendError, Appended, Compaction, FlushHandle, Log, LogConfig,
    LogOffsets, LogReader, Origin, StartHandle, StorageError,
};
use parking_lot::Mutex;

use super::durable::Durable;
use super::progress::Progress;
use super::verification::{Guard, Start, Verifications};

/// What `acks` says of appends that count when every replica in sync has them.
const ALL_REPLICAS: i16 = -1;

/// A partition whose log this broker keeps.
pub struct Partition {
    topic: Text,
    topic_id: Uuid,
    index: PartitionIndex,
    leader: NodeId,
    directory_id: Uuid,
    leader_epoch: AtomicI32,
    /// Where the oldest open transaction begins; the largest offset where none is open.
    open_from: AtomicI64,
    reader: Arc<LogReader>,
    state: Mutex<State>,
    flush: FlushHandle,
    compaction: Compaction,
    start: StartHandle,
    durable: Arc<Durable>,
    progress: Progress,
    is_retired: AtomicBool,
}

struct State {
    log: Log,
    role: replica::Leader,
    verifications: Verifications,
    began_at: Instant,
    outputs: Vec<replica::Output>,
}

impl State {
    /// Lets the role take an input, and the log the high watermark that follows from it.
    fn step(&mut self, input: replica::Input) {
        let now = time::Instant::default().plus(self.began_at.elapsed());
        self.role.step(now, input, &mut self.outputs);
        for output in self.outputs.drain(..) {
            match output {
                replica::Output::AdvanceHighWatermark(offset) => {
                    self.log.update_high_watermark(offset);
                }
                // Nobody but the leader keeps a replica yet, so nothing is proposed.
                replica::Output::Propose(_) => {}
            }
        }
    }
}

/// The end of a producer's transaction, as its coordinator decided it.
#[derive(Clone, Copy, Debug)]
pub struct Marker {
    /// The producer; the epoch is that of the marker.
    pub producer: Producer,
    /// Whether it commits; else it aborts.
    pub is_commit: bool,
    /// The epoch of the coordinator.
    pub coordinator_epoch: LeaderEpoch,
    /// Whether the end of the transaction raised the epoch (KIP-890).
    pub is_raised: bool,
}

/// What an append has to do with a transaction.
enum Bound {
    /// Nothing.
    Free,
    /// It is a producer's, in its transaction.
    Inside(Producer, Start, Option<Guard>),
    /// It ends a producer's transaction.
    Ends(Producer),
}

/// Where an append went, and up to where acks=all has to wait.
#[derive(Debug)]
pub struct Placed {
    /// What the log says.
    pub appended: Appended,
    /// How many records it holds.
    pub records: u64,
    /// What acknowledges it.
    pub acknowledgement: Acknowledgement,
}

/// What acknowledges everything below an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The high watermark that has to be reached.
    pub end: Offset,
    /// Whether it must be on stable storage besides.
    pub must_flush: bool,
}

impl Acknowledgement {
    /// Whether it counts for acks=all where the log stands now. The high watermark alone does not
    /// tell of a retry on a topic that has asked for stable storage since the first time.
    #[must_use]
    pub fn counts(&self, offsets: LogOffsets) -> bool {
        offsets.high_watermark >= self.end
            && (!self.must_flush || offsets.flushed_offset >= self.end)
    }
}

/// Why records were not deleted.
#[derive(Debug)]
pub enum DeleteRecordsError {
    /// The offset is above the high watermark.
    OutOfRange,
    /// The log is only compacted.
    OnlyCompacted,
    /// The disk refused.
    Storage(StorageError),
}

impl From<ErrorCode> for ProduceError {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}

/// Why a produce was not appended.
#[derive(Debug)]
pub enum ProduceError {
    /// The role refuses: not the leader, or too few replicas in sync.
    Refused(ErrorCode),
    /// The log refuses.
    Append(AppendError),
}

impl Partition {
    /// Takes a log into service as its leader.
    #[must_use]
    pub fn lead(
        topic: Text,
        topic_id: Uuid,
        index: PartitionIndex,
        directory_id: Uuid,
        mut log: Log,
        role: replica::Leader,
    ) -> Self {
        let reader = log.reader();
        let flush = log.flush_handle();
        let compaction = log.compaction();
        let start = log.start_handle();
        let leader_epoch = role.leader_epoch();
        log.update_high_watermark(role.high_watermark());
        Self {
            topic,
            topic_id,
            index,
            leader: role.node(),
            directory_id,
            leader_epoch: AtomicI32::new(leader_epoch.0),
            open_from: AtomicI64::new(open_from(&log)),
            reader,
            state: Mutex::new(State {
                log,
                role,
                verifications: Verifications::default(),
                began_at: Instant::now(),
                outputs: Vec::new(),
            }),
            flush,
            compaction,
            start,
            durable: Arc::default(),
            progress: Progress::default(),
            is_retired: AtomicBool::new(false),
        }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &Text {
        &self.topic
    }

    /// The topic's id.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// The partition's number.
    #[must_use]
    pub fn index(&self) -> PartitionIndex {
        self.index
    }

    /// The node that leads it.
    #[must_use]
    pub fn leader(&self) -> NodeId {
        self.leader
    }

    /// The directory that holds its log.
    #[must_use]
    pub fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// The epoch of its leader.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.load(Ordering::Acquire))
    }

    /// The log, for reading.
    #[must_use]
    pub fn reader(&self) -> &Arc<LogReader> {
        &self.reader
    }

    /// The log, for compacting it.
    #[must_use]
    pub fn compaction(&self) -> &Compaction {
        &self.compaction
    }

    /// Everything below is decided: no transaction is open below it.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        let high_watermark = self.reader.offsets().high_watermark;
        Offset(self.open_from.load(Ordering::Acquire)).min(high_watermark)
    }

    /// Takes it out of service: whoever waits is told, and nobody reads or writes it any more.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.progress.wake();
    }

    /// Whether it was taken out of service.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Those who wait for it.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Compares the leader epoch that a client believes in with ours; −1 believes anything.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH for an older one, UNKNOWN_LEADER_EPOCH for a newer one (KIP-320).
    pub fn check_epoch(&self, believed: LeaderEpoch) -> Result<(), ErrorCode> {
        let ours = self.leader_epoch();
        if believed == LeaderEpoch::NONE || believed == ours {
            Ok(())
        } else if believed < ours {
            Err(ErrorCode::FENCED_LEADER_EPOCH)
        } else {
            Err(ErrorCode::UNKNOWN_LEADER_EPOCH)
        }
    }

    /// Appends one batch of a client.
    ///
    /// # Errors
    /// When the role or the log refuses it; nothing is stored then.
    pub fn append_as_leader(
        &self,
        batch: &[u8],
        acks: i16,
        now: Timestamp,
    ) -> Result<Placed, ProduceError> {
        self.append(batch, acks, now, Origin::Client, Bound::Free)
    }

    /// Appends one batch of a coordinator of this broker: its records, or the marker that ends a
    /// transaction.
    ///
    /// # Errors
    /// When the role or the log refuses it; nothing is stored then.
    pub fn append_as_coordinator(
        &self,
        batch: &[u8],
        now: Timestamp,
    ) -> Result<Placed, ProduceError> {
        self.append(batch, ALL_REPLICAS, now, Origin::Coordinator, Bound::Free)
    }

    /// Whether the transaction coordinator has to be asked before a producer writes here in its
    /// transaction: not where it has one open. The guard is to be given with the append.
    #[must_use]
    pub fn begin_verification(&self, producer: Producer) -> Option<Guard> {
        let mut state = self.state.lock();
        if state.log.has_open_transaction(producer.id, producer.epoch) {
            return None;
        }
        Some(state.verifications.begin(producer))
    }

    /// Whether what was asked for under a guard still counts.
    #[must_use]
    pub fn is_verified(&self, producer: Producer, guard: Guard) -> bool {
        self.state.lock().verifications.holds(producer, Some(guard))
    }

    /// Appends one batch of a client in its transaction, which is open here, or of which the
    /// coordinator said so under a guard.
    ///
    /// # Errors
    /// INVALID_TXN_STATE when the transaction ended after the coordinator was asked,
    /// OUT_OF_ORDER_SEQUENCE_NUMBER when an unknown producer has to begin at 0, else as
    /// [`Partition::append_as_leader`].
    pub fn append_in_transaction(
        &self,
        batch: &[u8],
        acks: i16,
        now: Timestamp,
        (producer, start): (Producer, Start),
        guard: Option<Guard>,
    ) -> Result<Placed, ProduceError> {
        self.append(batch, acks, now, Origin::Client, Bound::Inside(producer, start, guard))
    }

    /// Appends the marker that ends a producer's transaction here, open or not.
    ///
    /// # Errors
    /// As [`Partition::append_as_coordinator`].
    pub fn append_marker(&self, marker: Marker, now: Timestamp) -> Result<Placed, ProduceError> {
        let Marker { producer, coordinator_epoch, .. } = marker;
        let control = if marker.is_commit { ControlType::Commit } else { ControlType::Abort };
        let batch =
            end_transaction_marker(control, producer.id, producer.epoch, coordinator_epoch.0, now)
                .map_err(|_| ProduceError::Refused(ErrorCode::UNKNOWN_SERVER_ERROR))?;
        let origin = if marker.is_raised { Origin::RaisedMarker } else { Origin::Coordinator };
        self.append(&batch, ALL_REPLICAS, now, origin, Bound::Ends(producer))
    }

    fn append(
        &self,
        batch: &[u8],
        acks: i16,
        now: Timestamp,
        origin: Origin,
        bound: Bound,
    ) -> Result<Placed, ProduceError> {
        // Without the lock: looking at a batch takes longer than copying it.
        let admitted = self.reader.admit(batch, origin, now);
        let mut state = self.state.lock();
        let State { log, role, verifications, .. } = &mut *state;
        role.admit(acks).map_err(ProduceError::Refused)?;
        let admitted = admitted.map_err(ProduceError::Append)?;
        if let Bound::Inside(producer, start, guard) = bound
            && !log.has_open_transaction(producer.id, producer.epoch)
        {
            if !verifications.holds(producer, guard) {
                return Err(ProduceError::Refused(ErrorCode::INVALID_TXN_STATE));
            }
            let found = admitted.base_sequence();
            if start == Start::AtZero && found > Sequence(0) && !log.knows_producer(producer.id) {
                let (producer_id, last) = (producer.id, Sequence::NONE);
                let gap = AppendError::OutOfOrderSequence { producer_id, last, found };
                return Err(ProduceError::Append(gap));
            }
        }
        let context = AppendContext { leader_epoch: role.leader_epoch(), now, origin };
        let appended = log.append_admitted(admitted, context).map_err(ProduceError::Append)?;
        match bound {
            Bound::Free => {}
            Bound::Inside(producer, ..) => verifications.opened(producer),
            Bound::Ends(producer) => verifications.marked(producer, origin == Origin::RaisedMarker),
        }
        self.open_from.store(open_from(log), Ordering::Release);
        let end = appended.last_offset.plus(1);
        let must_flush = log.config().flush_messages == 1;
        if !appended.duplicate && !must_flush {
            let end = log.log_end_offset();
            state.step(replica::Input::Appended(end));
        }
        drop(state);
        self.progress.wake();
        let records = (appended.last_offset.0 - appended.base_offset.0 + 1).unsigned_abs();
        Ok(Placed { appended, records, acknowledgement: Acknowledgement { end, must_flush } })
    }

    /// Returns once what was appended counts: at once where it does already, and without a sync
    /// then, else once it is on stable storage and the high watermark has passed it.
    ///
    /// # Errors
    /// When the disk failed.
    pub async fn acknowledged(
        self: &Arc<Self>,
        acknowledgement: Acknowledgement,
    ) -> Result<(), StorageError> {
        if acknowledgement.counts(self.reader.offsets()) {
            return Ok(());
        }
        let Acknowledgement { end, .. } = acknowledgement;
        let partition = Arc::clone(self);
        self.durable.reach(&self.flush, end, move || partition.synced()).await?;
        // Someone else may have synced it: the flusher that looks at all logs does not tell.
        if self.reader.offsets().high_watermark < end {
            self.synced();
        }
        Ok(())
    }

    /// Has everything below `end` synced, so that it counts even if nobody waits for it.
    pub fn begin_sync(self: &Arc<Self>, end: Offset) {
        let partition = Arc::clone(self);
        let begun = self.durable.begin(&self.flush, end, move || {
            partition.synced();
        });
        // Whoever waits begins one anew if it fails, and tells of the failure.
        drop(begun);
    }

    /// What is on stable storage now counts.
    fn synced(&self) {
        let flushed = self.flush.flushed_offset();
        let mut state = self.state.lock();
        let end = flushed.min(state.log.log_end_offset());
        state.step(replica::Input::Appended(end));
        drop(state);
        self.progress.wake();
    }

    /// Moves the log start offset forward, as DeleteRecords asks; −1 means the high watermark.
    /// Answers the new log start offset. Blocks.
    ///
    /// # Errors
    /// [`DeleteRecordsError`]; nothing is deleted then.
    pub fn delete_records_before(&self, offset: Offset) -> Result<Offset, DeleteRecordsError> {
        let state = self.state.lock();
        let cleanup = state.log.config().cleanup;
        if cleanup.compact && !cleanup.delete {
            return Err(DeleteRecordsError::OnlyCompacted);
        }
        let high_watermark = state.log.high_watermark();
        drop(state);
        let target = if offset == Offset::NONE { high_watermark } else { offset };
        if target > high_watermark || target < Offset::ZERO {
            return Err(DeleteRecordsError::OutOfRange);
        }
        // The disk is waited for without the lock: the high watermark never falls.
        self.start.advance(target).map_err(DeleteRecordsError::Storage)?;
        let start = self.reader.offsets().log_start_offset;
        self.progress.wake();
        Ok(start)
    }

    /// Applies a topic's new configuration.
    pub fn configure(&self, config: LogConfig, settings: replica::Settings) {
        let mut state = self.state.lock();
        state.step(replica::Input::Configured(settings));
        state.log.set_config(config);
        drop(state);
        self.progress.wake();
    }

    /// Removes what retention allows; answers how many segments went. Blocks.
    ///
    /// # Errors
    /// When the disk refused.
    pub fn retain(&self, now: Timestamp) -> Result<usize, StorageError> {
        let removed = self.start.retain(now)?.len();
        if removed > 0 {
            self.progress.wake();
        }
        Ok(removed)
    }

    /// The producers that the log remembers.
    #[must_use]
    pub fn producers(&self) -> Vec<ActiveProducer> {
        self.state.lock().log.producers()
    }

    /// Gives the log back, to be deleted or moved.
    #[must_use]
    pub fn into_log(self) -> Log {
        self.state.into_inner().log
    }
}

fn open_from(log: &Log) -> i64 {
    log.first_open_transaction_offset().map_or(i64::MAX, |offset| offset.0)
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partition({}-{})", self.topic, self.index)
    }
}

/// The leader of a partition that nobody else keeps.
#[cfg(test)]
pub(crate) fn alone(node: NodeId, log_end_offset: Offset) -> replica::Leader {
    let standing = replica::Standing {
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        replicas: vec![node],
        isr: vec![node],
        is_recovering: false,
        peers: std::collections::BTreeMap::new(),
    };
    let settings =
        replica::Settings { min_insync_replicas: 1, max_lag: std::time::Duration::from_secs(30) };
    let high_watermark = Offset::ZERO;
    let begin = replica::Begin { node, standing, log_end_offset, high_watermark, settings };
    replica::Leader::begin(begin, time::Instant::default(), &mut Vec::new())
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::{ProducerEpoch, ProducerId};
    use milena_storage::{DirectoryOptions, LogDirectory, RealDisk};

    use super::*;

    /// A retry would be acknowledged while the first attempt still waits for its sync.
    #[test]
    fn a_retry_counts_when_its_records_do() {
        let counts = |must_flush, high_watermark, flushed_offset| {
            let acknowledgement = Acknowledgement { end: Offset(5), must_flush };
            acknowledgement.counts(LogOffsets {
                log_start_offset: Offset(0),
                log_end_offset: Offset(9),
                high_watermark: Offset(high_watermark),
                flushed_offset: Offset(flushed_offset),
            })
        };
        assert!(counts(false, 5, 0) && !counts(false, 4, 9));
        assert!(counts(true, 5, 5) && !counts(true, 9, 4) && !counts(true, 4, 9));
    }

    fn lead(directory: &LogDirectory, config: LogConfig) -> Arc<Partition> {
        let (id, index) = (Uuid::from_u128(9 << 64), PartitionIndex(0));
        let log = directory.open_log("t", id, index, config).unwrap();
        let role = alone(NodeId(1), log.log_end_offset());
        Arc::new(Partition::lead("t".into(), id, index, directory.id(), log, role))
    }

    /// Each transaction waited for a sync of each of its partitions, whatever the topic asks for;
    /// or one on a durable topic would be over before its marker is safe.
    #[tokio::test]
    async fn a_marker_is_synced_where_the_topic_asks_for_it() {
        let marker = Marker {
            producer: Producer { id: ProducerId(4), epoch: ProducerEpoch(0) },
            is_commit: true,
            coordinator_epoch: LeaderEpoch(0),
            is_raised: false,
        };
        for (flush_messages, flushed) in [(u64::MAX, Offset(0)), (1, Offset(1))] {
            let root = tempfile::tempdir().unwrap();
            let options =
                DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(NodeId(1)) };
            let directory = LogDirectory::open(root.path(), options, Arc::new(RealDisk)).unwrap();
            let config = LogConfig { flush_messages, ..LogConfig::default() };
            let partition = lead(&directory, config);
            let placed = partition.append_marker(marker, Timestamp(1)).unwrap();
            partition.acknowledged(placed.acknowledgement).await.unwrap();
            let offsets = partition.reader().offsets();
            assert_eq!((offsets.high_watermark, offsets.flushed_offset), (Offset(1), flushed));
        }
    }
}
