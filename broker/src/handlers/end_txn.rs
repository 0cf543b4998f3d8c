//! EndTxn (26), versions 0–5: a producer commits or aborts its transaction.
//!
//! The rules are the coordinator's: `milena_cluster::transaction`.

use std::sync::Arc;

use milena_cluster::transaction::{Answer, Ask};
use milena_protocol::api::end_txn::{EndTxnRequest, EndTxnResponse};
use milena_protocol::error_code::ErrorCode;

use super::transactions;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Answers once the decision is committed; the markers follow.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: EndTxnRequest,
) -> EndTxnResponse {
    let fault = |error_code| EndTxnResponse { error_code, ..Default::default() };
    let id = request.transactional_id.clone();
    let resource = Resource::TransactionalId(&id);
    if !broker.authorizer.allows(&context.peer.principal, Operation::Write, resource) {
        return fault(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    match transactions::ask(&broker, &id, context.version, Ask::EndTransaction(request)).await {
        Ok(Answer::EndTransaction(response)) => response,
        Ok(other) => unreachable!("a coordinator answers what it was asked, and not {other:?}"),
        Err(code) => fault(code),
    }
}
