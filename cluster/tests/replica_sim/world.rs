//! The brokers, the controller, the network between them, the clock.

mod controller;
mod faults;
mod follower;
mod leader;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use milena_cluster::controller::isr::Altered;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::replica::follower::Answer;
use milena_cluster::replica::{Fetch, Proposal, ProposalId, Rules};
use milena_cluster::time::Instant;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, Uuid};

use crate::broker::{Broker, Role};
use crate::bugs::Bug;
use crate::checks::{Checks, Violation, ensure};
use crate::log::Record;
use crate::plan::Plan;
use crate::register::Register;
use crate::simulation::Report;
use crate::simulation::rng::Rng;

/// Milliseconds until the answer to a fetch is not awaited any more.
const PATIENCE: u64 = 150;
/// Milliseconds between two looks at the time, and between two heartbeats.
const TICK: u64 = 25;
const HEARTBEAT: u64 = 30;
/// Milliseconds of calm after which everything has to be well.
const CALM: u64 = 5_500;
/// Milliseconds at the end in which nobody produces.
const REST: u64 = 1_500;
/// The controller, as one end of a message's way.
const CONTROLLER: NodeId = NodeId(100);

/// Something that happens at a time.
#[derive(Clone, Debug)]
enum Event {
    /// A message arrives.
    Deliver {
        from: NodeId,
        to: NodeId,
        run: u64,
        message: Message,
    },
    /// A broker looks at the time.
    Tick(NodeId, u64),
    /// A broker registers, or says that it is there.
    Beat(NodeId, u64),
    /// A follower fetches, or does so again.
    FetchNow {
        id: NodeId,
        run: u64,
        serial: u64,
    },
    /// A leader gives up waiting for an answer.
    GiveUp {
        id: NodeId,
        run: u64,
        proposal: ProposalId,
    },
    /// A log is synced.
    Sync(NodeId, u64),
    /// The controller looks for brokers that are silent.
    LookForSilence,
    /// Somebody produces.
    Produce,
    Start(NodeId),
    Fault,
    /// A follower that was proposed ends, or is cut off from its leader, or both.
    Strike {
        follower: NodeId,
        leader: NodeId,
    },
    /// A leader is taken for silent.
    Depose(NodeId),
}

/// What goes over the network.
#[derive(Clone, Debug)]
enum Message {
    Register { incarnation: Uuid, previous_epoch: Option<BrokerEpoch> },
    Registered { epoch: BrokerEpoch },
    Heartbeat { epoch: BrokerEpoch, metadata_offset: Offset, wants_shut_down: bool },
    Alter { epoch: BrokerEpoch, proposal: Proposal },
    Altered { proposal: ProposalId, answer: Result<Altered, ErrorCode> },
    Metadata(Arc<MetadataImage>),
    Fetch { serial: u64, fetch: Fetch, last_epoch: LeaderEpoch },
    Fetched { serial: u64, epoch: LeaderEpoch, answer: Answer, records: Vec<Record> },
}

/// A world of one seed.
pub struct World<R: Rules> {
    rng: Rng,
    plan: Plan,
    bug: Bug,
    is_traced: bool,
    now: u64,
    event_count: u64,
    events: BTreeMap<(u64, u64), Event>,
    register: Register,
    brokers: BTreeMap<NodeId, Broker<R>>,
    /// Ways on which messages are lost.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Whose power went, and who has not been in sync since.
    lost: BTreeSet<NodeId>,
    /// Who was eligible without being in sync when something was decided last.
    eligible: Vec<NodeId>,
    values: u64,
    is_calm: bool,
    /// Something changed that a checker looks at.
    is_changed: bool,
    checks: Checks,
    report: Report,
}

