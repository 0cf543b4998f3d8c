//! LeaveGroup (13), versions 0–5: lets members go.
//!
//! The rules are the coordinator's: `milena_cluster::group`.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::leave_group::{LeaveGroupRequest, LeaveGroupResponse};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// The others share anew.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let group = request.group_id.clone();
    let request = Request::Leave(request);
    let asked = groups::ask(&broker, &context, Operation::Read, &group, request);
    asked.await.unwrap_or_else(|error_code| LeaveGroupResponse { error_code, ..Default::default() })
}
