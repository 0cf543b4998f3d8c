//! ListPartitionReassignments (46), version 0: none, for a single node never moves a replica.

use std::sync::Arc;

use milena_protocol::api::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use milena_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Answers that nothing is being moved.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    _: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let principal = &context.peer.principal;
    let allowed = broker.authorizer.allows(principal, Operation::Describe, Resource::Cluster);
    ListPartitionReassignmentsResponse {
        error_code: if allowed { ErrorCode::NONE } else { ErrorCode::CLUSTER_AUTHORIZATION_FAILED },
        ..Default::default()
    }
}
