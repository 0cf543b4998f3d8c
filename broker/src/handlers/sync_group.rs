//! SyncGroup (14), versions 0–5: hands a member its part of the generation.
//!
//! The rules are the coordinator's: `milena_cluster::group`.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// Answers when the leader has assigned.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    let group = request.group_id.clone();
    let request = Request::Sync(groups::caller(&context), request);
    let asked = groups::ask(&broker, &context, Operation::Read, &group, request);
    asked.await.unwrap_or_else(|error_code| SyncGroupResponse { error_code, ..Default::default() })
}
