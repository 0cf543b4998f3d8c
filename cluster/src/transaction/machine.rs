//! The coordinator of the transactional ids in one partition of `__transaction_state`.
//!
//! A request is decided in a file of its own, on what is known of its transactional id. Here the
//! decision becomes records, answers and markers, and requests wait for the markers of the
//! transaction before instead of being refused.
//!
//! Each step appends at most once, before everything else: several records where a transaction is
//! completed and those who waited for that go on at once. When that append is refused, the driver
//! gives the error to whoever would be answered after it and drops the effects after it: nothing
//! has happened then, and what was due is due again soon.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch};

use super::attempt::Attempt;
use super::case::{Case, Verdict};
use super::known::{RAISES_EPOCH, TopicPartition, Transaction};
use super::marking::{FIRST_ATTEMPT, Marking};
use super::request::{Answer, Ask, Asked, Effect, MarkerReport, Markers, Request};
use super::rules::{Kafka, Rules};
use super::settings::Settings;
use super::state::State;
use super::{add_partitions, describe, end_transaction, init_producer_id, record};
use crate::coordinator::{
    Append, Machine as CoordinatorMachine, OnFailure, Output, Producer, Record, Replayed, Ticket,
};
use crate::metadata::image::MetadataImage;
use crate::time::{Instant, Now};

/// The feature whose level says how transactions end.
const FEATURE: &str = "transaction.version";
/// Requests that wait for the markers of one transaction; more are refused.
const MAX_WAITING: usize = 100;
/// Transactional ids that one tick looks after; the next tick follows at once.
const MAX_DUE_PER_TICK: usize = 500;
/// How soon what is due is done again where its record was refused.
const REFUSED_RETRY: Duration = Duration::from_secs(1);

/// A coordinator under Kafka's rules.
pub type Coordinator = Machine<Kafka>;

/// The coordinator of the transactional ids in one partition of `__transaction_state`.
#[derive(Debug)]
pub struct Machine<R> {
    settings: Settings,
    /// The leader epoch of the partition (fact T17).
    coordinator_epoch: LeaderEpoch,
    entries: BTreeMap<Text, Entry>,
    /// When which entry is looked after.
    timers: BTreeSet<(Instant, Text)>,
    /// When who has waited long enough.
    waits: BTreeSet<(Instant, Text, Ticket)>,
    /// Where the log ends.
    end: Offset,
    /// Where it ended when this step began: two decisions of one transactional id differ in it.
    step_end: Offset,
    now: Now,
    is_loaded: bool,
    rules: PhantomData<fn() -> R>,
}

/// A transactional id.
#[derive(Debug)]
struct Entry {
    transaction: Transaction,
    /// Where a decision is made that not every partition knows.
    marking: Option<Marking>,
    waiting: Vec<Waiting>,
    timer: Option<Instant>,
}

/// A request that waits for markers.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    deadline: Instant,
    asked: Asked,
}

/// What comes of a step.
#[derive(Debug, Default)]
struct Step {
    /// What was decided in an earlier step, and so does not fall with the records of this one.
    before: Vec<Output<Answer, Effect>>,
    records: Vec<Record>,
    after: Vec<Output<Answer, Effect>>,
}

impl Step {
    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.after.push(Output::Answer(ticket, answer));
    }

    fn finish(self, outputs: &mut Vec<Output<Answer, Effect>>) {
        outputs.extend(self.before);
        if !self.records.is_empty() {
            outputs.push(Output::Append(Append {
                records: self.records,
                transaction: None,
                on_failure: OnFailure::Refuse,
            }));
        }
        outputs.extend(self.after);
    }
}

impl Ask {
    fn transactional_id(&self) -> Text {
        match self {
            Self::InitProducerId(request) => request.transactional_id.clone().unwrap_or_default(),
            Self::AddPartitions(request) => request.transactional_id.clone(),
            Self::AddOffsets { request, .. } => request.transactional_id.clone(),
            Self::EndTransaction(request) => request.transactional_id.clone(),
        }
    }

