//! ListTransactions (66), versions 0–2: the transactions that this broker coordinates (KIP-664).
//!
//! Version 1 filters by duration, 2 by a regular expression. Where a coordinator cannot say, the
//! answer has its error beside the transactions of the others.

use std::sync::Arc;

use milena_cluster::transaction::{Answer, Request, list_none};
use milena_protocol::api::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use milena_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::drivers::coordinator::All;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Lists the transactions that the client may know of.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let mut all = list_none(&request);
    if !all.error_code.is_none() {
        return all;
    }
    let All { shards, missing } = broker.transactions.all().await;
    all.error_code = missing.unwrap_or(ErrorCode::NONE);
    for shard in shards {
        match shard.ask(Request::List(request.clone())).await {
            Ok(Answer::List(listed)) => all.transaction_states.extend(listed.transaction_states),
            Ok(_) => {}
            Err(code) => all.error_code = code,
        }
    }
    all.transaction_states.retain(|listed| {
        let resource = Resource::TransactionalId(&listed.transactional_id);
        broker.authorizer.allows(&context.peer.principal, Operation::Describe, resource)
    });
    all
}
