//! Whether a producer may write in its transaction (facts P16, T9, T10; KIP-890).
//!
//! Where a producer has a transaction open, it goes on. Else the transaction's coordinator is asked
//! before anything is appended: from Produce version 12 on it adds the partition, for older clients
//! it says whether they have added it. The answer counts until the next marker.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_cluster::coordinator::Producer;
use milena_cluster::transaction::verification::{Guard, Start};
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use milena_protocol::api::produce::{ProducePartitionData, ProduceRequest, ProduceTopicData};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;
use milena_protocol::record::Batch;

use super::{resolve, transactions};
use crate::broker::Broker;
use crate::replicas::partition::Partition;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// The first version of Produce that comes without AddPartitionsToTxn.
const FIRST_IMPLICIT: i16 = 12;
/// The first version of Produce that knows TRANSACTION_ABORTABLE.
const FIRST_ABORTABLE: i16 = 11;

/// Where a partition stands in a request: the topic's place, and its own within that.
pub type Place = (usize, usize);

/// What may be written, by place; what is not here has its transaction open already.
pub type Clearances = BTreeMap<Place, Result<Guard, ErrorCode>>;

/// What has to be known before a request is appended.
pub enum Look {
    /// Nothing more.
    Cleared(Clearances),
    /// The coordinator has to be asked.
    Ask(Question),
    /// The request is refused as a whole.
    Refused(ErrorCode),
}

/// How often a coordinator is asked where each answer is overtaken by a marker.
const MAX_ASKED: usize = 3;

/// What the coordinator is asked.
pub struct Question {
    transaction: AddPartitionsToTxnTransaction,
    producer: Producer,
    /// The partitions, with what the answer will be good for.
    places: Vec<Unopened>,
}

/// A partition in which a producer has no transaction open.
struct Unopened {
    at: Place,
    topic: Text,
    partition: Arc<Partition>,
    guard: Guard,
}

/// The producer of a batch that belongs to a transaction.
#[must_use]
pub fn producer_in_transaction(records: &[u8]) -> Option<Producer> {
    let (batch, _) = Batch::parse(records).ok()?;
    let producer = Producer { id: batch.producer_id(), epoch: batch.producer_epoch() };
    batch.attributes().is_transactional().then_some(producer)
}

