//! Heartbeat (12), versions 0–4: notes that a member lives.
//!
//! The rules are the coordinator's: `milena_cluster::group`.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// Says too whether the member shall join again.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let group = request.group_id.clone();
    let request = Request::Heartbeat(request);
    let asked = groups::ask(&broker, &context, Operation::Read, &group, request);
    asked.await.unwrap_or_else(|error_code| HeartbeatResponse { error_code, ..Default::default() })
}
