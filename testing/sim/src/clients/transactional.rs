//! A transactional producer: it writes to some partitions and commits or aborts, again and again;
//! at times it ends in the middle and begins anew, or another one takes its transactional id.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use milena_cluster::coordinator::Producer;
use milena_cluster::quorum;
use milena_cluster::replica;
use milena_cluster::transaction::{Answer, Ask, Asked};
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use milena_protocol::api::end_txn::EndTxnRequest;
use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::record::{BatchBuilder, BatchOptions};

use super::{PATIENCE, address, index};
use crate::broker::{Naming, home};
use crate::checks::transactions::{Name, Uid, value};
use crate::host::Key;
use crate::network::Message;
use crate::plan::{Plan, is_internal};
use crate::quorum_checks::Violation;
use crate::simulation::rng::Rng;
use crate::world::{Event, World};

/// Its kind of client.
pub const KIND: usize = 3;
/// Milliseconds between two steps, at most.
const INTERVAL: u64 = 40;
/// Milliseconds that one that was fenced, or has ended, stays away at most.
const ABSENCE: u64 = 1_500;
/// Producers that end in the middle of something, of a thousand at each step.
const MORTALITY: u64 = 10;
/// Nobody: what InitProducerId says where it goes on as nobody.
const NOBODY: Producer = Producer { id: ProducerId::NONE, epoch: ProducerEpoch::NONE };

/// What it does next, and again until there is an answer.
#[derive(Clone, Debug)]
enum Step {
    /// Asks for an epoch, going on as somebody or not.
    Init(Producer),
    /// Adds a partition to the transaction.
    Add(Key),
    /// Writes a batch, of so many records from a number on.
    Write { key: Key, batch: Bytes, first: u32, count: u32 },
    /// Ends the transaction.
    End(bool),
    /// Nothing more.
    Rest,
}

/// A transactional producer.
#[derive(Debug)]
pub struct Transactional {
    id: Text,
    is_version_2: bool,
    producer: Producer,
    step: Step,
    attempts: u64,
    /// The attempt that it waits for, and until when.
    waiting: Option<(u64, u64)>,
    /// It does nothing until then.
    away_until: u64,
    uid: Uid,
    /// The number of the next record, and the partitions still to come.
    number: u32,
    rest: Vec<Key>,
    /// The next sequence in each partition, in this epoch.
    sequences: BTreeMap<Key, i32>,
}

impl Transactional {
    /// One that has done nothing.
    pub fn new(id: usize, plan: &Plan, rng: &mut Rng) -> Self {
        Self {
            id: format!("id-{id}").as_str().into(),
            is_version_2: rng.chance(plan.version_2),
            producer: NOBODY,
            step: Step::Init(NOBODY),
            attempts: 0,
            waiting: None,
            away_until: 0,
            uid: 0,
            number: 0,
            rest: Vec::new(),
            sequences: BTreeMap::new(),
        }
    }

    /// Whether it has ended everything, and begins nothing any more.
    pub fn is_resting(&self) -> bool {
        matches!(self.step, Step::Rest)
    }

    fn becomes(&mut self, producer: Producer) {
        if producer != self.producer {
            self.sequences.clear();
        }
        self.producer = producer;
    }

    /// The request that its coordinator is asked with; none where it writes.
    fn request(&self, topic: impl Fn(Key) -> Option<Text>, timeout: u64) -> Option<(i16, Ask)> {
        let (id, Producer { id: producer_id, epoch: producer_epoch }) =
            (self.id.clone(), self.producer);
        match &self.step {
            Step::Init(own) => {
                let request = InitProducerIdRequest {
                    transactional_id: Some(id),
                    transaction_timeout_ms: timeout as i32,
                    producer_id: own.id,
                    producer_epoch: own.epoch,
                };
                Some((5, Ask::InitProducerId(request)))
            }
            Step::Add(key) => {
                let topics =
                    vec![AddPartitionsToTxnTopic { name: topic(*key)?, partitions: vec![key.1] }];
                let request = AddPartitionsToTxnTransaction {
                    transactional_id: id,
                    producer_id,
                    producer_epoch,
                    verify_only: false,
                    topics,
                };
                Some((3, Ask::AddPartitions(request)))
            }
            Step::End(committed) => {
                let version = if self.is_version_2 { 5 } else { 4 };
                let request = EndTxnRequest {
                    transactional_id: id,
                    producer_id,
                    producer_epoch,
                    committed: *committed,
                };
                Some((version, Ask::EndTransaction(request)))
            }
            Step::Write { .. } | Step::Rest => None,
        }
    }

