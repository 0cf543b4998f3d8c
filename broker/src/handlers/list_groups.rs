//! ListGroups (16), versions 0–5: the groups that this broker coordinates.
//!
//! Version 4 filters by state, 5 by type.

use std::sync::Arc;

use milena_cluster::group::{Answer, Request};
use milena_protocol::api::list_groups::{ListGroupsRequest, ListGroupsResponse};

use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Lists the groups that the client may know of.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let fault = |error_code| ListGroupsResponse { error_code, ..Default::default() };
    let shards = match broker.groups.all().await {
        Ok(shards) => shards,
        Err(code) => return fault(code),
    };
    let mut groups = Vec::new();
    for shard in shards {
        let (states, types) = (request.states_filter.clone(), request.types_filter.clone());
        match shard.ask(Request::List { states, types }).await {
            Ok(Answer::List(listed)) => groups.extend(listed),
            Ok(_) => {}
            Err(code) => return fault(code),
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
    ListGroupsResponse { groups, ..Default::default() }
}