impl<R: Rules> World<R> {
    pub fn new(seed: u64, bug: Bug, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let ids = (1..=plan.brokers).map(NodeId);
        let mut world = Self {
            rng,
            bug,
            is_traced,
            now: 0,
            event_count: 0,
            events: BTreeMap::new(),
            register: Register::new(&plan, bug),
            brokers: ids.map(|id| (id, Broker::new(id))).collect(),
            cut: BTreeSet::new(),
            lost: BTreeSet::new(),
            eligible: Vec::new(),
            values: 0,
            is_calm: false,
            is_changed: true,
            checks: Checks::new(plan.promises()),
            report: Report::default(),
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.note(|world| format!("{:?}", world.plan));
        let image = self.register.image();
        for id in self.ids() {
            self.start(id);
            let epoch = self.register.epoch_of(id);
            self.register.heard_at.insert(id, 0);
            let broker = self.broker(id);
            broker.disk.witness = epoch.map(|epoch| (epoch, 0));
            broker.disk.unanswered = None;
            broker.process.as_mut().expect("it was just started").epoch = epoch;
            self.at(
                1,
                Event::Deliver {
                    from: CONTROLLER,
                    to: id,
                    run: 1,
                    message: Message::Metadata(Arc::clone(&image)),
                },
            );
        }
        self.at(1, Event::LookForSilence);
        self.at(5, Event::Produce);
        let first = self.rng.within(1, 2 * self.plan.fault_interval);
        self.at(first, Event::Fault);
    }

    pub fn report(mut self) -> Report {
        if self.checks.told_losses > 0 {
            self.met("loss told");
        }
        Report { millis: self.now, ..self.report }
    }

    /// Runs through the faults and heals; nothing may be violated and everything has to be well.
    pub fn run(&mut self) -> Result<(), Violation> {
        loop {
            let Some(((time, _), event)) = self.events.pop_first() else { break };
            self.now = time;
            if !self.is_calm && self.now >= self.plan.length {
                self.heal();
            }
            if self.now >= self.plan.length + CALM {
                break;
            }
            self.report.steps += 1;
            self.note(|_| format!("{event:?}"));
            self.happen(event)?;
            if std::mem::take(&mut self.is_changed) {
                self.check()?;
            }
        }
        self.check_end()
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Deliver { from, to, run, message } => self.deliver(from, to, run, message)?,
            Event::Tick(id, run) => {
                if let Some(event) = self.awake(id, run, Event::Tick(id, run)) {
                    self.at(TICK, event);
                    let now = Instant(self.now);
                    if self.broker(id).deadline().is_some_and(|at| at <= now) {
                        self.lead(id, milena_cluster::replica::Input::Tick)?;
                    }
                }
            }
            Event::Beat(id, run) => {
                if let Some(event) = self.awake(id, run, Event::Beat(id, run)) {
                    self.at(HEARTBEAT, event);
                    self.beat(id);
                }
            }
            Event::FetchNow { id, run, serial } => {
                if self.awake(id, run, Event::FetchNow { id, run, serial }).is_some() {
                    self.fetch(id, serial);
                }
            }
            Event::GiveUp { id, run, proposal } => {
                if self.awake(id, run, Event::GiveUp { id, run, proposal }).is_some() {
                    let answer = Err(ErrorCode::REQUEST_TIMED_OUT);
                    self.lead(id, milena_cluster::replica::Input::Answered { proposal, answer })?;
                }
            }
            Event::Sync(id, run) => {
                if self.awake(id, run, Event::Sync(id, run)).is_some() {
                    self.sync(id)?;
                }
            }
            Event::LookForSilence => self.look_for_silence(),
            Event::Produce => {
                let pause = self.rng.within(1, 2 * self.plan.produce_interval);
                self.at(if self.is_calm { 200 } else { pause }, Event::Produce);
                // In the end everything comes to rest.
                if self.now < self.plan.length + CALM - REST {
                    self.produce()?;
                }
            }
            Event::Start(id) => self.start(id),
            Event::Fault | Event::Strike { .. } | Event::Depose(_) if self.is_calm => {}
            Event::Fault => {
                let pause = self.rng.within(1, 2 * self.plan.fault_interval);
                self.at(pause, Event::Fault);
                self.fault();
            }
            Event::Strike { follower, leader } => self.strike(follower, leader),
            Event::Depose(id) => self.suspect(id),
        }
        Ok(())
    }

    /// The event, if it is for this run of a broker and that is not stopped; else it waits.
    fn awake(&mut self, id: NodeId, run: u64, event: Event) -> Option<Event> {
        let broker = &self.brokers[&id];
        if broker.run != run || broker.process.is_none() {
            return None;
        }
        if broker.paused_until > self.now {
            let rest = broker.paused_until - self.now;
            self.at(rest, event);
            return None;
        }
        Some(event)
    }

    fn deliver(
        &mut self,
        from: NodeId,
        to: NodeId,
        run: u64,
        message: Message,
    ) -> Result<(), Violation> {
        if to == CONTROLLER {
            self.decide(from, run, message);
            return Ok(());
        }
        // A request reaches whatever run is there, an answer only who asked.
        let run = match message {
            Message::Fetch { .. } => self.brokers[&to].run,
            _ => run,
        };
        let Some(Event::Deliver { from, to, message, .. }) =
            self.awake(to, run, Event::Deliver { from, to, run, message })
        else {
            return Ok(());
        };
        match message {
            Message::Registered { epoch } => self.registered(to, epoch),
            Message::Metadata(image) => self.learn(to, image)?,
            Message::Altered { proposal, answer } => {
                let answer = answer.map(leader::decided);
                self.lead(to, milena_cluster::replica::Input::Answered { proposal, answer })?;
            }
            Message::Fetch { serial, fetch, last_epoch } => {
                self.serve(from, to, serial, fetch, last_epoch)?;
            }
            Message::Fetched { serial, epoch, answer, records } => {
                self.fetched(to, serial, epoch, answer, records)?;
            }
            Message::Register { .. } | Message::Heartbeat { .. } | Message::Alter { .. } => {}
        }
        Ok(())
    }

