//! JoinGroup (11), versions 0–9: takes a member into a classic group.
//!
//! The rules are the coordinator's: `milena_cluster::group`.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::join_group::{JoinGroupRequest, JoinGroupResponse};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// Answers when the next generation of the group begins.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let group = request.group_id.clone();
    let request = Request::Join(groups::caller(&context), request);
    let asked = groups::ask(&broker, &context, Operation::Read, &group, request);
    asked.await.unwrap_or_else(|error_code| JoinGroupResponse { error_code, ..Default::default() })
}
