//! Confluent's form of an error: `{"error_code": 40403, "message": "…"}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use milena_protocol::error_code::ErrorCode;
use serde_json::json;

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    code: u32,
    message: String,
}

impl Failure {
    /// A failure.
    pub fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// A body or a parameter that makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 400, message)
    }

    /// The error of a wire answer, as Confluent maps it.
    pub fn of_wire(code: ErrorCode, message: Option<String>) -> Self {
        let (status, number) = match code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => {
                (StatusCode::NOT_FOUND, 40403)
            }
            ErrorCode::TOPIC_AUTHORIZATION_FAILED | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                (StatusCode::FORBIDDEN, 40301)
            }
            ErrorCode::REQUEST_TIMED_OUT => (StatusCode::GATEWAY_TIMEOUT, 50401),
            ErrorCode::KAFKA_STORAGE_ERROR | ErrorCode::NOT_CONTROLLER => {
                (StatusCode::SERVICE_UNAVAILABLE, 50003)
            }
            ErrorCode::UNKNOWN_SERVER_ERROR => (StatusCode::INTERNAL_SERVER_ERROR, 50002),
            _ => (StatusCode::BAD_REQUEST, 40002),
        };
        Self::new(status, number, message.unwrap_or_else(|| code.to_string()))
    }

    /// No such cluster.
    pub fn no_cluster(id: &str) -> Self {
        let message = format!("there is no cluster {id} here; GET /v3/clusters lists it");
        Self::new(StatusCode::NOT_FOUND, 40401, message)
    }

    /// No such topic or partition.
    pub fn no_topic(name: &str) -> Self {
        let message = format!("there is no topic or partition {name}");
        Self::new(StatusCode::NOT_FOUND, 40403, message)
    }

    /// What stands in the body.
    pub fn body(&self) -> serde_json::Value {
        json!({ "error_code": self.code, "message": self.message })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}

/// The answer to a path that is no route.
pub async fn no_such_route() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, 404, "there is no such resource; try /v3/clusters")
}
