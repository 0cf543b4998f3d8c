//! Every route. A route and its documentation are one thing here: [`routes!`] takes both from the
//! handler, so that what is served and what `/openapi.json` says cannot differ.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Json, Router, middleware};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::configs::{all_brokers, broker, topic};
use super::error::{self, ErrorBody};
use super::groups::{alter, assignments, consumers, group, lags, offsets};
use super::records::{batch, page, stream, watch};
use super::{
    acls, brokers, call, cluster_health, clusters, health, host, partitions, quorum, reassignments,
    topics,
};
use crate::broker::Broker;

/// What the document says beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Milena",
        description = "Administration and records over HTTP, in the shapes of Confluent's REST \
                       API v3. All paths below /v3 stand below /kafka/v3 too.",
    ),
    components(schemas(ErrorBody))
)]
struct Document;

/// The router of a node.
pub fn router(node: Arc<Broker>) -> Router {
    let cloud = Router::from(resources());
    Router::from(all())
        .nest(call::CLOUD_PREFIX, cloud)
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        // Bodies are bounded where they are read, each by what it is for.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(node.clone(), host::check))
        .with_state(node)
}

/// What is served, as OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "Node",
    responses((status = 200, description = "This document.", body = Object)))]
pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(all().into_openapi())
}

fn all() -> OpenApiRouter<Arc<Broker>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(document))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::status_ready))
        .routes(routes!(health::metrics))
        .merge(resources())
}

fn resources() -> OpenApiRouter<Arc<Broker>> {
    OpenApiRouter::default()
        .routes(routes!(clusters::list))
        .routes(routes!(clusters::one))
        .routes(routes!(cluster_health::health))
        .routes(routes!(quorum::one))
        .routes(routes!(quorum::add))
        .routes(routes!(quorum::remove))
        .routes(routes!(acls::list, acls::create, acls::delete))
        .routes(routes!(acls::create_many))
        .routes(routes!(brokers::list))
        .routes(routes!(brokers::one, brokers::unregister))
        .routes(routes!(partitions::replicas_of_broker))
        .routes(routes!(topics::list, topics::create))
        .routes(routes!(topics::one, topics::delete, topics::grow))
        .routes(routes!(partitions::list))
        .routes(routes!(partitions::list_all))
        .routes(routes!(partitions::one))
        .routes(routes!(partitions::offset))
        .routes(routes!(partitions::replicas))
        .routes(routes!(partitions::replica))
        .routes(routes!(reassignments::list))
        .routes(routes!(reassignments::of_topic))
        .routes(routes!(reassignments::of_partition, reassignments::alter, reassignments::cancel))
        .routes(routes!(stream::produce))
        .routes(routes!(batch::produce))
        .routes(routes!(page::read))
        .routes(routes!(watch::watch))
        .merge(configs())
        .merge(groups())
}

fn groups() -> OpenApiRouter<Arc<Broker>> {
    OpenApiRouter::default()
        .routes(routes!(group::list))
        .routes(routes!(group::one, group::delete))
        .routes(routes!(consumers::list))
        .routes(routes!(consumers::one))
        .routes(routes!(assignments::list))
        .routes(routes!(assignments::one))
        .routes(routes!(lags::summary))
        .routes(routes!(lags::list))
        .routes(routes!(lags::one))
        .routes(routes!(alter::alter))
        .routes(routes!(offsets::delete_topic))
        .routes(routes!(offsets::delete_partition))
}

fn configs() -> OpenApiRouter<Arc<Broker>> {
    OpenApiRouter::default()
        .routes(routes!(topic::list))
        .routes(routes!(topic::list_all))
        .routes(routes!(topic::list_defaults))
        .routes(routes!(topic::alter))
        .routes(routes!(topic::one, topic::set, topic::reset))
        .routes(routes!(broker::list))
        .routes(routes!(broker::list_all))
        .routes(routes!(broker::alter))
        .routes(routes!(broker::one, broker::set, broker::reset))
        .routes(routes!(all_brokers::list))
        .routes(routes!(all_brokers::alter))
        .routes(routes!(all_brokers::one, all_brokers::set, all_brokers::reset))
}