    /// The next batch to a partition.
    fn batch(&mut self, key: Key, count: u32) -> Option<Step> {
        let sequence = self.sequences.entry(key).or_default();
        let options = BatchOptions {
            producer_id: self.producer.id,
            producer_epoch: self.producer.epoch,
            base_sequence: Sequence(*sequence),
            is_transactional: true,
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options);
        let first = self.number;
        for number in first..first + count {
            let value = value((self.uid, number));
            builder.append(Timestamp(1_700_000_000_000), None, Some(&value), &[]);
        }
        let batch = builder.build().ok()?;
        *sequence += count as i32;
        self.number += count;
        Some(Step::Write { key, batch, first, count })
    }
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A transactional producer goes on, or asks again.
    pub fn transact_next(&mut self, at: usize) {
        let pause = self.rng.within(1, INTERVAL);
        self.at(pause, Event::GoOn(address(KIND, at)));
        let (now, is_made) = (self.now, self.is_made());
        let dies = !self.is_calm && self.rng.chance(MORTALITY);
        let client = &mut self.clients.transactional[at];
        let waits = client.waiting.is_some_and(|(_, until)| until > now);
        if !is_made || waits || client.away_until > now {
            return;
        }
        if dies && !matches!(client.step, Step::Rest) {
            self.met("producer ended");
            return self.begin_anew(at, NOBODY);
        }
        self.ask_next(at);
    }

    /// Another epoch is asked for, after a while.
    fn begin_anew(&mut self, at: usize, own: Producer) {
        let away = self.rng.within(1, if self.is_calm { ABSENCE / 5 } else { ABSENCE });
        let (is_over, away_until) = (self.is_resting(), self.now + away);
        let client = &mut self.clients.transactional[at];
        client.waiting = None;
        client.away_until = away_until;
        client.step = if is_over { Step::Rest } else { Step::Init(own) };
    }

    fn ask_next(&mut self, at: usize) {
        let until = self.now + PATIENCE;
        let newest = self.newest.clone();
        let client = &mut self.clients.transactional[at];
        client.attempts += 1;
        let attempt = client.attempts;
        client.waiting = Some((attempt, until));
        let naming =
            Naming { transactional_id: client.id.clone(), is_implicit: client.is_version_2 };
        if let Step::Write { key, batch, .. } = &client.step {
            let (key, batch) = (*key, batch.clone());
            let message = Message::Produce { key, attempt, batch, naming: Some(naming) };
            if let Some(leader) = self.known_leader(key) {
                self.send(address(KIND, at), leader, None, message);
            }
            return;
        }
        let topic = |key: Key| Some(newest.topic_by_id(key.0)?.name().clone());
        let request = client.request(topic, self.plan.transaction_timeout);
        let key = home(&newest, &client.id);
        let (Some((version, ask)), Some(key)) = (request, key) else { return };
        let patience = Duration::from_millis(PATIENCE / 2);
        let asked = Asked { version, patience, fresh_producer_id: None, ask };
        if let Some(leader) = self.known_leader(key) {
            let message = Message::AskTransaction { key, attempt, asked };
            self.send(address(KIND, at), leader, None, message);
        }
    }

    /// Whether an answer is awaited; it is not any more after that.
    fn is_answer(&mut self, at: usize, attempt: u64) -> bool {
        let client = &mut self.clients.transactional[at];
        let is_awaited = client.waiting.is_some_and(|(awaited, _)| awaited == attempt);
        if is_awaited {
            client.waiting = None;
        }
        is_awaited
    }

    /// The coordinator answers.
    pub fn transaction_told(
        &mut self,
        client: NodeId,
        attempt: u64,
        result: Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        let at = index(client, KIND);
        if !self.is_answer(at, attempt) {
            return Ok(());
        }
        let told = match result.and_then(|answer| told(&answer)) {
            Ok(told) => told,
            Err(code) => {
                self.refused(at, code);
                return Ok(());
            }
        };
        let client = &mut self.clients.transactional[at];
        match client.step.clone() {
            Step::Init(_) => {
                client.becomes(told.unwrap_or(client.producer));
                self.begin_transaction(at);
            }
            Step::Add(key) => self.write_to(at, key),
            Step::End(is_commit) => {
                let (uid, own) = (client.uid, client.producer);
                let is_version_2 = client.is_version_2;
                client.becomes(told.filter(|_| is_version_2).unwrap_or(own));
                self.met(if is_commit { "committed" } else { "aborted" });
                self.checks.records.transactions.was_told(uid, is_commit)?;
                // What was sent and not answered may be there or not: the epoch ends with it.
                if is_commit || is_version_2 {
                    self.begin_transaction(at);
                } else {
                    self.begin_anew(at, own);
                }
            }
            Step::Write { .. } | Step::Rest => {}
        }
        Ok(())
    }

