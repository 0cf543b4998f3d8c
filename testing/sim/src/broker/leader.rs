//! A broker as a leader: what it appends, serves, proposes and acknowledges.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use milena_cluster::controller::isr::{Altered, IsrChange};
use milena_cluster::coordinator::Producer;
use milena_cluster::group;
use milena_cluster::quorum::{self, Batch};
use milena_cluster::replica::follower::Answer;
use milena_cluster::replica::{
    self, Begin, Decided, Fetch, Input, Leader, Output, Proposal, Standing,
};
use milena_cluster::transaction;
use milena_cluster::transaction::verification::{Guard, Verifications};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};
use milena_protocol::record::batch::patch;

use super::epochs::diverges;
use super::producers::{Aborted, Producers, Written, written};
use super::{Leading, Orders, Part, Role, Waiter, Waiting};
use crate::bugs::HostBug;
use crate::bugs::replica::Bug;
use crate::disk::LogImage;
use crate::host::Key;
use crate::network::{Ask, Message};
use crate::quorum_checks::Violation;
use crate::recovery::received;
use crate::world::{Event, World};

/// Milliseconds until a leader gives up waiting for the controller, where all is well.
const PATIENCE: u64 = 150;

/// The controller's answer as a leader takes it.
pub fn decided(altered: Altered) -> Decided {
    Decided {
        leader_epoch: altered.leader_epoch,
        partition_epoch: altered.partition_epoch,
        isr: altered.isr,
        is_recovering: altered.leader_recovery_state != 0,
    }
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A broker begins to lead a partition.
    pub fn begin_to_lead(
        &mut self,
        id: NodeId,
        key: Key,
        standing: Standing,
    ) -> Result<(), Violation> {
        let settings = self.settings(id, key);
        if settings.is_durable {
            // A leader takes all of it for its own. A kill leaves records that nobody has synced.
            self.sync_now(id, key);
        }
        let Some(now) = self.clock(id).map(|now| now.instant) else { return Ok(()) };
        let high_watermark = self.high_watermark(id, key);
        let host = self.hosts.get_mut(&id).ok_or("a broker that leads is there")?;
        let run = host.run;
        let log = &host.replicas.entry(key).or_default().log.cached;
        let epoch = standing.leader_epoch;
        let begin = Begin {
            node: id,
            standing,
            log_end_offset: log.end(),
            high_watermark,
            settings: settings.leader,
        };
        self.checks.records.leads(key, (id, run), epoch, &log.batches)?;
        let mut outputs = Vec::new();
        let machine = Leader::begin(begin, now, &mut outputs);
        let producers = Producers::of(&log.batches);
        let leading = Leading {
            machine,
            producers,
            waiting: Vec::new(),
            groups: None,
            transactions: None,
            orders: Orders::new(),
            verifications: Verifications::default(),
            unopened: BTreeMap::new(),
        };
        let role = Role::Leader(Box::new(leading));
        if let Some(broker) = host.broker_mut() {
            broker.parts.insert(key, Part { leader: id, epoch, role });
        }
        self.met("partition leader");
        self.note(format_args!("{id} leads {}-{} in epoch {epoch}", key.0, key.1.0));
        self.carry_out(id, key, outputs)?;
        self.load::<group::Coordinator>(id, key)?;
        self.load::<transaction::Coordinator>(id, key)
    }

    /// Lets a leader take an input, and does what follows from it.
    pub fn lead(&mut self, id: NodeId, key: Key, input: Input) -> Result<(), Violation> {
        let Some(now) = self.clock(id).map(|now| now.instant) else { return Ok(()) };
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let Some(leading) = broker.leading_mut(key) else { return Ok(()) };
        let mut outputs = Vec::new();
        leading.machine.step(now, input, &mut outputs);
        self.report.steps += 1;
        self.carry_out(id, key, outputs)
    }

    fn carry_out(&mut self, id: NodeId, key: Key, outputs: Vec<Output>) -> Result<(), Violation> {
        for output in outputs {
            match output {
                Output::Propose(proposal) => self.propose_isr(id, key, proposal),
                Output::AdvanceHighWatermark(end) => self.advanced(id, key, end)?,
            }
        }
        self.acknowledge(id, key)
    }

    fn propose_isr(&mut self, id: NodeId, key: Key, proposal: Proposal) {
        let patience = if self.is_calm { PATIENCE } else { self.plan.patience };
        let host = self.host_mut(id);
        let run = host.run;
        let Some(broker) = host.broker_mut() else { return };
        let Some(epoch) = broker.registered else { return };
        self.note(format_args!("{id} proposes {:?}", proposal.isr));
        self.threaten(id, key, &proposal);
        let (proposal_id, change) = (proposal.id, change(key, proposal));
        if let Some(number) = self.ask_controller(id, Ask::Alter { epoch, change })
            && let Some(broker) = self.host_mut(id).broker_mut()
        {
            broker.proposals.insert(number, (key, proposal_id));
        }
        self.at(patience, Event::GiveUp { node: id, run, key, proposal: proposal_id });
    }

    /// Something may happen to a follower that has just been proposed to join.
    fn threaten(&mut self, leader: NodeId, key: Key, proposal: &Proposal) {
        let known = self.host(leader).broker().and_then(|broker| broker.leading(key));
        let Some(known) = known.map(|leading| leading.machine.standing().isr.clone()) else {
            return;
        };
        let joiners = proposal.isr.iter().map(|(id, _)| *id).filter(|id| !known.contains(id));
        for follower in joiners.collect::<Vec<_>>() {
            if !self.is_calm && self.rng.chance(self.plan.frail_joiners) {
                let delay = self.rng.within(1, 30);
                self.at(delay, Event::Strike { follower, leader });
            }
        }
    }

    /// The controller gave no answer in time.
    pub fn give_up(
        &mut self,
        id: NodeId,
        key: Key,
        proposal: replica::ProposalId,
    ) -> Result<(), Violation> {
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let before = broker.proposals.len();
        broker.proposals.retain(|_, waiting| *waiting != (key, proposal));
        if broker.proposals.len() == before {
            return Ok(());
        }
        let answer = Err(ErrorCode::REQUEST_TIMED_OUT);
        self.lead(id, key, Input::Answered { proposal, answer })
    }

    fn advanced(&mut self, id: NodeId, key: Key, end: Offset) -> Result<(), Violation> {
        let host = self.hosts.get(&id).ok_or("a broker that leads is there")?;
        let Some(leading) = host.broker().and_then(|broker| broker.leading(key)) else {
            return Ok(());
        };
        let machine = &leading.machine;
        let log = host.log(key);
        let mut holding = 0;
        for replica in &machine.standing().replicas {
            let Some(other) = self.hosts.get(replica) else { continue };
            let has = other.log(key).binary_search_by_key(&end, |batch| batch.end_offset).is_ok();
            // What only a power cut took away was there.
            holding += usize::from(has || self.lost.contains(&(*replica, key)));
        }
        let least = machine.min_in_sync();
        self.checks.records.acknowledges(key, id, machine.leader_epoch(), log, end)?;
        if holding < least {
            return Err(format!("{id} acknowledges {end}, which {holding} replicas have"));
        }
        Ok(())
    }

    /// Producers that waited for all are told, and what they are told has to be true.
    fn acknowledge(&mut self, id: NodeId, key: Key) -> Result<(), Violation> {
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let Some(leading) = broker.leading_mut(key) else { return Ok(()) };
        let Leading { machine, waiting, .. } = leading;
        let mut answers = Vec::new();
        waiting.retain(|waiting| match machine.acknowledgement(waiting.end_offset) {
            None => true,
            Some(answer) => {
                answers.push((*waiting, answer.map(|()| waiting.base_offset)));
                false
            }
        });
        for (Waiting { who, .. }, result) in answers {
            match who {
                Waiter::Producer { client, attempt } => {
                    self.send(id, client, None, Message::Produced { key, attempt, result });
                }
                Waiter::Coordinator { id: to, run, home, number } => {
                    let outcome = result.map(|_| ());
                    self.send(id, to, Some(run), Message::Marked { home, number, outcome });
                }
            }
        }
        self.release::<group::Coordinator>(id, key)?;
        self.release::<transaction::Coordinator>(id, key)
    }

    /// A producer's batch arrives; in a transaction that is open, or for which the coordinator's
    /// answer is good.
    pub fn produce(
        &mut self,
        id: NodeId,
        client: (NodeId, u64),
        key: Key,
        bytes: &Bytes,
        guard: Option<Guard>,
    ) -> Result<(), Violation> {
        match self.append_as_leader(id, client, key, bytes, guard) {
            Ok(Some(end)) => self.lead(id, key, Input::Appended(end)),
            Ok(None) => self.acknowledge(id, key),
            Err(code) => self.refuse(id, client, key, code),
        }
    }

    /// Appends a batch, or finds that it is there; answers where the log ends if that counts
    /// already.
    fn append_as_leader(
        &mut self,
        id: NodeId,
        (client, attempt): (NodeId, u64),
        key: Key,
        bytes: &Bytes,
        guard: Option<Guard>,
    ) -> Result<Option<Offset>, ErrorCode> {
        let waits_for_sync =
            self.settings(id, key).is_durable && self.bugs.broker != Bug::UnsyncedCounts;
        let asks = self.bugs.host != HostBug::UnaskedTransactions;
        received(bytes).ok_or(ErrorCode::CORRUPT_MESSAGE)?;
        let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let host = self.host_mut(id);
        let log = host.replicas.get(&key).map(|stored| stored.log.cached.end()).ok_or(gone)?;
        let leading = host.broker_mut().and_then(|it| it.leading_mut(key)).ok_or(gone)?;
        leading.machine.admit(-1)?;
        let Some(Written::Records(producer, sent)) = written(bytes, log) else {
            return Err(ErrorCode::CORRUPT_MESSAGE);
        };
        let whole = Producer { id: producer, epoch: sent.epoch };
        let is_unopened = sent.is_transactional && !leading.producers.has_open(whole);
        if is_unopened && asks && !leading.verifications.holds(whole, guard) {
            return Err(ErrorCode::INVALID_TXN_STATE);
        }
        let again = leading.producers.admit(producer, sent)?;
        let placed = again.unwrap_or(sent);
        let (base_offset, end_offset) = (placed.base_offset, placed.end_offset);
        let who = Waiter::Producer { client, attempt };
        leading.waiting.push(Waiting { who, base_offset, end_offset });
        if again.is_some() {
            self.met("sent again");
            return Ok(None);
        }
        leading.producers.note(producer, sent);
        if sent.is_transactional {
            leading.verifications.opened(whole);
        }
        let epoch = leading.machine.leader_epoch();
        let mut placed = BytesMut::from(&bytes[..]);
        patch::place(&mut placed, base_offset, epoch);
        let batch =
            Batch { base_offset, end_offset, epoch, control: Vec::new(), bytes: placed.freeze() };
        if let Some(stored) = host.replicas.get_mut(&key) {
            stored.log.append(batch);
        }
        self.checks.records.transactions.appended(key, whole, sent);
        self.sync_later(id, key);
        Ok(Some(end_offset).filter(|_| !waits_for_sync))
    }

    /// A sync of a replica's log begins.
    pub fn sync_later(&mut self, id: NodeId, key: Key) {
        let longest = match self.settings(id, key).is_durable {
            _ if self.is_calm => 2,
            true => self.plan.sync,
            // The one that looks at all logs about once a second.
            false => 10 * self.plan.sync,
        };
        let delay = self.rng.within(1, longest);
        let host = self.host(id);
        let run = host.run;
        let Some(stored) = host.replicas.get(&key) else { return };
        let sync = stored.log.begin_sync();
        self.at(delay, Event::ReplicaSynced { node: id, run, key, sync });
    }

    /// A sync of a replica's log ends.
    pub fn replica_synced(
        &mut self,
        id: NodeId,
        key: Key,
        sync: crate::disk::Sync,
    ) -> Result<(), Violation> {
        let is_durable = self.settings(id, key).is_durable;
        let Some(stored) = self.host_mut(id).replicas.get_mut(&key) else { return Ok(()) };
        stored.log.end_sync(sync);
        // A leader's log is synced when it begins and never cut: what is synced is a prefix of it.
        let end = stored.log.durable.end().min(stored.log.cached.end());
        if is_durable { self.lead(id, key, Input::Appended(end)) } else { Ok(()) }
    }

    /// Answers a fetch: who is of this epoch and on this branch gets what comes next, and counts.
    pub fn serve(
        &mut self,
        id: NodeId,
        (from, run): (NodeId, u64),
        key: Key,
        serial: u64,
        fetch: Fetch,
        last_epoch: LeaderEpoch,
    ) -> Result<(), Violation> {
        let epoch = fetch.leader_epoch;
        let (answer, batches) = match self.read(id, key, &fetch, last_epoch) {
            Ok((answer, batches)) => {
                let log = self.host(id).replicas.get(&key);
                let leader_end_offset = log.map_or(Offset::ZERO, |stored| stored.log.cached.end());
                if !matches!(answer, Answer::Diverging(_)) {
                    let fetch = Fetch { leader_end_offset, ..fetch };
                    self.lead(id, key, Input::Fetched(fetch))?;
                }
                (answer, batches)
            }
            Err(code) => {
                self.met("fetch refused");
                (Answer::Error { code, log_start_offset: Offset::ZERO }, Vec::new())
            }
        };
        let message = Message::Fetched { key, serial, epoch, answer, batches };
        self.send(id, from, Some(run), message);
        Ok(())
    }

    fn read(
        &self,
        id: NodeId,
        key: Key,
        fetch: &Fetch,
        last_epoch: LeaderEpoch,
    ) -> Result<(Answer, Vec<Batch>), ErrorCode> {
        let host = self.host(id);
        let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let leading = host.broker().and_then(|broker| broker.leading(key)).ok_or(gone)?;
        leading.machine.admit_fetch(fetch)?;
        let log = &host.replicas.get(&key).ok_or(gone)?.log.cached;
        let is_compared = self.bugs.broker != Bug::UnvalidatedFetch;
        if let Some(end) =
            diverges(&log.batches, fetch.fetch_offset, last_epoch).filter(|_| is_compared)
        {
            return Ok((Answer::Diverging(end), Vec::new()));
        }
        let batches = log.read(fetch.fetch_offset, log.end(), self.plan.fetch_bytes);
        let last = batches.last();
        let answer = Answer::Records {
            base_offset: batches.first().map_or(fetch.fetch_offset, |first| first.base_offset),
            end_offset: last.map_or(fetch.fetch_offset, |last| last.end_offset),
            last_epoch: last.map_or(LeaderEpoch::NONE, |last| last.epoch),
            high_watermark: leading.machine.high_watermark(),
            log_start_offset: Offset::ZERO,
        };
        Ok((answer, batches))
    }

    /// What is acknowledged of a log; for whoever reads what is committed, up to where the oldest
    /// transaction begins that is undecided as far as is acknowledged.
    fn shown(&self, log: &LogImage, from: Offset, end: Offset, is_committed: bool) -> Shown {
        if !is_committed {
            return (log.read(from, end, self.plan.fetch_bytes), Vec::new());
        }
        let counts = |batch: &&Batch| batch.end_offset <= end;
        let producers = Producers::of(log.batches.iter().take_while(counts));
        let stable = producers.open_from().unwrap_or(end).min(end);
        let shows_all = self.bugs.host == HostBug::UndecidedIsShown;
        let stable = if shows_all { end } else { stable };
        let batches = log.read(from, stable, self.plan.fetch_bytes);
        let concerns = |aborted: &Aborted| aborted.last_offset >= from;
        (batches, producers.aborted.into_iter().filter(concerns).collect())
    }

    /// A consumer reads what is acknowledged, from a leader or from a follower (KIP-392).
    pub fn consume(
        &mut self,
        id: NodeId,
        client: NodeId,
        key: Key,
        attempt: u64,
        (from, is_committed): (Offset, bool),
    ) -> Result<(), Violation> {
        let host = self.host(id);
        let part = host.broker().and_then(|broker| broker.parts.get(&key));
        let is_serving = part.is_some_and(|part| !matches!(part.role, Role::Idle(_)));
        let result = if is_serving {
            let end = self.high_watermark(id, key);
            let log = host.replicas.get(&key).map(|stored| &stored.log.cached);
            Ok(log.map(|log| self.shown(log, from, end, is_committed)).unwrap_or_default())
        } else {
            Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)
        };
        self.send(id, client, None, Message::Consumed { key, attempt, result });
        Ok(())
    }
}

/// What a consumer is shown: batches, and which transactions among them were aborted.
pub type Shown = (Vec<Batch>, Vec<Aborted>);

fn change(key: Key, proposal: Proposal) -> IsrChange {
    IsrChange {
        topic_id: key.0,
        partition: key.1,
        leader_epoch: proposal.id.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        isr: proposal.isr,
        is_recovering: proposal.is_recovering,
    }
}
