//! Whether the node lives, whether it serves, and its figures.

use axum::Json;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use milena_protocol::ids::NodeId;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;
use super::error::Failure;
use super::state;
use crate::blocking;
use crate::telemetry::scrape;

/// How the node is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `alive` or `ready`.
    status: &'static str,
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "Node",
    responses((status = 200, description = "It does.", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// Whether the node does its work: its directories are well, and it is registered as a broker, or,
/// where it is only a controller, knows who leads the quorum.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "Node",
    responses((status = 200, description = "They are.", body = Health), Failure))]
pub async fn readyz(call: Call) -> Result<Json<Health>, Failure> {
    let broker = &call.broker;
    let is_broker = broker.config.process_roles.broker;
    let offline = broker.replicas.directories().iter().any(|directory| directory.is_offline());
    if offline {
        let message = "a data directory is offline; see the log, repair the disk and restart";
        return Err(Failure::not_ready(message));
    }
    if is_broker && !broker.metadata.image().is_live(broker.node_id) {
        return Err(Failure::not_ready("this node is not registered yet"));
    }
    if !is_broker && broker.controller.quorum().leader == NodeId::NONE {
        return Err(Failure::not_ready("this node knows no leader of the metadata quorum"));
    }
    Ok(Json(Health { status: "ready" }))
}

/// The same, where Redpanda has it.
#[utoipa::path(get, path = "/v1/status/ready", operation_id = "statusReady", tag = "Node",
    responses((status = 200, description = "They are.", body = Health), Failure))]
pub async fn status_ready(call: Call) -> Result<Json<Health>, Failure> {
    readyz(call).await
}

/// The figures that dashboards read, in OpenMetrics, which Prometheus reads.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "Node",
    responses((status = 200, description = "The figures.", body = String,
        content_type = "application/openmetrics-text")))]
pub async fn metrics(call: Call) -> impl IntoResponse {
    let state = state::of_node(&call).await;
    let metrics = call.broker.metrics.clone();
    // A page of many partitions and groups takes its time to be written.
    let text = blocking::spawn(move || metrics.encode(state)).await;
    let text = text.unwrap_or_default();
    ([(CONTENT_TYPE, scrape::CONTENT_TYPE)], text)
}