    /// Begins a transaction, if there is time for one.
    fn begin_transaction(&mut self, at: usize) {
        let uid = self.next_serial();
        let newest = self.newest.clone();
        let keys: Vec<Key> = newest
            .topics()
            .filter(|topic| !is_internal(topic.name()))
            .flat_map(|topic| topic.partitions().map(|(index, _)| (topic.id(), index)))
            .collect();
        let count = self.rng.within(1, 3);
        let rest = (0..count).filter_map(|_| self.rng.pick(&keys).copied()).collect();
        let is_over = self.is_resting();
        let client = &mut self.clients.transactional[at];
        (client.uid, client.number, client.rest) = (uid, 0, rest);
        client.step = Step::Rest;
        if !is_over {
            self.proceed(at);
        }
    }

    /// The next partition, or the end.
    fn proceed(&mut self, at: usize) {
        let commits = self.rng.chance(650);
        let client = &mut self.clients.transactional[at];
        match client.rest.pop() {
            Some(key) if !client.is_version_2 => client.step = Step::Add(key),
            Some(key) => self.write_to(at, key),
            None => client.step = Step::End(commits),
        }
    }

    fn write_to(&mut self, at: usize, key: Key) {
        let count = self.rng.within(1, 3) as u32;
        let client = &mut self.clients.transactional[at];
        client.step = client.batch(key, count).unwrap_or(Step::End(false));
    }

    /// A leader answers a transactional producer.
    pub fn written_in_transaction(
        &mut self,
        client: NodeId,
        attempt: u64,
        result: Result<Offset, ErrorCode>,
    ) {
        let at = index(client, KIND);
        if !self.is_answer(at, attempt) {
            return;
        }
        let client = &mut self.clients.transactional[at];
        let Step::Write { first, count, .. } = &client.step else { return };
        match result {
            Ok(_) => {
                let (uid, numbers) = (client.uid, *first..first + count);
                let names = numbers.map(|number| -> Name { (uid, number) });
                self.checks.records.transactions.was_written(names);
                self.proceed(at);
            }
            Err(code) => self.refused(at, code),
        }
    }

    /// What a producer does about a refusal.
    fn refused(&mut self, at: usize, code: ErrorCode) {
        let client = &mut self.clients.transactional[at];
        let is_ended_by_others = [
            ErrorCode::PRODUCER_FENCED,
            ErrorCode::INVALID_PRODUCER_EPOCH,
            ErrorCode::INVALID_PRODUCER_ID_MAPPING,
        ]
        .contains(&code);
        if is_ended_by_others {
            self.met("fenced producer");
            self.begin_anew(at, NOBODY);
        } else if code.is_retriable() {
            self.met("transaction retried");
        } else if let Step::Write { .. } | Step::Add(_) = client.step {
            client.step = Step::End(false);
            self.met("transaction lost");
        } else {
            // Nobody can say what became of it.
            self.met("transaction lost");
            self.begin_anew(at, NOBODY);
        }
    }
}

/// The producer that an answer gives, if it is one of those that do.
fn told(answer: &Answer) -> Result<Option<Producer>, ErrorCode> {
    let given = |code: ErrorCode, id, epoch| match code {
        ErrorCode::NONE => Ok(Some(Producer { id, epoch })),
        code => Err(code),
    };
    match answer {
        Answer::InitProducerId(it) => given(it.error_code, it.producer_id, it.producer_epoch),
        Answer::EndTransaction(it) => given(it.error_code, it.producer_id, it.producer_epoch),
        Answer::AddPartitions(it) => {
            let mut results = it.topic_results.iter().flat_map(|topic| &topic.results_by_partition);
            let code = results.next().map_or(ErrorCode::NONE, |it| it.partition_error_code);
            if code.is_none() { Ok(None) } else { Err(code) }
        }
        _ => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}
