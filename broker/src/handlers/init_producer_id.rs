//! InitProducerId (22), versions 0–5: a producer id for idempotence.
//!
//! Ids come from blocks that the controller hands out (KIP-730). Transactional ids are refused
//! until there is a transaction coordinator.

use std::sync::Arc;

use milena_protocol::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{ProducerEpoch, ProducerId};

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
    match request.transactional_id.as_deref() {
        Some("") => return fault(ErrorCode::INVALID_REQUEST),
        Some(_) => return fault(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        None => {}
    }
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::IdempotentWrite, Resource::Cluster) {
        return fault(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    match broker.producer_ids.next(&broker.controller).await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: ProducerEpoch(0),
            ..Default::default()
        },
        Err(error_code) => fault(error_code),
    }
}