    fn decide<R: Rules>(&self, case: &Case<'_>) -> Verdict {
        match self {
            Self::InitProducerId(request) => init_producer_id::decide::<R>(case, request),
            Self::AddPartitions(request) => add_partitions::decide(case, request),
            Self::AddOffsets { request, offsets_partition } => {
                add_partitions::decide_offsets(case, request, *offsets_partition)
            }
            Self::EndTransaction(request) => end_transaction::decide::<R>(case, request),
        }
    }

    fn refused(&self, version: i16, code: ErrorCode) -> Answer {
        match self {
            Self::InitProducerId(_) => init_producer_id::refused(version, code),
            Self::AddPartitions(request) => add_partitions::refused(version, request, code),
            Self::AddOffsets { .. } => add_partitions::answer_offsets(version, code),
            Self::EndTransaction(_) => end_transaction::refused(version, code),
        }
    }
}

impl<R: Rules> Machine<R> {
    /// A coordinator that knows of no transactional id, for one leader epoch of its partition.
    #[must_use]
    pub fn new(settings: Settings, coordinator_epoch: LeaderEpoch) -> Self {
        Self {
            settings,
            coordinator_epoch,
            entries: BTreeMap::new(),
            timers: BTreeSet::new(),
            waits: BTreeSet::new(),
            end: Offset::ZERO,
            step_end: Offset::ZERO,
            now: Now::default(),
            is_loaded: false,
            rules: PhantomData,
        }
    }

    /// What is known of a transactional id.
    #[must_use]
    pub fn transaction(&self, id: &str) -> Option<&Transaction> {
        self.entries.get(id).map(|entry| &entry.transaction)
    }

    /// All transactional ids.
    pub fn transactions(&self) -> impl Iterator<Item = (&Text, &Transaction)> {
        self.entries.iter().map(|(id, entry)| (id, &entry.transaction))
    }

