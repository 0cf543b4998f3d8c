//! A coordinator on a partition that a broker leads, of groups or of transactions: built from the
//! log when that begins, and dropped with the leadership. Its answers, and what else it wants done,
//! wait until everything before is committed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;
use milena_cluster::coordinator::{Append, Machine, OnFailure, Output, Producer, Replayed, Ticket};
use milena_cluster::quorum::{self, Batch};
use milena_cluster::replica::{self, Input};
use milena_cluster::time::Now;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Sequence};
use milena_protocol::record::batch::{self, patch};
use milena_protocol::record::record::Records;
use milena_protocol::record::{BatchBuilder, BatchOptions};

use super::Leading;
use super::producers::{Written, written};
use crate::bugs::{Bugs, HostBug};
use crate::host::Key;
use crate::network::Message;
use crate::quorum_checks::Violation;
use crate::world::World;

/// What a step of a machine wants done.
type Outputs<M> = milena_cluster::coordinator::Outputs<M>;

/// Who waits for an answer, and the number that it gave.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    /// A client.
    Client(NodeId, u64),
    /// A run of a broker that asks about a partition that it leads.
    Broker { id: NodeId, run: u64, place: Key, number: u64 },
    /// Nobody: a broker tells its own coordinator.
    Nobody,
}

/// A kind of coordinator.
pub trait Kind: Machine<Request: Clone, Answer: Clone> {
    /// The topic that it keeps its records in.
    const TOPIC: &'static str;
    /// What it is called in a transcript.
    const NAME: &'static str;
    /// That one was loaded.
    const LOADED: &'static str;

    /// One that knows of nothing, for a leader epoch of its partition.
    fn new(epoch: LeaderEpoch) -> Self;

    /// Where a leader has it.
    fn of<L>(leading: &Leading<L>) -> &Option<Shard<Self>>;

    /// Where a leader has it, to change.
    fn of_mut<L>(leading: &mut Leading<L>) -> &mut Option<Shard<Self>>;

    /// Whether a record is to be replayed when a coordinator is loaded.
    fn is_kept(_bugs: &Bugs, _key: &[u8]) -> bool {
        true
    }

    /// Does what it wants done besides appends and answers.
    fn execute<Q: quorum::Rules, L: replica::Rules>(
        world: &mut World<Q, L>,
        id: NodeId,
        key: Key,
        effect: Self::Effect,
    ) -> Result<(), Violation>;

    /// Lets an answer go.
    fn answer<Q: quorum::Rules, L: replica::Rules>(
        world: &mut World<Q, L>,
        id: NodeId,
        key: Key,
        asked: Asked<Self>,
        answer: Result<Self::Answer, ErrorCode>,
    ) -> Result<(), Violation>;
}

/// A request, and who waits for its answer.
#[derive(Clone, Debug)]
pub struct Asked<M: Machine> {
    pub caller: Caller,
    pub request: M::Request,
}

/// What is let go once everything before it is committed.
enum Release<M: Machine> {
    Answer(Asked<M>, Result<M::Answer, ErrorCode>),
    Effect(M::Effect),
}

/// A coordinator, and who waits for it.
pub struct Shard<M: Machine> {
    machine: M,
    tickets: u64,
    waiting: BTreeMap<Ticket, Asked<M>>,
    /// Where the log has to be committed for each.
    releases: VecDeque<(Offset, Release<M>)>,
}

