//! FindCoordinator (10), versions 0–6: which broker coordinates a group or a transactional id.
//!
//! The coordinators' topic is made when it is first asked for, and the answer waits for it.
//! Share groups have no coordinator here.

use std::sync::Arc;

use milena_cluster::coordinator::{Machine, partition_for};
use milena_protocol::api::find_coordinator::{
    FindCoordinatorCoordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;

use crate::broker::Broker;
use crate::drivers::coordinator::Shards;
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
    let found = match may_ask(broker, context, key_type, &key) {
        Ok(()) if key_type == GROUP => locate(broker, context, &broker.groups, &key).await,
        Ok(()) => locate(broker, context, &broker.transactions, &key).await,
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

/// Whether there are such coordinators, and the client may know of this one.
fn may_ask(broker: &Broker, context: &Context, key_type: i8, key: &Text) -> Result<(), ErrorCode> {
    let (resource, denied) = match key_type {
        GROUP => (Resource::Group(key), ErrorCode::GROUP_AUTHORIZATION_FAILED),
        TRANSACTION => {
            (Resource::TransactionalId(key), ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        }
        _ => return Err(ErrorCode::INVALID_REQUEST),
    };
    let principal = &context.peer.principal;
    let may_know = broker.authorizer.allows(principal, Operation::Describe, resource);
    may_know.then_some(()).ok_or(denied)
}

async fn locate<M: Machine>(
    broker: &Arc<Broker>,
    context: &Context,
    coordinators: &Shards<M>,
    key: &Text,
) -> Result<FindCoordinatorCoordinator, ErrorCode> {
    let unavailable = ErrorCode::COORDINATOR_NOT_AVAILABLE;
    let count = coordinators.ensure_topic().await?;
    let image = broker.metadata.image();
    let partition =
        image.topic(coordinators.topic()).and_then(|t| t.partition(partition_for(key, count)));
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
