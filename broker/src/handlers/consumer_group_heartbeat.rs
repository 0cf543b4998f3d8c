//! ConsumerGroupHeartbeat (68), versions 0–1: a member of a consumer group joins, reports or leaves
//! (KIP-848).
//!
//! The rules are the coordinator's: `milena_cluster::group::consumer`.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// Tells a member what it shall have, and when to come again.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let group = request.group_id.clone();
    let request = Request::ConsumerHeartbeat(groups::caller(&context), request);
    let asked = groups::ask(&broker, &context, Operation::Read, &group, request);
    asked.await.unwrap_or_else(|error_code| ConsumerGroupHeartbeatResponse {
        error_code,
        ..Default::default()
    })
}
