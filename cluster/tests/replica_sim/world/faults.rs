//! What goes wrong: kills, power cuts, cuts of the network, pauses, false suspicions, and leaders
//! that change though nothing is wrong.

use milena_cluster::replica::Rules;
use milena_protocol::ids::NodeId;

use super::{CONTROLLER, Event, HEARTBEAT, TICK, World};

impl<R: Rules> World<R> {
    pub(super) fn fault(&mut self) {
        let plan = &self.plan;
        let weights = [
            plan.kill_weight,
            plan.power_weight,
            plan.network_weight,
            plan.pause_weight,
            plan.fence_weight,
            plan.leader_weight,
            plan.drain_weight,
        ];
        let mut drawn = self.rng.below(weights.iter().sum());
        let kind = weights.iter().position(|weight| {
            let is_it = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_it
        });
        let victim = self.victim();
        match kind {
            Some(0) => self.stop(victim, false),
            Some(1) => self.stop(victim, self.may_lose_power(victim)),
            Some(2) => self.cut_network(),
            Some(3) => {
                let span = *self.rng.pick(&[20, 200, 1_000]).unwrap_or(&20);
                let until = self.now + self.rng.within(1, span);
                self.note(|_| format!("{victim} stops until {until}"));
                self.broker(victim).paused_until = until;
            }
            Some(4) => self.suspect(victim),
            Some(5) => {
                let (_, is_changed) =
                    self.register.decide(|machine| machine.balance_leaders(0, 10));
                self.decided(is_changed);
            }
            Some(6) => {
                if let Some(process) = &mut self.broker(victim).process {
                    process.wants_shut_down = true;
                }
                let pause = self.rng.within(1, 400);
                self.at(pause, Event::Start(victim));
            }
            _ => {}
        }
    }

    /// The leader more often than others: there is more to lose.
    fn victim(&mut self) -> NodeId {
        let leader = self.register.partition().leader;
        if leader != NodeId::NONE && self.rng.chance(400) {
            return leader;
        }
        let ids = self.ids();
        self.rng.pick(&ids).copied().unwrap_or(NodeId(1))
    }

    /// Power goes where nothing is promised, or at so few replicas that the promise holds.
    pub(super) fn may_lose_power(&self, victim: NodeId) -> bool {
        let mut lost = self.lost.clone();
        lost.insert(victim);
        self.plan.is_durable || !self.plan.promises() || lost.len() < self.plan.min_insync
    }

    /// The controller takes a broker for silent.
    pub(super) fn suspect(&mut self, id: NodeId) {
        self.note(|_| format!("{id} is suspected"));
        let ((), is_changed) = self.register.decide(|machine| machine.fence_broker(id));
        self.decided(is_changed);
    }

    /// A follower ends, or is cut off from its leader, or both.
    pub(super) fn strike(&mut self, follower: NodeId, leader: NodeId) {
        let kind = self.rng.below(4);
        if kind < 3 {
            self.cut.extend([(follower, leader), (leader, follower)]);
            self.note(|_| format!("{follower} is cut off from {leader}"));
        }
        if kind > 0 {
            self.stop(follower, self.may_lose_power(follower));
            let pause = self.rng.within(1, 20);
            self.at(pause, Event::Start(follower));
        }
    }

    /// A process ends, its kernel perhaps too, and starts again after a while.
    pub(super) fn stop(&mut self, id: NodeId, loses_power: bool) {
        self.note(|_| format!("{id} ends, with its kernel: {loses_power}"));
        self.is_changed = true;
        let mut rng = self.rng.clone();
        let broker = self.broker(id);
        if loses_power {
            broker.cut_power(&mut rng);
        } else {
            broker.kill(&mut rng);
        }
        self.rng = rng;
        if loses_power {
            self.lost.insert(id);
        }
        let span = *self.rng.pick(&[10, 10, 200, 1_500]).unwrap_or(&10);
        let pause = self.rng.within(1, span);
        self.at(pause, Event::Start(id));
    }

    /// Messages between a side and the rest are lost, or only those that the side sends; the
    /// controller is on one side or the other.
    fn cut_network(&mut self) {
        self.cut.clear();
        if self.rng.chance(400) {
            self.note(|_| "the network heals".to_owned());
            return;
        }
        let mut all = self.ids();
        all.push(CONTROLLER);
        let leader = self.register.partition().leader;
        let side: Vec<NodeId> = if self.rng.chance(400) {
            vec![leader]
        } else {
            all.iter().copied().filter(|_| self.rng.chance(400)).collect()
        };
        let is_one_way = self.rng.chance(300);
        let spares_controller = self.rng.chance(300);
        for a in &all {
            for b in &all {
                let (from, to) = (side.contains(a), side.contains(b));
                let is_spared = spares_controller && (*a == CONTROLLER || *b == CONTROLLER);
                if from != to && (from || !is_one_way) && !is_spared {
                    self.cut.insert((*a, *b));
                }
            }
        }
        self.note(|world| format!("cut: {:?}", world.cut));
    }

    /// Starts a broker; one that was told to stop ends first.
    pub(super) fn start(&mut self, id: NodeId) {
        let mut rng = self.rng.clone();
        let broker = self.broker(id);
        if broker.process.as_ref().is_some_and(|process| process.wants_shut_down) {
            broker.kill(&mut rng);
        }
        if broker.process.is_some() {
            return;
        }
        broker.start();
        let run = broker.run;
        self.rng = rng;
        self.note(|_| format!("{id} starts, run {run}"));
        let pause = self.rng.within(1, TICK);
        self.at(pause, Event::Tick(id, run));
        let pause = self.rng.within(1, HEARTBEAT);
        self.at(pause, Event::Beat(id, run));
    }

    /// From now on nothing goes wrong.
    pub(super) fn heal(&mut self) {
        self.is_calm = true;
        self.cut.clear();
        self.note(|_| "everything heals".to_owned());
        for id in self.ids() {
            self.broker(id).paused_until = 0;
            self.start(id);
        }
    }
}
