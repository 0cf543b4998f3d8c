//! What brokers do: they register, beat, read, lead, follow, and go.

use milena_cluster::controller::brokers::{Application, Registration};
use milena_cluster::controller::directories::Placed;
use milena_cluster::controller::features::{SUPPORTED, Supported};
use milena_cluster::controller::heartbeats::Heartbeat;
use milena_cluster::controller::isr::IsrChange;
use milena_protocol::ids::{NodeId, Uuid};

use super::{Message, World};
use crate::bugs::Bugs;
use crate::checks::Violation;
use crate::host::{Host, Key, Pending};

impl<B: Bugs> World<B> {
    pub(super) fn beat_or_register(&mut self) -> Violation {
        let id = self.any_host();
        self.greet(id);
        Ok(())
    }

    /// A process registers, or beats where it is registered.
    pub(super) fn greet(&mut self, id: NodeId) {
        if let Some(message) = self.greeting(id) {
            self.send(id, message);
        }
    }

    fn greeting(&self, id: NodeId) -> Option<Message> {
        let host = self.hosts.get(&id)?;
        let process = host.process.as_ref()?;
        let start = process.start;
        Some(match process.epoch {
            None => Message::Register { start, application: application(host, start) },
            Some(epoch) => {
                let beat = Heartbeat {
                    metadata_offset: process.view.offset(),
                    wants_shut_down: process.wants_stop,
                    offline_log_dirs: host.failed.clone(),
                    ..Heartbeat::of(id, epoch)
                };
                Message::Beat { start, beat }
            }
        })
    }

    pub(super) fn read(&mut self) -> Violation {
        let id = self.any_host();
        self.read_at(id);
        Ok(())
    }

    pub(super) fn read_at(&mut self, id: NodeId) {
        let image = self.controller.image();
        if let Some(host) = self.hosts.get_mut(&id) {
            host.read(image, &mut self.rng);
        }
    }

    /// The leader of a partition, as a process believes it to be.
    fn believed_leader(&mut self, key: Key) -> Option<NodeId> {
        let leaders: Vec<NodeId> =
            self.hosts.values().filter(|it| it.led(key).is_some()).map(|it| it.id).collect();
        self.rng.pick(&leaders).copied()
    }

    /// Whether a replica follows that leader in its epoch.
    pub(super) fn follows(&self, id: NodeId, leader: NodeId, key: Key) -> bool {
        let (Some(host), Some(led)) = (self.hosts.get(&id), self.hosts.get(&leader)) else {
            return false;
        };
        let (Some(own), Some(of_leader)) = (host.replica(key), led.led(key)) else { return false };
        own.leader == leader && own.leader_epoch == of_leader.leader_epoch
    }

    /// A replica copies all that its leader has.
    pub(super) fn copy(&mut self, id: NodeId, leader: NodeId, key: Key) {
        let records = self.hosts.get(&leader).and_then(|host| host.logs.get(&key));
        let Some(records) = records.map(|log| log.records.clone()) else { return };
        if let Some(log) = self.hosts.get_mut(&id).and_then(|host| host.logs.get_mut(&key)) {
            log.records = records;
        }
    }

    pub(super) fn follow(&mut self) -> Violation {
        let Some((_, key)) = self.any_partition() else { return Ok(()) };
        let Some(leader) = self.believed_leader(key) else { return Ok(()) };
        let id = self.any_host();
        if self.follows(id, leader, key) {
            self.copy(id, leader, key);
        }
        Ok(())
    }

    /// A record is appended, and acknowledged once all have it that are, or may be, in sync.
    pub(super) fn write(&mut self) -> Violation {
        let Some((_, key)) = self.any_partition() else { return Ok(()) };
        let Some(leader) = self.believed_leader(key) else { return Ok(()) };
        let Some(host) = self.hosts.get_mut(&leader) else { return Ok(()) };
        let Some(partition) = host.led(key).cloned() else { return Ok(()) };
        if partition.isr.len() < self.plan.min_in_sync.min(partition.replicas.len()) {
            return Ok(());
        }
        let mut counted = partition.isr.clone();
        if let Some(pending) = host.process.as_ref().and_then(|it| it.pending.get(&key)) {
            counted.extend(&pending.counted);
        }
        self.records += 1;
        if let Some(log) = host.logs.get_mut(&key) {
            log.records.push(self.records);
        }
        let mut is_everywhere = true;
        for id in counted.into_iter().filter(|id| *id != leader) {
            if self.follows(id, leader, key) && !self.rng.chance(100) {
                self.copy(id, leader, key);
            } else {
                is_everywhere = false;
            }
        }
        let records = self.hosts.get(&leader).and_then(|host| host.logs.get(&key));
        let records = records.map(|log| log.records.clone()).unwrap_or_default();
        if is_everywhere {
            self.met("acknowledged");
            self.trace(|| format!("{leader} acknowledges {} of {key:?}", records.len()));
            self.checks.acknowledged(key, &records)?;
        }
        Ok(())
    }