    /// How many requests wait for markers.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.waits.len()
    }

    fn begin(&mut self, now: Now) {
        self.now = now;
        self.step_end = self.end;
    }

    fn ask(&mut self, ticket: Ticket, asked: Asked, step: &mut Step) {
        let id = asked.ask.transactional_id();
        let id = self.entries.get_key_value(&id).map_or_else(|| id.detach(), |(id, _)| id.clone());
        let deadline = self.now.instant.plus(asked.patience);
        let waiting = Waiting { ticket, deadline, asked };
        self.decide_in_turn(&id, None, VecDeque::from([waiting]), step);
    }

    /// Decides requests about one transactional id, each on what became of it by the one before;
    /// `changed` is what this step has made of it already.
    fn decide_in_turn(
        &mut self,
        id: &Text,
        mut changed: Option<Transaction>,
        mut queue: VecDeque<Waiting>,
        step: &mut Step,
    ) {
        let mut waiting = Vec::new();
        while let Some(next) = queue.pop_front() {
            let known = changed.as_ref().or_else(|| self.transaction(id));
            let case = Case {
                now: self.now.wall,
                settings: &self.settings,
                known,
                version: next.asked.version,
                fresh_producer_id: next.asked.fresh_producer_id,
            };
            match next.asked.ask.decide::<R>(&case) {
                Verdict::Answer(answer) => step.answer(next.ticket, answer),
                Verdict::Become(transaction, answer) => {
                    changed = Some(self.change(id, known, transaction, step));
                    step.answer(next.ticket, answer);
                }
                Verdict::AbortAndWait(transaction) => {
                    changed = Some(self.change(id, known, transaction, step));
                    queue.push_front(next);
                }
                Verdict::Wait => waiting.push(next),
            }
        }
        self.keep(id, changed.map(|transaction| transaction.last_epoch), waiting, step);
    }

    /// Puts a change into the step, and what follows from it: markers, or, where no partition needs
    /// one, that it is complete. Returns what the transaction is in the end.
    fn change(
        &self,
        id: &Text,
        before: Option<&Transaction>,
        transaction: Transaction,
        step: &mut Step,
    ) -> Transaction {
        let (from, to) = (before.map(|before| before.state), transaction.state);
        let may_follow = from.map_or(to == State::Empty, |from| to.may_follow(from));
        assert!(may_follow, "{id}: {to:?} does not follow {from:?}");
        let level = self.settings.transaction_version;
        step.records.push(record::record(id, &transaction, level));
        if transaction.state.decision().is_none() {
            return transaction;
        }
        if transaction.partitions.is_empty()
            && let Some(completed) = transaction.completed(self.now.wall)
        {
            step.records.push(record::record(id, &completed, level));
            return completed;
        }
        let attempt = Attempt {
            coordinator_epoch: self.coordinator_epoch,
            decision: self.step_end,
            number: FIRST_ATTEMPT,
        };
        let partitions = transaction.partitions.clone();
        let markers = markers(id, &transaction, attempt, partitions);
        step.after.extend(markers.map(Output::Effect));
        transaction
    }

    /// Remembers what is in no record: the epoch before, and who waits.
    fn keep(
        &mut self,
        id: &Text,
        last_epoch: Option<ProducerEpoch>,
        waiting: Vec<Waiting>,
        step: &mut Step,
    ) {
        let Some(entry) = self.entries.get_mut(id) else {
            assert!(waiting.is_empty(), "{id}: who waits for markers waits for those of an entry");
            return;
        };
        if let Some(last_epoch) = last_epoch {
            entry.transaction.last_epoch = last_epoch;
        }
        for waiting in waiting {
            if entry.waiting.len() >= MAX_WAITING || waiting.deadline <= self.now.instant {
                step.answer(waiting.ticket, waiting.concurrent());
                continue;
            }
            self.waits.insert((waiting.deadline, id.clone(), waiting.ticket));
            entry.waiting.push(waiting);
        }
    }

    fn report(&mut self, report: MarkerReport, step: &mut Step) {
        let Some((id, entry)) = self.entries.get_key_value(&report.transactional_id) else {
            return;
        };
        let (id, timer) = (id.clone(), entry.timer);
        let entry = self.entries.get_mut(&id);
        let Some(marking) = entry.and_then(|entry| entry.marking.as_mut()) else { return };
        for (partition, outcome) in report.outcomes {
            marking.note::<R>(self.coordinator_epoch, report.attempt, partition, outcome);
        }
        if R::is_complete(marking.remaining.len()) {
            self.complete(&id, step);
            return;
        }
        let at = self.now.instant.plus(marking.wait());
        if timer.is_none_or(|timer| at < timer) {
            self.arm(&id, at);
        }
    }

    /// All markers are in: the transaction is over, and those who waited for that go on.
    fn complete(&mut self, id: &Text, step: &mut Step) {
        self.arm(id, self.now.instant.plus(REFUSED_RETRY));
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(completed) = entry.transaction.completed(self.now.wall) else { return };
        let waiting = VecDeque::from(std::mem::take(&mut entry.waiting));
        for waiting in &waiting {
            self.waits.remove(&(waiting.deadline, id.clone(), waiting.ticket));
        }
        let completed = self.change(id, self.transaction(id), completed, step);
        self.decide_in_turn(id, Some(completed), waiting, step);
    }

    /// Does what is due for one transactional id.
    fn look_after(&mut self, id: &Text, step: &mut Step) {
        // Until the record that follows is in effect, and again if it is refused.
        self.arm(id, self.now.instant.plus(REFUSED_RETRY));
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(marking) = &mut entry.marking else {
            if entry.transaction.state == State::Ongoing {
                let level = self.settings.transaction_version;
                let aborted = entry.transaction.fenced::<R>(level, self.now.wall);
                let aborted = self.change(id, self.transaction(id), aborted, step);
                self.keep(id, Some(aborted.last_epoch), Vec::new(), step);
            } else {
                step.records.push(record::tombstone(id));
            }
            return;
        };
        if R::is_complete(marking.remaining.len()) {
            self.complete(id, step);
            return;
        }
        // Where a late marker does no harm, a report that does not come is not waited for.
        let is_harmless = entry.transaction.client_version >= RAISES_EPOCH;
        let epoch = self.coordinator_epoch;
        let retried = marking.retry_failed(epoch);
        let retried = retried.or_else(|| is_harmless.then(|| marking.retry_all(epoch)));
        let at = self.now.instant.plus(marking.wait());
        if let Some((attempt, partitions)) = retried {
            let markers = markers(id, &entry.transaction, attempt, partitions);
            step.before.extend(markers.map(Output::Effect));
        }
        self.arm(id, at);
    }

    /// Writes the markers of what was decided before this coordinator took over, who may have
    /// written some of them, or all (fact T18).
    fn resume(&mut self, id: &Text, step: &mut Step) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(marking) = entry.marking.as_mut() else { return };
        if marking.remaining.is_empty() {
            self.complete(id, step);
            return;
        }
        let (attempt, partitions) = marking.retry_all(self.coordinator_epoch);
        let at = self.now.instant.plus(marking.wait());
        let markers = markers(id, &entry.transaction, attempt, partitions);
        step.before.extend(markers.map(Output::Effect));
        self.arm(id, at);
    }

    /// Refuses those who have waited long enough.
    fn refuse_late(&mut self, step: &mut Step) {
        while let Some((deadline, id, ticket)) = self.waits.first().cloned()
            && deadline <= self.now.instant
        {
            self.waits.pop_first();
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            for late in entry.waiting.extract_if(.., |waiting| waiting.ticket == ticket) {
                step.answer(late.ticket, late.concurrent());
            }
        }
    }

    /// Looks after an entry at an instant, and no other.
    fn arm(&mut self, id: &Text, at: Instant) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if let Some(before) = entry.timer.replace(at) {
            self.timers.remove(&(before, id.clone()));
        }
        self.timers.insert((at, id.clone()));
    }

    /// Looks after an entry when its state wants it.
    fn arm_by_state(&mut self, id: &Text) {
        let Some(entry) = self.entries.get(id) else { return };
        let transaction = &entry.transaction;
        let wait = if let Some(marking) = &entry.marking {
            marking.wait()
        } else if transaction.state == State::Ongoing {
            let timeout_ms = u64::try_from(transaction.timeout_ms).unwrap_or(0);
            self.left(transaction.started_at.0, Duration::from_millis(timeout_ms))
        } else {
            self.left(transaction.updated_at.0, self.settings.id_expiration)
        };
        self.arm(id, self.now.instant.plus(wait));
    }

    /// What is left of a span that began at a time of the wall clock, which may have been set.
    fn left(&self, began_at_ms: i64, span: Duration) -> Duration {
        let past_ms = u64::try_from(self.now.wall.0.saturating_sub(began_at_ms)).unwrap_or(0);
        span.saturating_sub(Duration::from_millis(past_ms))
    }
}

