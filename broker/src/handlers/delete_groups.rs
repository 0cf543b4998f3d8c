//! DeleteGroups (42), versions 0–2: forgets groups without members, and their offsets.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::delete_groups::{
    DeleteGroupsRequest, DeleteGroupsResponse, DeleteGroupsResult,
};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// Deletes groups, each by its own coordinator.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let asked = Request::Delete(group_id.clone());
        let deleted = groups::ask(&broker, &context, Operation::Delete, &group_id, asked).await;
        results
            .push(deleted.unwrap_or_else(|error_code| DeleteGroupsResult { group_id, error_code }));
    }
    DeleteGroupsResponse { results, ..Default::default() }
}
