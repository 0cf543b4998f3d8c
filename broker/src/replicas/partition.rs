//! One partition on this broker: its log, its role, one lock, and those who wait for it.
//!
//! The lock is held for validation and the copy into the log, never across an await. Readers take
//! no lock: they see the log through its published offsets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};

use milena_cluster::coordinator::Producer;
use milena_cluster::replica::follower::{Follower, Leadership};
use milena_cluster::replica::{Begin, Input, Leader, Output, Settings, Standing};
use milena_cluster::time::Instant;
use milena_cluster::transaction::verification::{Guard, Start, Verifications};
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
use super::role::{Following, Leading, Role};
use super::shared::{Proposed, Shared};
use super::throttle::Throttled;
use super::undecided::{NOTHING, Undecided};
use super::waits::Waits;

pub mod follow;
pub mod lead;
pub mod throttled;

/// What `acks` says of appends that count when every replica in sync has them.
const ALL_REPLICAS: i16 = -1;
/// Records between two syncs on topics that want all of them on stable storage.
const EVERY_RECORD: u64 = 1;

/// Which partition this is, and where its log lies.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The topic's name.
    pub topic: Text,
    /// The topic's id.
    pub topic_id: Uuid,
    /// The partition's number.
    pub index: PartitionIndex,
    /// The directory that holds its log.
    pub directory_id: Uuid,
}

/// A partition whose log this broker keeps.
pub struct Partition {
    identity: Identity,
    shared: Arc<Shared>,
    leader: AtomicI32,
    leader_epoch: AtomicI32,
    is_leading: AtomicBool,
    /// Where the epoch of this leader began.
    epoch_start: AtomicI64,
    /// Where something begins that is undecided; the largest offset where nothing is.
    open_from: AtomicI64,
    /// Whether every record is to be on stable storage before it counts.
    is_durable: AtomicBool,
    throttled: Throttled,
    reader: Arc<LogReader>,
    state: Mutex<State>,
    flush: FlushHandle,
    compaction: Compaction,
    start: StartHandle,
    durable: Arc<Durable>,
    /// Those who wait for the high watermark, the log's start or another leader.
    progress: Progress,
    /// Those who wait for the log's end: the followers.
    ends: Progress,
    is_retired: AtomicBool,
}

struct State {
    log: Log,
    role: Role,
    verifications: Verifications,
    undecided: Undecided,
    waits: Waits,
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
    /// Nothing, and it is of no use in another leader epoch.
    Within(LeaderEpoch),
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

/// Why an append does not count.
#[derive(Debug)]
pub enum NotAcknowledged {
    /// The disk failed.
    Storage(StorageError),
    /// It is not known to be on enough replicas.
    Refused(ErrorCode),
}

impl From<StorageError> for NotAcknowledged {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl std::fmt::Display for NotAcknowledged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "the sync failed: {error}"),
            Self::Refused(code) => write!(f, "it is not on enough replicas: {code}"),
        }
    }
}

impl Partition {
    /// Takes a log into service. Nobody leads it until somebody says so.
    #[must_use]
    pub fn host(identity: Identity, log: Log, shared: Arc<Shared>) -> Self {
        let undecided = Undecided::new(log.first_open_transaction_offset());
        let partition = Self {
            identity,
            shared,
            leader: AtomicI32::new(NodeId::NONE.0),
            leader_epoch: AtomicI32::new(LeaderEpoch::NONE.0),
            is_leading: AtomicBool::new(false),
            epoch_start: AtomicI64::new(0),
            open_from: AtomicI64::new(NOTHING.0),
            is_durable: AtomicBool::new(is_durable(&log.config())),
            throttled: Throttled::default(),
            reader: log.reader(),
            flush: log.flush_handle(),
            compaction: log.compaction(),
            start: log.start_handle(),
            durable: Arc::default(),
            progress: Progress::default(),
            ends: Progress::default(),
            is_retired: AtomicBool::new(false),
            state: Mutex::new(State {
                log,
                role: Role::Following(Following::default()),
                verifications: Verifications::default(),
                undecided,
                waits: Waits::default(),
            }),
        };
        partition.reached(&mut partition.state.lock());
        partition
    }

