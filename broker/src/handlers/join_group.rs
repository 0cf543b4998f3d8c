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

/// From this version on an answer without a generation has no name of a protocol; before, it is
/// empty.
const MAY_HAVE_NO_PROTOCOL: i16 = 7;

/// Answers when the next generation of the group begins.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let group = request.group_id.clone();
    let member_id = request.member_id.clone();
    let request = Request::Join(groups::caller(&context), request);
    let asked = groups::ask(&broker, &context, Operation::Read, &group, request);
    let answer: Result<JoinGroupResponse, _> = asked.await;
    let mut answer = answer.unwrap_or_else(|error_code| JoinGroupResponse {
        error_code,
        member_id,
        ..Default::default()
    });
    if context.version < MAY_HAVE_NO_PROTOCOL {
        answer.protocol_name.get_or_insert_default();
    }
    answer
}
