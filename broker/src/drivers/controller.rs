//! The controller's thread: it lets the controller decide, the quorum order, the log keep, and then
//! publishes. It holds no rules of its own.
//!
//! Requests that come while one is being synced share the next sync. What is answered has been
//! committed, applied to this broker's logs and published.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use milena_cluster::controller::{Controller, Decision, Proposal};
use milena_cluster::metadata::batch;
use milena_cluster::metadata::delta::{Changes, Delta};
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum::{Append, Content, Input, Output, Quorum, ReplicaKey, SnapshotId};
use milena_cluster::time::{Instant as QuorumInstant, Now};
use milena_protocol::codec::EncodeError;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp};
use milena_protocol::metadata_record::MetadataRecord;
use milena_storage::{AppendContext, Log, Origin};
use parking_lot::RwLock;
use tokio::sync::oneshot;

use super::metadata_log::QuorumFiles;

/// Requests that share one sync.
const MAX_BATCH: usize = 256;
/// How often the thread looks whether a snapshot is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// A request on its way: it decides, and gives what answers it.
type Job = Box<dyn FnOnce(&Controller, Timestamp) -> (Vec<MetadataRecord>, Finish) + Send>;
/// Lets an answer go, or says why there is none.
type Finish = Box<dyn FnOnce(Result<(), ErrorCode>) + Send>;

/// How the quorum stands, for those who describe it.
#[derive(Clone, Debug)]
pub struct QuorumView {
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The leader.
    pub leader: NodeId,
    /// Everything below is committed.
    pub high_watermark: Offset,
    /// Where the log ends.
    pub log_end_offset: Offset,
    /// The voters.
    pub voters: Vec<ReplicaKey>,
}

/// The way to the controller.
#[derive(Clone)]
pub struct ControllerHandle {
    jobs: Sender<Job>,
    node: NodeId,
    view: Arc<RwLock<QuorumView>>,
}

impl ControllerHandle {
    /// Lets the controller decide, and returns its answer once it is committed and applied.
    ///
    /// # Errors
    /// NOT_CONTROLLER when the controller is gone, KAFKA_STORAGE_ERROR when its disk is full,
    /// INVALID_REQUEST when the decision is too large.
    pub async fn call<A: Send + 'static>(
        &self,
        decide: impl FnOnce(&Controller, Timestamp) -> Decision<A> + Send + 'static,
    ) -> Result<A, ErrorCode> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |controller, now| {
            let Decision { records, answer } = decide(controller, now);
            let finish: Finish = Box::new(move |admitted| {
                // Whoever asked may have gone away.
                let _ = sender.send(admitted.map(|()| answer));
            });
            (records, finish)
        });
        self.jobs.send(job).map_err(|_| ErrorCode::NOT_CONTROLLER)?;
        receiver.await.unwrap_or(Err(ErrorCode::NOT_CONTROLLER))
    }

    /// The next block of producer ids for this broker.
    ///
    /// # Errors
    /// What the controller answers.
    pub async fn allocate_producer_ids(&self) -> Result<(i64, i64), ErrorCode> {
        let node = self.node;
        let answer = self.call(move |controller, _| controller.allocate_producer_ids(node)).await?;
        answer.map_err(|refused| refused.code)
    }

    /// How the quorum stands.
    #[must_use]
    pub fn quorum(&self) -> QuorumView {
        self.view.read().clone()
    }
}

/// Takes a committed image into effect on this broker.
pub type Publish = Box<dyn FnMut(&Arc<MetadataImage>, &Changes) + Send>;

/// When snapshots are written.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotRules {
    /// After this many bytes of records.
    pub max_bytes: u64,
    /// After this long, if anything changed.
    pub max_interval: Duration,
}

/// The controller with its quorum and its log.
pub struct Driver {
    controller: Controller,
    quorum: Quorum,
    log: Log,
    files: QuorumFiles,
    /// The image as of the last commit.
    image: Arc<MetadataImage>,
    /// Appended and not committed: where each batch begins, its epoch, its records.
    uncommitted: Vec<(Offset, LeaderEpoch, Vec<MetadataRecord>)>,
    publish: Option<Publish>,
    view: Arc<RwLock<QuorumView>>,
    rules: SnapshotRules,
    bytes_since_snapshot: u64,
    snapshot_at: Instant,
    clock: fn() -> Timestamp,
    /// Where the quorum's own clock begins.
    started_at: Instant,
}

/// A part of the driver failed in a way that it must not survive: what is on the disk is no longer
/// what the machines believe.
#[derive(Debug)]
pub struct Fatal(pub String);

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}

/// What a driver is made of.
pub struct Parts {
    /// The controller, with everything replayed that the log holds.
    pub controller: Controller,
    /// The quorum as it was restored, at the instant 0 of its own clock.
    pub quorum: Quorum,
    /// The metadata log.
    pub log: Log,
    /// The small files beside it.
    pub files: QuorumFiles,
    /// When snapshots are written.
    pub rules: SnapshotRules,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

impl Driver {
    /// A driver that has not begun.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let view = view_of(&parts.quorum);
        Self {
            image: Arc::new(parts.controller.image().clone()),
            controller: parts.controller,
            quorum: parts.quorum,
            log: parts.log,
            files: parts.files,
            uncommitted: Vec::new(),
            publish: None,
            view: Arc::new(RwLock::new(view)),
            rules: parts.rules,
            bytes_since_snapshot: 0,
            snapshot_at: Instant::now(),
            clock: parts.clock,
            started_at: Instant::now(),
        }
    }

