//! AddOffsetsToTxn (25), versions 0–4: a group's offsets come into a transaction.
//!
//! Clients of version 2 of transactions do not send it: TxnOffsetCommit adds them.

use std::sync::Arc;

use milena_cluster::coordinator::partition_for;
use milena_cluster::transaction::{Answer, Ask};
use milena_protocol::api::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use milena_protocol::error_code::ErrorCode;

use super::transactions;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Adds the partition of `__consumer_offsets` that the group belongs to.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    add(&broker, &context, request)
        .await
        .unwrap_or_else(|error_code| AddOffsetsToTxnResponse { error_code, ..Default::default() })
}

async fn add(
    broker: &Arc<Broker>,
    context: &Context,
    request: AddOffsetsToTxnRequest,
) -> Result<AddOffsetsToTxnResponse, ErrorCode> {
    let id = request.transactional_id.clone();
    let principal = &context.peer.principal;
    let allows = |operation, resource| broker.authorizer.allows(principal, operation, resource);
    if !allows(Operation::Write, Resource::TransactionalId(&id)) {
        return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    if !allows(Operation::Read, Resource::Group(&request.group_id)) {
        return Err(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    }
    let count = broker.groups.ensure_topic().await?;
    let offsets_partition = partition_for(&request.group_id, count);
    let ask = Ask::AddOffsets { request, offsets_partition };
    match transactions::ask(broker, &id, context.version, ask).await? {
        Answer::AddOffsets(response) => Ok(response),
        other => unreachable!("a coordinator answers what it was asked, and not {other:?}"),
    }
}
