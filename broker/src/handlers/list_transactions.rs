//! ListTransactions (66), versions 0–2: the transactions that this broker coordinates (KIP-664).
//!
//! Version 1 filters by duration, 2 by a regular expression.

use std::sync::Arc;

use milena_cluster::transaction::{Answer, Request};
use milena_protocol::api::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use milena_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Lists the transactions that the client may know of.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    list(&broker, &context, &request)
        .await
        .unwrap_or_else(|error_code| ListTransactionsResponse { error_code, ..Default::default() })
}

async fn list(
    broker: &Broker,
    context: &Context,
    request: &ListTransactionsRequest,
) -> Result<ListTransactionsResponse, ErrorCode> {
    let mut all = ListTransactionsResponse::default();
    for shard in broker.transactions.all().await? {
        if let Answer::List(listed) = shard.ask(Request::List(request.clone())).await? {
            if !listed.error_code.is_none() {
                return Err(listed.error_code);
            }
            all.unknown_state_filters = listed.unknown_state_filters;
            all.transaction_states.extend(listed.transaction_states);
        }
    }
    all.transaction_states.retain(|listed| {
        let resource = Resource::TransactionalId(&listed.transactional_id);
        broker.authorizer.allows(&context.peer.principal, Operation::Describe, resource)
    });
    Ok(all)
}