/// Replays what a batch holds.
fn replay<M: Kind>(
    machine: &mut M,
    bytes: &[u8],
    base_offset: Offset,
    is_kept: impl Fn(&[u8]) -> bool,
) -> Result<(), Violation> {
    if let Some(Written::Marker(marker)) = written(bytes, base_offset) {
        machine.replay_marker(marker.producer, marker.is_commit);
        return Ok(());
    }
    let (batch, _) = batch::Batch::parse(bytes).map_err(|error| error.to_string())?;
    let producer = Producer { id: batch.producer_id(), epoch: batch.producer_epoch() };
    let transaction = batch.attributes().is_transactional().then_some(producer);
    for record in Records::new(batch.records_bytes(), batch.record_count()) {
        let record = record.map_err(|error| error.to_string())?;
        let (key, value) = (record.key.unwrap_or_default(), record.value);
        let offset = base_offset.plus(i64::from(record.offset_delta));
        if is_kept(key) {
            machine.replay(Replayed { offset, transaction, key, value });
        }
    }
    Ok(())
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A leader of a coordinators' topic reads what the log holds.
    pub fn load<M: Kind>(&mut self, id: NodeId, key: Key) -> Result<(), Violation> {
        let Some(broker) = self.host(id).broker() else { return Ok(()) };
        let topic = broker.image.topic_by_id(key.0);
        if topic.is_none_or(|topic| topic.name().as_str() != M::TOPIC) {
            return Ok(());
        }
        let Some(leading) = broker.leading(key) else { return Ok(()) };
        let mut machine = M::new(leading.machine.leader_epoch());
        let stops_early = self.bugs.host == HostBug::LoadedToHighWatermark;
        let end = if stops_early { self.high_watermark(id, key) } else { Offset(i64::MAX) };
        for batch in self.host(id).log(key).iter().take_while(|batch| batch.end_offset <= end) {
            let is_kept = |key: &[u8]| M::is_kept(&self.bugs, key);
            replay(&mut machine, &batch.bytes, batch.base_offset, is_kept)?;
        }
        let shard =
            Shard { machine, tickets: 0, waiting: BTreeMap::new(), releases: VecDeque::new() };
        if let Some(leading) = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key)) {
            *M::of_mut(leading) = Some(shard);
            self.met(M::LOADED);
        }
        self.run_coordinator::<M>(id, key, |machine, now, outputs| machine.loaded(now, outputs))
    }

    /// Somebody asks a coordinator.
    pub fn ask_coordinator<M: Kind>(
        &mut self,
        id: NodeId,
        key: Key,
        asked: Asked<M>,
    ) -> Result<(), Violation> {
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key));
        let Some(shard) = leading.and_then(|leading| M::of_mut(leading).as_mut()) else {
            return M::answer(self, id, key, asked, Err(ErrorCode::NOT_COORDINATOR));
        };
        shard.tickets += 1;
        let ticket = Ticket(shard.tickets);
        let request = asked.request.clone();
        shard.waiting.insert(ticket, asked);
        self.run_coordinator::<M>(id, key, |machine, now, outputs| {
            machine.handle(now, ticket, request, outputs);
        })
    }

    /// Lets a coordinator do what is due.
    pub fn tick_coordinator<M: Kind>(
        &mut self,
        id: NodeId,
        key: Key,
        now: Now,
    ) -> Result<(), Violation> {
        let leading = self.host(id).broker().and_then(|broker| broker.leading(key));
        let due = leading.and_then(|leading| M::of(leading).as_ref()?.machine.deadline());
        if due.is_none_or(|due| due > now.instant) {
            return Ok(());
        }
        self.run_coordinator::<M>(id, key, |machine, now, outputs| machine.tick(now, outputs))
    }

    fn run_coordinator<M: Kind>(
        &mut self,
        id: NodeId,
        key: Key,
        step: impl FnOnce(&mut M, Now, &mut Outputs<M>),
    ) -> Result<(), Violation> {
        let Some(now) = self.clock(id) else { return Ok(()) };
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let image = Arc::clone(&broker.image);
        let Some(leading) = broker.leading_mut(key) else { return Ok(()) };
        let Some(mut shard) = M::of_mut(leading).take() else { return Ok(()) };
        let mut outputs = Vec::new();
        shard.machine.see(&image);
        step(&mut shard.machine, now, &mut outputs);
        shard.machine.check_invariants();
        self.report.steps += 1;
        self.execute_for_coordinator(id, key, shard, outputs)
    }

    /// Executes what the machine said, in its order.
    fn execute_for_coordinator<M: Kind>(
        &mut self,
        id: NodeId,
        key: Key,
        mut shard: Shard<M>,
        outputs: Outputs<M>,
    ) -> Result<(), Violation> {
        let mut refused = None;
        let mut appended = None;
        let end_of = |world: &Self| {
            let last = world.host(id).log(key).last();
            last.map_or(Offset::ZERO, |last| last.end_offset)
        };
        for output in outputs {
            match output {
                Output::Append(append) => match self.append_as_coordinator::<M>(id, key, &append) {
                    Ok(batch) => {
                        replay(&mut shard.machine, &batch.bytes, batch.base_offset, |_| true)?;
                        appended = Some(batch.end_offset);
                    }
                    Err(code) if append.on_failure == OnFailure::Refuse => refused = Some(code),
                    // The machine has moved on already: it is built anew.
                    Err(_) => return self.load::<M>(id, key),
                },
                Output::Answer(ticket, answer) => {
                    if let Some(asked) = shard.waiting.remove(&ticket) {
                        let answer = Release::Answer(asked, refused.map_or(Ok(answer), Err));
                        shard.releases.push_back((end_of(self), answer));
                    }
                }
                // What follows from records that are not in the log does not happen.
                Output::Effect(_) if refused.is_some() => {}
                Output::Effect(effect) => {
                    shard.releases.push_back((end_of(self), Release::Effect(effect)));
                }
            }
        }
        if let Some(leading) = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key)) {
            *M::of_mut(leading) = Some(shard);
        }
        match appended {
            Some(end) => self.lead(id, key, Input::Appended(end)),
            None => self.release::<M>(id, key),
        }
    }

    fn append_as_coordinator<M: Kind>(
        &mut self,
        id: NodeId,
        key: Key,
        append: &Append,
    ) -> Result<Batch, ErrorCode> {
        let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let now = self.clock(id).ok_or(gone)?.wall;
        let mut options = BatchOptions { base_sequence: Sequence::NONE, ..Default::default() };
        if let Some(producer) = append.transaction {
            options.producer_id = producer.id;
            options.producer_epoch = producer.epoch;
            options.is_transactional = true;
        }
        let mut builder = BatchBuilder::new(options);
        for record in &append.records {
            builder.append(now, Some(&record.key), record.value.as_deref(), &[]);
        }
        let built = builder.build().map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let count = append.records.len() as i64;
        let batch = self.append_batch(id, key, &built, count)?;
        self.note(format_args!("{id} notes of {}: {:?}", M::NAME, append.records));
        Ok(batch)
    }

    /// Appends what a leader made itself, records or a marker.
    pub fn append_batch(
        &mut self,
        id: NodeId,
        key: Key,
        built: &[u8],
        count: i64,
    ) -> Result<Batch, ErrorCode> {
        let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let host = self.host_mut(id);
        let base_offset = host.log(key).last().map_or(Offset::ZERO, |last| last.end_offset);
        let leading = host.broker_mut().and_then(|it| it.leading_mut(key)).ok_or(gone)?;
        leading.machine.admit(-1)?;
        let epoch = leading.machine.leader_epoch();
        let mut placed = BytesMut::from(built);
        patch::place(&mut placed, base_offset, epoch);
        let batch = Batch {
            base_offset,
            end_offset: base_offset.plus(count),
            epoch,
            control: Vec::new(),
            bytes: placed.freeze(),
        };
        match written(&batch.bytes, base_offset) {
            Some(Written::Records(producer, sent)) => leading.producers.note(producer, sent),
            Some(Written::Marker(marker)) => leading.producers.mark(marker, base_offset),
            None => {}
        }
        host.replicas.get_mut(&key).ok_or(gone)?.log.append(batch.clone());
        self.sync_later(id, key);
        Ok(batch)
    }

    /// Lets go what is committed.
    pub fn release<M: Kind>(&mut self, id: NodeId, key: Key) -> Result<(), Violation> {
        let is_hasty = self.bugs.host == HostBug::AnswersBeforeCommit;
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let Some(leading) = broker.leading_mut(key) else { return Ok(()) };
        let high_watermark = leading.machine.high_watermark();
        let Some(shard) = M::of_mut(leading) else { return Ok(()) };
        let is_due = |(end, _): &&(Offset, _)| is_hasty || *end <= high_watermark;
        let count = shard.releases.iter().take_while(is_due).count();
        let released: Vec<_> = shard.releases.drain(..count).collect();
        for (_, release) in released {
            match release {
                Release::Answer(asked, answer) => M::answer(self, id, key, asked, answer)?,
                Release::Effect(effect) => M::execute(self, id, key, effect)?,
            }
        }
        Ok(())
    }

    /// Lets an answer go to whoever waits for it.
    pub fn tell_caller(
        &mut self,
        id: NodeId,
        caller: Caller,
        of_client: impl FnOnce(u64) -> Message,
        of_broker: impl FnOnce(Key, u64) -> Message,
    ) {
        match caller {
            Caller::Client(client, attempt) => self.send(id, client, None, of_client(attempt)),
            Caller::Broker { id: to, run, place, number } => {
                self.send(id, to, Some(run), of_broker(place, number));
            }
            Caller::Nobody => {}
        }
    }
}