    /// Puts a message on its way. What is said once only, and never late, is what a connection of
    /// a process that is gone cannot bring any more.
    fn send(&mut self, from: NodeId, to: NodeId, run: u64, message: Message) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        let is_once = matches!(message, Message::Register { .. } | Message::Registered { .. });
        let is_metadata = matches!(message, Message::Metadata(_));
        let is_proposal = matches!(message, Message::Alter { .. });
        let (loss, doubled, late) = if self.is_calm {
            (0, 0, 0)
        } else if is_once || is_metadata {
            (self.plan.loss, 0, 0)
        } else {
            (self.plan.loss, self.plan.doubled, self.plan.late)
        };
        if self.rng.chance(loss) {
            return;
        }
        for _ in 0..1 + u64::from(self.rng.chance(doubled)) {
            let is_late = self.rng.chance(late);
            let longest = match () {
                () if self.is_calm => 3,
                () if is_late => self.plan.late_span,
                () if is_metadata => self.plan.metadata_delay,
                () if is_proposal => self.plan.proposal_delay.max(self.plan.controller_delay),
                () if from == CONTROLLER || to == CONTROLLER => self.plan.controller_delay,
                () => self.plan.delay,
            };
            if is_late {
                self.met("late");
            }
            let delay = self.rng.within(1, longest);
            let message = message.clone();
            self.at(delay, Event::Deliver { from, to, run, message });
        }
    }

    /// What has to hold after every step that changed anything.
    fn check(&self) -> Result<(), Violation> {
        let partition = self.register.partition();
        for broker in self.brokers.values() {
            let Some(process) = &broker.process else { continue };
            if let Role::Leader { machine, .. } = &process.role {
                let epoch = machine.leader_epoch();
                self.checks.has_all(broker.id, epoch, &broker.disk.log)?;
                let maximal = machine.maximal_isr();
                let is_covered = partition.isr.iter().all(|id| maximal.contains(id));
                ensure(epoch != partition.leader_epoch || is_covered, || {
                    format!("{} does not count all of {:?}", broker.id, partition.isr)
                })?;
            }
        }
        self.check_partition()
    }

    fn check_partition(&self) -> Result<(), Violation> {
        let partition = self.register.partition();
        let is_doubtful = partition.leader_recovery_state != 0;
        ensure(!is_doubtful || !self.plan.promises(), || "records may be lost".to_owned())?;
        for id in partition.isr.iter().chain(&partition.elr) {
            let broker = &self.brokers[id];
            if !broker.is_unaware && !is_doubtful {
                self.checks.may_lead(*id, &broker.disk.log)?;
            }
        }
        let is_large = partition.isr.len() >= self.plan.min_insync;
        ensure(!is_large || partition.elr.is_empty(), || "eligible besides enough".to_owned())?;
        let fenced = partition.isr.iter().find(|id| !self.register.is_live(**id));
        ensure(fenced.is_none() || !self.plan.has_eligible, || "fenced and in sync".to_owned())
    }

    /// What has to hold in the end: everyone is there, in sync, and has everything.
    fn check_end(&mut self) -> Result<(), Violation> {
        let partition = self.register.partition().clone();
        ensure(partition.leader != NodeId::NONE, || format!("nobody leads: {partition:?}"))?;
        ensure(partition.isr.len() == partition.replicas.len(), || {
            format!("not everybody is in sync: {partition:?}")
        })?;
        ensure(partition.leader_recovery_state == 0, || "it has not recovered".to_owned())?;
        let shown = &self.checks.shown;
        for broker in self.brokers.values() {
            let process = broker.process.as_ref().ok_or("a broker is not there")?;
            let known = match &process.role {
                Role::Leader { machine, .. } => machine.high_watermark(),
                Role::Follower { machine, .. } => machine.high_watermark(),
                Role::Idle => return Err(format!("{} is idle", broker.id)),
            };
            ensure(broker.disk.log.records == *shown, || {
                format!("{} has other records than were acknowledged", broker.id)
            })?;
            ensure(known == broker.disk.log.end(), || format!("{} shows only {known}", broker.id))?;
        }
        Ok(())
    }

    fn ids(&self) -> Vec<NodeId> {
        self.brokers.keys().copied().collect()
    }

    fn broker(&mut self, id: NodeId) -> &mut Broker<R> {
        self.brokers.get_mut(&id).expect("a broker that is asked for is there")
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.event_count += 1;
        self.events.insert((self.now + delay, self.event_count), event);
    }

    fn met(&mut self, situation: &'static str) {
        *self.report.met.entry(situation).or_default() += 1;
    }

    fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.is_traced {
            let mut text = String::new();
            let _ = write!(text, "{:>6} {}", self.now, line(self));
            self.report.transcript.push(text);
        }
    }
}
