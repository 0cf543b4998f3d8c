//! ListPartitionReassignments (46), version 0: replicas that move (KIP-455).

use std::sync::Arc;

use milena_cluster::controller::Decision;
use milena_cluster::wire::list_moving;
use milena_protocol::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use milena_protocol::error_code::ErrorCode;

use super::forward;
use crate::broker::Broker;
use crate::drivers::controller::Authority;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Lists what moves, as the active controller has it.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let fault =
        |error_code| ListPartitionReassignmentsResponse { error_code, ..Default::default() };
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::Describe, Resource::Cluster) {
        return fault(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    let list = move |Authority { controller, .. }: Authority<'_>| Decision {
        records: Vec::new(),
        answer: list_moving(controller.image(), &request),
    };
    broker.controller.call_with(list).await.unwrap_or_else(fault)
}
