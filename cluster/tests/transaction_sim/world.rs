//! One coordinator, the partitions, the producers, and everything between them.

mod clients;
mod faults;
mod markers;

use std::collections::{BTreeMap, VecDeque};

use milena_cluster::coordinator::{Machine as _, Output, Producer, Record, Replayed, Ticket};
use milena_cluster::time::{Instant, Now};
use milena_cluster::transaction::{
    Answer, Asked, Effect, Machine, MarkerReport, Markers, Request, Rules, State, Transaction,
    record,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::checks::{FateCheck, LogCheck, Violation, ensure};
use crate::partition::{Partition, Uid};
use crate::plan::Plan;
use crate::producer::{Act, Client};
use crate::simulation::Report;
use crate::simulation::rng::Rng;

/// What the wall clock shows when a run begins.
const BEGIN: i64 = 1_700_000_000_000;
/// Milliseconds until a producer asks again. Longer than anything of version 1 is on its way.
const ANSWER_TIMEOUT: u64 = 5_000;
/// Milliseconds that a late message takes at most.
const LATE: u64 = 20_000;
/// Milliseconds of calm in which everything has to end.
const CALM: u64 = 240_000;
/// Steps after which everything heals, whatever the time is.
const MAX_STEPS: u64 = 2_500;
/// Ticks at one moment; more would be a machine that is never done.
const MAX_TICKS: u64 = 1_000;

/// Something on its way.
#[derive(Clone, Debug)]
enum Event {
    /// A request reaches the coordinator.
    Ask {
        client: usize,
        attempt: u64,
        asked: Asked,
    },
    /// An answer reaches a producer.
    Answer {
        client: usize,
        attempt: u64,
        answer: Result<Answer, ErrorCode>,
    },
    /// A producer's records reach a partition.
    Write {
        client: usize,
        attempt: u64,
        partition: i32,
        producer: Producer,
        uid: Uid,
    },
    /// What became of them reaches the producer.
    Written {
        client: usize,
        attempt: u64,
        result: Result<(), ErrorCode>,
    },
    /// A producer has waited long enough.
    Timeout {
        client: usize,
        attempt: u64,
    },
    /// A producer goes on.
    Go {
        client: usize,
    },
    /// A marker reaches a partition.
    Mark {
        markers: Markers,
        is_answered: bool,
    },
    /// What became of markers reaches the coordinator.
    Report(MarkerReport),
    /// The log is committed so far, in one leader epoch.
    Commit {
        end: usize,
        epoch: i32,
    },
    Restart,
    PartitionUp(i32),
    Fault,
}

/// Who waits for an answer of the coordinator.
#[derive(Clone, Debug)]
struct Pending {
    client: usize,
    attempt: u64,
    asked: Asked,
    /// When the machine has to have answered.
    deadline: u64,
}

/// What is let go once the log is committed so far.
#[derive(Clone, Debug)]
enum Release {
    Answer(Pending, Result<Answer, ErrorCode>),
    Effect(Markers),
}

/// The coordinator, while one is there.
struct Live<R> {
    machine: Machine<R>,
    pending: BTreeMap<Ticket, Pending>,
    releases: VecDeque<(usize, Release)>,
}

/// A world of one seed.
pub struct World<R: Rules> {
    rng: Rng,
    plan: Plan,
    is_traced: bool,
    now: u64,
    sequence: u64,
    /// Ticks at this moment.
    ticks: u64,
    events: BTreeMap<(u64, u64), Event>,
    live: Option<Live<R>>,
    epoch: i32,
    tickets: u64,
    log: Vec<Record>,
    committed: usize,
    partitions: BTreeMap<i32, Partition>,
    clients: Vec<Client>,
    producer_ids: i64,
    uids: Uid,
    is_calm: bool,
    log_check: LogCheck,
    fates: FateCheck,
    report: Report,
}

impl<R: Rules> World<R> {
    pub fn new(seed: u64, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let mut world = Self {
            rng,
            is_traced,
            now: 0,
            sequence: 0,
            ticks: 0,
            events: BTreeMap::new(),
            live: None,
            epoch: 0,
            tickets: 0,
            log: Vec::new(),
            committed: 0,
            partitions: (0..plan.partitions as i32).map(|at| (at, Partition::default())).collect(),
            clients: Vec::new(),
            producer_ids: 1000,
            uids: 0,
            is_calm: false,
            log_check: LogCheck::default(),
            fates: FateCheck::default(),
            report: Report::default(),
            plan,
        };
        world.age_ids();
        for at in 0..world.plan.ids * world.plan.rivals {
            world.spawn(at % world.plan.ids);
        }
        world.later(0, Event::Restart);
        let first_fault = world.rng.within(1, world.plan.fault_interval * 2);
        world.later(first_fault, Event::Fault);
        world
    }

    pub fn report(self) -> Report {
        Report { millis: self.now, ..self.report }
    }

    /// Ids that have been in use for long: their epochs are nearly used up.
    fn age_ids(&mut self) {
        for id in 0..self.plan.ids {
            if !self.rng.chance(self.plan.old_epochs) {
                continue;
            }
            self.producer_ids += 1;
            let epoch = ProducerEpoch(self.rng.within(32_755, 32_766) as i16);
            let transaction = Transaction {
                producer: Producer { id: ProducerId(self.producer_ids), epoch },
                last_epoch: ProducerEpoch::NONE,
                previous_producer_id: ProducerId(self.producer_ids),
                next_producer_id: ProducerId::NONE,
                timeout_ms: 1000,
                state: State::Empty,
                partitions: Default::default(),
                started_at: Timestamp::NONE,
                updated_at: Timestamp(BEGIN),
                client_version: 0,
            };
            self.log.push(record::record(&name(id), &transaction, self.plan.level));
        }
    }

    fn met(&mut self, what: &'static str) {
        *self.report.met.entry(what).or_default() += 1;
    }

    fn trace(&mut self, text: impl FnOnce() -> String) {
        if self.is_traced {
            self.report.transcript.push(format!("{:>6} {}", self.now, text()));
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((time, self.sequence), event);
    }

    fn later(&mut self, after: u64, event: Event) {
        self.at(self.now + after, event);
    }

    fn delay(&mut self) -> u64 {
        let bound = if self.is_calm { 5 } else { self.plan.delay };
        self.rng.within(1, bound.max(1))
    }

    /// Puts a message on its way: lost, doubled and late ones as the plan says, the last two only
    /// where that does no harm by the rules of the version.
    fn send(&mut self, event: Event, is_safe: bool) {
        if !self.is_calm && self.rng.chance(self.plan.loss) {
            return;
        }
        if !self.is_calm && is_safe && self.rng.chance(self.plan.doubled) {
            let after = self.rng.within(1, LATE);
            self.later(after, event.clone());
        }
        let is_late = !self.is_calm && is_safe && self.rng.chance(self.plan.late);
        let after = if is_late { self.rng.within(1, LATE) } else { self.delay() };
        self.later(after, event);
    }

    fn spawn(&mut self, id: usize) {
        let is_v2 = self.plan.level >= 2 && self.rng.chance(self.plan.version_2);
        self.clients.push(Client::new(id, is_v2));
        let after = self.rng.within(1, 200);
        self.later(after, Event::Go { client: self.clients.len() - 1 });
    }

    /// Runs until everything has ended.
    pub fn run(&mut self) -> Result<(), Violation> {
        loop {
            let next = self.events.first_key_value().map_or(u64::MAX, |((time, _), _)| *time);
            let end = if self.is_calm { self.plan.length + CALM } else { self.plan.length };
            if self.tick(next.min(end))? {
                continue;
            }
            if next >= end || (!self.is_calm && self.report.steps > MAX_STEPS) {
                if self.is_calm {
                    break;
                }
                self.heal()?;
                continue;
            }
            let Some(((time, _), event)) = self.events.pop_first() else { break };
            self.now = self.now.max(time);
            self.trace(|| format!("{event:?}"));
            self.step(event)?;
            self.check()?;
        }
        self.check_end()
    }

    /// Lets the machine do what is due before a time, if anything is.
    fn tick(&mut self, time: u64) -> Result<bool, Violation> {
        let due = self.live.as_ref().and_then(|live| live.machine.deadline());
        let Some(Instant(due)) = due.filter(|Instant(due)| *due <= time) else { return Ok(false) };
        self.ticks = if due > self.now { 0 } else { self.ticks + 1 };
        ensure(self.ticks < MAX_TICKS, || "the machine is never done".to_owned())?;
        self.now = self.now.max(due);
        self.trace(|| "tick".to_owned());
        let now = self.clock();
        self.with_machine(|machine, outputs| machine.tick(now, outputs))?;
        self.check()?;
        Ok(true)
    }

    fn clock(&self) -> Now {
        Now { instant: Instant(self.now), wall: Timestamp(BEGIN + self.now as i64) }
    }

    fn step(&mut self, event: Event) -> Result<(), Violation> {
        self.report.steps += 1;
        match event {
            Event::Ask { client, attempt, asked } => self.ask(client, attempt, asked)?,
            Event::Answer { client, attempt, answer } => self.answered(client, attempt, answer)?,
            Event::Write { client, attempt, partition, producer, uid } => {
                let at = self.partitions.get_mut(&partition).ok_or("no partition")?;
                let result = at.write(producer, uid);
                if result.is_ok() {
                    self.fates.written(uid, &self.partitions[&partition])?;
                }
                let after = self.delay();
                self.later(after, Event::Written { client, attempt, result });
            }
            Event::Written { client, attempt, result } => self.written(client, attempt, result),
            Event::Timeout { client, attempt } => {
                let at = &self.clients[client];
                if at.attempt == attempt && !at.is_dead && at.act != Act::Rest {
                    self.act(client);
                }
            }
            Event::Go { client } => {
                if !self.clients[client].is_dead {
                    self.act(client);
                }
            }
            Event::Mark { markers, is_answered } => self.mark(&markers, is_answered)?,
            Event::Report(report) => {
                let now = self.clock();
                let ticket = self.ticket();
                let request = Request::Report(report);
                self.with_machine(|machine, outputs| {
                    machine.handle(now, ticket, request, outputs);
                })?;
            }
            Event::Commit { end, epoch } => {
                if epoch == self.epoch && self.live.is_some() {
                    self.commit(end)?;
                }
            }
            Event::Restart => self.restart()?,
            Event::PartitionUp(partition) => self.set_down(partition, false),
            Event::Fault => self.fault(),
        }
        Ok(())
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn ask(&mut self, client: usize, attempt: u64, asked: Asked) -> Result<(), Violation> {
        let ticket = self.ticket();
        let Some(live) = &mut self.live else { return Ok(()) };
        let deadline = self.now + asked.patience.as_millis() as u64;
        let pending = Pending { client, attempt, asked: asked.clone(), deadline };
        live.pending.insert(ticket, pending);
        let now = self.clock();
        let request = Request::Ask(asked);
        self.with_machine(|machine, outputs| machine.handle(now, ticket, request, outputs))?;
        let waits = self.live.as_ref().is_some_and(|live| live.pending.contains_key(&ticket));
        if waits {
            self.met("waited");
        }
        Ok(())
    }

    /// Lets the machine do a step, and does what it says.
    fn with_machine(
        &mut self,
        step: impl FnOnce(&mut Machine<R>, &mut Vec<Output<Answer, Effect>>),
    ) -> Result<(), Violation> {
        let Some(mut live) = self.live.take() else { return Ok(()) };
        let mut outputs = Vec::new();
        step(&mut live.machine, &mut outputs);
        let mut is_refused = false;
        for output in outputs {
            match output {
                Output::Append(append) => {
                    is_refused = !self.is_calm && self.rng.chance(self.plan.refused);
                    if is_refused {
                        self.met("append refused");
                        continue;
                    }
                    for record in append.records {
                        self.log.push(record);
                        replay(&mut live.machine, &self.log, self.log.len() - 1);
                    }
                    let after = if self.is_calm { 1 } else { self.rng.within(0, self.plan.commit) };
                    let end = self.log.len();
                    self.later(after, Event::Commit { end, epoch: self.epoch });
                }
                Output::Answer(ticket, answer) => {
                    // A report is answered as well, and nobody waits for that.
                    let Some(pending) = live.pending.remove(&ticket) else { continue };
                    let error = ErrorCode::COORDINATOR_NOT_AVAILABLE;
                    let answer = if is_refused { Err(error) } else { Ok(answer) };
                    let release = Release::Answer(pending, answer);
                    live.releases.push_back((self.log.len(), release));
                }
                Output::Effect(Effect::WriteMarkers(markers)) => {
                    if !is_refused {
                        live.releases.push_back((self.log.len(), Release::Effect(markers)));
                    }
                }
            }
        }
        live.machine.check_invariants();
        self.live = Some(live);
        self.let_go()
    }

    fn commit(&mut self, end: usize) -> Result<(), Violation> {
        for at in self.committed..end {
            self.log_check.committed(&self.log[at], &self.partitions)?;
            let digest =
                self.log[at].value.iter().flatten().fold(self.report.digest, |sum, byte| {
                    sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
                });
            self.report.digest = digest;
        }
        self.committed = self.committed.max(end);
        self.let_go()
    }

    fn let_go(&mut self) -> Result<(), Violation> {
        while let Some(live) = &mut self.live
            && live.releases.front().is_some_and(|(end, _)| *end <= self.committed)
            && let Some((_, release)) = live.releases.pop_front()
        {
            match release {
                Release::Effect(markers) => self.send_markers(markers),
                Release::Answer(mut pending, Ok(Answer::NeedsProducerId)) => {
                    self.met("needs a producer id");
                    self.producer_ids += 1;
                    let fresh = ProducerId(self.producer_ids);
                    pending.asked.fresh_producer_id = Some(fresh);
                    let Pending { client, attempt, asked, .. } = pending;
                    self.later(1, Event::Ask { client, attempt, asked });
                }
                Release::Answer(pending, answer) => self.send_answer(pending, answer)?,
            }
        }
        Ok(())
    }

    fn send_answer(
        &mut self,
        pending: Pending,
        answer: Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        let given = match &answer {
            Ok(Answer::InitProducerId(told)) => {
                Some((told.error_code, told.producer_id, told.producer_epoch))
            }
            Ok(Answer::EndTransaction(told)) => {
                Some((told.error_code, told.producer_id, told.producer_epoch))
            }
            _ => None,
        };
        let Pending { client, attempt, .. } = pending;
        if let Some((ErrorCode::NONE, id, epoch)) = given {
            self.fates.given(Producer { id, epoch }, client)?;
        }
        let is_safe = self.clients[client].is_v2;
        self.send(Event::Answer { client, attempt, answer }, is_safe);
        Ok(())
    }

    fn check(&self) -> Result<(), Violation> {
        let Some(live) = &self.live else { return Ok(()) };
        let late = live.pending.values().find(|pending| pending.deadline < self.now);
        ensure(late.is_none(), || format!("nobody answers {late:?}"))
    }

    fn check_end(&mut self) -> Result<(), Violation> {
        let live = self.live.as_ref().ok_or("nobody coordinates")?;
        ensure(live.pending.is_empty(), || format!("{:?} wait", live.pending))?;
        ensure(live.releases.is_empty(), || "something is never committed".to_owned())?;
        for (id, transaction) in live.machine.transactions() {
            ensure(transaction.state.is_idle(), || format!("{id} never ends: {transaction:?}"))?;
        }
        for (at, partition) in &self.partitions {
            let open = partition.producers.values().find(|known| !known.open.is_empty());
            ensure(open.is_none(), || format!("{at}: {open:?} is never decided"))?;
        }
        let restless = self.clients.iter().find(|at| !at.is_dead && at.act != Act::Rest);
        ensure(restless.is_none(), || format!("{restless:?} gets nowhere"))?;
        self.report.met.insert("ended", self.log_check.ended);
        Ok(())
    }
}

fn name(id: usize) -> Text {
    format!("id-{id}").into()
}

fn replay<R: Rules>(machine: &mut Machine<R>, log: &[Record], at: usize) {
    let record = &log[at];
    machine.replay(Replayed {
        offset: Offset(at as i64),
        transaction: None,
        key: &record.key,
        value: record.value.as_deref(),
    });
}

/// The producer that an answer gives, if it is one of those that do.
fn told(answer: &Answer) -> Result<Option<Producer>, ErrorCode> {
    let (code, producer) = match answer {
        Answer::InitProducerId(told) => {
            (told.error_code, Some(Producer { id: told.producer_id, epoch: told.producer_epoch }))
        }
        Answer::EndTransaction(told) => {
            (told.error_code, Some(Producer { id: told.producer_id, epoch: told.producer_epoch }))
        }
        Answer::AddOffsets(told) => (told.error_code, None),
        Answer::AddPartitions(told) => {
            let mut results =
                told.topic_results.iter().flat_map(|topic| &topic.results_by_partition);
            (results.next().map_or(ErrorCode::NONE, |result| result.partition_error_code), None)
        }
        _ => (ErrorCode::UNKNOWN_SERVER_ERROR, None),
    };
    if code == ErrorCode::NONE { Ok(producer) } else { Err(code) }
}