    /// A partition that has no other replica.
    #[cfg(test)]
    pub(crate) fn led_alone(directory_id: Uuid, log: Log) -> Self {
        let (topic, topic_id, index) = (log.topic().into(), log.topic_id(), log.partition());
        let identity = Identity { topic, topic_id, index, directory_id };
        let partition =
            Self::host(identity, log, Arc::new(Shared::new(NodeId(1), Default::default())));
        let standing = Standing {
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: vec![NodeId(1)],
            isr: vec![NodeId(1)],
            is_recovering: false,
            peers: Default::default(),
        };
        let max_lag = std::time::Duration::from_secs(30);
        partition.lead(standing, Settings { min_insync_replicas: 1, max_lag }).unwrap();
        partition
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &Text {
        &self.identity.topic
    }

    /// The topic's id.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        self.identity.topic_id
    }

    /// The partition's number.
    #[must_use]
    pub fn index(&self) -> PartitionIndex {
        self.identity.index
    }

    /// The node that leads it; −1 nobody.
    #[must_use]
    pub fn leader(&self) -> NodeId {
        NodeId(self.leader.load(Ordering::Acquire))
    }

    /// Whether this broker leads it.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.is_leading.load(Ordering::Acquire)
    }

    /// Whether what was acknowledged before this leader's epoch may not be known to be yet: it is
    /// not the latest offset that is acknowledged which is known here (KIP-207).
    #[must_use]
    pub fn is_catching_up(&self) -> bool {
        let epoch_start = Offset(self.epoch_start.load(Ordering::Acquire));
        self.is_leading() && self.reader.offsets().high_watermark < epoch_start
    }

    /// The directory that holds its log.
    #[must_use]
    pub fn directory_id(&self) -> Uuid {
        self.identity.directory_id
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

    /// Whether it was taken out of service.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Those who wait for the high watermark, the log's start or another leader.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Those who wait for the log's end.
    #[must_use]
    pub fn ends(&self) -> &Progress {
        &self.ends
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

    /// Leads from now on, as the metadata has it; or goes on to lead, and learns what is new.
    /// Blocks where all that is in the log has to be on stable storage before it counts.
    ///
    /// # Errors
    /// When the disk refuses; somebody else has to lead.
    pub fn lead(&self, standing: Standing, settings: Settings) -> Result<(), StorageError> {
        let now = self.shared.clock().now();
        let mut state = self.state.lock();
        match &state.role {
            Role::Retired => return Ok(()),
            Role::Leading(leading) if leading.machine.leader_epoch() == standing.leader_epoch => {
                self.step(&mut state, now, Input::Learned(standing));
            }
            _ => self.begin_to_lead(&mut state, standing, settings)?,
        }
        drop(state);
        Progress::wake_all([&self.progress, &self.ends]);
        Ok(())
    }

    /// A leader learns of the partition and of its brokers; whoever does not lead needs not know.
    pub fn learn(&self, standing: Standing) {
        let now = self.shared.clock().now();
        let has_moved = self.step(&mut self.state.lock(), now, Input::Learned(standing));
        if has_moved {
            self.progress.wake();
        }
    }

    fn begin_to_lead(
        &self,
        state: &mut State,
        standing: Standing,
        settings: Settings,
    ) -> Result<(), StorageError> {
        let epoch = standing.leader_epoch;
        if epoch < self.leader_epoch() {
            return Ok(());
        }
        if self.is_durable() {
            // A leader takes all of it for its own. A kill leaves records that nobody has synced.
            state.log.flush()?;
        }
        state.log.begin_epoch(epoch);
        let begin = Begin {
            node: self.shared.node(),
            standing,
            log_end_offset: state.log.log_end_offset(),
            high_watermark: state.log.high_watermark(),
            settings,
        };
        self.epoch_start.store(begin.log_end_offset.0, Ordering::Release);
        let mut outputs = Vec::new();
        let machine = Leader::begin(begin, self.shared.clock().now(), &mut outputs);
        state.role = Role::Leading(Leading { machine, outputs: Vec::new() });
        state.verifications = Verifications::default();
        self.execute(state, &mut outputs);
        self.led_by(Leadership { leader: self.shared.node(), epoch });
        Ok(())
    }

    /// Follows a leader from now on, or waits for one; answers whether that is news. Blocks where
    /// all that is in the log has to be on stable storage before it counts.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn follow(&self, leadership: Leadership) -> Result<bool, StorageError> {
        let mut state = self.state.lock();
        let is_known = match &state.role {
            Role::Retired => true,
            // The same leader in another partition epoch: nothing that its followers need to know.
            Role::Following(following) => {
                following.machine.as_ref().map(Follower::leadership) == Some(leadership)
            }
            Role::Leading(_) => false,
        };
        if is_known || leadership.epoch < self.leader_epoch() {
            return Ok(false);
        }
        // Who goes on elsewhere may have other records at the places that they wait for.
        state.waits.refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        state.verifications = Verifications::default();
        state.log.forget_unwritten_epochs();
        if self.is_durable() {
            state.log.flush()?;
        }
        state.role = Role::Following(Following::begin(&state.log, leadership));
        self.led_by(leadership);
        drop(state);
        Progress::wake_all([&self.progress, &self.ends]);
        Ok(true)
    }

    /// Takes it out of service: whoever waits is told, and nobody reads or writes it any more.
    pub fn retire(&self) {
        let mut state = self.state.lock();
        state.role = Role::Retired;
        state.waits.refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        self.led_by(Leadership { leader: NodeId::NONE, epoch: self.leader_epoch() });
        self.is_retired.store(true, Ordering::Release);
        drop(state);
        Progress::wake_all([&self.progress, &self.ends]);
    }

    fn led_by(&self, leadership: Leadership) {
        let Leadership { leader, epoch } = leadership;
        let was_leading = self.is_leading();
        self.leader.store(leader.0, Ordering::Release);
        self.leader_epoch.store(epoch.0, Ordering::Release);
        let is_leading = leader == self.shared.node();
        self.is_leading.store(is_leading, Ordering::Release);
        if was_leading || is_leading {
            self.shared.leadership_changed();
        }
    }

    /// Whether every record is to be on stable storage before it counts.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.is_durable.load(Ordering::Acquire)
    }

    /// The high watermark is where the log says: consumers see more, and appends count.
    fn reached(&self, state: &mut State) {
        let high_watermark = state.log.high_watermark();
        self.open_from.store(state.undecided.reached(high_watermark).0, Ordering::Release);
        state.waits.reached(high_watermark, Ok(()));
    }

    /// Something was appended or cut off: what is undecided is known before more is acknowledged.
    fn look_for_undecided(&self, state: &mut State) {
        let State { log, undecided, .. } = state;
        undecided.appended(log.first_open_transaction_offset(), log.log_end_offset());
        self.open_from.store(undecided.reached(log.high_watermark()).0, Ordering::Release);
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
    pub fn configure(&self, config: LogConfig, settings: Settings) {
        let now = self.shared.clock().now();
        let mut state = self.state.lock();
        let was_durable = self.is_durable.swap(is_durable(&config), Ordering::AcqRel);
        state.log.set_config(config);
        let mut has_moved = self.step(&mut state, now, Input::Configured(settings));
        if was_durable && !self.is_durable() {
            let end = state.log.log_end_offset();
            has_moved |= self.step(&mut state, now, Input::Appended(end));
        }
        drop(state);
        if has_moved {
            self.progress.wake();
        }
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

fn is_durable(config: &LogConfig) -> bool {
    config.flush_messages == EVERY_RECORD
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Partition({}-{})", self.identity.topic, self.identity.index)
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::{ProducerEpoch, ProducerId};
    use milena_protocol::record::{BatchBuilder, BatchOptions};
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
        Arc::new(Partition::led_alone(directory.id(), log))
    }

    fn open(root: &std::path::Path) -> LogDirectory {
        let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(NodeId(1)) };
        LogDirectory::open(root, options, Arc::new(RealDisk)).unwrap()
    }

    /// After a kill a durable topic would acknowledge, and show, records that a power cut takes.
    #[test]
    fn what_a_kill_left_unsynced_does_not_count_on_a_durable_topic() {
        let root = tempfile::tempdir().unwrap();
        let partition = lead(&open(root.path()), LogConfig::default());
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.append(Timestamp(1), None, Some(b"v"), &[]);
        partition.append_as_leader(&batch.build().unwrap(), 1, Timestamp(1)).unwrap();
        drop(partition);
        for (flush_messages, flushed) in [(u64::MAX, Offset(0)), (EVERY_RECORD, Offset(1))] {
            let config = LogConfig { flush_messages, ..LogConfig::default() };
            let offsets = lead(&open(root.path()), config).reader().offsets();
            assert_eq!((offsets.flushed_offset, offsets.high_watermark), (flushed, Offset(1)));
        }
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
            let config = LogConfig { flush_messages, ..LogConfig::default() };
            let partition = lead(&open(root.path()), config);
            let placed = partition.append_marker(marker, Timestamp(1)).unwrap();
            partition.acknowledged(placed.acknowledgement).await.unwrap();
            let offsets = partition.reader().offsets();
            assert_eq!((offsets.high_watermark, offsets.flushed_offset), (Offset(1), flushed));
        }
    }
}
