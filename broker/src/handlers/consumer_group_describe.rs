//! ConsumerGroupDescribe (69), versions 0–1: states, members and assignments of consumer groups.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::consumer_group_describe::{
    ConsumerGroupDescribeGroup, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
};

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::Operation;

/// Describes groups, each by its own coordinator.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let asked = Request::ConsumerDescribe(group_id.clone());
        let described = groups::ask(&broker, &context, Operation::Describe, &group_id, asked).await;
        let mut described = described.unwrap_or_else(|error_code| ConsumerGroupDescribeGroup {
            error_code,
            group_id,
            ..Default::default()
        });
        if request.include_authorized_operations && described.error_code.is_none() {
            described.authorized_operations =
                broker.authorizer.group_operations(&context.peer.principal);
        }
        groups.push(described);
    }
    ConsumerGroupDescribeResponse { groups, ..Default::default() }
}
