//! The run: all machines, and what happens in the order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::group;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum::{
    self, CorrelationId, Generation, Input, Membership, ReplicaKey, Timing, Voter,
};
use milena_cluster::replica::{self, ProposalId};
use milena_cluster::time::Now;
use milena_cluster::transaction;
use milena_protocol::ids::{NodeId, Offset, Uuid};

use crate::bugs::Bugs;
use crate::checks::Checks;
use crate::clients::Clients;
use crate::disk::{Disk, Sync};
use crate::host::{Host, Key, Process};
use crate::network::{Call, Parcel};
use crate::plan::Plan;
use crate::quorum_checks::Violation;
use crate::simulation::Report;
use crate::simulation::rng::Rng;

/// Ticks of one node in one millisecond after which it counts as spinning.
const SPINNING: u32 = 100;
/// Steps of one run after which it counts as never coming to rest.
const RESTLESS: u64 = 3_000_000;
/// Milliseconds until the first fault.
const BEGINNING: u64 = 2_000;
/// Milliseconds of calm after which everything has to be well.
const CALM: u64 = 10_000;
/// Milliseconds at the end in which nobody produces.
const REST: u64 = 3_000;
/// Milliseconds that a slow sync takes at most.
pub const LATE: u64 = 2_000;
/// Milliseconds between two looks at the time.
const TICK: u64 = 20;

/// Something that happens at a time.
#[derive(Clone, Debug)]
pub enum Event {
    Deliver(Box<Parcel>),
    /// A connection broke, and maybe nobody listens there any more.
    Broken {
        node: NodeId,
        run: u64,
        peer: NodeId,
        correlation: CorrelationId,
        is_gone: bool,
    },
    /// The process of another node is known to have ended.
    Gone {
        node: NodeId,
        run: u64,
        peer: NodeId,
    },
    Synced {
        node: NodeId,
        run: u64,
        generation: Generation,
        sync: Sync,
    },
    ReplicaSynced {
        node: NodeId,
        run: u64,
        key: Key,
        sync: Sync,
    },
    /// What is committed takes effect.
    News {
        node: NodeId,
        run: u64,
    },
    /// A node looks at the time.
    Tick {
        node: NodeId,
        run: u64,
    },
    /// A broker registers, or says that it is there.
    Beat {
        node: NodeId,
        run: u64,
    },
    FetchNow {
        node: NodeId,
        run: u64,
        key: Key,
        serial: u64,
    },
    /// A leader gives up waiting for the controller.
    GiveUp {
        node: NodeId,
        run: u64,
        key: Key,
        proposal: ProposalId,
    },
    Start(NodeId),
    Administer,
    /// A client goes on.
    GoOn(NodeId),
    Fault,
    /// A follower that was proposed ends, or is cut off from its leader, or both.
    Strike {
        follower: NodeId,
        leader: NodeId,
    },
    Heal,
}

impl Event {
    /// Whose it is, and of which run of it.
    fn addressee(&self) -> Option<(NodeId, Option<u64>)> {
        match self {
            Self::Deliver(parcel) => Some((parcel.to, parcel.run)),
            Self::Broken { node, run, .. }
            | Self::Gone { node, run, .. }
            | Self::Synced { node, run, .. }
            | Self::ReplicaSynced { node, run, .. }
            | Self::News { node, run }
            | Self::Tick { node, run }
            | Self::Beat { node, run }
            | Self::FetchNow { node, run, .. }
            | Self::GiveUp { node, run, .. } => Some((*node, Some(*run))),
            Self::Start(_)
            | Self::Administer
            | Self::GoOn(_)
            | Self::Fault
            | Self::Strike { .. }
            | Self::Heal => None,
        }
    }
}

/// A run.
pub struct World<Q, L> {
    pub plan: Plan,
    pub rng: Rng,
    pub bugs: Bugs,
    pub now: u64,
    pub hosts: BTreeMap<NodeId, Host<Q, L>>,
    events: BTreeMap<(u64, u64), Event>,
    event_count: u64,
    serials: u64,
    pub calls: BTreeMap<u64, Call>,
    pub call_count: u64,
    /// Directed ways on which messages are lost.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// Whose records of a partition went with a power cut, and who has not been in sync since.
    pub lost: BTreeSet<(NodeId, Key)>,
    /// The newest metadata that is committed.
    pub newest: Arc<MetadataImage>,
    pub clients: Clients,
    pub checks: Checks,
    pub is_calm: bool,
    is_traced: bool,
    pub report: Report,
    rules: PhantomData<(Q, L)>,
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A world of a seed.
    pub fn new(seed: u64, bugs: Bugs, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let mut world = Self {
            clients: Clients::new(&plan, &mut rng),
            rng,
            bugs,
            now: 0,
            hosts: BTreeMap::new(),
            events: BTreeMap::new(),
            event_count: 0,
            serials: 0,
            calls: BTreeMap::new(),
            call_count: 0,
            cut: BTreeSet::new(),
            lost: BTreeSet::new(),
            newest: Arc::default(),
            checks: Checks::default(),
            is_calm: false,
            is_traced,
            report: Report::default(),
            plan,
            rules: PhantomData,
        };
        world.note(format_args!("seed {seed}: {:?}", world.plan.clone()));
        world.populate();
        world
    }

