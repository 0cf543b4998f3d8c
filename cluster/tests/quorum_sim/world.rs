//! Machines, disks, network and time of one run, and the driver that every node has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use milena_cluster::quorum::{
    AddVoterRequest, Append, Batch, Content, CorrelationId, Envelope, Fetched, Generation, Input,
    Machine, Membership, Message, Output, RemoveVoterRequest, ReplicaKey, Request, Response,
    ResponseBody, Restored, Rules, SnapshotId, Timing, Voter,
};
use milena_cluster::time::{Instant, Now};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};

use crate::bugs::DriverBug;
use crate::checks::{Checks, Violation};
use crate::disk::{Disk, Snapshot, Sync};
use crate::plan::Plan;
use crate::simulation::Report;
use crate::simulation::rng::Rng;

/// Ticks of one node in one millisecond after which it counts as spinning.
const SPINNING: u32 = 100;
/// Inputs of one run after which it counts as never coming to rest.
const RESTLESS: u64 = 100_000;
/// Milliseconds in which everything must be well again after the faults end.
const HEALING: u64 = 8_000;
/// Milliseconds that a late message or a slow sync takes at most.
const LATE: u64 = 2_000;

/// A node: its machine while it runs, and its disk.
struct Node<R> {
    machine: Option<Machine<R>>,
    disk: Disk,
    me: Voter,
    base: Membership,
    bootstrap_count: usize,
    /// Starts so far.
    starts: u64,
    /// Everything below was applied since the start.
    applied: Offset,
    download: Vec<u8>,
    ticked_at: u64,
    ticks: u32,
}

/// A request that some node is busy with.
struct Call {
    /// Who asked; none for a client.
    asker: Option<NodeId>,
    /// By which name the asker knows whom it asked.
    asked_as: NodeId,
    correlation: CorrelationId,
    /// What it asked for, where that was a vote that counts.
    vote: Option<(LeaderEpoch, ReplicaKey)>,
}

enum Event {
    Deliver { to: NodeId, from: Option<NodeId>, asked_as: NodeId, envelope: Envelope },
    Synced { node: NodeId, starts: u64, generation: Generation, sync: Sync },
    Start(NodeId),
    Fault,
    ChangeVoters(NodeId),
    Strike(NodeId),
    Heal,
    Propose,
}

/// A run.
pub struct World<R> {
    plan: Plan,
    rng: Rng,
    bug: DriverBug,
    now: u64,
    nodes: BTreeMap<NodeId, Node<R>>,
    events: BTreeMap<(u64, u64), Event>,
    event_count: u64,
    calls: BTreeMap<u64, Call>,
    call_count: u64,
    /// Directed links that are cut.
    cut: BTreeSet<(NodeId, NodeId)>,
    snapshots: Vec<Snapshot>,
    checks: Checks,
    proposals: u64,
    is_calm: bool,
    is_traced: bool,
    report: Report,
}

impl<R: Rules> World<R> {
    /// A world of a seed.
    pub fn new(seed: u64, bug: DriverBug, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        Self::of(seed, rng, plan, bug, is_traced)
    }

    /// A world in which nothing happens but what a script does.
    pub fn scripted(seed: u64, voters: usize) -> Self {
        let plan = Plan::scripted(voters);
        Self::of(seed, Rng::new(seed), plan, DriverBug::None, false)
    }

    fn of(seed: u64, rng: Rng, plan: Plan, bug: DriverBug, is_traced: bool) -> Self {
        let mut world = Self {
            rng,
            bug,
            now: 0,
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
            event_count: 0,
            calls: BTreeMap::new(),
            call_count: 0,
            cut: BTreeSet::new(),
            snapshots: Vec::new(),
            checks: Checks::default(),
            proposals: 0,
            is_calm: false,
            is_traced,
            report: Report::default(),
            plan,
        };
        world.note(format_args!("seed {seed}"));
        world.populate();
        world
    }

