//! Whether the node lives, whether it serves, and its figures.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::error::Failure;
use super::{Admin, state};
use crate::telemetry::scrape;

/// The process answers.
pub async fn healthz() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// Clients are served: this node is registered, unfenced, and its directories work.
pub async fn readyz(State(admin): State<Admin>) -> Result<Json<Value>, Failure> {
    let broker = &admin.broker;
    let registered = broker.metadata.image().is_live(broker.node_id);
    let offline = broker.replicas.directories().iter().any(|directory| directory.is_offline());
    if registered && !offline {
        return Ok(Json(json!({ "status": "ready" })));
    }
    let message = if offline {
        "a data directory is offline; see the log, repair the disk and restart"
    } else {
        "this node is not registered yet"
    };
    Err(Failure::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, 50301, message))
}

/// The figures that dashboards read.
pub async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let text = admin.broker.metrics.encode(state::of_node(&admin));
    ([(CONTENT_TYPE, scrape::CONTENT_TYPE)], text)
}