    fn populate(&mut self) {
        let voter = |id: i32| {
            let directory_id = Uuid::from_u128(1000 + id as u128);
            Voter::bare(ReplicaKey { id: NodeId(id), directory_id })
        };
        let kraft_version = self.plan.kraft_version;
        let voters: Vec<Voter> = (1..=self.plan.voters).map(voter).collect();
        for id in 1..=self.plan.nodes {
            let is_voter = id <= self.plan.voters;
            let known = if is_voter || kraft_version == 0 { voters.clone() } else { Vec::new() };
            let host = Host {
                id: NodeId(id),
                is_broker: self.plan.is_broker(id),
                me: voter(id),
                base: Membership { kraft_version, voters: known.into_iter().collect() },
                bootstrap_count: self.plan.voters as usize,
                metadata: Disk::default(),
                snapshots: BTreeMap::new(),
                download: Vec::new(),
                replicas: BTreeMap::new(),
                boot: 0,
                witness: None,
                unanswered: None,
                is_unaware: false,
                run: 0,
                process: None,
                paused_until: 0,
                ticked_at: 0,
                ticks: 0,
            };
            self.hosts.insert(NodeId(id), host);
            self.at(0, Event::Start(NodeId(id)));
        }
        self.begin_clients();
        let first = BEGINNING + self.plan.fault_interval;
        self.at(first, Event::Fault);
        self.at(self.plan.length, Event::Heal);
    }

