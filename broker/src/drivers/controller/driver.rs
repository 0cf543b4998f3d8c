//! The controller with its quorum and its log: inputs in, outputs done in their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::controller::{Controller, Decision, Proposal, Sessions, features};
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum::{
    CorrelationId, Endpoint, Envelope, Fetched, Input, Message, Output, Quorum, Request, Response,
    ResponseBody, Role, SnapshotId,
};
use milena_cluster::time::{Instant as QuorumInstant, Now};
use milena_protocol::codec::EncodeError;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp};
use milena_protocol::metadata_record::MetadataRecord;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::Fatal;
use super::handle::{Authority, ControllerHandle, Finish, Inbox, Job, QuorumView, Work};
use super::ledger::Ledger;
use super::meter::Meter;
use super::news::{News, NewsDesk, Publish};
use super::queue::{self, Receiver, Waited};
use crate::machine::Machine;

/// Requests that share one sync.
const MAX_BATCH: usize = 256;
/// So many calls may be forgotten by those who made them before anybody looks.
const MANY_CALLS: usize = 256;
/// How often the thread looks whether a snapshot is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Sends a request to another member. It must not wait; what is lost is asked for again.
pub type Outbox = Box<dyn FnMut(Outgoing) + Send>;

/// A request to another member.
#[derive(Debug)]
pub struct Outgoing {
    /// Who shall get it. Below −1 stands a bootstrap server, counted from −2 downwards.
    pub to: NodeId,
    /// Where it listens, as far as the quorum knows.
    pub endpoints: Vec<Endpoint>,
    /// What the answer has to name.
    pub correlation: CorrelationId,
    /// The request.
    pub request: Request,
}

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
    quorum: Quorum,
    ledger: Ledger,
    /// What was decided and is not committed: the end of its batch, and who waits.
    waiting: Vec<(Offset, Finish)>,
    desk: NewsDesk,
    /// None where there is nobody to send to: a quorum of one.
    outbox: Option<Outbox>,
    calls: Calls,
    /// The controller's work, while this node leads.
    office: Option<Office>,
    view: watch::Sender<QuorumView>,
    meter: Arc<Meter>,
    /// Whether the quorum did not take the last input.
    is_rejected: bool,
    rules: SnapshotRules,
    snapshot_at: Instant,
    clock: fn() -> Timestamp,
    machine: Machine,
    /// Where the quorum's own clock begins.
    started_at: Instant,
    inbox: Inbox,
    /// What is done by the thread, until that runs.
    work: Option<Receiver<Work>>,
}

/// The active controller's work.
struct Office {
    /// The epoch that this node leads in.
    epoch: LeaderEpoch,
    /// Who was heard of, and when.
    sessions: Sessions,
    /// When leaders are looked over.
    chores_at: QuorumInstant,
}

/// Requests of others that wait for their answer.
#[derive(Default)]
struct Calls {
    count: u64,
    waiting: BTreeMap<CorrelationId, oneshot::Sender<Response>>,
}

impl Calls {
    fn open(&mut self, answer: oneshot::Sender<Response>) -> CorrelationId {
        if self.waiting.len() >= MANY_CALLS {
            // Whoever went away waits for nothing any more.
            self.waiting.retain(|_, answer| !answer.is_closed());
        }
        self.count += 1;
        let correlation = CorrelationId(self.count);
        self.waiting.insert(correlation, answer);
        correlation
    }

    fn answer(&mut self, correlation: CorrelationId, response: Response) {
        if let Some(waiting) = self.waiting.remove(&correlation) {
            // Whoever asked may have gone away.
            let _ = waiting.send(response);
        }
    }
}

impl Driver {
    /// A driver that has not begun; `quorum` was restored at the instant 0 of its own clock.
    pub(super) fn new(
        quorum: Quorum,
        ledger: Ledger,
        rules: SnapshotRules,
        clock: fn() -> Timestamp,
        machine: Machine,
    ) -> Self {
        let (sender, work) = queue::open(machine.threads);
        Self {
            inbox: Inbox(sender),
            work: Some(work),
            view: watch::Sender::new(QuorumView::of(&quorum)),
            meter: Arc::default(),
            quorum,
            ledger,
            waiting: Vec::new(),
            desk: NewsDesk::default(),
            outbox: None,
            calls: Calls::default(),
            office: None,
            is_rejected: false,
            rules,
            snapshot_at: Instant::now(),
            clock,
            machine,
            started_at: Instant::now(),
        }
    }

    /// Requests to other members go this way.
    pub fn connect(&mut self, outbox: Outbox) {
        self.outbox = Some(outbox);
    }

