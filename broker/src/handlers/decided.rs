//! What brokers and clients ask of the active controller: read, decided and told by
//! `milena_cluster`; here is only who may ask, and whether this controller is active.

use std::sync::Arc;

use milena_cluster::wire::Decided;
use milena_protocol::api::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use milena_protocol::api::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse,
};
use milena_protocol::error_code::ErrorCode;

use super::forward;
use crate::broker::Broker;
use crate::drivers::controller::Authority;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Answers a broker, or a controller, that asks this controller.
pub async fn of_node<R>(broker: Arc<Broker>, context: Context, request: R) -> R::Response
where
    R: Decided + Send + 'static,
    R::Response: Send,
{
    decide(&broker, &context, Operation::ClusterAction, request).await
}

/// Answers a heartbeat. The broker's connection breaking tells more than its silence.
pub async fn heartbeat(
    broker: Arc<Broker>,
    context: Context,
    request: BrokerHeartbeatRequest,
) -> BrokerHeartbeatResponse {
    context.peer.lives_as.get_or_init(|| (request.broker_id, request.broker_epoch));
    of_node(broker, context, request).await
}

/// Answers a broker that registers.
pub async fn registration(
    broker: Arc<Broker>,
    context: Context,
    request: BrokerRegistrationRequest,
) -> BrokerRegistrationResponse {
    if request.cluster_id != broker.cluster_id {
        return BrokerRegistrationRequest::fail(ErrorCode::INCONSISTENT_CLUSTER_ID);
    }
    of_node(broker, context, request).await
}

/// Answers a client, who may ask any broker.
pub async fn of_client<R>(broker: Arc<Broker>, context: Context, request: R) -> R::Response
where
    R: Decided + Send + 'static,
    R::Response: Send,
{
    let decide = |broker: Arc<Broker>, context: Context, request: R| async move {
        decide(&broker, &context, Operation::Alter, request).await
    };
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide<R>(
    broker: &Broker,
    context: &Context,
    operation: Operation,
    request: R,
) -> R::Response
where
    R: Decided + Send + 'static,
    R::Response: Send,
{
    if !broker.authorizer.allows(&context.peer.principal, operation, Resource::Cluster) {
        return R::fail(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    let decide = move |Authority { controller, sessions, now }: Authority<'_>| {
        request.decide(now, controller, sessions)
    };
    broker.controller.call_with(decide).await.unwrap_or_else(R::fail)
}
