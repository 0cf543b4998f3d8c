//! Records of `__transaction_state`, as Kafka writes them.
//!
//! One record says everything about one transactional id; a record without a value forgets it.

use bytes::Bytes;
use milena_protocol::codec::Text;
use milena_protocol::coordinator_record::transaction::{
    TransactionLogKey, TransactionLogPartitions, TransactionLogValue,
};
use milena_protocol::ids::{ProducerEpoch, ProducerId};

use super::known::{TopicPartition, Transaction};
use super::state::State;
use crate::coordinator::record::{self, read_key, read_value, split};
use crate::coordinator::{Producer, Record, Replayed};

const WRITABLE: &str = "each field came in a request with the same bounds";
const TRANSACTION_LOG: i16 = 0;
/// The version that has tagged fields, from level 1 of `transaction.version` on.
const TAGGED: i16 = 1;

/// A transactional id and what became of it: none if it was forgotten.
pub type Content = (Text, Option<Transaction>);

/// The record of a transactional id, at a level of `transaction.version`.
#[must_use]
pub fn record(id: &Text, transaction: &Transaction, level: i16) -> Record {
    let version = if level >= 1 { TAGGED } else { 0 };
    let mut value = TransactionLogValue {
        producer_id: transaction.producer.id,
        producer_epoch: transaction.producer.epoch,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state.number(),
        transaction_partitions: partitions(transaction),
        transaction_last_update_timestamp_ms: transaction.updated_at,
        transaction_start_timestamp_ms: transaction.started_at,
        ..Default::default()
    };
    if version >= TAGGED {
        value.previous_producer_id = transaction.previous_producer_id;
        value.next_producer_id = transaction.next_producer_id;
        value.client_transaction_version = transaction.client_version;
    }
    let value = record::value(version, &value).expect(WRITABLE);
    Record { key: key(id), value: Some(value) }
}

/// The record that forgets a transactional id.
#[must_use]
pub fn tombstone(id: &Text) -> Record {
    Record { key: key(id), value: None }
}

fn key(id: &Text) -> Bytes {
    let key = TransactionLogKey { transactional_id: id.clone() };
    record::key(TRANSACTION_LOG, &key).expect(WRITABLE)
}

/// By topic, as Kafka groups them; none where nothing was begun.
fn partitions(transaction: &Transaction) -> Option<Vec<TransactionLogPartitions>> {
    if transaction.state == State::Empty {
        return None;
    }
    let mut topics: Vec<TransactionLogPartitions> = Vec::new();
    for TopicPartition { topic, partition } in &transaction.partitions {
        match topics.last_mut() {
            Some(last) if last.topic == *topic => last.partition_ids.push(*partition),
            _ => topics.push(TransactionLogPartitions {
                topic: topic.clone(),
                partition_ids: vec![*partition],
            }),
        }
    }
    Some(topics)
}

/// What a record says; none where it is of a kind or version that this one does not know.
#[must_use]
pub fn read(replayed: &Replayed<'_>) -> Option<Content> {
    let (kind, key) = split(replayed.key)?;
    if kind != TRANSACTION_LOG {
        return None;
    }
    let key: TransactionLogKey = read_key(key)?;
    let Some(value) = replayed.value else { return Some((key.transactional_id, None)) };
    let transaction = transaction(read_value(value)?)?;
    Some((key.transactional_id, Some(transaction)))
}

fn transaction(value: TransactionLogValue) -> Option<Transaction> {
    let state = State::from_number(value.transaction_status)?;
    // Where nothing is open, nothing is in it.
    let topics = value.transaction_partitions.filter(|_| !state.is_idle()).unwrap_or_default();
    let is_decided = state.decision().is_some();
    let partitions = topics.into_iter().flat_map(|topic| {
        let name = topic.topic.detach();
        let with = move |partition| TopicPartition { topic: name.clone(), partition };
        topic.partition_ids.into_iter().map(with)
    });
    Some(Transaction {
        producer: Producer { id: value.producer_id, epoch: value.producer_epoch },
        last_epoch: ProducerEpoch::NONE,
        previous_producer_id: value.previous_producer_id,
        next_producer_id: if is_decided { value.next_producer_id } else { ProducerId::NONE },
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions: partitions.collect(),
        started_at: value.transaction_start_timestamp_ms,
        updated_at: value.transaction_last_update_timestamp_ms,
        client_version: value.client_transaction_version,
    })
}
