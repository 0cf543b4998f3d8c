//! What goes wrong, and when it ends.

use std::collections::{BTreeMap, VecDeque};

use milena_cluster::coordinator::Machine as _;
use milena_cluster::transaction::{Machine, Rules, Settings};
use milena_protocol::ids::LeaderEpoch;

use super::{Event, Live, World, replay};
use crate::checks::Violation;

impl<R: Rules> World<R> {
    pub(super) fn restart(&mut self) -> Result<(), Violation> {
        if self.live.is_some() {
            return Ok(());
        }
        self.epoch += 1;
        // Whatever a new leader finds is committed with it.
        self.commit(self.log.len())?;
        let settings = Settings {
            max_timeout_ms: 900_000,
            transaction_version: self.plan.level,
            ..Settings::default()
        };
        let mut machine = Machine::new(settings, LeaderEpoch(self.epoch));
        for at in 0..self.log.len() {
            replay(&mut machine, &self.log, at);
        }
        let (pending, releases) = (BTreeMap::new(), VecDeque::new());
        self.live = Some(Live { machine, pending, releases });
        let now = self.clock();
        self.with_machine(|machine, outputs| machine.loaded(now, outputs))
    }

    pub(super) fn crash(&mut self) {
        if self.live.take().is_none() {
            return;
        }
        self.met("crashed");
        // Another takes over, with some of what was not committed or with nothing of it.
        let kept = self.rng.within(self.committed as u64, self.log.len() as u64) as usize;
        self.log.truncate(kept);
        let after = self.rng.within(1, 3_000);
        self.later(after, Event::Restart);
    }

    pub(super) fn set_down(&mut self, partition: i32, is_down: bool) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.is_down = is_down;
        }
    }

    pub(super) fn fault(&mut self) {
        if self.is_calm {
            return;
        }
        let after = self.rng.within(1, self.plan.fault_interval * 2);
        self.later(after, Event::Fault);
        let weights =
            [self.plan.coordinator_weight, self.plan.partition_weight, self.plan.producer_weight];
        let mut drawn = self.rng.below(weights.iter().sum::<u64>() + 1);
        let kind = weights.iter().position(|weight| {
            let is_drawn = drawn < *weight;
            drawn = drawn.wrapping_sub(*weight);
            is_drawn
        });
        match kind {
            Some(0) => self.crash(),
            Some(1) => {
                let partition = self.rng.below(self.plan.partitions as u64) as i32;
                self.set_down(partition, true);
                let after = self.rng.within(1, 3_000);
                self.later(after, Event::PartitionUp(partition));
            }
            Some(2) => {
                let client = self.rng.below(self.clients.len() as u64) as usize;
                if !self.clients[client].is_dead {
                    self.clients[client].is_dead = true;
                    self.spawn(self.clients[client].id);
                }
            }
            _ => {}
        }
    }

    /// No more faults: everything has to end now.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.is_calm = true;
        self.plan.length = self.now;
        self.clients.iter_mut().for_each(|client| client.is_last = true);
        (0..self.plan.partitions as i32).for_each(|partition| self.set_down(partition, false));
        self.restart()
    }
}
