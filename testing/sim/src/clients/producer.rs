//! An idempotent producer: several batches on the way, each sent again until it is acknowledged.

use std::collections::VecDeque;

use bytes::Bytes;
use milena_cluster::quorum;
use milena_cluster::replica;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::record::{BatchBuilder, BatchOptions};

use super::{PATIENCE, address, index, kind, transactional};
use crate::host::Key;
use crate::network::Message;
use crate::plan::is_internal;
use crate::quorum_checks::Violation;
use crate::world::{Event, World};

/// Its kind of client.
pub const KIND: usize = 0;

/// A producer of one partition.
#[derive(Debug)]
pub struct Producer {
    /// Which of the partitions it writes to.
    choice: u64,
    key: Option<Key>,
    id: Option<ProducerId>,
    /// The sequence of its next record, and the number of its next batch.
    next: i32,
    count: usize,
    attempts: u64,
    /// What was sent and is not acknowledged, in order.
    pub pending: VecDeque<Pending>,
}

/// A batch that is not acknowledged.
#[derive(Clone, Debug)]
pub struct Pending {
    number: usize,
    sequence: i32,
    batch: Bytes,
    /// The number of the last attempt, and until when it is waited for.
    attempt: u64,
    waits_until: u64,
}

impl Producer {
    /// One that has sent nothing.
    pub fn new(choice: u64) -> Self {
        Self {
            choice,
            key: None,
            id: None,
            next: 0,
            count: 0,
            attempts: 0,
            pending: VecDeque::new(),
        }
    }

    fn add(&mut self, id: ProducerId, count: i32) {
        let options = BatchOptions {
            producer_id: id,
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(self.next),
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options);
        for at in 0..count {
            let value = (self.next + at).to_be_bytes();
            builder.append(Timestamp(1_700_000_000_000), None, Some(&value), &[]);
        }
        let Ok(batch) = builder.build() else { return };
        let (sequence, number) = (self.next, self.count);
        self.next += count;
        self.count += 1;
        self.pending.push_back(Pending { number, sequence, batch, attempt: 0, waits_until: 0 });
    }
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A producer sends what is next, and again what was not answered.
    pub fn produce_next(&mut self, at: usize) {
        let pause = self.rng.within(1, 2 * self.plan.produce_interval);
        self.at(pause, Event::GoOn(address(KIND, at)));
        if !self.is_made() {
            return;
        }
        let Some((key, id)) = self.identity(at) else { return };
        let (room, count) = (self.plan.in_flight, self.rng.within(1, 3) as i32);
        let may_begin = !self.is_resting();
        let producer = &mut self.clients.producers[at];
        let begun = producer.pending.front().map_or(0, |first| producer.count - first.number);
        // A broker knows so many batches again as may be on the way.
        if may_begin && begun < room {
            producer.add(id, count);
        }
        let Some(leader) = self.known_leader(key) else { return };
        self.send_pending(at, key, leader);
    }

    /// Which partition a producer writes to, and under which id.
    fn identity(&mut self, at: usize) -> Option<(Key, ProducerId)> {
        let key = self.clients.producers[at].key.or_else(|| {
            let newest = &self.newest;
            let keys: Vec<Key> = newest
                .topics()
                .filter(|topic| !is_internal(topic.name()))
                .flat_map(|topic| topic.partitions().map(|(index, _)| (topic.id(), index)))
                .collect();
            let choice = self.clients.producers[at].choice % keys.len().max(1) as u64;
            keys.get(choice as usize).copied()
        })?;
        self.clients.producers[at].key = Some(key);
        let id = self.clients.producers[at].id.or_else(|| {
            let mut brokers = self.hosts.values_mut().filter_map(|host| host.broker_mut());
            brokers.find_map(|broker| broker.producer_ids.pop())
        })?;
        self.clients.producers[at].id = Some(id);
        Some((key, id))
    }

    /// What was not answered in time goes again, in order.
    fn send_pending(&mut self, at: usize, key: Key, leader: NodeId) {
        let now = self.now;
        let producer = &mut self.clients.producers[at];
        let mut sent = Vec::new();
        for pending in &mut producer.pending {
            if pending.waits_until > now {
                continue;
            }
            producer.attempts += 1;
            pending.attempt = producer.attempts;
            pending.waits_until = now + PATIENCE;
            sent.push((pending.attempt, pending.batch.clone()));
        }
        for (attempt, batch) in sent {
            let message = Message::Produce { key, attempt, batch, naming: None };
            self.send(address(KIND, at), leader, None, message);
        }
    }

    /// A producer is answered.
    pub fn produced(
        &mut self,
        client: NodeId,
        key: Key,
        attempt: u64,
        result: Result<Offset, ErrorCode>,
    ) -> Result<(), Violation> {
        if kind(client) == transactional::KIND {
            self.written_in_transaction(client, attempt, result);
            return Ok(());
        }
        let producer = &mut self.clients.producers[index(client, KIND)];
        let Some(at) = producer.pending.iter().position(|it| it.attempt == attempt) else {
            return Ok(());
        };
        match result {
            Ok(base_offset) => {
                let (id, pending) = (producer.id, producer.pending.remove(at));
                let (Some(id), Some(pending)) = (id, pending) else { return Ok(()) };
                self.met("acknowledged");
                self.note(format_args!("{client} has {} at {base_offset}", pending.sequence));
                self.checks.records.told(key, id, pending.sequence, base_offset)
            }
            Err(code) => {
                self.met(match code {
                    ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => "out of order",
                    ErrorCode::NOT_ENOUGH_REPLICAS => "not enough replicas",
                    ErrorCode::CORRUPT_MESSAGE => "damaged",
                    _ => "produce refused",
                });
                if let Some(pending) =
                    self.clients.producers[index(client, KIND)].pending.get_mut(at)
                {
                    pending.waits_until = 0;
                }
                Ok(())
            }
        }
    }
}