    /// The image as of the last commit.
    #[must_use]
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// The controller, with everything replayed that was appended.
    #[must_use]
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The quorum's turn: it elects itself and appends what begins its epoch.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn begin(&mut self) -> Result<(), Fatal> {
        self.step(Input::Tick)
    }

    /// Lets the controller decide; what follows is appended and waits for [`Driver::commit`].
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn decide<A>(
        &mut self,
        decide: impl FnOnce(&Controller) -> Decision<A>,
    ) -> Result<A, Fatal> {
        let Decision { records, answer } = decide(&self.controller);
        self.propose(records)?;
        Ok(answer)
    }

    /// Starts the thread; from now on committed images are published.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn spawn(mut self, node: NodeId, publish: Publish) -> std::io::Result<ControllerHandle> {
        let (jobs, receiver) = channel();
        self.publish = Some(publish);
        let handle = ControllerHandle { jobs, node, view: self.view.clone() };
        std::thread::Builder::new().name("controller".into()).spawn(move || {
            if let Err(error) = self.run(&receiver) {
                // Crash-only: a restart recovers from what is on the disk.
                tracing::error!(%error, "the controller cannot go on; the process ends");
                std::process::abort();
            }
        })?;
        Ok(handle)
    }

    fn run(&mut self, jobs: &Receiver<Job>) -> Result<(), Fatal> {
        loop {
            let first = match jobs.recv_timeout(self.patience()) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if self.patience().is_zero() {
                self.step(Input::Tick)?;
            }
            let batch = first.into_iter().chain(jobs.try_iter()).take(MAX_BATCH);
            let mut finishes = Vec::new();
            for job in batch {
                let (records, finish) = job(&self.controller, (self.clock)());
                match self.admit(records) {
                    Ok(proposal) => {
                        self.append_all(proposal)?;
                        finishes.push(finish);
                    }
                    Err(code) => finish(Err(code)),
                }
            }
            self.commit()?;
            finishes.into_iter().for_each(|finish| finish(Ok(())));
            self.snapshot_if_due()?;
        }
    }

    /// The records of a decision as they are appended, if they may be.
    fn admit(&self, records: Vec<MetadataRecord>) -> Result<Proposal, ErrorCode> {
        // One that cannot be written at all came with a field that is too long.
        let proposal = self.encode(records).map_err(|_| ErrorCode::INVALID_REQUEST)?;
        proposal.check_size(self.log.config().segment_bytes as usize)?;
        if let Some(bytes) = proposal.needs_room() {
            self.log.check_room(bytes).map_err(|error| {
                tracing::warn!(%error, "metadata is not changed");
                ErrorCode::KAFKA_STORAGE_ERROR
            })?;
        }
        Ok(proposal)
    }

    fn encode(&self, records: Vec<MetadataRecord>) -> Result<Proposal, EncodeError> {
        Proposal::encode(records, self.controller.image().metadata_version())
    }

    fn now(&self) -> Now {
        let elapsed = QuorumInstant::default().plus(self.started_at.elapsed());
        Now { instant: elapsed, wall: (self.clock)() }
    }

    /// How long the quorum can be left alone.
    fn patience(&self) -> Duration {
        let deadline = self.quorum.deadline();
        deadline.map_or(LOOK_INTERVAL, |at| at.since(self.now().instant).min(LOOK_INTERVAL))
    }

    /// Appends records as one atomic batch; they wait for [`Driver::commit`].
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn propose(&mut self, records: Vec<MetadataRecord>) -> Result<(), Fatal> {
        let proposal = self
            .encode(records)
            .map_err(|error| Fatal(format!("a metadata record cannot be written: {error}")))?;
        self.append_all(proposal)
    }

    fn append_all(&mut self, proposal: Proposal) -> Result<(), Fatal> {
        let Proposal { records, values } = proposal;
        if records.is_empty() {
            return Ok(());
        }
        let base = self.quorum.log_end_offset();
        let epoch = self.quorum.epoch();
        self.step(Input::Propose(values))?;
        self.controller
            .replay(base, epoch, &records)
            .map_err(|error| Fatal(format!("a decision does not replay: {error}")))?;
        self.uncommitted.push((base, epoch, records));
        Ok(())
    }

    /// Syncs what was appended, and takes what that commits into effect.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn commit(&mut self) -> Result<(), Fatal> {
        if self.quorum.high_watermark() == Some(self.quorum.log_end_offset()) {
            return Ok(());
        }
        let generation = self.quorum.log().generation();
        self.log
            .flush()
            .map_err(|error| Fatal(format!("cannot sync the metadata log: {error}")))?;
        self.step(Input::Flushed(generation, self.log.log_end_offset()))
    }

    /// Steps the quorum and executes its outputs in their order.
    fn step(&mut self, input: Input) -> Result<(), Fatal> {
        let mut outputs = Vec::new();
        self.quorum.step(self.now(), input, &mut outputs);
        for output in outputs {
            self.execute(output)?;
        }
        *self.view.write() = view_of(&self.quorum);
        Ok(())
    }

    fn execute(&mut self, output: Output) -> Result<(), Fatal> {
        match output {
            Output::PersistQuorumState(state) => self
                .files
                .write_state(&state)
                .map_err(|error| Fatal(format!("cannot persist the vote: {error}"))),
            Output::BecomeLeader { epoch, .. } => {
                tracing::info!(epoch = epoch.0, "leading the metadata quorum");
                Ok(())
            }
            Output::Append(append) => self.append(&append),
            Output::Commit(high_watermark) => self.committed(high_watermark),
            Output::TrimLog(start_offset) => {
                self.trim(start_offset);
                Ok(())
            }
            Output::Reject => Err(Fatal("a proposal came before this node led".into())),
            // The only voter has nobody to follow, and nobody to answer.
            Output::ResignLeader
            | Output::BecomeFollower { .. }
            | Output::AppendReplicated(_)
            | Output::Truncate(..)
            | Output::Send(_)
            | Output::SendBatches(..)
            | Output::SendPiece(..)
            | Output::WriteSnapshot(..)
            | Output::InstallSnapshot(_) => {
                Err(Fatal("the quorum has other members than this node".into()))
            }
        }
    }

    fn append(&mut self, append: &Append) -> Result<(), Fatal> {
        let bytes: Bytes = batch::bytes(append)
            .map_err(|error| Fatal(format!("a metadata batch cannot be made: {error}")))?;
        let context = AppendContext {
            leader_epoch: append.epoch,
            now: append.timestamp,
            origin: Origin::Controller,
        };
        let appended = self
            .log
            .append_as_leader(&bytes, context)
            .map_err(|error| Fatal(format!("cannot append to the metadata log: {error}")))?;
        assert_eq!(appended.base_offset, append.base_offset, "the log and the quorum disagree");
        self.log.update_high_watermark(self.log.log_end_offset());
        self.bytes_since_snapshot += bytes.len() as u64;
        if matches!(append.content, Content::LeaderChange { .. }) {
            // It takes an offset, so the next decision must know of it.
            self.controller.advance(append.base_offset, append.epoch);
            self.uncommitted.push((append.base_offset, append.epoch, Vec::new()));
        }
        Ok(())
    }

    fn committed(&mut self, high_watermark: Offset) -> Result<(), Fatal> {
        let mut delta = Delta::new(&self.image);
        for (base, epoch, records) in self.uncommitted.drain(..) {
            assert!(base < high_watermark, "a batch is committed whole or not at all");
            // A control record takes an offset and changes nothing.
            delta.advance(base, epoch);
            for (index, record) in records.iter().enumerate() {
                delta
                    .replay(base.plus(index as i64), epoch, record)
                    .map_err(|error| Fatal(format!("a committed record does not fit: {error}")))?;
            }
        }
        let (image, changes) = delta.finish();
        self.image = Arc::new(image);
        if let Some(publish) = &mut self.publish {
            publish(&self.image, &changes);
        }
        Ok(())
    }

    fn snapshot_if_due(&mut self) -> Result<(), Fatal> {
        let by_bytes = self.bytes_since_snapshot >= self.rules.max_bytes;
        let by_time =
            self.bytes_since_snapshot > 0 && self.snapshot_at.elapsed() >= self.rules.max_interval;
        if !by_bytes && !by_time {
            return Ok(());
        }
        let end_offset = self.image.offset().plus(1);
        let membership = self.quorum.membership_at(end_offset);
        match self.files.write_snapshot(&self.image, &membership, (self.clock)()) {
            Ok(()) => {
                tracing::info!(end_offset = end_offset.0, "metadata snapshot written");
                let snapshot = SnapshotId { end_offset, epoch: self.image.epoch() };
                self.step(Input::SnapshotTaken(snapshot))?;
            }
            Err(error) => tracing::warn!(%error, "the metadata snapshot was not written"),
        }
        self.bytes_since_snapshot = 0;
        self.snapshot_at = Instant::now();
        Ok(())
    }

    /// A log that stays longer than it needs to does no harm.
    fn trim(&mut self, start_offset: Offset) {
        let trimmed = self
            .log
            .advance_log_start_offset(start_offset)
            .and_then(|()| self.log.retain((self.clock)()).map(|_| ()));
        if let Err(error) = trimmed {
            tracing::warn!(%error, "the metadata log was not trimmed");
        }
    }
}

fn view_of(quorum: &Quorum) -> QuorumView {
    QuorumView {
        epoch: quorum.epoch(),
        leader: quorum.leader().unwrap_or(NodeId::NONE),
        high_watermark: quorum.high_watermark().unwrap_or(Offset::NONE),
        log_end_offset: quorum.log_end_offset(),
        voters: quorum.voters().keys(),
    }
}
