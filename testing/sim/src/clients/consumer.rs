//! A consumer: it reads what is acknowledged, from any replica, and never anything that is gone
//! later.

use std::collections::BTreeMap;

use milena_cluster::quorum;
use milena_cluster::replica;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset};

use super::{address, index};
use crate::broker::Shown;
use crate::host::Key;
use crate::network::Message;
use crate::quorum_checks::Violation;
use crate::world::{Event, World};

/// Its kind of client.
pub const KIND: usize = 1;
/// Milliseconds between two polls, at most.
const INTERVAL: u64 = 100;

/// A consumer of all partitions.
#[derive(Debug, Default)]
pub struct Consumer {
    /// Where it goes on.
    next: BTreeMap<Key, Offset>,
    attempts: u64,
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A consumer polls.
    pub fn consume_next(&mut self, at: usize) {
        let pause = self.rng.within(1, INTERVAL);
        self.at(pause, Event::GoOn(address(KIND, at)));
        let Some(key) = self.any_partition() else { return };
        let replicas = self.newest.partition(key.0, key.1).map(|it| it.replicas.clone());
        let asked = match self.rng.chance(700) {
            true => self.known_leader(key),
            false => self.rng.pick(&replicas.unwrap_or_default()).copied(),
        };
        let Some(asked) = asked else { return };
        let consumer = &mut self.clients.consumers[at];
        consumer.attempts += 1;
        let attempt = consumer.attempts;
        let from = consumer.next.get(&key).copied().unwrap_or(Offset::ZERO);
        let is_committed = self.reads_committed(at);
        let message = Message::Consume { key, attempt, from, is_committed };
        self.send(address(KIND, at), asked, None, message);
    }

    /// Whether a consumer is shown nothing that is undecided or aborted: every other one.
    fn reads_committed(&self, at: usize) -> bool {
        at % 2 == 1
    }

    /// A consumer is shown something.
    pub fn consumed(
        &mut self,
        client: NodeId,
        key: Key,
        attempt: u64,
        result: Result<Shown, ErrorCode>,
    ) -> Result<(), Violation> {
        let Ok((batches, aborted)) = result else { return Ok(()) };
        self.checks.records.consumed(key, &batches)?;
        let at = index(client, KIND);
        if self.reads_committed(at) {
            self.checks.records.transactions.read(&batches, &aborted)?;
        }
        let consumer = &mut self.clients.consumers[at];
        if let Some(last) = batches.last().filter(|_| consumer.attempts == attempt) {
            consumer.next.insert(key, last.end_offset);
            self.met("consumed");
        }
        Ok(())
    }
}