    pub(super) fn propose(&mut self) -> Violation {
        let Some((_, key)) = self.any_partition() else { return Ok(()) };
        let Some(leader) = self.believed_leader(key) else { return Ok(()) };
        let may_shrink = self.rng.chance(300);
        self.propose_at(leader, key, may_shrink);
        Ok(())
    }

    /// A leader says who is in sync. What it has said before it says again, until it knows what
    /// became of that.
    pub(super) fn propose_at(&mut self, leader: NodeId, key: Key, may_shrink: bool) {
        let Some(host) = self.hosts.get(&leader) else { return };
        let (Some(partition), Some(process)) = (host.led(key), host.current()) else { return };
        let Some(epoch) = process.epoch else { return };
        let pending = process.pending.get(&key);
        if let Some(pending) = pending.filter(|pending| !pending.is_refused) {
            let change = pending.change.clone();
            return self.send(leader, Message::Propose { epoch, change });
        }
        let records = host.logs.get(&key).map(|log| log.records.clone());
        let mut isr = Vec::new();
        for id in &partition.replicas {
            let other = self.hosts.get(id);
            let other_epoch = other.and_then(|it| it.process.as_ref()?.epoch);
            let log = other.and_then(|it| it.logs.get(&key)).map(|log| log.records.clone());
            let is_level = self.follows(*id, leader, key) && log == records;
            let is_in = partition.isr.contains(id);
            let is_active = process.view.broker(*id).is_some_and(|known| known.is_active());
            let epoch = if is_level { other_epoch } else { None };
            let known = process.view.broker(*id).map(|known| known.epoch);
            match (is_in, is_level) {
                _ if *id == leader => isr.push((*id, process.epoch)),
                (true, _) if !may_shrink || is_level => isr.push((*id, epoch.or(known))),
                (false, true) if is_active => isr.push((*id, epoch)),
                _ => {}
            }
        }
        let change = IsrChange {
            topic_id: key.0,
            partition: key.1,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr,
            is_recovering: false,
        };
        let is_same = change.isr.len() == partition.isr.len()
            && change.isr.iter().all(|(id, _)| partition.isr.contains(id));
        if is_same && partition.leader_recovery_state == 0 {
            return;
        }
        self.trace(|| format!("{leader} proposes {:?} for {key:?}", change.isr));
        if let Some(process) = self.hosts.get_mut(&leader).and_then(|host| host.process.as_mut()) {
            let counted = process.pending.remove(&key).map(|it| it.counted).unwrap_or_default();
            let counted = counted.into_iter().chain(change.isr.iter().map(|(id, _)| *id)).collect();
            let pending = Pending { change: change.clone(), counted, is_refused: false };
            process.pending.insert(key, pending);
        }
        self.send(leader, Message::Propose { epoch, change });
    }

    pub(super) fn place(&mut self) -> Violation {
        let id = self.any_host();
        self.place_at(id);
        Ok(())
    }

    /// A process tells where its replicas are, where the metadata says something else. Of one that
    /// went with a disk before anybody knew where it was, it says that it was there.
    pub(super) fn place_at(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get(&id) else { return };
        let Some(process) = host.current() else { return };
        let Some(epoch) = process.epoch else { return };
        let mut placed = Vec::new();
        for topic in process.view.topics() {
            for (partition, known) in topic.partitions() {
                let topic_id = topic.id();
                let Some(place) = known.directory_of(id) else { continue };
                let log = host.logs.get(&(topic_id, partition)).map(|log| log.directory);
                let lost = (place == Uuid::UNASSIGNED_DIRECTORY).then_some(());
                let lost = lost.and_then(|()| host.failed.first().copied());
                if let Some(directory) = log.or(lost).filter(|directory| *directory != place) {
                    placed.push(Placed { directory, topic_id, partition });
                }
            }
        }
        if !placed.is_empty() {
            self.send(id, Message::Place { epoch, placed });
        }
    }

    pub(super) fn ask_producer_ids(&mut self) -> Violation {
        let id = self.any_host();
        let epoch = self.hosts.get(&id).and_then(|host| host.process.as_ref()?.epoch);
        if let Some(epoch) = epoch {
            self.send(id, Message::ProducerIds { epoch });
        }
        Ok(())
    }

    pub(super) fn start(&mut self) -> Violation {
        let id = self.any_host();
        if let Some(host) = self.hosts.get_mut(&id).filter(|host| host.process.is_none()) {
            host.start();
            self.trace(|| format!("{id} starts"));
        }
        Ok(())
    }

