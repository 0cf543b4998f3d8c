//! Where a change of metadata reaches the partitions of a broker: logs are led or followed, and
//! deleted, here and nowhere else.

use std::sync::Arc;

use milena_cluster::configs::Resolver;
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum;
use milena_cluster::replica::follower::Leadership;
use milena_cluster::replica::{self, Input, Settings, Standing};
use milena_protocol::ids::{NodeId, Offset};

use super::{Part, Role};
use crate::bugs::HostBug;
use crate::bugs::replica::Bug;
use crate::host::Key;
use crate::quorum_checks::Violation;
use crate::world::World;

/// What the metadata says of a topic's partitions.
#[derive(Clone, Copy, Debug)]
pub struct TopicSettings {
    pub leader: Settings,
    /// Whether records are synced before they count.
    pub is_durable: bool,
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// An image takes effect. What was committed before this run is of no use by itself: the first
    /// that takes effect is the first that knows this run of the broker.
    pub fn publish(
        &mut self,
        id: NodeId,
        image: &Arc<MetadataImage>,
        changes: &Changes,
    ) -> Result<(), Violation> {
        let believes_anything = self.bugs.broker == Bug::RoleBeforeRegistration;
        let is_careful = self.bugs.host != HostBug::RoleBeforeWitness;
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let known = image.broker(id);
        if broker.registered.is_some() {
            broker.image = Arc::clone(image);
            return self.apply(id, changes);
        }
        let is_this_run = known.is_some_and(|it| it.incarnation_id == broker.incarnation);
        if !(is_this_run || believes_anything && known.is_some()) {
            return Ok(());
        }
        broker.registered = known.map(|known| known.epoch);
        broker.image = Arc::clone(image);
        if let Some(epoch) = broker.registered.filter(|_| is_careful) {
            // Before any role: a run that has had one is never taken up again.
            self.host_mut(id).note_registration(epoch);
        }
        let changes = Changes::between(&MetadataImage::default(), image);
        self.apply(id, &changes)
    }

    fn apply(&mut self, id: NodeId, changes: &Changes) -> Result<(), Violation> {
        for (topic, indexes) in &changes.partitions {
            for index in indexes {
                self.play(id, (*topic, *index))?;
            }
        }
        if changes.brokers.is_empty() {
            return Ok(());
        }
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        broker.registered = broker.image.broker(id).map(|known| known.epoch).or(broker.registered);
        let image = Arc::clone(&broker.image);
        let keys: Vec<Key> = broker.parts.keys().copied().collect();
        for key in keys {
            if let Some(standing) = Standing::of(&image, key.0, key.1) {
                self.lead(id, key, Input::Learned(standing))?;
            }
        }
        Ok(())
    }

    /// Leads or follows a partition, whichever the image says, or has nothing to do with it.
    fn play(&mut self, id: NodeId, key: Key) -> Result<(), Violation> {
        let Some(broker) = self.host(id).broker() else { return Ok(()) };
        let image = Arc::clone(&broker.image);
        let Some(partition) = image.partition(key.0, key.1) else { return Ok(()) };
        if !partition.replicas.contains(&id) {
            let host = self.host_mut(id);
            if host.replicas.remove(&key).is_some() {
                self.met("replica deleted");
            }
            if let Some(broker) = self.host_mut(id).broker_mut() {
                broker.parts.remove(&key);
            }
            return Ok(());
        }
        self.host_mut(id).replicas.entry(key).or_default();
        let (leader, epoch) = (partition.leader, partition.leader_epoch);
        if leader == id {
            let Some(standing) = Standing::of(&image, key.0, key.1) else { return Ok(()) };
            return self.lead_or_learn(id, key, standing);
        }
        let part = self.host(id).broker().and_then(|broker| broker.parts.get(&key));
        let is_known = part.is_some_and(|part| {
            let is_same = (part.leader, part.epoch) == (leader, epoch);
            part.epoch > epoch || is_same && !matches!(part.role, Role::Leader(_))
        });
        if is_known {
            return Ok(());
        }
        if self.settings(id, key).is_durable {
            self.sync_now(id, key);
        }
        self.follow(id, key, Leadership { leader, epoch })
    }

    fn lead_or_learn(&mut self, id: NodeId, key: Key, standing: Standing) -> Result<(), Violation> {
        let part = self.host(id).broker().and_then(|broker| broker.parts.get(&key));
        match part {
            Some(Part { role: Role::Leader(leading), .. })
                if leading.machine.leader_epoch() == standing.leader_epoch =>
            {
                self.lead(id, key, Input::Learned(standing))
            }
            Some(part) if part.epoch > standing.leader_epoch => Ok(()),
            _ => self.begin_to_lead(id, key, standing),
        }
    }

    /// What the metadata in effect on a broker says of a partition's topic.
    pub fn settings(&self, id: NodeId, key: Key) -> TopicSettings {
        let values = self.plan.values();
        let empty = MetadataImage::default();
        let image = self.host(id).broker().map_or(&empty, |broker| &*broker.image);
        let resolver = Resolver { node: id, static_values: &values, image };
        let name = image.topic_by_id(key.0).map(|topic| topic.name().clone()).unwrap_or_default();
        let number = |config: &str| resolver.topic_number(name.as_str(), config);
        let max_lag = resolver.broker_number("replica.lag.time.max.ms");
        TopicSettings {
            leader: Settings {
                min_insync_replicas: usize::try_from(number("min.insync.replicas")).unwrap_or(1),
                max_lag: std::time::Duration::from_millis(u64::try_from(max_lag).unwrap_or(0)),
            },
            is_durable: number("flush.messages") == 1,
        }
    }

    /// What a broker knows as acknowledged of a partition, or knew when it stopped.
    pub fn high_watermark(&self, id: NodeId, key: Key) -> Offset {
        let host = self.host(id);
        let known = host.broker().and_then(|broker| broker.parts.get(&key));
        let stored = host.replicas.get(&key);
        let end = stored.map_or(Offset::ZERO, |stored| stored.log.cached.end());
        let noted = stored.map_or(Offset::ZERO, |stored| stored.high_watermark);
        known.map_or(noted, Part::high_watermark).min(end)
    }

    /// All of a replica's log goes to stable storage.
    pub fn sync_now(&mut self, id: NodeId, key: Key) {
        if let Some(stored) = self.host_mut(id).replicas.get_mut(&key) {
            let sync = stored.log.begin_sync();
            stored.log.end_sync(sync);
        }
    }
}
