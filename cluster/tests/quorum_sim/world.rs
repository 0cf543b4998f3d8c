//! Machines, disks, network and time of one run, and the driver that every node has.

mod driver;
mod faults;
mod network;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use milena_cluster::quorum::{
    Append, Batch, Content, CorrelationId, Envelope, Generation, Input, Machine, Membership,
    ReplicaKey, Rules, Timing, Voter,
};
use milena_cluster::time::{Instant, Now};
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
    Deliver {
        to: NodeId,
        from: Option<NodeId>,
        asked_as: NodeId,
        envelope: Envelope,
    },
    /// A connection broke, and maybe nobody listens there any more.
    Broken {
        node: NodeId,
        peer: NodeId,
        correlation: CorrelationId,
        is_gone: bool,
    },
    Synced {
        node: NodeId,
        starts: u64,
        generation: Generation,
        sync: Sync,
    },
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
    /// Whether the report tells everything that happens; of what a script does nobody asks.
    is_noted: bool,
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
        Self::planned(seed, Plan::scripted(voters))
    }

    /// A world with this plan.
    pub fn planned(seed: u64, plan: Plan) -> Self {
        let mut world = Self::of(seed, Rng::new(seed), plan, DriverBug::None, false);
        world.is_noted = false;
        world
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
            is_noted: true,
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
        Report { millis: self.now, ..self.report }
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
            Event::Broken { node, peer, correlation, is_gone } => {
                self.step(node, Input::Unanswered(peer, correlation))?;
                if is_gone { self.step(node, Input::Gone(peer)) } else { Ok(()) }
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

    /// All nodes start, and are held up until every deadline is over.
    pub fn hold_up(&mut self) -> Result<(), Violation> {
        self.until(|world| world.nodes.values().all(|node| node.machine.is_some()))?;
        self.now += 10_000;
        Ok(())
    }

    /// The epoch that a node is in.
    pub fn epoch(&self, id: NodeId) -> Option<LeaderEpoch> {
        self.nodes[&id].machine.as_ref().map(|machine| machine.epoch())
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
        if !self.is_noted {
            return;
        }
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

fn is_leading<R: Rules>(node: &Node<R>) -> bool {
    let role = node.machine.as_ref().map(|machine| machine.role().name());
    role == Some("leader")
}

/// Waits shorter than the usual ones, so that more happens in a run.
fn timing(plan: &Plan) -> Timing {
    Timing {
        election_timeout: Duration::from_millis(plan.election_timeout),
        fetch_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(500),
        retry_backoff: Duration::from_millis(20),
        fetch_max_wait: Duration::from_millis(100),
        fetch_max_bytes: plan.fetch_bytes,
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
