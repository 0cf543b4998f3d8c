//! What reaches the controller, and what it decides.

use std::collections::BTreeMap;

use milena_cluster::controller::brokers::Application;
use milena_cluster::controller::heartbeats::{Heartbeat, HeartbeatAnswer};
use milena_cluster::controller::isr::IsrChange;
use milena_cluster::controller::reassign::Reassignment;
use milena_cluster::controller::topics::{NewTopic, TopicRef};
use milena_cluster::controller::{Controller, Decision, Proposal, Sessions};
use milena_cluster::time::Instant;
use milena_cluster::wire::{self, Decided as _};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, Offset, Uuid};
use milena_protocol::metadata_record::MetadataRecord;

use super::{Message, World};
use crate::bugs::{Bugs, Decided};
use crate::checks::{Change, Violation, ensure};
use crate::host::Key;

impl<B: Bugs> World<B> {
    /// Appends and replays what was decided, and looks at what it did.
    pub(super) fn replay(
        &mut self,
        decided: Decided,
        records: Vec<MetadataRecord>,
        proposed: &[NodeId],
        may_lose: bool,
    ) -> Violation {
        let before = self.image().clone();
        let records = B::records(&before, decided, records);
        if records.is_empty() {
            return Ok(());
        }
        for record in &records {
            self.trace(|| format!("    + {record:?}"));
        }
        let values = Proposal::encode(records, before.metadata_version())
            .map_err(|error| format!("{error:?}"))?
            .values;
        let read: Result<Vec<MetadataRecord>, _> =
            values.into_iter().map(MetadataRecord::decode).collect();
        let read = read.map_err(|error| format!("{error:?}"))?;
        let base = before.offset().plus(1);
        let replayed = self.controller.replay(base, self.controller_epoch, &read);
        replayed.map_err(|error| error.to_string())?;
        self.controller.check_invariants();
        self.sessions.follow(self.now, self.controller.image());
        self.sessions.check_invariants(self.controller.image());
        self.note_registered();
        let change = Change {
            before: &before,
            after: self.controller.image(),
            proposed,
            may_lose: may_lose || self.plan.is_unclean,
            min_in_sync: self.plan.min_in_sync,
            has_eligible: self.plan.has_eligible,
            hosts: &self.hosts,
        };
        let unclean = self.checks.unclean.len();
        self.checks.changed(&change)?;
        if self.checks.unclean.len() > unclean {
            self.met("unclean election");
        }
        Ok(())
    }

    /// Since when nobody has had a reason to fence a broker: what sessions should know.
    fn note_registered(&mut self) {
        let image = self.controller.image();
        for broker in image.brokers() {
            let known = self.heard.get(&broker.id);
            if known.is_some_and(|known| known.0 == broker.epoch) {
                continue;
            }
            self.heard.remove(&broker.id);
            self.gone.remove(&broker.id);
            if !broker.fenced {
                self.heard.insert(broker.id, (broker.epoch, self.now));
            }
        }
    }

    fn silence(&self, id: NodeId, epoch: BrokerEpoch) -> u64 {
        let heard = self.heard.get(&id).filter(|heard| heard.0 == epoch);
        heard.map_or(u64::MAX, |heard| self.now.0 - heard.1.0)
    }

    fn timeout(&self) -> u64 {
        self.controller.session_timeout().as_millis() as u64
    }

    /// The controller looks for silent brokers when it has to.
    pub(super) fn check_sessions(&mut self) -> Violation {
        while self.sessions.deadline().is_some_and(|deadline| deadline <= self.now) {
            let Decision { records, answer } =
                self.controller.fence_stale(self.now, &self.sessions);
            let id = answer.ok_or("the deadline has passed, but nobody is silent")?;
            let epoch = self.image().broker(id).map_or(BrokerEpoch(-1), |broker| broker.epoch);
            let is_silent = self.silence(id, epoch) >= self.timeout() || self.gone.contains(&id);
            ensure(is_silent, || format!("{id} is fenced, but not silent"))?;
            self.met("fenced by silence");
            self.trace(|| format!("{id} is fenced"));
            self.replay(Decided::Fence, records, &[], false)?;
            // What a planted bug kept back must not be waited for.
            if self.sessions.stale(self.now) == Some(id) {
                return Err(format!("{id} was fenced, and is not"));
            }
        }
        for broker in self.image().brokers().filter(|broker| !broker.fenced) {
            let is_silent = self.silence(broker.id, broker.epoch) >= self.timeout();
            ensure(!is_silent, || format!("{} is silent, but not fenced", broker.id))?;
        }
        Ok(())
    }

