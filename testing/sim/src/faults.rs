//! What goes wrong: kills, power cuts, bits that turn, cuts of the network, pauses, changes of
//! voters, snapshots, leaders that hand over, brokers that drain, partitions that move.

use std::collections::{BTreeSet, VecDeque};

use milena_cluster::controller::ledger::Ledger;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::metadata::snapshot::{self, Snapshot};
use milena_cluster::quorum::{
    self, AddVoterRequest, Input, Machine, RemoveVoterRequest, Request, Restored,
};
use milena_cluster::replica;
use milena_protocol::ids::{NodeId, Offset};

use crate::broker::Broker;
use crate::checks::partitions;
use crate::clock::Clock;
use crate::host::{Key, Process};
use crate::ledger::appended;
use crate::network::Ask;
use crate::quorum_checks::Violation;
use crate::world::{Event, World};

/// A kind of fault.
type Act<Q, L> = fn(&mut World<Q, L>, NodeId) -> Result<(), Violation>;

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// Something goes wrong.
    pub fn fault(&mut self) -> Result<(), Violation> {
        let weights = self.plan.weights.clone();
        let acts: [(u64, Act<Q, L>); 12] = [
            (weights.kill, |world, victim| {
                world.stop(victim, false);
                Ok(())
            }),
            (weights.power, |world, victim| {
                let loses_power = world.may_lose(victim, false);
                world.stop(victim, loses_power);
                Ok(())
            }),
            (weights.blackout, Self::black_out),
            (weights.rot, Self::rot),
            (weights.network, |world, _| {
                world.cut_network();
                Ok(())
            }),
            (weights.pause, Self::pause),
            (weights.voters * self.plan.kraft_version as u64, Self::change_voters),
            (weights.snapshot, Self::take_snapshot),
            (weights.resign, |world, victim| world.step(victim, Input::Resign)),
            (weights.drain, Self::drain),
            (weights.elect, |world, _| {
                world.ask_as_administrator(Ask::Elect);
                Ok(())
            }),
            (weights.reassign, |world, _| {
                world.move_somewhere();
                Ok(())
            }),
        ];
        let victim = self.victim();
        let mut drawn = self.rng.below(acts.iter().map(|(weight, _)| weight).sum());
        for (weight, act) in acts {
            if drawn < weight {
                return act(self, victim);
            }
            drawn -= weight;
        }
        Ok(())
    }

    /// Leaders more often than others: there is more to lose.
    fn victim(&mut self) -> NodeId {
        let of_quorum = self.quorum_leaders();
        if let Some(leader) = self.rng.pick(&of_quorum).copied().filter(|_| self.rng.chance(250)) {
            return leader;
        }
        if let Some(key) = self.any_partition().filter(|_| self.rng.chance(400)) {
            let leader = self.newest.partition(key.0, key.1).map(|it| it.leader);
            if let Some(leader) = leader.filter(|leader| self.hosts.contains_key(leader)) {
                return leader;
            }
        }
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        self.rng.pick(&ids).copied().unwrap_or(NodeId(1))
    }

    /// The partitions that a machine would lose records of with its power, or a disk; those that it
    /// has not heard of yet among them.
    fn endangered(&self, victim: NodeId, loses_synced: bool) -> BTreeSet<Key> {
        let kept = self.host(victim).replicas.keys().copied();
        let given = partitions(&self.newest)
            .filter(|(_, partition)| partition.replicas.contains(&victim))
            .map(|(key, _)| key);
        kept.chain(given).filter(|key| loses_synced || !self.is_durable(*key)).collect()
    }

    fn is_durable(&self, key: Key) -> bool {
        let name = self.newest.topic_by_id(key.0).map(|topic| topic.name().as_str());
        self.plan.topics.iter().any(|topic| Some(topic.name.as_str()) == name && topic.is_durable)
    }

    /// Records go at so few replicas that the promise holds.
    fn may_lose(&self, victim: NodeId, loses_synced: bool) -> bool {
        if self.host(victim).is_broker && !self.is_made() {
            // A topic may be made with a replica that is in sync and has lost nothing yet.
            return false;
        }
        self.endangered(victim, loses_synced).iter().all(|key| {
            let Some(partition) = self.newest.partition(key.0, key.1) else { return false };
            let name = self.newest.topic_by_id(key.0).map(|topic| topic.name().as_str());
            let plan = self.plan.topics.iter().find(|topic| Some(topic.name.as_str()) == name);
            let least = plan.map_or(1, |plan| plan.min_insync).min(partition.replicas.len());
            let is_lost = |id: &NodeId| *id == victim || self.lost.contains(&(*id, *key));
            let lost = self.hosts.keys().filter(|id| is_lost(id)).count();
            // Without eligible leaders the last one in sync stays so whatever it has lost.
            self.plan.has_eligible && lost < least
        })
    }

    /// A process ends, its kernel perhaps too, and starts again after a while.
    pub fn stop(&mut self, id: NodeId, loses_power: bool) {
        self.note(format_args!("{id} ends, with its kernel: {loses_power}"));
        self.met(if loses_power { "power cut" } else { "killed" });
        if loses_power {
            let endangered = self.endangered(id, false);
            self.lost.extend(endangered.into_iter().map(|key| (id, key)));
        }
        let mut rng = self.rng.clone();
        let host = self.host_mut(id);
        let was_running = host.process.is_some();
        match loses_power {
            true => host.cut_power(&mut rng),
            false => host.kill(&mut rng),
        }
        self.rng = rng;
        if was_running && self.rng.chance(500) {
            self.reset_connections(id);
        }
        let span = *self.rng.pick(&[10, 10, 200, 1_500]).unwrap_or(&10);
        let pause = self.rng.within(1, span);
        self.at(pause, Event::Start(id));
    }

    /// All power goes at once, as far as the promise holds then.
    fn black_out(&mut self, _: NodeId) -> Result<(), Violation> {
        self.met("blackout");
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in ids {
            let loses_power = self.may_lose(id, false);
            self.stop(id, loses_power);
        }
        Ok(())
    }

    /// Others see that a process has ended: connections are reset, and new ones refused.
    fn reset_connections(&mut self, gone: NodeId) {
        let others: Vec<(NodeId, u64)> =
            self.hosts.values().map(|host| (host.id, host.run)).collect();
        for (node, run) in others {
            if node != gone && !self.cut.contains(&(gone, node)) {
                let delay = self.rng.within(1, self.plan.delay);
                self.at(delay, Event::Gone { node, run, peer: gone });
            }
        }
    }

    /// A bit turns in a log.
    fn rot(&mut self, id: NodeId) -> Result<(), Violation> {
        if !self.may_lose(id, true) {
            return Ok(());
        }
        let keys: Vec<Key> = self.host(id).replicas.keys().copied().collect();
        // Of a durable topic the controller believes that nothing acknowledged can be lost.
        if keys.iter().any(|key| self.is_durable(*key)) {
            return Ok(());
        }
        let Some(key) = self.rng.pick(&keys).copied() else { return Ok(()) };
        if self.host(id).log(key).is_empty() {
            return Ok(());
        }
        self.stop(id, false);
        self.met("bit turned");
        self.note(format_args!("a bit turns at {id}"));
        self.lost.extend(keys.into_iter().map(|key| (id, key)));
        let mut rng = self.rng.clone();
        self.host_mut(id).rot(key, &mut rng);
        self.rng = rng;
        Ok(())
    }

    fn pause(&mut self, id: NodeId) -> Result<(), Violation> {
        let span = *self.rng.pick(&[20, 200, 1_000, 3_000]).unwrap_or(&20);
        let until = self.now + self.rng.within(1, span);
        self.note(format_args!("{id} stops until {until}"));
        self.met("paused");
        self.host_mut(id).paused_until = until;
        Ok(())
    }

    fn drain(&mut self, id: NodeId) -> Result<(), Violation> {
        if let Some(broker) = self.host_mut(id).broker_mut() {
            broker.wants_shut_down = true;
            self.note(format_args!("{id} shall stop"));
        }
        Ok(())
    }

    /// Somebody asks a node that believes to lead for another voter, or for one less.
    fn change_voters(&mut self, _: NodeId) -> Result<(), Violation> {
        let leaders = self.quorum_leaders();
        let ids: Vec<NodeId> =
            self.hosts.keys().copied().filter(|id| self.plan.may_vote(id.0)).collect();
        let (Some(leader), Some(subject)) =
            (self.rng.pick(&leaders).copied(), self.rng.pick(&ids).copied())
        else {
            return Ok(());
        };
        let voter = self.host(subject).me.clone();
        let voters = self.host(leader).quorum().map(|quorum| quorum.voters().clone());
        let is_voter = voters.is_some_and(|voters| voters.contains(&voter.key));
        let request = if is_voter {
            Request::RemoveVoter(RemoveVoterRequest { voter: voter.key })
        } else {
            Request::AddVoter(AddVoterRequest { voter, ack_when_committed: true })
        };
        self.ask_quorum(leader, request)
    }

    /// Messages between a side and the rest are lost, or only those that the side sends.
    fn cut_network(&mut self) {
        self.cut.clear();
        if self.rng.chance(400) {
            self.note(format_args!("the network heals"));
            return;
        }
        let mut all: Vec<NodeId> = self.hosts.keys().copied().collect();
        let side: Vec<NodeId> = match self.rng.below(3) {
            0 => vec![self.victim()],
            _ => all.clone().into_iter().filter(|_| self.rng.chance(400)).collect(),
        };
        let is_one_way = self.rng.chance(300);
        let has_clients = self.rng.chance(300);
        if has_clients {
            all.extend(
                (0..5)
                    .flat_map(|kind| (0..4).map(move |index| crate::clients::address(kind, index))),
            );
        }
        for a in &all {
            for b in &all {
                let (from, to) = (side.contains(a), side.contains(b));
                if from != to && (from || !is_one_way) {
                    self.cut.insert((*a, *b));
                }
            }
        }
        self.met(if is_one_way { "cut one way" } else { "cut" });
        self.note(format_args!("cut off: {side:?}, one way: {is_one_way}"));
    }

    /// A follower ends, or is cut off from its leader, or both.
    pub fn strike(&mut self, follower: NodeId, leader: NodeId) {
        let kind = self.rng.below(4);
        if kind < 2 {
            self.cut.extend([(follower, leader), (leader, follower)]);
            self.note(format_args!("{follower} is cut off from {leader}"));
        }
        if kind > 0 {
            let loses_power = self.may_lose(follower, false);
            self.stop(follower, loses_power);
        }
    }

    /// From now on nothing goes wrong.
    pub fn heal(&mut self) -> Result<(), Violation> {
        self.note(format_args!("everything heals"));
        self.is_calm = true;
        self.cut.clear();
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in ids {
            let host = self.host_mut(id);
            host.paused_until = 0;
            if let Some(broker) = host.broker_mut().filter(|broker| broker.wants_shut_down) {
                // One that began to stop comes back only as another process.
                broker.wants_shut_down = true;
                self.stop(id, false);
            }
            self.start(id)?;
        }
        Ok(())
    }

    /// A process starts, from what is on the disk.
    pub fn start(&mut self, id: NodeId) -> Result<(), Violation> {
        let (values, timing, seed) = (self.plan.values(), self.timing(), self.rng.draw());
        let clock = Clock::draw(&mut self.rng, self.plan.drifts);
        let now = clock.at(self.now);
        let host = self.host_mut(id);
        if host.process.is_some() {
            return Ok(());
        }
        host.run += 1;
        host.paused_until = 0;
        let cached = &host.metadata.cached;
        let found = cached.snapshot.as_ref();
        let file = found.and_then(|found| Some((found.id, host.snapshots.get(&found.id)?)));
        let Snapshot { image, membership } = match file {
            Some((id, file)) => snapshot::read(file, id.end_offset, id.epoch)
                .map_err(|error| format!("a snapshot cannot be read: {error}"))?,
            None => Snapshot { image: MetadataImage::default(), membership: None },
        };
        let base = membership.unwrap_or(host.base.clone());
        if found.is_some_and(|found| found.membership != base) {
            return Err(format!("{id} finds other voters in its snapshot: {base:?}"));
        }
        let restored = Restored {
            me: host.me.clone(),
            cluster_id: "simulated".into(),
            seed,
            timing,
            state: host.metadata.state.clone(),
            log: host.metadata.restored(),
            base,
            control: cached.batches.iter().flat_map(|batch| batch.control.clone()).collect(),
            bootstrap_count: host.bootstrap_count,
        };
        let applied = cached.start();
        let tail = cached.batches.iter().map(appended).collect::<Result<_, _>>()?;
        let ledger = Ledger::new(id, values, image, tail)
            .map_err(|error| format!("a record does not replay: {error}"))?;
        // What a start finds it syncs, so that it counts.
        let sync = host.metadata.begin_sync();
        host.metadata.end_sync(sync);
        let incarnation = host.next_incarnation();
        let quorum = Machine::restore(restored, now);
        let role = quorum.role().name();
        let process = Process {
            clock,
            quorum,
            ledger,
            applied: applied.max(Offset::ZERO),
            office: None,
            waiting: VecDeque::new(),
            news: VecDeque::new(),
            is_rejected: false,
            broker: host.is_broker.then(|| Broker::new(incarnation)),
        };
        self.note(format_args!("{id} starts as {role}"));
        self.begin_process(id, process);
        Ok(())
    }
}