fn markers(
    id: &Text,
    transaction: &Transaction,
    attempt: Attempt,
    partitions: BTreeSet<TopicPartition>,
) -> Option<Effect> {
    Some(Effect::WriteMarkers(Markers {
        transactional_id: id.clone(),
        attempt,
        producer: transaction.producer,
        is_commit: transaction.state.decision()?,
        transaction_version: transaction.client_version,
        partitions,
    }))
}

impl Waiting {
    fn concurrent(&self) -> Answer {
        self.asked.ask.refused(self.asked.version, ErrorCode::CONCURRENT_TRANSACTIONS)
    }
}

impl<R: Rules> CoordinatorMachine for Machine<R> {
    type Request = Request;
    type Answer = Answer;
    type Effect = Effect;

    fn see(&mut self, metadata: &Arc<MetadataImage>) {
        self.settings.transaction_version = metadata.feature(FEATURE);
    }

    fn handle(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: Request,
        outputs: &mut Vec<Output<Answer, Effect>>,
    ) {
        self.begin(now);
        let mut step = Step::default();
        match request {
            Request::Ask(asked) => self.ask(ticket, asked, &mut step),
            Request::Describe(id) => {
                let known = self.entries.get(&id).map(|entry| {
                    let left = entry.marking.as_ref().map(|marking| &marking.remaining);
                    (&entry.transaction, left.unwrap_or(&entry.transaction.partitions))
                });
                step.answer(ticket, describe::describe(&id, known));
            }
            Request::List(request) => {
                let listed = describe::list(&request, now.wall, self.transactions());
                step.answer(ticket, Answer::List(listed));
            }
            Request::Report(report) => {
                self.report(report, &mut step);
                step.answer(ticket, Answer::Noted);
            }
        }
        step.finish(outputs);
    }

