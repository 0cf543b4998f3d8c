//! ListGroups (16), versions 0–5: the groups that this broker coordinates.
//!
//! Version 4 filters by state, 5 by type. Where a coordinator cannot say, the answer has its error
//! beside the groups of the others.

use std::sync::Arc;

use milena_cluster::group::{Answer, Request};
use milena_protocol::api::list_groups::{ListGroupsRequest, ListGroupsResponse};
use milena_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::drivers::coordinator::All;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Lists the groups that the client may know of.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let All { shards, missing: mut fault } = broker.groups.all().await;
    let mut groups = Vec::new();
    for shard in shards {
        let (states, types) = (request.states_filter.clone(), request.types_filter.clone());
        match shard.ask(Request::List { states, types }).await {
            Ok(Answer::List(listed)) => groups.extend(listed),
            Ok(_) => {}
            Err(code) => fault = Some(code),
        }
    }
    let principal = &context.peer.principal;
    let authorizer = &broker.authorizer;
    if !authorizer.allows(principal, Operation::Describe, Resource::Cluster) {
        groups.retain(|group| {
            let resource = Resource::Group(&group.group_id);
            authorizer.allows(principal, Operation::Describe, resource)
        });
    }
    let error_code = fault.unwrap_or(ErrorCode::NONE);
    ListGroupsResponse { groups, error_code, ..Default::default() }
}