    pub(super) fn kill(&mut self) -> Violation {
        let id = self.any_host();
        let host = self.hosts.get_mut(&id);
        if host.and_then(|host| host.process.take()).is_some() {
            self.met("killed");
            self.trace(|| format!("{id} is killed"));
            self.notice(id);
            return self.return_at_once(id);
        }
        Ok(())
    }

    /// Some machines are back before anything else happens.
    fn return_at_once(&mut self, id: NodeId) -> Violation {
        if !self.rng.chance(300) {
            return Ok(());
        }
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.process.is_none()) else {
            return Ok(());
        };
        host.start();
        self.trace(|| format!("{id} starts at once"));
        self.arrive(id)
    }

    /// A process registers, reads that it is, and is let in.
    pub(super) fn arrive(&mut self, id: NodeId) -> Violation {
        for _ in 0..2 {
            if let Some(message) = self.greeting(id) {
                self.receive(id, message)?;
            }
            self.read_at(id);
        }
        Ok(())
    }

    /// The connection of a process that is no more is reset, and its port refuses.
    fn notice(&mut self, id: NodeId) {
        if self.rng.chance(500) {
            self.sessions.expire(id);
            self.gone.insert(id);
            self.met("gone at once");
        }
    }

    /// Who is said to be in sync by what is on its way.
    fn anybody_joining(&mut self) -> Option<NodeId> {
        let joining = self.mail.iter().filter_map(|(.., from, message)| match message {
            Message::Propose { change, .. } => {
                change.isr.iter().map(|(id, _)| *id).find(|id| id != from)
            }
            _ => None,
        });
        let joining: Vec<NodeId> = joining.collect();
        self.rng.pick(&joining).copied()
    }

    pub(super) fn cut_power(&mut self) -> Violation {
        // It strikes most where it hurts most.
        let joining = self.anybody_joining().filter(|_| self.rng.chance(700));
        let id = joining.unwrap_or_else(|| self.any_host());
        if let Some(host) = self.hosts.get_mut(&id) {
            host.cut_power(&mut self.rng);
            self.give_up_only_copies(id);
            self.met("power cut");
            self.trace(|| format!("{id} loses power"));
            if joining.is_none() {
                self.notice(id);
                return self.return_at_once(id);
            }
            // It is back, and known to be another process, before it has joined.
            self.sessions.expire(id);
            self.gone.insert(id);
            if let Some(host) = self.hosts.get_mut(&id) {
                host.start();
            }
            return self.arrive(id);
        }
        Ok(())
    }

    /// What only one machine had is lost with that, as anybody expects.
    pub(super) fn give_up_only_copies(&mut self, id: NodeId) {
        for topic in self.controller.image().topics() {
            for (index, partition) in topic.partitions() {
                if partition.replicas == [id] {
                    self.checks.unclean.insert((topic.id(), index));
                }
            }
        }
    }

    pub(super) fn lose_disk(&mut self) -> Violation {
        let id = self.any_host();
        let Some(host) = self.hosts.get_mut(&id).filter(|it| it.process.is_some()) else {
            return Ok(());
        };
        let good: Vec<Uuid> =
            host.directories.iter().filter(|it| !host.failed.contains(it)).copied().collect();
        if let Some(directory) = self.rng.pick(&good) {
            host.lose_disk(*directory);
            self.give_up_only_copies(id);
            self.met("directory failed");
            self.trace(|| format!("{id} loses a disk"));
        }
        Ok(())
    }

    pub(super) fn stop(&mut self) -> Violation {
        let id = self.any_host();
        if let Some(process) = self.hosts.get_mut(&id).and_then(|host| host.process.as_mut()) {
            process.wants_stop = true;
            self.trace(|| format!("{id} wants to stop"));
        }
        Ok(())
    }

    /// A process on another machine was given an id that is taken.
    pub(super) fn apply_twice(&mut self) -> Violation {
        let id = self.any_host();
        let Some(host) = self.hosts.get(&id) else { return Ok(()) };
        let mut application = application(host, 900_000 + self.step);
        application.registration.log_dirs = vec![Uuid::from_u128(7_000_000 + self.step as u128)];
        application.registration.previous_epoch = None;
        self.send(id, Message::Register { start: u64::MAX, application });
        Ok(())
    }
}

fn application(host: &Host, start: u64) -> Application {
    let good = host.directories.iter().filter(|it| !host.failed.contains(it));
    let registration = Registration {
        id: host.id,
        incarnation_id: host.incarnation(start),
        previous_epoch: host.witness,
        endpoints: Vec::new(),
        rack: None,
        log_dirs: good.copied().collect(),
    };
    let range = |it: &Supported| (it.name.into(), it.min_level, it.max_level);
    let features = SUPPORTED.iter().map(range).collect();
    Application { registration, features, is_migrating: false }
}
