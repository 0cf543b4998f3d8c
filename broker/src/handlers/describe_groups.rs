//! DescribeGroups (15), versions 0–6: states and members of classic groups.
//!
//! A group that is not there is `Dead`, and from version 6 on an error (KIP-1043).

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::describe_groups::{
    DescribeGroupsGroup, DescribeGroupsRequest, DescribeGroupsResponse,
};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// Describes groups, each by its own coordinator.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let asked = Request::Describe(groups::caller(&context), group.clone());
        let described = groups::ask(&broker, &context, Operation::Describe, &group, asked).await;
        let mut described = described.unwrap_or_else(|error_code| DescribeGroupsGroup {
            error_code,
            group_id: group,
            ..Default::default()
        });
        if request.include_authorized_operations && described.error_code.is_none() {
            described.authorized_operations =
                broker.authorizer.group_operations(&context.peer.principal);
        }
        groups.push(described);
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}
