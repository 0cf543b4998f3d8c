//! TxnOffsetCommit (28), versions 0–5: offsets that count when a transaction commits.
//!
//! From version 5 on the coordinator of the transaction adds the group's partition; for older
//! clients it says whether they have added it (KIP-890). What is committed for a topic that does
//! not exist is refused here; the rest is the group coordinator's.

use std::sync::Arc;

use milena_cluster::coordinator::partition_for;
use milena_cluster::group::{CommitAnswer, Request};
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use milena_protocol::api::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Uuid};

use super::{groups, resolve, transactions};
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// From this version on clients leave it to the broker to add the group's partition.
const ADDS_IMPLICITLY: i16 = 5;

/// Stores offsets until it is decided whether they count.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let found: Vec<Result<Uuid, ErrorCode>> =
        request.topics.iter().map(|topic| find(&broker, &context, &topic.name)).collect();
    let refusals: Vec<Vec<Option<ErrorCode>>> = request
        .topics
        .iter()
        .zip(&found)
        .map(|(topic, found)| {
            topic.partitions.iter().map(|p| refusal(&broker, *found, p)).collect()
        })
        .collect();
    // Where a topic is not found, nothing of it is left to be stored.
    let topic_ids = found.into_iter().map(|found| found.unwrap_or(Uuid::ZERO)).collect();
    let known: Vec<TxnOffsetCommitRequestTopic> = request
        .topics
        .iter()
        .zip(&refusals)
        .map(|(topic, refusals)| {
            let known = topic.partitions.iter().zip(refusals).filter(|(_, no)| no.is_none());
            let partitions = known.map(|(partition, _)| partition.clone()).collect();
            TxnOffsetCommitRequestTopic { name: topic.name.clone(), partitions }
        })
        .collect();
    let topics = request.topics.clone();
    let is_nothing_known = known.iter().all(|topic| topic.partitions.is_empty());
    let stored = if is_nothing_known {
        Ok(Vec::new())
    } else {
        let request = TxnOffsetCommitRequest { topics: known, ..request };
        store(&broker, &context, request, topic_ids).await
    };
    let mut stored = stored.map(Vec::into_iter);
    let answers = topics.into_iter().zip(refusals).map(|(topic, refusals)| {
        let mut codes = match &mut stored {
            Ok(codes) => codes.next().unwrap_or_default().into_iter(),
            Err(code) => vec![*code; topic.partitions.len()].into_iter(),
        };
        let answer = |(partition, refusal): (TxnOffsetCommitRequestPartition, _)| {
            let stored = |codes: &mut std::vec::IntoIter<ErrorCode>| {
                codes.next().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR)
            };
            TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: Option::unwrap_or_else(refusal, || stored(&mut codes)),
            }
        };
        let partitions = topic.partitions.into_iter().zip(refusals).map(answer).collect();
        TxnOffsetCommitResponseTopic { name: topic.name, partitions }
    });
    TxnOffsetCommitResponse { topics: answers.collect(), ..Default::default() }
}

fn find(broker: &Broker, context: &Context, name: &Text) -> Result<Uuid, ErrorCode> {
    let found = resolve::topic(broker, false, name, Uuid::ZERO)?;
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::Read, Resource::Topic(&found.name)) {
        return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    }
    Ok(found.id)
}

fn refusal(
    broker: &Broker,
    found: Result<Uuid, ErrorCode>,
    partition: &TxnOffsetCommitRequestPartition,
) -> Option<ErrorCode> {
    let topic_id = match found {
        Ok(topic_id) => topic_id,
        Err(code) => return Some(code),
    };
    let image = broker.metadata.image();
    let exists = image.partition(topic_id, partition.partition_index).is_some();
    (!exists).then_some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}

/// The codes of all partitions, topic by topic.
async fn store(
    broker: &Arc<Broker>,
    context: &Context,
    request: TxnOffsetCommitRequest,
    topic_ids: Vec<Uuid>,
) -> Result<Vec<Vec<ErrorCode>>, ErrorCode> {
    let id = &request.transactional_id;
    let principal = &context.peer.principal;
    let resource = Resource::TransactionalId(id);
    if !broker.authorizer.allows(principal, Operation::Write, resource) {
        return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    join_transaction(broker, context, &request).await?;
    let group = request.group_id.clone();
    let asked = Request::CommitInTransaction(request, topic_ids);
    let topics: CommitAnswer = groups::ask(broker, context, Operation::Read, &group, asked).await?;
    let codes = topics.into_iter().map(|(_, codes)| codes.into_iter().map(|(_, code)| code));
    Ok(codes.map(Iterator::collect).collect())
}

/// Makes sure that the group's partition belongs to the transaction: offsets in one that nobody
/// ends would be undecided for ever.
async fn join_transaction(
    broker: &Arc<Broker>,
    context: &Context,
    request: &TxnOffsetCommitRequest,
) -> Result<(), ErrorCode> {
    let count = broker.groups.ensure_topic().await?;
    let partition: PartitionIndex = partition_for(&request.group_id, count);
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: request.transactional_id.clone(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        verify_only: context.version < ADDS_IMPLICITLY,
        topics: vec![AddPartitionsToTxnTopic {
            name: broker.groups.topic().into(),
            partitions: vec![partition],
        }],
    };
    let result = transactions::clear(broker, transaction).await;
    let results = result.topic_results.iter().flat_map(|topic| &topic.results_by_partition);
    let code = results.map(|result| result.partition_error_code).find(|code| !code.is_none());
    match code {
        None => Ok(()),
        // Brokers tell each other so; a client is told of its epoch.
        Some(ErrorCode::PRODUCER_FENCED) => Err(ErrorCode::INVALID_PRODUCER_EPOCH),
        // The group's coordinator is the right one: it is to be asked again, and not looked for.
        Some(
            ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NETWORK_EXCEPTION
            | ErrorCode::NOT_COORDINATOR,
        ) => Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        // Older clients do not know the first.
        Some(ErrorCode::TRANSACTION_ABORTABLE) if context.version < ADDS_IMPLICITLY => {
            Err(ErrorCode::INVALID_TXN_STATE)
        }
        Some(code) => Err(code),
    }
}