    /// Runs through the faults and heals; nothing may be violated and everything has to be well.
    pub fn run(&mut self) -> Result<(), Violation> {
        let end = self.plan.length + CALM;
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

    /// Nobody begins anything new any more.
    pub fn is_resting(&self) -> bool {
        self.now >= self.plan.length + CALM - REST
    }

    /// The next thing happens.
    fn advance(&mut self) -> Result<(), Violation> {
        let due = self.hosts.values().filter_map(|host| {
            let process = host.process.as_ref()?;
            let at = process.clock.when(process.quorum.deadline()?);
            Some((at.max(host.paused_until), host.id))
        });
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
                let event = self.events.remove(&key);
                event.map_or(Ok(()), |event| self.happen(event))
            }
            _ => {
                self.now += 1;
                Ok(())
            }
        }
    }

    fn check_spinning(&mut self, id: NodeId) -> Result<(), Violation> {
        let now = self.now;
        let host = self.host_mut(id);
        host.ticks = if host.ticked_at == now { host.ticks + 1 } else { 0 };
        host.ticked_at = now;
        if host.ticks > SPINNING { Err(format!("{id} spins at {now}")) } else { Ok(()) }
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        if let Some((id, run)) = event.addressee()
            && let Some(host) = self.hosts.get(&id)
        {
            if host.process.is_none() || run.is_some_and(|run| run != host.run) {
                return Ok(());
            }
            if host.paused_until > self.now {
                let rest = host.paused_until - self.now;
                self.at(rest, event);
                return Ok(());
            }
        }
        match event {
            Event::Deliver(parcel) => self.deliver(*parcel),
            Event::Broken { node, peer, correlation, is_gone, .. } => {
                self.step(node, Input::Unanswered(peer, correlation))?;
                if is_gone { self.step(node, Input::Gone(peer)) } else { Ok(()) }
            }
            Event::Gone { node, peer, .. } => self.gone(node, peer),
            Event::Synced { node, generation, sync, .. } => {
                self.host_mut(node).metadata.end_sync(sync);
                self.step(node, Input::Flushed(generation, sync.end))
            }
            Event::ReplicaSynced { node, key, sync, .. } => self.replica_synced(node, key, sync),
            Event::News { node, .. } => self.take_news(node),
            Event::Tick { node, run } => {
                self.at(TICK, Event::Tick { node, run });
                self.look(node)
            }
            Event::Beat { node, run } => {
                let interval = self.plan.heartbeat;
                self.at(interval, Event::Beat { node, run });
                self.beat(node)
            }
            Event::FetchNow { node, key, serial, .. } => {
                self.fetch(node, key, serial);
                Ok(())
            }
            Event::GiveUp { node, key, proposal, .. } => self.give_up(node, key, proposal),
            Event::Start(node) => self.start(node),
            Event::Administer => {
                self.administer();
                Ok(())
            }
            Event::GoOn(client) => {
                self.go_on(client);
                Ok(())
            }
            Event::Fault | Event::Strike { .. } if self.is_calm => Ok(()),
            Event::Fault => {
                let pause = self.rng.within(1, 2 * self.plan.fault_interval);
                self.at(pause, Event::Fault);
                self.fault()
            }
            Event::Strike { follower, leader } => {
                self.strike(follower, leader);
                Ok(())
            }
            Event::Heal => self.heal(),
        }
    }

    /// What the time brings on a node, besides the quorum.
    fn look(&mut self, id: NodeId) -> Result<(), Violation> {
        self.keep_office(id)?;
        let Some(now) = self.clock(id) else { return Ok(()) };
        let Some(broker) = self.host(id).broker() else { return Ok(()) };
        let is_due = |key: &&Key| {
            let leading = broker.leading(**key);
            leading.and_then(|it| it.machine.deadline()).is_some_and(|at| at <= now.instant)
        };
        let due: Vec<Key> = broker.parts.keys().filter(is_due).copied().collect();
        let led: Vec<Key> = broker.parts.keys().copied().collect();
        due.into_iter().try_for_each(|key| self.lead(id, key, replica::Input::Tick))?;
        led.into_iter().try_for_each(|key| self.tick_coordinators(id, key, now))
    }

    fn tick_coordinators(&mut self, id: NodeId, key: Key, now: Now) -> Result<(), Violation> {
        self.tick_coordinator::<group::Coordinator>(id, key, now)?;
        self.tick_coordinator::<transaction::Coordinator>(id, key, now)?;
        self.tick_orders(id, key)?;
        self.tick_unopened(id, key)
    }

    /// Somebody hears that the process of a node has ended.
    fn gone(&mut self, id: NodeId, peer: NodeId) -> Result<(), Violation> {
        if let Some(process) = &mut self.host_mut(id).process
            && let Some(office) = &mut process.office
        {
            office.sessions.expire(peer);
        }
        self.step(id, Input::Gone(peer))
    }

    /// What a node's clocks show; nothing while it does not run.
    pub fn clock(&self, id: NodeId) -> Option<Now> {
        Some(self.hosts.get(&id)?.process.as_ref()?.clock.at(self.now))
    }

    /// A node.
    pub fn host(&self, id: NodeId) -> &Host<Q, L> {
        &self.hosts[&id]
    }

    /// A node, to change.
    pub fn host_mut(&mut self, id: NodeId) -> &mut Host<Q, L> {
        self.hosts.get_mut(&id).expect("a node that is asked for is there")
    }

    /// The nodes that believe to lead the quorum.
    pub fn quorum_leaders(&self) -> Vec<NodeId> {
        self.hosts.values().filter(|host| host.is_leading()).map(|host| host.id).collect()
    }

    /// A number that tells a fetch from all others.
    pub fn next_serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    /// Something happens after a while.
    pub fn at(&mut self, delay: u64, event: Event) {
        self.event_count += 1;
        self.events.insert((self.now + delay, self.event_count), event);
    }

    /// A situation was met.
    pub fn met(&mut self, situation: &'static str) {
        *self.report.met.entry(situation).or_default() += 1;
    }

    /// Something that a transcript tells.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        let now = self.now;
        let mut hash = Hash(self.report.digest);
        let _ = write!(hash, "{now} {line}");
        self.report.digest = hash.0;
        if self.is_traced {
            self.report.transcript.push(format!("{now:>6} {line}"));
        }
    }

    /// A process of a machine begins.
    pub fn begin_process(&mut self, id: NodeId, process: Process<Q, L>) {
        let host = self.host_mut(id);
        let (run, is_broker) = (host.run, host.is_broker);
        host.process = Some(process);
        let pause = self.rng.within(1, TICK);
        self.at(pause, Event::Tick { node: id, run });
        if is_broker {
            let pause = self.rng.within(1, self.plan.heartbeat);
            self.at(pause, Event::Beat { node: id, run });
        }
    }

    /// The waits of a quorum, shorter than the usual ones, so that more happens in a run.
    pub fn timing(&self) -> Timing {
        Timing {
            election_timeout: Duration::from_millis(300),
            fetch_timeout: Duration::from_millis(500),
            request_timeout: Duration::from_millis(500),
            retry_backoff: Duration::from_millis(20),
            fetch_max_wait: Duration::from_millis(100),
            fetch_max_bytes: self.plan.fetch_bytes,
        }
    }

    /// Where everything below was committed in the metadata.
    pub fn newest_end(&self) -> Offset {
        self.newest.offset().plus(1)
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