    /// What is due reaches the controller, in any order.
    pub(super) fn deliver(&mut self) -> Violation {
        let step = self.step;
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.mail).into_iter().partition(|(at, ..)| *at <= step);
        self.mail = later;
        while !due.is_empty() {
            let next = self.rng.below(due.len() as u64) as usize;
            let (_, from, message) = due.swap_remove(next);
            self.receive(from, message)?;
        }
        Ok(())
    }

    pub(super) fn receive(&mut self, from: NodeId, message: Message) -> Violation {
        match message {
            Message::Register { start, application } => self.register(from, start, application),
            Message::Beat { start, beat } => self.beat(from, start, beat),
            Message::Propose { epoch, change } => self.alter(from, epoch, change),
            Message::Place { epoch, placed } => {
                let request = wire::assign_replicas_request(from, epoch, &placed);
                let decision = request.decide(self.now(), &self.controller, &mut self.sessions);
                self.replay(Decided::Other, decision.records, &[], false)
            }
            Message::ProducerIds { epoch } => {
                let request = wire::producer_ids_request(from, epoch);
                let decision = request.decide(self.now(), &self.controller, &mut self.sessions);
                self.replay(Decided::ProducerIds, decision.records, &[], false)?;
                let Ok(block) = wire::producer_ids(&decision.answer) else { return Ok(()) };
                self.met("blocks of producer ids");
                self.checks.block(block)
            }
        }
    }

    fn alter(&mut self, from: NodeId, epoch: BrokerEpoch, mut change: IsrChange) -> Violation {
        let key = (change.topic_id, change.partition);
        B::proposal(self.controller.image(), &mut change);
        let proposed: Vec<NodeId> = change.isr.iter().map(|(id, _)| *id).collect();
        let partition_epoch = change.partition_epoch;
        let request = wire::alter_partition_request(from, epoch, &[change]);
        let decision = request.decide(self.now(), &self.controller, &mut self.sessions);
        let result = wire::altered(&decision.answer)
            .and_then(|mut altered| altered.pop().map_or(Err(ErrorCode::NONE), |it| it.2));
        self.trace(|| format!("{from} is told of {key:?}: {result:?}"));
        self.met(if result.is_ok() { "proposal accepted" } else { "proposal refused" });
        if result == Err(ErrorCode::INELIGIBLE_REPLICA) && !self.rng.chance(self.plan.loss) {
            let process = self.hosts.get_mut(&from).and_then(|host| host.process.as_mut());
            let pending = process.and_then(|process| process.pending.get_mut(&key));
            if let Some(pending) =
                pending.filter(|pending| pending.change.partition_epoch == partition_epoch)
            {
                pending.is_refused = true;
            }
        }
        self.note_moved(&decision.records);
        self.replay(Decided::Other, decision.records, &proposed, false)
    }

    fn note_moved(&mut self, records: &[MetadataRecord]) {
        let is_end = |record: &MetadataRecord| match record {
            MetadataRecord::PartitionChange(it) => it.replicas.is_some(),
            _ => false,
        };
        if records.iter().any(is_end) {
            self.met("moved");
        }
    }

    fn register(&mut self, from: NodeId, start: u64, mut application: Application) -> Violation {
        B::application(self.controller.image(), &mut application);
        if !B::keeps_out() {
            self.sessions.expire(from);
        }
        let before = self.image().broker(from).map(|broker| broker.epoch);
        let is_known = self
            .image()
            .broker(from)
            .is_some_and(|it| it.incarnation_id == application.registration.incarnation_id);
        let request = application.to_request(&"cluster".into());
        let decision = request.decide(self.now(), &self.controller, &mut self.sessions);
        let answer = wire::broker_epoch(&decision.answer);
        self.trace(|| format!("{from} registers process {start}: {answer:?}"));
        if answer == Err(ErrorCode::DUPLICATE_BROKER_REGISTRATION) {
            self.met("duplicate refused");
        }
        let is_live = before.is_some_and(|epoch| {
            let process = self.hosts.get(&from).and_then(|host| host.process.as_ref());
            let is_running = process.is_some_and(|process| process.epoch == Some(epoch));
            is_running && !self.gone.contains(&from) && self.silence(from, epoch) < self.timeout()
        });
        ensure(is_known || !is_live || answer.is_err(), || {
            format!("{from} is alive, and another process is registered in its place")
        })?;
        let Ok(epoch) = answer else { return Ok(()) };
        if let Some(host) = self.hosts.get_mut(&from) {
            // Nothing is known of the logs of another machine.
            let knows = |first: u64| start != u64::MAX && start >= first;
            if host.lost_before.is_some_and(knows) {
                host.lost_before = None;
                self.give_up_only_copies(from);
            }
        }
        self.replay(Decided::Other, decision.records, &[], false)?;
        let is_lost = self.rng.chance(self.plan.loss);
        if let Some(host) = self.hosts.get_mut(&from)
            && let Some(process) = host.process.as_mut().filter(|it| it.start == start)
            && !is_lost
        {
            process.epoch = Some(epoch);
            host.witness = Some(epoch);
        }
        Ok(())
    }

    fn beat(&mut self, from: NodeId, start: u64, beat: Heartbeat) -> Violation {
        let known = self.image().broker(from).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.epoch == beat.epoch) {
            self.heard.insert(from, (known.epoch, self.now));
            self.gone.remove(&from);
        }
        let request = beat.to_request();
        let decision = if B::waits_for_others() {
            request.decide(self.now(), &self.controller, &mut self.sessions)
        } else {
            self.sessions.heard(self.now, from, beat.epoch, beat.metadata_offset);
            request.decide(self.now(), &self.controller, &mut self.fooled())
        };
        let answer = HeartbeatAnswer::in_response(&decision.answer);
        let was_fenced = known.as_ref().is_some_and(|known| known.fenced);
        self.replay(Decided::Fence, decision.records, &[], false)?;
        if was_fenced && answer.is_ok_and(|answer| !answer.is_fenced) {
            self.met("returned");
            self.trace(|| format!("{from} is unfenced"));
        }
        let process = self.hosts.get(&from).and_then(|host| host.process.as_ref());
        if process.is_none_or(|process| process.start != start) {
            return Ok(());
        }
        let may_stop = answer.is_ok_and(|answer| answer.should_shut_down);
        if may_stop && known.is_some_and(|known| known.in_controlled_shutdown && !known.fenced) {
            self.met("stopped in turn");
            self.check_stopped(from)?;
        }
        let is_stale = answer == Err(ErrorCode::STALE_BROKER_EPOCH);
        if may_stop || is_stale {
            self.trace(|| format!("{from} ends: {answer:?}"));
            if let Some(host) = self.hosts.get_mut(&from) {
                host.process = None;
            }
        }
        Ok(())
    }

    /// Sessions in which everybody has read everything.
    fn fooled(&self) -> Sessions {
        let mut fooled = self.sessions.clone();
        for broker in self.image().brokers() {
            fooled.heard(self.now, broker.id, broker.epoch, Offset(i64::MAX));
        }
        fooled
    }

    /// Nobody who takes part sends clients to a broker that was let go.
    fn check_stopped(&self, gone: NodeId) -> Violation {
        let is_active = |id: NodeId| self.image().broker(id).is_some_and(|it| it.is_active());
        for host in self.hosts.values().filter(|host| is_active(host.id)) {
            let Some(process) = host.current() else { continue };
            for topic in process.view.topics() {
                for (index, partition) in topic.partitions() {
                    let now = self.image().partition(topic.id(), index);
                    let has_other =
                        now.is_some_and(|now| ![gone, NodeId::NONE].contains(&now.leader));
                    ensure(partition.leader != gone || !has_other, || {
                        format!("{} takes {gone} for the leader, which has stopped", host.id)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Another controller takes over, with the same log.
    pub(super) fn fail_over(&mut self) -> Violation {
        let image = self.image().clone();
        self.controller_epoch.0 += 1;
        let values = BTreeMap::from([
            ("min.insync.replicas".to_owned(), self.plan.min_in_sync.to_string()),
            ("unclean.leader.election.enable".to_owned(), self.plan.is_unclean.to_string()),
        ]);
        self.controller = Controller::new(NodeId(0), values, image);
        let since = if B::has_grace() { self.now } else { Instant(0) };
        let timeout = self.controller.session_timeout();
        self.sessions = Sessions::begin(since, timeout, self.controller.image());
        self.gone.clear();
        self.heard.clear();
        for broker in self.controller.image().brokers().filter(|broker| !broker.fenced) {
            self.heard.insert(broker.id, (broker.epoch, self.now));
        }
        self.met("another controller");
        self.trace(|| "another controller".into());
        Ok(())
    }

    pub(super) fn create_topic(&mut self) -> Violation {
        if self.image().topic_count() >= self.plan.topics {
            return Ok(());
        }
        self.topics += 1;
        let topic = NewTopic {
            name: format!("t{}", self.topics).into(),
            id: Uuid::from_u128((1 << 64) + u128::from(self.topics)),
            partitions: self.rng.within(1, 2) as i32,
            replication_factor: *self.rng.pick(&[1, 2, 3, 3]).unwrap_or(&1),
            assignments: Vec::new(),
            configs: Vec::new(),
        };
        let decision = self.controller.create_topics(&[topic], false);
        self.replay(Decided::Other, decision.records, &[], false)
    }

    pub(super) fn delete_topic(&mut self) -> Violation {
        let Some((name, _)) = self.any_partition().filter(|_| self.rng.chance(200)) else {
            return Ok(());
        };
        let decision = self.controller.delete_topics(&[TopicRef::Name(name)]);
        self.met("topic deleted");
        self.replay(Decided::Other, decision.records, &[], false)
    }

    pub(super) fn elect(&mut self) -> Violation {
        let is_unclean = self.plan.is_unclean && self.rng.chance(500);
        let named = self.any_partition().map(|(name, key)| vec![(name, key.1)]);
        let named = named.filter(|_| self.rng.chance(500));
        let decision = self.controller.elect_leaders(named.as_deref(), is_unclean);
        self.replay(Decided::Other, decision.records, &[], is_unclean)
    }

    pub(super) fn unregister(&mut self) -> Violation {
        let id = self.any_host();
        if !self.rng.chance(300) {
            return Ok(());
        }
        let decision = self.controller.unregister_broker(id);
        if decision.answer.is_ok() {
            self.met("unregistered");
            self.trace(|| format!("{id} is unregistered"));
        }
        self.replay(Decided::Other, decision.records, &[], false)
    }

    /// Begins, changes or gives up a move.
    pub(super) fn reassign(&mut self) -> Violation {
        let gives_up = self.rng.chance(400);
        let moving: Vec<(Text, Key)> = self
            .image()
            .reassignments()
            .map(|(topic, index, _)| (topic.name().clone(), (topic.id(), index)))
            .collect();
        let chosen = match self.rng.pick(&moving).cloned() {
            Some(chosen) if gives_up => Some(chosen),
            _ => self.any_partition(),
        };
        let Some((topic, key)) = chosen else { return Ok(()) };
        let mut ids: Vec<NodeId> = (1..=self.plan.brokers).map(NodeId).collect();
        let factor = *self.rng.pick(&[1, 2, 2, 3, 3]).unwrap_or(&1);
        let mut target = Vec::new();
        while (target.len() as u64) < factor && !ids.is_empty() {
            target.push(ids.swap_remove(self.rng.below(ids.len() as u64) as usize));
        }
        let replicas = (!gives_up).then_some(target);
        self.trace(|| format!("{topic}-{} shall be at {replicas:?}", key.1));
        let wanted = [Reassignment { topic, partition: key.1, replicas }];
        let Decision { records, answer } = self.controller.reassign(&wanted, true);
        let is_refused = answer.iter().any(|result| {
            result
                .as_ref()
                .is_err_and(|refused| refused.code == ErrorCode::INVALID_REPLICA_ASSIGNMENT)
        });
        match (gives_up, records.is_empty()) {
            (true, false) => self.met("move given up"),
            (true, true) if is_refused => self.met("move not given up"),
            (false, false) => self.met("move begun"),
            _ => {}
        }
        let decided = if gives_up { Decided::Other } else { Decided::Move };
        self.replay(decided, records, &[], false)
    }
}