    fn populate(&mut self) {
        let voter = |id: i32| {
            Voter::bare(ReplicaKey {
                id: NodeId(id),
                directory_id: Uuid::from_u128(1000 + id as u128),
            })
        };
        let kraft_version = self.plan.kraft_version;
        let voters: Vec<Voter> = (1..=self.plan.voters as i32).map(voter).collect();
        for id in 1..=(self.plan.voters + self.plan.observers) as i32 {
            let is_voter = id <= self.plan.voters as i32;
            let known = if is_voter || kraft_version == 0 { voters.clone() } else { Vec::new() };
            let base = Membership { kraft_version, voters: known.into_iter().collect() };
            let node = Node {
                machine: None,
                disk: Disk::default(),
                me: voter(id),
                base,
                bootstrap_count: self.plan.voters,
                starts: 0,
                applied: Offset::ZERO,
                download: Vec::new(),
                ticked_at: 0,
                ticks: 0,
            };
            self.nodes.insert(NodeId(id), node);
            self.at(0, Event::Start(NodeId(id)));
        }
        let first = self.plan.fault_interval;
        self.at(first, Event::Fault);
        self.at(100, Event::Propose);
        self.at(self.plan.length, Event::Heal);
    }

    /// Runs to the end.
    pub fn run(&mut self) -> Result<(), Violation> {
        let end = self.plan.length + HEALING;
        while self.now < end {
            self.advance()?;
            if self.report.steps > RESTLESS {
                return Err("the messages multiply".into());
            }
        }
        self.check_healed()
    }

    /// What came out so far.
    pub fn report(self) -> Report {
        self.report
    }

    fn advance(&mut self) -> Result<(), Violation> {
        let due = self
            .nodes
            .iter()
            .filter_map(|(id, node)| Some((node.machine.as_ref()?.deadline()?.0, *id)));
        let tick = due.min();
        let event = self.events.keys().next().copied();
        match (tick, event) {
            (Some((at, node)), event) if event.is_none_or(|(due, _)| at <= due) => {
                self.now = self.now.max(at);
                self.check_spinning(node)?;
                self.step(node, Input::Tick)
            }
            (_, Some(key)) => {
                self.now = self.now.max(key.0);
                match self.events.remove(&key) {
                    Some(event) => self.happen(event),
                    None => Ok(()),
                }
            }
            _ => {
                self.now += 1;
                Ok(())
            }
        }
    }