    /// From now on committed images take effect, on a thread of their own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn publish_to(&mut self, publish: Publish) -> std::io::Result<()> {
        self.desk = NewsDesk::open(publish, self.machine.threads)?;
        Ok(())
    }

    /// The image as of the last commit.
    #[must_use]
    pub fn image(&self) -> &Arc<MetadataImage> {
        self.ledger.image()
    }

    /// The controller, with everything replayed that was appended.
    #[must_use]
    pub fn controller(&self) -> &Controller {
        self.ledger.controller()
    }

    /// Whether this node's controller decides.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        matches!(self.quorum.role(), Role::Leader(_))
    }

    /// How the quorum stands.
    #[must_use]
    pub fn quorum(&self) -> QuorumView {
        self.view.borrow().clone()
    }

    /// What hands messages of others to this driver once its thread runs.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// The quorum's turn: where this node is the only voter it elects itself and appends what
    /// begins its epoch.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn begin(&mut self) -> Result<(), Fatal> {
        self.step(Input::Tick)
    }

    /// Does what is due at this moment, if anything is.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn tick(&mut self) -> Result<(), Fatal> {
        if self.patience().is_zero() {
            self.step(Input::Tick)?;
        }
        Ok(())
    }

    /// Takes another member's answer.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn answered(&mut self, envelope: Envelope) -> Result<(), Fatal> {
        self.step(Input::Receive(envelope))
    }

    /// Takes a request of another member, or of a client. The answer may come later.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn ask(
        &mut self,
        request: Request,
        answer: oneshot::Sender<Response>,
    ) -> Result<(), Fatal> {
        let correlation = self.calls.open(answer);
        let message = Message::Request(request);
        self.step(Input::Receive(Envelope { peer: NodeId::NONE, correlation, message }))
    }

    /// Lets the controller decide; what follows is appended and waits for [`Driver::commit`].
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn decide<A>(
        &mut self,
        decide: impl FnOnce(&Controller) -> Decision<A>,
    ) -> Result<A, Fatal> {
        let Decision { records, answer } = decide(self.ledger.controller());
        self.propose(records)?;
        Ok(answer)
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn spawn(mut self, node: NodeId) -> std::io::Result<ControllerHandle> {
        let receiver = self.work.take().expect("a driver is started once");
        let handle = ControllerHandle {
            inbox: self.inbox.clone(),
            node,
            view: self.view.subscribe(),
            meter: self.meter.clone(),
        };
        match receiver {
            Receiver::Thread(work) => {
                let run = move || self.end(|it| it.run(&work));
                std::thread::Builder::new().name("controller".into()).spawn(run)?;
            }
            Receiver::Task(mut work) => drop(tokio::spawn(async move {
                let ran = self.run_as_task(&mut work).await;
                self.end(|_| ran);
                // Nobody is told that this is over: in a process everybody would be, at once.
                std::future::pending::<()>().await;
            })),
        }
        Ok(handle)
    }

    fn end(&mut self, run: impl FnOnce(&mut Self) -> Result<(), Fatal>) {
        if let Err(error) = run(self) {
            // Crash-only: a restart recovers from what is on the disk.
            tracing::error!(%error, "the controller cannot go on; the process ends");
            (self.machine.end)();
        }
    }

    fn run(&mut self, work: &std::sync::mpsc::Receiver<Work>) -> Result<(), Fatal> {
        loop {
            let first = match queue::wait(work, self.leisure()) {
                Waited::Work(work) => Some(work),
                Waited::Nothing => None,
                Waited::Closed => return Ok(()),
            };
            self.turn(first.into_iter().chain(work.try_iter()))?;
        }
    }

    async fn run_as_task(&mut self, work: &mut UnboundedReceiver<Work>) -> Result<(), Fatal> {
        loop {
            let first = match queue::wait_as_task(work, self.leisure()).await {
                Waited::Work(work) => Some(work),
                Waited::Nothing => None,
                Waited::Closed => return Ok(()),
            };
            let more = std::iter::from_fn(|| work.try_recv().ok());
            self.turn(first.into_iter().chain(more))?;
        }
    }

    /// Does what is due, then what has come, all of which shares one sync.
    fn turn(&mut self, work: impl Iterator<Item = Work>) -> Result<(), Fatal> {
        self.tick()?;
        self.fence_silent()?;
        self.do_chores()?;
        for work in work.take(MAX_BATCH) {
            self.take(work)?;
        }
        self.commit()?;
        self.snapshot_if_due()
    }

    fn take(&mut self, work: Work) -> Result<(), Fatal> {
        match work {
            Work::Decide(job) => self.take_job(job),
            Work::Upgrade(level, finish) => self.upgrade(level, finish),
            Work::Ask(request, answer) => self.ask(request, answer),
            Work::Answered(envelope) => self.answered(envelope),
            Work::Resign => self.step(Input::Resign),
            Work::Unanswered(node, correlation) => self.step(Input::Unanswered(node, correlation)),
            Work::Gone(node) => self.step(Input::Gone(node)),
        }
    }

    fn take_job(&mut self, job: Job) -> Result<(), Fatal> {
        let now = self.now();
        let Some(Office { sessions, .. }) = self.office.as_mut() else {
            // Whoever asked sees that nobody decides here.
            drop(job);
            return Ok(());
        };
        let authority = Authority { controller: self.ledger.controller(), sessions, now };
        let (records, finish) = job(authority);
        match self.admit(records) {
            Ok(proposal) => {
                self.append_all(proposal)?;
                self.waiting.push((self.quorum.log_end_offset(), finish));
                // Nothing may have been decided, and everything before it be committed.
                self.tell(None);
            }
            Err(code) => finish(Err(code)),
        }
        Ok(())
    }

    /// Lets what is committed take effect, and answers everybody who waits for it then.
    fn tell(&mut self, changes: Option<Changes>) {
        let committed = self.quorum.high_watermark();
        let count = self.waiting.partition_point(|(end, _)| Some(*end) <= committed);
        let answers = self.waiting.drain(..count).map(|(_, finish)| finish).collect();
        let image = changes.map(|changes| (self.ledger.image().clone(), changes));
        self.desk.take(News { image, answers });
    }

    /// The records of a decision as they are appended, if they may be.
    fn admit(&self, records: Vec<MetadataRecord>) -> Result<Proposal, ErrorCode> {
        // One that cannot be written at all came with a field that is too long.
        let proposal = self.encode(records).map_err(|_| ErrorCode::INVALID_REQUEST)?;
        proposal.check_size(self.ledger.log.config().segment_bytes as usize)?;
        if let Some(bytes) = proposal.needs_room() {
            self.ledger.log.check_room(bytes).map_err(|error| {
                tracing::warn!(%error, "metadata is not changed");
                ErrorCode::KAFKA_STORAGE_ERROR
            })?;
        }
        Ok(proposal)
    }

    fn encode(&self, records: Vec<MetadataRecord>) -> Result<Proposal, EncodeError> {
        Proposal::encode(records, self.ledger.controller().image().metadata_version())
    }

    fn now(&self) -> Now {
        let elapsed = QuorumInstant::default().plus(self.started_at.elapsed());
        Now { instant: elapsed, wall: (self.clock)() }
    }

    /// How long the quorum can be left alone.
    fn patience(&self) -> Duration {
        self.until(self.quorum.deadline())
    }

    /// How long nothing has to be done, if nothing comes.
    fn leisure(&self) -> Duration {
        let Some(Office { sessions, chores_at, .. }) = &self.office else {
            return self.patience();
        };
        let next = sessions.deadline().map_or(*chores_at, |silent_at| silent_at.min(*chores_at));
        self.patience().min(self.until(Some(next)))
    }

    fn until(&self, deadline: Option<QuorumInstant>) -> Duration {
        deadline.map_or(LOOK_INTERVAL, |at| at.since(self.now().instant).min(LOOK_INTERVAL))
    }

    /// Looks the leaders over, where that is due.
    fn do_chores(&mut self) -> Result<(), Fatal> {
        let now = self.now().instant;
        let Some(office) = self.office.as_mut().filter(|office| office.chores_at <= now) else {
            return Ok(());
        };
        let controller = self.ledger.controller();
        let Decision { records, answer } = controller.chores();
        office.chores_at = now.plus(controller.chores_interval(answer));
        if answer > 0 {
            tracing::info!(partitions = answer, "leaders are given back, or found");
        }
        self.propose(records)
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
        self.ledger.propose(records);
        self.step(Input::Propose(values))?;
        if std::mem::take(&mut self.is_rejected) {
            return Err(Fatal("a proposal came before this node led".into()));
        }
        Ok(())
    }

    /// Lets the voters stand in the log from here on.
    fn upgrade(&mut self, level: i16, finish: Finish) -> Result<(), Fatal> {
        if !self.is_leading() {
            finish(Err(ErrorCode::NOT_CONTROLLER));
            return Ok(());
        }
        if self.quorum.kraft_version() != level {
            self.step(Input::UpgradeKraftVersion(level))?;
        }
        if std::mem::take(&mut self.is_rejected) {
            finish(Err(ErrorCode::INVALID_UPDATE_VERSION));
            return Ok(());
        }
        self.waiting.push((self.quorum.log_end_offset(), finish));
        self.tell(None);
        Ok(())
    }

    /// Syncs what was appended, and takes what that commits into effect.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn commit(&mut self) -> Result<(), Fatal> {
        let outline = self.quorum.log();
        if outline.flushed() == outline.end() {
            return Ok(());
        }
        let generation = outline.generation();
        self.ledger
            .log
            .flush()
            .map_err(|error| Fatal(format!("cannot sync the metadata log: {error}")))?;
        self.step(Input::Flushed(generation, self.ledger.log.log_end_offset()))
    }

    /// Steps the quorum and executes its outputs in their order.
    fn step(&mut self, input: Input) -> Result<(), Fatal> {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let mut outputs = Vec::new();
            self.quorum.step(self.now(), input, &mut outputs);
            for output in outputs {
                if let Some(input) = self.execute(output)? {
                    // A snapshot is installed without a pause, and is the last of the outputs.
                    next = Some(input);
                }
            }
        }
        self.show();
        self.claim()
    }

    /// Tells how the quorum stands, where that is different now.
    fn show(&self) {
        self.meter.is(self.quorum.role().name());
        let view = QuorumView::of(&self.quorum);
        self.view.send_if_modified(|shown| {
            let is_new = *shown != view;
            *shown = view;
            is_new
        });
    }

    /// Takes over the controller's work in an epoch that this node has begun to lead. A cluster
    /// without anything gets its features.
    fn claim(&mut self) -> Result<(), Fatal> {
        let leads_in = self.is_leading().then(|| self.quorum.epoch());
        let now = self.now().instant;
        let controller = self.ledger.controller();
        if leads_in == self.office.as_ref().map(|office| office.epoch) {
            if let Some(Office { sessions, .. }) = &mut self.office {
                sessions.follow(now, controller.image());
            }
            return Ok(());
        }
        let chores_at = now.plus(controller.chores_interval(0));
        let begin = || Sessions::begin(now, controller.session_timeout(), controller.image());
        self.office = leads_in.map(|epoch| Office { epoch, sessions: begin(), chores_at });
        let is_bare = controller.image().feature(features::METADATA_VERSION) == 0;
        if leads_in.is_some() && is_bare { self.propose(controller.bootstrap()) } else { Ok(()) }
    }

    /// Takes out the brokers that were not heard of within their session.
    fn fence_silent(&mut self) -> Result<(), Fatal> {
        while let Some(Office { sessions, .. }) = &self.office {
            let now = self.now().instant;
            let Decision { records, answer } = self.ledger.controller().fence_stale(now, sessions);
            let Some(broker) = answer else { break };
            tracing::warn!(broker = broker.0, "fenced: it was not heard of within its session");
            self.propose(records)?;
        }
        Ok(())
    }

    /// Executes an output; answers the input that it ends in, if in one.
    fn execute(&mut self, output: Output) -> Result<Option<Input>, Fatal> {
        match output {
            Output::PersistQuorumState(state) => self
                .ledger
                .files
                .write_state(&state)
                .map_err(|error| Fatal(format!("cannot persist the vote: {error}")))?,
            Output::BecomeLeader { epoch, .. } => {
                tracing::info!(epoch = epoch.0, "leading the metadata quorum");
            }
            Output::ResignLeader => {
                self.meter.resigned();
                tracing::info!("no longer leading the metadata quorum");
                // Whether it counts the next leader decides; whoever asked asks that one.
                for (_, finish) in self.waiting.drain(..) {
                    finish(Err(ErrorCode::NOT_CONTROLLER));
                }
            }
            Output::BecomeFollower { epoch, leader } => {
                tracing::info!(epoch = epoch.0, ?leader, "following the metadata quorum");
            }
            Output::Append(append) => {
                self.ledger.append(&append)?;
                self.meter.appended(append.content.record_count(), append.end_offset());
            }
            Output::AppendReplicated(batch) => {
                self.ledger.append_replicated(&batch, (self.clock)())?;
                self.meter.fetched(batch.end_offset.0 - batch.base_offset.0);
            }
            Output::Truncate(end, _) => self.ledger.truncate(end, (self.clock)())?,
            Output::Commit(high_watermark) => {
                self.meter.committed(high_watermark);
                let changes = self.ledger.commit(high_watermark)?;
                self.tell(changes);
            }
            Output::TrimLog(start_offset) => self.trim(start_offset),
            Output::Reject => self.is_rejected = true,
            Output::Send(envelope) => self.send(envelope)?,
            Output::SendBatches(envelope, from, to, max_bytes) => {
                let envelope = self.with_batches(envelope, from, to, max_bytes)?;
                self.send(envelope)?;
            }
            Output::SendPiece(envelope, max_bytes) => {
                let envelope = self.with_piece(envelope, max_bytes);
                self.send(envelope)?;
            }
            Output::WriteSnapshot(snapshot, position, bytes) => self
                .ledger
                .files
                .write_piece(snapshot, position, &bytes)
                .map_err(|error| Fatal(format!("cannot keep a snapshot: {error}")))?,
            Output::InstallSnapshot(snapshot) => return self.install(snapshot).map(Some),
        }
        Ok(None)
    }

    fn send(&mut self, envelope: Envelope) -> Result<(), Fatal> {
        let Envelope { peer: to, correlation, message } = envelope;
        match message {
            Message::Response(response) => self.calls.answer(correlation, response),
            Message::Request(request) => {
                let outbox = self.outbox.as_mut();
                let outbox =
                    outbox.ok_or_else(|| Fatal("there is no way to other members".into()))?;
                let endpoints = self.quorum.endpoints(to).to_vec();
                outbox(Outgoing { to, endpoints, correlation, request });
            }
        }
        Ok(())
    }

    fn with_batches(
        &self,
        mut envelope: Envelope,
        from: Offset,
        to: Offset,
        max_bytes: usize,
    ) -> Result<Envelope, Fatal> {
        if let Message::Response(Response {
            body: ResponseBody::Fetch(Fetched::Batches { batches, .. }),
            ..
        }) = &mut envelope.message
        {
            *batches = self.ledger.batches(from, to, max_bytes)?;
        }
        Ok(envelope)
    }

    fn with_piece(&self, mut envelope: Envelope, max_bytes: usize) -> Envelope {
        if let Message::Response(Response {
            error, body: ResponseBody::FetchSnapshot(piece), ..
        }) = &mut envelope.message
            && !self.ledger.fill(piece, max_bytes)
        {
            *error = ErrorCode::SNAPSHOT_NOT_FOUND;
        }
        envelope
    }

    fn install(&mut self, snapshot: SnapshotId) -> Result<Input, Fatal> {
        let Some((membership, changes)) = self.ledger.install(snapshot, (self.clock)())? else {
            return Ok(Input::SnapshotDamaged(snapshot));
        };
        tracing::info!(end_offset = snapshot.end_offset.0, "metadata snapshot installed");
        self.snapshot_at = Instant::now();
        self.tell(Some(changes));
        Ok(Input::SnapshotInstalled(snapshot, membership))
    }

    /// Writes a snapshot where one is due.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn snapshot_if_due(&mut self) -> Result<(), Fatal> {
        let since = self.ledger.bytes_since_snapshot;
        let by_bytes = since >= self.rules.max_bytes;
        let by_time = since > 0 && self.snapshot_at.elapsed() >= self.rules.max_interval;
        // A member that has heard of no commit yet has nothing to take one of.
        let end_offset = self.ledger.image().offset().plus(1);
        let is_committed = self.quorum.high_watermark() >= Some(end_offset);
        if !(by_bytes || by_time) || !is_committed || end_offset == Offset::ZERO {
            return Ok(());
        }
        let image = Arc::clone(self.ledger.image());
        let membership = self.quorum.membership_at(end_offset);
        match self.ledger.files.write_snapshot(&image, &membership, (self.clock)()) {
            Ok(()) => {
                tracing::info!(end_offset = end_offset.0, "metadata snapshot written");
                let snapshot = SnapshotId { end_offset, epoch: image.epoch() };
                self.step(Input::SnapshotTaken(snapshot))?;
            }
            Err(error) => tracing::warn!(%error, "the metadata snapshot was not written"),
        }
        self.ledger.bytes_since_snapshot = 0;
        self.snapshot_at = Instant::now();
        Ok(())
    }

    /// A log that stays longer than it needs to does no harm.
    fn trim(&mut self, start_offset: Offset) {
        let log = &mut self.ledger.log;
        let trimmed = log
            .advance_log_start_offset(start_offset)
            .and_then(|()| log.retain((self.clock)()).map(|_| ()));
        if let Err(error) = trimmed {
            tracing::warn!(%error, "the metadata log was not trimmed");
        }
    }
}
