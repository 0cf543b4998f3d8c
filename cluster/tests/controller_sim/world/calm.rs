//! When nothing goes wrong any more, everything has to be well within bounded time.

use std::collections::BTreeSet;

use milena_protocol::ids::{NodeId, PartitionIndex};

use super::World;
use crate::bugs::{Bugs, Decided};
use crate::checks::{Violation, ensure};
use crate::host::Key;

/// Seconds of calm. Whoever is taken for another process waits for its session, more than once.
const SECONDS: u64 = 60;

impl<B: Bugs> World<B> {
    /// Everything heals, and then all brokers take part, every partition that is not lost has its
    /// preferred leader and all its replicas in sync, and no move goes on.
    pub(super) fn heal(&mut self) -> Violation {
        self.trace(|| "calm".into());
        self.mail.clear();
        (self.plan.loss, self.plan.doubled, self.plan.delay) = (0, 0, 0);
        for host in self.hosts.values_mut() {
            let is_stopping = host.process.as_ref().is_some_and(|process| process.wants_stop);
            if is_stopping || !host.failed.is_empty() {
                host.process = None;
            }
        }
        for _ in 0..SECONDS {
            self.step += 1;
            self.now.0 += 1000;
            self.check_sessions()?;
            let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
            for id in &ids {
                if let Some(host) = self.hosts.get_mut(id).filter(|it| it.process.is_none()) {
                    host.start();
                }
                self.greet(*id);
                self.deliver()?;
                self.read_at(*id);
                self.place_at(*id);
                self.deliver()?;
            }
            for key in self.keys() {
                for id in &ids {
                    self.copy_all(*id, key);
                    self.propose_at(*id, key, false);
                }
            }
            self.deliver()?;
            let decision = self.controller.elect_leaders(None, false);
            self.replay(Decided::Other, decision.records, &[], false)?;
            if self.check_calm().is_ok() {
                return Ok(());
            }
        }
        self.check_calm()
    }

    fn keys(&self) -> Vec<Key> {
        let topics = self.image().topics();
        let each = topics.flat_map(|topic| {
            let indexes = topic.partitions().map(|(index, _)| index);
            indexes.map(|index: PartitionIndex| (topic.id(), index))
        });
        each.collect()
    }

    fn copy_all(&mut self, leader: NodeId, key: Key) {
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in ids.into_iter().filter(|id| *id != leader) {
            if self.follows(id, leader, key) {
                self.copy(id, leader, key);
            }
        }
    }

    fn check_calm(&self) -> Violation {
        for host in self.hosts.values() {
            let is_active = self.image().broker(host.id).is_some_and(|broker| broker.is_active());
            ensure(is_active, || format!("{} does not come back", host.id))?;
        }
        for topic in self.image().topics() {
            for (index, partition) in topic.partitions() {
                let name = format!("{}-{index}", topic.name());
                let is_lost = partition.isr.is_empty() && partition.elr.is_empty();
                if is_lost && partition.leader == NodeId::NONE {
                    continue;
                }
                let preferred = partition.replicas.first().copied();
                ensure(Some(partition.leader) == preferred, || {
                    format!("{name} is led by {}: {partition:?}", partition.leader)
                })?;
                let sets = [&partition.isr, &partition.replicas];
                let [isr, replicas] = sets.map(|ids| ids.iter().collect::<BTreeSet<_>>());
                ensure(isr == replicas, || format!("{name} is not in sync: {partition:?}"))?;
                ensure(!partition.is_moving(), || format!("{name} is moved for ever"))?;
                ensure(partition.leader_recovery_state == 0, || format!("{name} is recovering"))?;
            }
        }
        Ok(())
    }
}