    fn check_spinning(&mut self, id: NodeId) -> Result<(), Violation> {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        node.ticks = if node.ticked_at == self.now { node.ticks + 1 } else { 0 };
        node.ticked_at = self.now;
        let is_spinning = node.ticks > SPINNING;
        if is_spinning { Err(format!("{id} spins at {}", self.now)) } else { Ok(()) }
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Deliver { to, from, asked_as, envelope } => {
                self.deliver(to, from, asked_as, envelope)
            }
            Event::Synced { node: id, starts, generation, sync } => {
                let Some(node) = self.nodes.get_mut(&id).filter(|node| node.starts == starts)
                else {
                    return Ok(());
                };
                if node.machine.is_none() {
                    return Ok(());
                }
                node.disk.end_sync(sync);
                self.step(id, Input::Flushed(generation, sync.end))
            }
            Event::Start(id) => {
                self.start(id);
                Ok(())
            }
            Event::Fault if self.is_calm => Ok(()),
            Event::Fault => {
                let pause = self.rng.within(1, 2 * self.plan.fault_interval);
                self.at(pause, Event::Fault);
                self.fault()
            }
            Event::ChangeVoters(leader) if !self.is_calm => self.change_voters(leader),
            Event::Strike(leader) if !self.is_calm => {
                self.strike(leader);
                Ok(())
            }
            Event::ChangeVoters(_) | Event::Strike(_) => Ok(()),
            Event::Heal => {
                self.note(format_args!("all faults end"));
                self.is_calm = true;
                self.cut.clear();
                let down = self.nodes.iter().filter(|(_, node)| node.machine.is_none());
                for id in down.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.start(id);
                }
                Ok(())
            }
            Event::Propose => {
                let pause = self.rng.within(1, 2 * self.plan.propose_interval);
                self.at(if self.is_calm { 200 } else { pause }, Event::Propose);
                self.propose()
            }
        }
    }

    // --- faults ---

    fn fault(&mut self) -> Result<(), Violation> {
        let plan = &self.plan;
        let weights = [
            plan.crash_weight,
            plan.partition_weight,
            plan.voters_weight * plan.kraft_version as u64,
            plan.snapshot_weight,
            plan.resign_weight,
        ];
        let mut drawn = self.rng.below(weights.iter().sum());
        let kind = weights.iter().position(|weight| {
            let is_it = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_it
        });
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let Some(victim) = self.rng.pick(&ids).copied() else {
            return Ok(());
        };
        match kind {
            Some(0) => {
                let victims = if self.rng.chance(100) { ids } else { vec![victim] };
                for id in victims {
                    self.crash(id);
                    let pause = *self.rng.pick(&[1, 50, 500, 3_000]).unwrap_or(&1);
                    let pause = self.rng.within(1, pause);
                    self.at(pause, Event::Start(id));
                }
                Ok(())
            }
            Some(1) => {
                self.partition(&ids);
                Ok(())
            }
            Some(2) => {
                let leaders = self.leaders();
                let leader = self.rng.pick(&leaders).copied();
                leader.map_or(Ok(()), |leader| self.change_voters(leader))
            }
            Some(3) => self.take_snapshot(victim),
            Some(4) => self.step(victim, Input::Resign),
            _ => Ok(()),
        }
    }

    /// A leader that has hardly begun is killed, or left with less than half of the others.
    fn strike(&mut self, leader: NodeId) {
        if self.rng.chance(250) {
            self.crash(leader);
            let pause = *self.rng.pick(&[1, 300, 1_500]).unwrap_or(&1);
            let pause = self.rng.within(1, pause);
            self.at(pause, Event::Start(leader));
            return;
        }
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let mut side = vec![leader];
        side.extend(ids.iter().copied().filter(|id| *id != leader && self.rng.chance(300)));
        self.cut.clear();
        self.cut_off(&ids, &side, false);
    }

    /// Messages between a side and the rest are lost, or only those that the side sends.
    fn cut_off(&mut self, ids: &[NodeId], side: &[NodeId], is_one_way: bool) {
        self.note(format_args!("cut off: {side:?}, one way: {is_one_way}"));
        for a in ids {
            for b in ids {
                let (from, to) = (side.contains(a), side.contains(b));
                if from != to && (from || !is_one_way) {
                    self.cut.insert((*a, *b));
                }
            }
        }
    }

    fn crash(&mut self, id: NodeId) {
        self.note(format_args!("{id} crashes"));
        let rng = &mut self.rng;
        if let Some(node) = self.nodes.get_mut(&id)
            && node.machine.take().is_some()
        {
            node.disk.crash(rng);
        }
    }

    fn start(&mut self, id: NodeId) {
        let now = self.clock();
        let seed = self.rng.next();
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.machine.is_none()) else {
            return;
        };
        let image = &node.disk.cached;
        let from_snapshot = image.snapshot.as_ref().map(|snapshot| snapshot.membership.clone());
        let control = image.batches.iter().flat_map(|batch| batch.control.clone()).collect();
        let restored = Restored {
            me: node.me.clone(),
            cluster_id: "simulated".into(),
            seed,
            timing: timing(self.plan.fetch_bytes),
            state: node.disk.state.clone(),
            log: node.disk.restored(),
            base: from_snapshot
                .filter(|membership| membership.kraft_version > 0)
                .unwrap_or(node.base.clone()),
            control,
            bootstrap_count: node.bootstrap_count,
        };
        node.starts += 1;
        node.applied = image.start();
        // What a start finds it syncs, so that it counts.
        node.disk.durable = node.disk.cached.clone();
        let machine = Machine::restore(restored, now);
        let role = machine.role().name();
        node.machine = Some(machine);
        self.note(format_args!("{id} starts as {role}"));
    }

    fn partition(&mut self, ids: &[NodeId]) {
        if self.rng.chance(400) {
            self.cut.clear();
            self.note(format_args!("the network heals"));
            return;
        }
        let share = if self.rng.chance(300) { 0 } else { 500 };
        let mut side: Vec<NodeId> = ids.to_vec();
        side.retain(|_| self.rng.chance(share));
        if share == 0 {
            side = self.leaders();
        }
        let is_one_way = self.rng.chance(200);
        self.cut_off(ids, &side, is_one_way);
    }

    /// Someone asks a node that believes to lead for another voter, or for one less.
    fn change_voters(&mut self, leader: NodeId) -> Result<(), Violation> {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let Some(subject) = self.rng.pick(&ids).and_then(|id| self.nodes.get(id)) else {
            return Ok(());
        };
        let subject = subject.me.key.id;
        self.change_voter(leader, subject)
    }

    /// A node is asked to let another one vote that does not, or no more if it does.
    pub fn change_voter(&mut self, leader: NodeId, subject: NodeId) -> Result<(), Violation> {
        let me = self.nodes[&subject].me.clone();
        let is_voter = self.nodes[&leader]
            .machine
            .as_ref()
            .is_some_and(|machine| machine.voters().contains(&me.key));
        let request = if is_voter {
            Request::RemoveVoter(RemoveVoterRequest { voter: me.key })
        } else {
            Request::AddVoter(AddVoterRequest { voter: me, ack_when_committed: true })
        };
        let envelope = Envelope {
            peer: NodeId::NONE,
            correlation: CorrelationId(0),
            message: Message::Request(request),
        };
        self.deliver(leader, None, leader, envelope)
    }

    fn take_snapshot(&mut self, id: NodeId) -> Result<(), Violation> {
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        let Some(machine) = &node.machine else {
            return Ok(());
        };
        let end_offset = node.applied;
        if end_offset <= node.disk.cached.start() {
            return Ok(());
        }
        let epoch = machine.epoch_before(end_offset);
        let snapshot_id = SnapshotId { end_offset, epoch };
        let membership = machine.membership_at(end_offset);
        self.checks.snapshot(id, snapshot_id)?;
        self.meet("snapshot taken");
        let snapshot = Snapshot { id: snapshot_id, membership };
        self.snapshots.push(snapshot.clone());
        if let Some(node) = self.nodes.get_mut(&id) {
            node.disk.trim(snapshot);
        }
        self.step(id, Input::SnapshotTaken(snapshot_id))
    }

    fn propose(&mut self) -> Result<(), Violation> {
        let leaders = self.leaders();
        let leader = self.rng.pick(&leaders).copied();
        leader.map_or(Ok(()), |leader| self.propose_to(leader))
    }

    /// A node is given a few records.
    pub fn propose_to(&mut self, leader: NodeId) -> Result<(), Violation> {
        let count = self.rng.within(1, 3);
        let values = (0..count).map(|_| {
            self.proposals += 1;
            Bytes::from(self.proposals.to_be_bytes().to_vec())
        });
        let values = values.collect();
        self.step(leader, Input::Propose(values))
    }

    // --- network ---

    fn send(&mut self, from: NodeId, to: NodeId, asked_as: NodeId, envelope: &Envelope) {
        let plan = &self.plan;
        let (loss, doubled, late, delay) = if self.is_calm {
            (0, 0, 0, 5)
        } else {
            (plan.loss, plan.doubled, plan.late, plan.delay)
        };
        if self.cut.contains(&(from, to)) || self.rng.chance(loss) {
            return;
        }
        let copies = 1 + u64::from(self.rng.chance(doubled));
        for _ in 0..copies {
            let longest = if self.rng.chance(late) { LATE } else { delay };
            let delay = self.rng.within(1, longest);
            let (from, envelope) = (Some(from), envelope.clone());
            self.at(delay, Event::Deliver { to, from, asked_as, envelope });
        }
    }

    fn deliver(
        &mut self,
        to: NodeId,
        from: Option<NodeId>,
        asked_as: NodeId,
        mut envelope: Envelope,
    ) -> Result<(), Violation> {
        match &envelope.message {
            Message::Request(request) => {
                let vote = match request {
                    Request::Vote(vote) if !vote.pre_vote => Some((vote.epoch, vote.candidate)),
                    _ => None,
                };
                let correlation = envelope.correlation;
                self.call_count += 1;
                envelope.correlation = CorrelationId(self.call_count);
                let call = Call { asker: from, asked_as, correlation, vote };
                self.calls.insert(self.call_count, call);
                envelope.peer = from.unwrap_or(NodeId::NONE);
            }
            Message::Response(_) => envelope.peer = asked_as,
        }
        self.step(to, Input::Receive(envelope))
    }

    fn answer(&mut self, node: NodeId, envelope: Envelope) -> Result<(), Violation> {
        let Message::Response(response) = &envelope.message else {
            return Ok(());
        };
        let Some(call) = self.calls.remove(&envelope.correlation.0) else {
            return Err(format!("{node} answers what nobody asked"));
        };
        if let (ResponseBody::Vote { granted: true }, Some((epoch, candidate))) =
            (&response.body, call.vote)
        {
            self.checks.votes(node, epoch, candidate, &self.nodes[&node].disk.state)?;
        }
        let is_done = response.error == ErrorCode::NONE;
        match &response.body {
            ResponseBody::AddVoter if is_done => self.meet("voter added"),
            ResponseBody::RemoveVoter if is_done => self.meet("voter removed"),
            ResponseBody::Fetch(Fetched::Diverging { .. }) => self.meet("diverging"),
            _ => {}
        }
        if let Some(asker) = call.asker {
            let envelope = Envelope { correlation: call.correlation, ..envelope };
            self.send(node, asker, call.asked_as, &envelope);
        }
        Ok(())
    }

    // --- the driver ---

    fn step(&mut self, id: NodeId, input: Input) -> Result<(), Violation> {
        let now = self.clock();
        let Some(machine) = self.nodes.get_mut(&id).and_then(|node| node.machine.as_mut()) else {
            return Ok(());
        };
        let mut outputs = Vec::new();
        machine.step(now, input.clone(), &mut outputs);
        self.report.steps += 1;
        self.note(format_args!("{id} {}", Shown(&input)));
        let mut is_written = false;
        for output in outputs {
            is_written |= matches!(output, Output::Append(_) | Output::AppendReplicated(_));
            self.execute(id, output)?;
        }
        if is_written {
            self.sync(id)?;
        }
        Ok(())
    }

    fn sync(&mut self, id: NodeId) -> Result<(), Violation> {
        let slow = if self.is_calm { 0 } else { self.plan.slow_sync };
        let usual = if self.is_calm { 2 } else { self.plan.sync };
        let longest = if self.rng.chance(slow) { LATE } else { usual };
        let delay = self.rng.within(0, longest);
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        let Some(machine) = &node.machine else {
            return Ok(());
        };
        let (sync, starts) = (node.disk.begin_sync(), node.starts);
        let generation = machine.log().generation();
        if self.bug == DriverBug::UnsyncedCounts {
            self.step(id, Input::Flushed(generation, sync.end))?;
        }
        self.at(delay, Event::Synced { node: id, starts, generation, sync });
        Ok(())
    }

    fn execute(&mut self, id: NodeId, output: Output) -> Result<(), Violation> {
        match output {
            Output::PersistQuorumState(state) => {
                self.note(format_args!("{id} notes {}", state.to_text()));
                let is_vote = state.voted_id != NodeId::NONE;
                let is_forgotten = self.bug == DriverBug::VoteNotPersisted && is_vote;
                if !is_forgotten {
                    self.disk(id).state = state;
                }
                Ok(())
            }
            Output::BecomeLeader { epoch, .. } => {
                self.note(format_args!("{id} leads epoch {epoch}"));
                self.meet("leader");
                if self.plan.eager_changes && !self.is_calm {
                    for longest in [1, 20, 100, 300] {
                        let delay = self.rng.within(0, longest);
                        self.at(delay, Event::ChangeVoters(id));
                    }
                }
                if !self.is_calm && self.rng.chance(self.plan.frail_leaders) {
                    let delay = self.rng.within(0, 20 + 4 * self.plan.delay + 2 * self.plan.sync);
                    self.at(delay, Event::Strike(id));
                }
                let node = &self.nodes[&id];
                let voters = node.machine.as_ref().map(|machine| machine.voters().keys());
                self.checks.leads(id, epoch, &voters.unwrap_or_default(), &node.disk.cached)
            }
            Output::ResignLeader => {
                self.meet("leader resigned");
                Ok(())
            }
            Output::BecomeFollower { .. } | Output::Reject | Output::TrimLog(_) => Ok(()),
            Output::Append(append) => {
                let batch = encode(&append);
                self.disk(id).append(batch);
                Ok(())
            }
            Output::AppendReplicated(batch) => {
                self.disk(id).append(batch);
                Ok(())
            }
            Output::Truncate(end, _) => {
                self.note(format_args!("{id} cuts to {end}"));
                self.meet("truncated");
                self.disk(id).truncate(end);
                Ok(())
            }
            Output::Commit(end) => self.commit(id, end),
            Output::Send(envelope) => match &envelope.message {
                Message::Request(_) => {
                    let to = if envelope.peer.0 <= -2 {
                        NodeId(-1 - envelope.peer.0)
                    } else {
                        envelope.peer
                    };
                    let asked_as = envelope.peer;
                    self.send(id, to, asked_as, &envelope);
                    Ok(())
                }
                Message::Response(_) => self.answer(id, envelope),
            },
            Output::SendBatches(mut envelope, from, end, max_bytes) => {
                let found = self.nodes[&id].disk.cached.read(from, end, max_bytes);
                if let Message::Response(Response {
                    body: ResponseBody::Fetch(Fetched::Batches { batches, .. }),
                    ..
                }) = &mut envelope.message
                {
                    *batches = found;
                }
                self.answer(id, envelope)
            }
            Output::SendPiece(mut envelope, max_bytes) => {
                self.fill_piece(id, &mut envelope, max_bytes);
                self.answer(id, envelope)
            }
            Output::WriteSnapshot(_, position, bytes) => {
                let node = self.node(id);
                node.download.truncate(position as usize);
                assert_eq!(node.download.len() as u64, position, "a hole in a snapshot");
                node.download.extend_from_slice(&bytes);
                Ok(())
            }
            Output::InstallSnapshot(snapshot) => self.install(id, snapshot),
        }
    }

    fn fill_piece(&mut self, id: NodeId, envelope: &mut Envelope, max_bytes: usize) {
        let Message::Response(response) = &mut envelope.message else {
            return;
        };
        let ResponseBody::FetchSnapshot(piece) = &mut response.body else {
            return;
        };
        let held = self.nodes[&id].disk.cached.snapshot.as_ref().map(|snapshot| snapshot.id);
        let index = self.snapshots.iter().position(|snapshot| snapshot.id == piece.snapshot);
        let Some(index) = index.filter(|_| held == Some(piece.snapshot)) else {
            response.error = ErrorCode::SNAPSHOT_NOT_FOUND;
            return;
        };
        let file = snapshot_file(index as u64);
        piece.size = file.len() as u64;
        let from = (piece.position as usize).min(file.len());
        let end = (from + max_bytes).min(file.len());
        piece.bytes = Bytes::copy_from_slice(&file[from..end]);
    }

    fn install(&mut self, id: NodeId, snapshot: SnapshotId) -> Result<(), Violation> {
        let file = std::mem::take(&mut self.node(id).download);
        let index = u64::from_be_bytes(file[..8].try_into().unwrap_or_default());
        assert_eq!(file, snapshot_file(index), "a snapshot that was put together wrongly");
        let found = self.snapshots[index as usize].clone();
        assert_eq!(found.id, snapshot, "another snapshot");
        self.checks.snapshot(id, snapshot)?;
        self.note(format_args!("{id} installs a snapshot up to {}", snapshot.end_offset));
        self.meet("snapshot installed");
        let membership = Some(found.membership.clone()).filter(|known| known.kraft_version > 0);
        self.disk(id).install(found);
        // The high watermark may be known from before: what is below the snapshot is applied.
        let node = self.node(id);
        node.applied = node.applied.max(snapshot.end_offset);
        self.step(id, Input::SnapshotInstalled(snapshot, membership))
    }

    fn commit(&mut self, id: NodeId, end: Offset) -> Result<(), Violation> {
        let node = &self.nodes[&id];
        let applied = node.applied;
        if applied == end && node.disk.cached.start() == end {
            return Ok(());
        }
        self.checks.rises(id, applied, end)?;
        let batches = node.disk.cached.read(applied, end, usize::MAX);
        for batch in &batches {
            self.checks.commits(id, batch)?;
        }
        if batches.last().is_none_or(|last| last.end_offset != end) {
            return Err(format!("{id} commits {end}, which is no end of a batch"));
        }
        if is_leading(node) {
            let voters = node.machine.as_ref().map(|machine| machine.voters().keys());
            let disks = voters
                .into_iter()
                .flatten()
                .filter_map(|voter| Some(&self.nodes.get(&voter.id)?.disk.durable));
            self.checks.is_on_majority(end, node.disk.cached.ending_at(end), disks)?;
        }
        self.node(id).applied = end;
        self.note(format_args!("{id} commits {end}"));
        Ok(())
    }

    /// With the faults over there is one leader, and everybody has what it committed.
    fn check_healed(&self) -> Result<(), Violation> {
        let leaders = self.leaders();
        let [leader] = leaders[..] else {
            return Err(format!("after healing {leaders:?} lead"));
        };
        let leading = &self.nodes[&leader];
        let lag = leading.disk.cached.end().0 - leading.applied.0;
        if lag > 50 {
            return Err(format!("after healing the leader {leader} does not commit"));
        }
        for (id, node) in &self.nodes {
            if leading.applied.0 - node.applied.0 > 50 {
                return Err(format!(
                    "after healing {id} is at {} and {leader} at {}",
                    node.applied, leading.applied
                ));
            }
        }
        Ok(())
    }

    // --- small things ---

    /// Only nodes of the same group hear each other.
    pub fn group(&mut self, groups: &[&[NodeId]]) {
        self.cut.clear();
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for group in groups {
            self.cut_off(&ids, group, false);
        }
    }

    /// Lets time go by until something holds, for some seconds at most. Whether it does.
    pub fn until(&mut self, holds: impl Fn(&Self) -> bool) -> Result<bool, Violation> {
        let end = self.now + 5_000;
        while self.now < end && !holds(self) {
            self.advance()?;
        }
        Ok(holds(self))
    }

    /// Below this a node has applied everything.
    pub fn applied(&self, id: NodeId) -> Offset {
        self.nodes[&id].applied
    }

    /// Where a node's log ends.
    pub fn log_end(&self, id: NodeId) -> Offset {
        self.nodes[&id].disk.cached.end()
    }

    /// Milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The nodes that believe to lead.
    pub fn leaders(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| is_leading(node)).map(|(id, _)| *id).collect()
    }

    fn node(&mut self, id: NodeId) -> &mut Node<R> {
        self.nodes.get_mut(&id).expect("a node that takes outputs is there")
    }

    fn disk(&mut self, id: NodeId) -> &mut Disk {
        &mut self.node(id).disk
    }

    fn clock(&self) -> Now {
        Now { instant: Instant(self.now), wall: Timestamp(self.now as i64) }
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.event_count += 1;
        self.events.insert((self.now + delay, self.event_count), event);
    }

    fn meet(&mut self, situation: &'static str) {
        *self.report.met.entry(situation).or_default() += 1;
    }

    fn note(&mut self, line: fmt::Arguments<'_>) {
        let mut hash = Hash(self.report.digest);
        let now = self.now;
        let _ = write!(hash, "{now} {line}");
        self.report.digest = hash.0;
        if self.is_traced {
            self.report.transcript.push(format!("{now:>6} {line}"));
        }
    }
}

