//! What goes wrong: crashes, cuts, changes of voters, snapshots.

use bytes::Bytes;
use milena_cluster::quorum::{
    AddVoterRequest, CorrelationId, Envelope, Input, Machine, Message, RemoveVoterRequest, Request,
    Restored, Rules, SnapshotId,
};
use milena_protocol::ids::NodeId;

use super::{Event, World, timing};
use crate::checks::Violation;
use crate::disk::Snapshot;

impl<R: Rules> World<R> {
    pub(super) fn fault(&mut self) -> Result<(), Violation> {
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
    pub(super) fn strike(&mut self, leader: NodeId) {
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
    pub(super) fn cut_off(&mut self, ids: &[NodeId], side: &[NodeId], is_one_way: bool) {
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

    pub(super) fn crash(&mut self, id: NodeId) {
        self.note(format_args!("{id} crashes"));
        let rng = &mut self.rng;
        if let Some(node) = self.nodes.get_mut(&id)
            && node.machine.take().is_some()
        {
            node.disk.crash(rng);
        }
    }

    pub(super) fn start(&mut self, id: NodeId) {
        let now = self.clock();
        let seed = self.rng.draw();
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
            timing: timing(&self.plan),
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

    pub(super) fn partition(&mut self, ids: &[NodeId]) {
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
    pub(super) fn change_voters(&mut self, leader: NodeId) -> Result<(), Violation> {
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

    pub(super) fn take_snapshot(&mut self, id: NodeId) -> Result<(), Violation> {
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

    pub(super) fn propose(&mut self) -> Result<(), Violation> {
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
}
