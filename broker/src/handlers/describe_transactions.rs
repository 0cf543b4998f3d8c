//! DescribeTransactions (65), version 0: the state of transactional ids (KIP-664).

use std::sync::Arc;

use milena_cluster::transaction::{Answer, Request};
use milena_protocol::api::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, DescribeTransactionsTransaction,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Describes each transactional id; topics that the client may not know of are left out.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let principal = &context.peer.principal;
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        let resource = Resource::TransactionalId(&id);
        let described = if broker.authorizer.allows(principal, Operation::Describe, resource) {
            describe(&broker, &id).await
        } else {
            Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        };
        let mut described =
            described.unwrap_or_else(|error_code| DescribeTransactionsTransaction {
                error_code,
                transactional_id: id,
                ..Default::default()
            });
        described.topics.retain(|topic| {
            let resource = Resource::Topic(&topic.topic);
            broker.authorizer.allows(principal, Operation::Describe, resource)
        });
        transaction_states.push(described);
    }
    DescribeTransactionsResponse { transaction_states, ..Default::default() }
}

async fn describe(
    broker: &Broker,
    id: &Text,
) -> Result<DescribeTransactionsTransaction, ErrorCode> {
    let coordinator = broker.transactions.of_key(id).await?;
    match coordinator.ask(Request::Describe(id.clone())).await? {
        Answer::Describe(described) => Ok(described),
        other => unreachable!("a coordinator answers what it was asked, and not {other:?}"),
    }
}