/// A rolling hash of text.
struct Hash(u64);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

/// An input in a line of a transcript.
struct Shown<'a>(&'a Input);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Input::Receive(Envelope { peer, message: Message::Request(request), .. }) => {
                write!(f, "< {peer} {request:?}")
            }
            Input::Receive(Envelope { peer, message: Message::Response(response), .. }) => {
                match &response.body {
                    ResponseBody::Fetch(Fetched::Batches { high_watermark, batches }) => write!(
                        f,
                        "< {peer} {} batches, high watermark {high_watermark:?}",
                        batches.len()
                    ),
                    body => write!(f, "< {peer} {} {body:?}", response.error.0),
                }
            }
            input => write!(f, "{input:?}"),
        }
    }
}

fn is_leading<R: Rules>(node: &Node<R>) -> bool {
    let role = node.machine.as_ref().map(|machine| machine.role().name());
    role == Some("leader")
}

/// Waits shorter than the usual ones, so that more happens in a run.
fn timing(fetch_max_bytes: usize) -> Timing {
    Timing {
        election_timeout: Duration::from_millis(300),
        fetch_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(500),
        retry_backoff: Duration::from_millis(20),
        fetch_max_wait: Duration::from_millis(100),
        fetch_max_bytes,
    }
}

fn snapshot_file(index: u64) -> Vec<u8> {
    let mut file = index.to_be_bytes().to_vec();
    file.resize(8 + (index as usize * 97) % 300, index as u8);
    file
}

/// A batch as the log holds it: in a simulation the values, one after the other.
fn encode(append: &Append) -> Batch {
    let bytes = match &append.content {
        Content::Records(values) => values.concat().into(),
        Content::Membership(_) => Bytes::from_static(b"level and voters"),
        Content::Voters(_) => Bytes::from_static(b"voters"),
        Content::LeaderChange { leader, .. } => Bytes::from(leader.id.0.to_be_bytes().to_vec()),
    };
    let control = append.control();
    let end_offset = append.end_offset();
    Batch { base_offset: append.base_offset, end_offset, epoch: append.epoch, control, bytes }
}