/// Looks whether the coordinator has to be asked.
#[must_use]
pub fn look(broker: &Arc<Broker>, context: &Context, request: &ProduceRequest) -> Look {
    // Whoever names no transactional id has its transactional batches refused one by one.
    let Some(id) = &request.transactional_id else { return Look::Cleared(Clearances::new()) };
    let producers: Vec<Producer> = request
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data)
        .filter_map(|data| producer_in_transaction(&data.records.as_ref()?.0))
        .collect();
    let Some(producer) = producers.first().copied() else {
        return Look::Cleared(Clearances::new());
    };
    let resource = Resource::TransactionalId(id);
    if !broker.authorizer.allows(&context.peer.principal, Operation::Write, resource) {
        return Look::Refused(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    if producers.iter().any(|other| *other != producer) {
        return Look::Refused(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
    }
    let places = unopened(broker, context, request, producer);
    let is_implicit = context.version >= FIRST_IMPLICIT;
    if places.is_empty() {
        return Look::Cleared(Clearances::new());
    }
    if !is_implicit && !broker.config.transaction.partition_verification_enable {
        return Look::Cleared(places.into_iter().map(|one| (one.at, Ok(one.guard))).collect());
    }
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for Unopened { topic: name, partition, .. } in &places {
        match topics.iter_mut().find(|topic| topic.name == *name) {
            Some(topic) => topic.partitions.push(partition.index()),
            None => {
                let partitions = vec![partition.index()];
                topics.push(AddPartitionsToTxnTopic { name: name.clone(), partitions });
            }
        }
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: id.clone(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        verify_only: !is_implicit,
        topics,
    };
    Look::Ask(Question { transaction, producer, places })
}

/// The partitions in which the producer has no transaction open. Those that cannot be written to
/// are left out: the append says why.
fn unopened(
    broker: &Arc<Broker>,
    context: &Context,
    request: &ProduceRequest,
    producer: Producer,
) -> Vec<Unopened> {
    let mut places = Vec::new();
    for (topic_at, topic) in request.topic_data.iter().enumerate() {
        for (partition_at, data) in topic.partition_data.iter().enumerate() {
            let at = (topic_at, partition_at);
            let found = partition_of(broker, context, topic, data);
            places.extend(found.and_then(|(topic, partition)| {
                let guard = partition.begin_verification(producer)?;
                Some(Unopened { at, topic, partition, guard })
            }));
        }
    }
    places
}

/// The partition that a transactional batch is for, if it can be written to.
fn partition_of(
    broker: &Arc<Broker>,
    context: &Context,
    topic: &ProduceTopicData,
    data: &ProducePartitionData,
) -> Option<(Text, Arc<Partition>)> {
    producer_in_transaction(&data.records.as_ref()?.0)?;
    let by_id = context.version >= 13;
    let found = resolve::topic(broker, by_id, &topic.name, topic.topic_id).ok()?;
    let resource = Resource::Topic(&found.name);
    if found.is_internal
        || !broker.authorizer.allows(&context.peer.principal, Operation::Write, resource)
    {
        return None;
    }
    let partition = broker.replicas.leading(&found.id, data.index).ok()?;
    Some((found.name, partition))
}

/// How a producer begins in a partition that does not know it.
#[must_use]
pub fn start_of(context: &Context) -> Start {
    if context.version >= FIRST_IMPLICIT { Start::AtZero } else { Start::Anywhere }
}

impl Question {
    /// Asks the coordinator, and again where a marker came between its answer and now: the answer
    /// may have waited for that marker, and count all the same.
    pub async fn ask(self, broker: &Broker, context: &Context) -> Clearances {
        let Self { transaction, producer, mut places } = self;
        for _ in 1..MAX_ASKED {
            let clearances = ask_once(broker, context, &transaction, &places).await;
            let is_overtaken = |place: &Unopened| {
                let is_cleared = clearances.get(&place.at).is_some_and(Result::is_ok);
                is_cleared && !place.partition.is_verified(producer, place.guard)
            };
            if !places.iter().any(is_overtaken) {
                return clearances;
            }
            for place in &mut places {
                place.guard = place.partition.begin_verification(producer).unwrap_or(place.guard);
            }
        }
        ask_once(broker, context, &transaction, &places).await
    }
}

async fn ask_once(
    broker: &Broker,
    context: &Context,
    transaction: &AddPartitionsToTxnTransaction,
    places: &[Unopened],
) -> Clearances {
    let result = transactions::clear(broker, transaction.clone()).await;
    let code_of = |name: &Text, index: PartitionIndex| {
        let topic = result.topic_results.iter().find(|topic| topic.name == *name)?;
        let mut results = topic.results_by_partition.iter();
        let found = results.find(|result| result.partition_index == index)?;
        Some(found.partition_error_code)
    };
    let clear = |place: &Unopened| {
        let code = code_of(&place.topic, place.partition.index());
        let code = code.unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
        let cleared = if code.is_none() { Ok(place.guard) } else { Err(shown(code, context)) };
        (place.at, cleared)
    };
    places.iter().map(clear).collect()
}

/// A coordinator's code as producers know it: what is its trouble alone makes them try again.
fn shown(code: ErrorCode, context: &Context) -> ErrorCode {
    match code {
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::TRANSACTION_ABORTABLE if context.version < FIRST_ABORTABLE => {
            ErrorCode::INVALID_TXN_STATE
        }
        ErrorCode::CONCURRENT_TRANSACTIONS if context.version >= FIRST_IMPLICIT => code,
        ErrorCode::CONCURRENT_TRANSACTIONS
        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::NETWORK_EXCEPTION
        | ErrorCode::NOT_COORDINATOR => ErrorCode::NOT_ENOUGH_REPLICAS,
        code => code,
    }
}
