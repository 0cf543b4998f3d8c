//! FindCoordinator (10), versions 0–6: which broker coordinates a group or a transactional id.
//!
//! The coordinators' topic is made when it is first asked for, and the answer waits for it.
//! Share groups have no coordinator here.

use std::sync::Arc;

use milena_cluster::coordinator::partition_for;
use milena_protocol::api::find_coordinator::{
    FindCoordinatorCoordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;

use crate::broker::Broker;
use crate::drivers::coordinator::InternalTopic;
use crate::request::Context;
use crate::security::{Operation, Resource};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Finds coordinators; from version 4 on several at once.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let is_single = context.version < 4;
    let keys = if is_single { vec![request.key] } else { request.coordinator_keys };
    let mut coordinators = Vec::with_capacity(keys.len());
    for key in keys {
        coordinators.push(find(&broker, &context, request.key_type, key).await);
    }
    match coordinators.pop() {
        Some(only) if is_single => FindCoordinatorResponse {
            error_code: only.error_code,
            error_message: only.error_message,
            node_id: only.node_id,
            host: only.host,
            port: only.port,
            ..Default::default()
        },
        last => {
            coordinators.extend(last);
            FindCoordinatorResponse { coordinators, ..Default::default() }
        }
    }
}

async fn find(
    broker: &Arc<Broker>,
    context: &Context,
    key_type: i8,
    key: Text,
) -> FindCoordinatorCoordinator {
    let found = match coordinators_topic(broker, context, key_type, &key) {
        Ok(topic) => locate(broker, context, topic, &key).await,
        Err(code) => Err(code),
    };
    found.unwrap_or_else(|error_code| FindCoordinatorCoordinator {
        key,
        node_id: NodeId::NONE,
        port: -1,
        error_code,
        error_message: Some(error_code.to_string().into()),
        ..Default::default()
    })
}

fn coordinators_topic<'a>(
    broker: &'a Broker,
    context: &Context,
    key_type: i8,
    key: &Text,
) -> Result<&'a InternalTopic, ErrorCode> {
    let principal = &context.peer.principal;
    let may_describe =
        |resource| broker.authorizer.allows(principal, Operation::Describe, resource);
    match key_type {
        GROUP if may_describe(Resource::Group(key)) => Ok(broker.groups.topic()),
        GROUP => Err(ErrorCode::GROUP_AUTHORIZATION_FAILED),
        TRANSACTION if may_describe(Resource::TransactionalId(key)) => {
            Ok(broker.transactions.topic())
        }
        TRANSACTION => Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        _ => Err(ErrorCode::INVALID_REQUEST),
    }
}

async fn locate(
    broker: &Arc<Broker>,
    context: &Context,
    topic: &InternalTopic,
    key: &Text,
) -> Result<FindCoordinatorCoordinator, ErrorCode> {
    let unavailable = ErrorCode::COORDINATOR_NOT_AVAILABLE;
    let count = topic.ensure(broker).await?;
    let image = broker.metadata.image();
    let partition = image.topic(topic.name).and_then(|t| t.partition(partition_for(key, count)));
    let leader = partition.map(|partition| partition.leader).ok_or(unavailable)?;
    let leader = image.broker(leader).ok_or(unavailable)?;
    let endpoint = broker.endpoints.of_broker(leader, &context.peer).ok_or(unavailable)?;
    Ok(FindCoordinatorCoordinator {
        key: key.clone(),
        node_id: endpoint.node_id,
        host: endpoint.host,
        port: endpoint.port,
        ..Default::default()
    })
}
