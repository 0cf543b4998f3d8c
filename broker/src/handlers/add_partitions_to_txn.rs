//! AddPartitionsToTxn (24), versions 0–5: partitions come into a transaction.
//!
//! Up to version 3 a client adds them for one transaction; from version 4 on brokers add or verify
//! them for many. One bad partition keeps all of its transaction out (fact T6).

use std::sync::Arc;

use futures_util::future::join_all;
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTransaction,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use super::transactions;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// The first version that brokers speak instead of clients.
const FIRST_OF_BROKERS: i16 = 4;

/// Adds or verifies partitions.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    if context.version < FIRST_OF_BROKERS {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        let result = add(&broker, &context, transaction).await;
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: result.topic_results,
            ..Default::default()
        };
    }
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::ClusterAction, Resource::Cluster) {
        let error_code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
        return AddPartitionsToTxnResponse { error_code, ..Default::default() };
    }
    // The one that has to wait longest decides how long all of them do.
    let ask = |transaction| {
        transactions::ask_partitions_for_broker(&broker, context.version, transaction)
    };
    let results = join_all(request.transactions.into_iter().map(ask)).await;
    AddPartitionsToTxnResponse { results_by_transaction: results, ..Default::default() }
}

async fn add(
    broker: &Broker,
    context: &Context,
    transaction: AddPartitionsToTxnTransaction,
) -> AddPartitionsToTxnResult {
    let all = |code| AddPartitionsToTxnResult {
        transactional_id: transaction.transactional_id.clone(),
        topic_results: transactions::results(&transaction.topics, |_, _| code),
    };
    let resource = Resource::TransactionalId(&transaction.transactional_id);
    if !broker.authorizer.allows(&context.peer.principal, Operation::Write, resource) {
        return all(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    let check = |topic: &str, partition| check(broker, context, topic, partition);
    let is_bad = transaction.topics.iter().any(|topic| {
        topic.partitions.iter().any(|partition| !check(&topic.name, *partition).is_none())
    });
    if !is_bad {
        return transactions::ask_partitions(broker, context.version, transaction).await;
    }
    let code = |topic: &str, partition| match check(topic, partition) {
        ErrorCode::NONE => ErrorCode::OPERATION_NOT_ATTEMPTED,
        code => code,
    };
    AddPartitionsToTxnResult {
        topic_results: transactions::results(&transaction.topics, code),
        transactional_id: transaction.transactional_id,
    }
}

/// Whether a producer may have a partition in its transaction. Brokers look for themselves.
fn check(broker: &Broker, context: &Context, topic: &str, partition: PartitionIndex) -> ErrorCode {
    let image = broker.metadata.image();
    let Some(found) = image.topic(topic) else { return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
    let resource = Resource::Topic(topic);
    let may_write = broker.authorizer.allows(&context.peer.principal, Operation::Write, resource);
    // Clients write to no topic of Kafka's own.
    if found.is_internal() || !may_write {
        return ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    }
    match found.partition(partition) {
        Some(_) => ErrorCode::NONE,
        None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    }
}
