//! What producers do, and what they make of their answers.

use std::time::Duration;

use milena_cluster::coordinator::Producer;
use milena_cluster::transaction::{Answer, Ask, Asked, Rules};
use milena_protocol::api::add_offsets_to_txn::AddOffsetsToTxnRequest;
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use milena_protocol::api::end_txn::EndTxnRequest;
use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId};

use super::{ANSWER_TIMEOUT, Event, World, name, told};
use crate::checks::Violation;
use crate::producer::{Act, Client};

impl<R: Rules> World<R> {
    /// What a producer does now.
    pub(super) fn act(&mut self, client: usize) {
        let at = &mut self.clients[client];
        at.attempt += 1;
        let (attempt, uid, is_v2) = (at.attempt, at.uid, at.is_v2);
        let producer = at.producer;
        let id = name(at.id);
        let known = producer.unwrap_or(Producer { id: ProducerId(-1), epoch: ProducerEpoch(-1) });
        let (version, ask) = match at.act.clone() {
            Act::Rest => return,
            Act::Write(partition) => {
                let after = self.delay();
                let write = Event::Write { client, attempt, partition, producer: known, uid };
                return self.later(after, write);
            }
            Act::Init(own) => {
                let own = own.unwrap_or(Producer { id: ProducerId(-1), epoch: ProducerEpoch(-1) });
                let request = InitProducerIdRequest {
                    transactional_id: Some(id),
                    transaction_timeout_ms: self.plan.timeout as i32,
                    producer_id: own.id,
                    producer_epoch: own.epoch,
                };
                (5, Ask::InitProducerId(request))
            }
            Act::Add(0) if !is_v2 => {
                let request = AddOffsetsToTxnRequest {
                    transactional_id: id,
                    producer_id: known.id,
                    producer_epoch: known.epoch,
                    group_id: "group".into(),
                };
                (3, Ask::AddOffsets { request, offsets_partition: PartitionIndex(0) })
            }
            Act::Add(partition) => {
                let partitions = vec![PartitionIndex(partition)];
                let request = AddPartitionsToTxnTransaction {
                    transactional_id: id,
                    producer_id: known.id,
                    producer_epoch: known.epoch,
                    verify_only: false,
                    topics: vec![AddPartitionsToTxnTopic { name: "t".into(), partitions }],
                };
                (if is_v2 { 5 } else { 3 }, Ask::AddPartitions(request))
            }
            Act::End(committed) => {
                let request = EndTxnRequest {
                    transactional_id: id,
                    producer_id: known.id,
                    producer_epoch: known.epoch,
                    committed,
                };
                (if is_v2 { 5 } else { 4 }, Ask::EndTransaction(request))
            }
        };
        let patience = Duration::from_millis(self.plan.patience);
        let asked = Asked { version, patience, fresh_producer_id: None, ask };
        self.later(ANSWER_TIMEOUT, Event::Timeout { client, attempt });
        self.send(Event::Ask { client, attempt, asked }, is_v2);
    }

    /// The producer that an answer is for, if it still waits for it.
    pub(super) fn waiting(&mut self, client: usize, attempt: u64) -> Option<&mut Client> {
        let at = self.clients.get_mut(client)?;
        (at.attempt == attempt && !at.is_dead && at.act != Act::Rest).then_some(at)
    }

    pub(super) fn answered(
        &mut self,
        client: usize,
        attempt: u64,
        answer: Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        let Some(at) = self.waiting(client, attempt) else { return Ok(()) };
        let (act, uid, is_v2) = (at.act.clone(), at.uid, at.is_v2);
        let told = match answer {
            Err(code) => Err(code),
            Ok(answer) => told(&answer),
        };
        let producer = match told {
            Ok(producer) => producer,
            Err(code) => {
                self.refused(client, code);
                return Ok(());
            }
        };
        match act {
            Act::Init(_) => {
                self.clients[client].producer = producer;
                self.begin(client);
            }
            Act::Add(partition) => {
                self.clients[client].act = Act::Write(partition);
                self.act(client);
            }
            Act::End(is_commit) => {
                self.fates.told(uid, is_commit)?;
                if is_v2 {
                    self.clients[client].producer = producer;
                }
                self.begin(client);
            }
            Act::Write(_) | Act::Rest => {}
        }
        Ok(())
    }

    pub(super) fn written(&mut self, client: usize, attempt: u64, result: Result<(), ErrorCode>) {
        if self.waiting(client, attempt).is_none() {
            return;
        }
        if let Err(code) = result {
            return self.refused(client, code);
        }
        self.clients[client].proceed(&mut self.rng);
        self.act(client);
    }

    pub(super) fn begin(&mut self, client: usize) {
        self.uids += 1;
        let (uid, count) = (self.uids, self.plan.partitions);
        self.clients[client].begin(&mut self.rng, uid, count);
        let after = self.rng.within(1, 20);
        self.pause(client, after);
    }

    pub(super) fn refused(&mut self, client: usize, code: ErrorCode) {
        if code == ErrorCode::CONCURRENT_TRANSACTIONS {
            self.met("waited too long");
        }
        if code == ErrorCode::PRODUCER_FENCED {
            self.met("fenced");
        }
        self.clients[client].refused(code, &mut self.rng);
        let after = self.rng.within(1, 100);
        self.pause(client, after);
    }

    /// The answer has come: nothing more of that attempt counts.
    pub(super) fn pause(&mut self, client: usize, after: u64) {
        self.clients[client].attempt += 1;
        self.later(after, Event::Go { client });
    }
}
