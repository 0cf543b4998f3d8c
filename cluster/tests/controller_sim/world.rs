//! The controller, the brokers' machines, and what is on its way between them.

mod brokers;
mod calm;
mod controller;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use milena_cluster::configs::Values;
use milena_cluster::controller::brokers::Application;
use milena_cluster::controller::directories::Placed;
use milena_cluster::controller::heartbeats::Heartbeat;
use milena_cluster::controller::isr::IsrChange;
use milena_cluster::controller::{Controller, Sessions};
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::time::{Instant, Now};
use milena_protocol::codec::Text;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, PartitionIndex, Timestamp};

use crate::bugs::{Bugs, Decided};
use crate::checks::{Checks, Violation};
use crate::host::{Host, Key};
use crate::plan::Plan;
use crate::simulation::Report;
use crate::simulation::rng::Rng;

/// Steps that a second copy of a message takes longer, at most.
const LATE: u64 = 100;

/// When a run begins.
const BEGIN: Instant = Instant(10_000);

/// Something that may happen.
type Act<B> = fn(&mut World<B>) -> Violation;

/// Something on its way to the controller.
#[derive(Clone, Debug)]
pub enum Message {
    Register { start: u64, application: Application },
    Beat { start: u64, beat: Heartbeat },
    Propose { epoch: BrokerEpoch, change: IsrChange },
    Place { epoch: BrokerEpoch, placed: Vec<Placed> },
    ProducerIds { epoch: BrokerEpoch },
}

/// A world of one seed.
pub struct World<B> {
    rng: Rng,
    plan: Plan,
    step: u64,
    now: Instant,
    controller: Controller,
    controller_epoch: LeaderEpoch,
    sessions: Sessions,
    hosts: BTreeMap<NodeId, Host>,
    mail: Vec<(u64, NodeId, Message)>,
    checks: Checks,
    /// Since when each registered broker has had no reason to be fenced.
    heard: BTreeMap<NodeId, (BrokerEpoch, Instant)>,
    /// Brokers whose processes were said to be gone.
    gone: BTreeSet<NodeId>,
    topics: u64,
    records: u64,
    report: Report,
    is_traced: bool,
    bugs: PhantomData<B>,
}

impl<B: Bugs> World<B> {
    /// The world of a seed.
    pub fn new(seed: u64, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let values = Values::from([
            ("min.insync.replicas".to_owned(), plan.min_in_sync.to_string()),
            ("unclean.leader.election.enable".to_owned(), plan.is_unclean.to_string()),
        ]);
        let controller = Controller::new(NodeId(0), values, MetadataImage::default());
        let now = BEGIN;
        let sessions = Sessions::begin(now, controller.session_timeout(), controller.image());
        let hosts = (1..=plan.brokers).map(|id| (NodeId(id), Host::new(id))).collect();
        Self {
            rng,
            plan,
            step: 0,
            now,
            controller,
            controller_epoch: LeaderEpoch(1),
            sessions,
            hosts,
            mail: Vec::new(),
            checks: Checks::default(),
            heard: BTreeMap::new(),
            gone: BTreeSet::new(),
            topics: 0,
            records: 0,
            report: Report::default(),
            is_traced,
            bugs: PhantomData,
        }
    }

    /// Runs it: everything happens, then it heals, and all has to be well.
    pub fn run(&mut self) -> Violation {
        self.begin()?;
        for _ in 0..self.plan.steps {
            self.step += 1;
            self.now = Instant(self.now.0 + self.rng.below(600));
            self.check_sessions()?;
            self.deliver()?;
            self.happen()?;
        }
        self.heal()
    }

    /// What came of it.
    pub fn report(self) -> Report {
        let millis = self.now.since(BEGIN).as_millis() as u64;
        Report { steps: self.step, millis, ..self.report }
    }

    fn begin(&mut self) -> Violation {
        let records = if self.plan.has_eligible {
            self.controller.bootstrap()
        } else {
            crate::beginning::without_eligible()
        };
        self.replay(Decided::Other, records, &[], false)?;
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in &ids {
            self.arrive(*id)?;
        }
        for _ in 0..self.plan.topics {
            self.create_topic()?;
        }
        ids.into_iter().for_each(|id| self.read_at(id));
        Ok(())
    }

    /// Something happens.
    fn happen(&mut self) -> Violation {
        let plan = &self.plan;
        let weights: [(u64, Act<B>); 19] = [
            (35, Self::beat_or_register),
            (25, Self::read),
            (25, Self::write),
            (30, Self::propose),
            (15, Self::follow),
            (4, Self::place),
            (2, Self::ask_producer_ids),
            (20, Self::start),
            (4, Self::create_topic),
            (1, Self::delete_topic),
            (2, Self::elect),
            (1, Self::unregister),
            (plan.kills, Self::kill),
            (plan.power_cuts, Self::cut_power),
            (plan.stops, Self::stop),
            (plan.failovers, Self::fail_over),
            (plan.moves, Self::reassign),
            (plan.disks, Self::lose_disk),
            (plan.twins, Self::apply_twice),
        ];
        let mut at = self.rng.below(weights.iter().map(|(weight, _)| weight).sum());
        for (weight, act) in weights {
            if at < weight {
                return act(self);
            }
            at -= weight;
        }
        Ok(())
    }

    fn now(&self) -> Now {
        Now { instant: self.now, wall: Timestamp(self.now.0 as i64) }
    }

    fn image(&self) -> &MetadataImage {
        self.controller.image()
    }

    fn met(&mut self, what: &'static str) {
        *self.report.met.entry(what).or_default() += 1;
    }

    fn trace(&mut self, line: impl FnOnce() -> String) {
        if self.is_traced {
            let line = line();
            self.report.transcript.push(format!("{} {:>7} {line}", self.step, self.now.0));
        }
    }

    fn any_host(&mut self) -> NodeId {
        NodeId(1 + self.rng.below(self.plan.brokers as u64) as i32)
    }

    fn any_partition(&mut self) -> Option<(Text, Key)> {
        let topics = self.image().topics();
        let each = topics.flat_map(|topic| {
            let indexes = topic.partitions().map(|(index, _)| index);
            indexes.map(|index: PartitionIndex| (topic.name().clone(), (topic.id(), index)))
        });
        let all: Vec<(Text, Key)> = each.collect();
        self.rng.pick(&all).cloned()
    }

    /// Sends a message, which may be lost, doubled or late.
    fn send(&mut self, from: NodeId, message: Message) {
        let copies = match self.rng.below(1000) {
            chance if chance < self.plan.loss => 0,
            chance if chance < self.plan.loss + self.plan.doubled => 2,
            _ => 1,
        };
        for copy in 0..copies {
            // A second copy may come when nobody thinks of the first any more.
            let longest = self.plan.delay + copy * LATE;
            let due = self.step + self.rng.below(longest + 1);
            self.mail.push((due, from, message.clone()));
        }
    }
}

impl<B> fmt::Debug for World<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("plan", &self.plan).finish_non_exhaustive()
    }
}
