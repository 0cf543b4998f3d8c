//! InitProducerId (22), versions 0–5: a producer id for idempotence, or the producer of a
//! transactional id.
//!
//! Ids come from blocks that the controller hands out (KIP-730); whose a transactional id is,
//! its coordinator decides.

use std::sync::Arc;

use milena_cluster::transaction::{Answer, Ask};
use milena_protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{ProducerEpoch, ProducerId};

use super::transactions;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Hands out a producer id with epoch 0.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let fault = |error_code| InitProducerIdResponse {
        error_code,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        ..Default::default()
    };
    let principal = &context.peer.principal;
    if let Some(id) = request.transactional_id.clone() {
        let resource = Resource::TransactionalId(&id);
        if !broker.authorizer.allows(principal, Operation::Write, resource) {
            return fault(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        }
        let ask = Ask::InitProducerId(request);
        return match transactions::ask(&broker, &id, context.version, ask).await {
            Ok(Answer::InitProducerId(response)) => response,
            Ok(other) => unreachable!("a coordinator answers what it was asked, not {other:?}"),
            Err(code) => fault(code),
        };
    }
    if !broker.authorizer.allows(principal, Operation::IdempotentWrite, Resource::Cluster) {
        return fault(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    match broker.producer_ids.next(&broker.metadata, &broker.active_controller).await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: ProducerEpoch(0),
            ..Default::default()
        },
        Err(error_code) => fault(error_code),
    }
}