    fn tick(&mut self, now: Now, outputs: &mut Vec<Output<Answer, Effect>>) {
        self.begin(now);
        let mut step = Step::default();
        self.refuse_late(&mut step);
        let due = self.timers.iter().take_while(|(at, _)| *at <= now.instant);
        let due: Vec<Text> = due.take(MAX_DUE_PER_TICK).map(|(_, id)| id.clone()).collect();
        for id in due {
            self.look_after(&id, &mut step);
        }
        step.finish(outputs);
    }

    fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let wait = self.waits.first().map(|(at, _, _)| *at);
        timer.into_iter().chain(wait).min()
    }

    fn replay(&mut self, record: Replayed<'_>) {
        self.end = record.offset.plus(1);
        let Some((id, content)) = record::read(&record) else { return };
        let Some(transaction) = content else {
            if let Some(at) = self.entries.remove(&id).and_then(|entry| entry.timer) {
                self.timers.remove(&(at, id));
            }
            return;
        };
        let decision = if self.is_loaded { self.step_end } else { record.offset };
        let marking = transaction
            .state
            .decision()
            .map(|_| Marking::new(decision, transaction.partitions.clone()));
        if let Some(entry) = self.entries.get_mut(&id) {
            let last_epoch = entry.transaction.last_epoch;
            entry.transaction = Transaction { last_epoch, ..transaction };
            entry.marking = marking;
        } else {
            let entry = Entry { transaction, marking, waiting: Vec::new(), timer: None };
            self.entries.insert(id.clone(), entry);
        }
        if self.is_loaded {
            self.arm_by_state(&id);
        }
    }

    fn replay_marker(&mut self, _producer: Producer, _is_commit: bool) {
        // Nothing is written to this topic in a transaction.
    }

    fn loaded(&mut self, now: Now, outputs: &mut Vec<Output<Answer, Effect>>) {
        self.begin(now);
        self.is_loaded = true;
        let mut step = Step::default();
        let ids: Vec<Text> = self.entries.keys().cloned().collect();
        for id in ids {
            if self.entries[&id].marking.is_none() {
                self.arm_by_state(&id);
            } else if R::resumes() {
                self.resume(&id, &mut step);
            }
        }
        step.finish(outputs);
    }

    fn check_invariants(&self) {
        let mut timers = 0;
        let mut waits = 0;
        for (id, entry) in &self.entries {
            let transaction = &entry.transaction;
            let is_decided = transaction.state.decision().is_some();
            assert_eq!(entry.marking.is_some(), is_decided, "{id}: a decision is marked");
            if let Some(marking) = &entry.marking {
                assert!(marking.remaining.is_subset(&transaction.partitions), "{id}");
            }
            let has_partitions = !transaction.partitions.is_empty();
            assert!(!has_partitions || !transaction.state.is_idle(), "{id}: nothing is open");
            assert!(entry.timer.is_some() || !self.is_loaded, "{id} is looked after");
            timers += usize::from(entry.timer.is_some());
            waits += entry.waiting.len();
            assert!(entry.waiting.len() <= MAX_WAITING, "{id}: too many wait");
            let is_timed = |at: Instant| self.timers.contains(&(at, id.clone()));
            assert!(entry.timer.is_none_or(is_timed), "{id} has a timer");
        }
        assert_eq!(self.timers.len(), timers, "each timer is an entry's");
        assert_eq!(self.waits.len(), waits, "each wait is a request's");
    }
}
