//! Confluent's form of an error: `{"error_code": 40403, "message": "…"}`, and nothing else.
//!
//! The first three digits of a long code are the HTTP status; a short one is the status itself.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::OriginalUri;
use axum::extract::rejection::QueryRejection;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use serde::Serialize;
use utoipa::openapi::{Content, RefOr, ResponseBuilder, ResponsesBuilder};
use utoipa::{IntoResponses, ToSchema};

/// What the body of a failed request says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    /// The HTTP status, or a longer code that begins with it.
    #[schema(example = 40403)]
    pub error_code: u32,
    /// What is wrong, and where possible what to do about it.
    pub message: String,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    status: StatusCode,
    body: ErrorBody,
}

/// Error codes that are longer than a status.
mod code {
    /// The caller may not do that.
    pub const NOT_AUTHORIZED: u32 = 40301;
    /// Kafka refuses the request.
    pub const BAD_REQUEST: u32 = 40002;
    /// There is no such partition.
    pub const NO_PARTITION: u32 = 40402;
    /// There is no such topic or partition.
    pub const NO_TOPIC_PARTITION: u32 = 40403;
    /// The host in the request is not this node's.
    pub const FOREIGN_HOST: u32 = 42101;
    /// The caller is held back.
    pub const THROTTLED: u32 = 42901;
    /// A fault of the broker.
    pub const FAULT: u32 = 50002;
    /// A fault of the broker that passes.
    pub const RETRIABLE: u32 = 50003;
    /// The node does not serve clients now.
    pub const NOT_READY: u32 = 50301;
    /// The broker asked for is not there.
    pub const BROKER_NOT_AVAILABLE: u32 = 50302;
}

impl Failure {
    fn new(status: StatusCode, error_code: u32, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { error_code, message: message.into() } }
    }

    /// A failure whose code is its status.
    pub fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, u32::from(status.as_u16()), message)
    }

    /// A body or a parameter that makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, message)
    }

    /// Query parameters that make no sense.
    pub fn bad_query(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let reason = text.strip_prefix("Failed to deserialize query string: ");
        Self::bad_request(format!("the query: {}", reason.unwrap_or(&text)))
    }

    /// JSON that is as it should be and asks for what cannot be done.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// No such thing.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::NOT_FOUND, message)
    }

    /// No such partition.
    pub fn no_partition(topic: &str, index: i32) -> Self {
        let message = format!("there is no partition {index} of topic {topic}");
        Self::new(StatusCode::NOT_FOUND, code::NO_PARTITION, message)
    }

    /// The host in the request is not this node's.
    pub fn foreign_host(name: &str) -> Self {
        let message = format!("this node does not answer to the name {name}; use its address");
        Self::new(StatusCode::MISDIRECTED_REQUEST, code::FOREIGN_HOST, message)
    }

    /// The node does not serve clients now.
    pub fn not_ready(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::NOT_READY, message)
    }

    /// The error of a wire answer, as Confluent maps it; other refusals are the client's fault.
    pub fn of_wire(error_code: ErrorCode, message: Option<&Text>) -> Self {
        let (status, number) = match error_code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => {
                (StatusCode::NOT_FOUND, code::NO_TOPIC_PARTITION)
            }
            ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::GROUP_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
                (StatusCode::FORBIDDEN, code::NOT_AUTHORIZED)
            }
            ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
                (StatusCode::PAYLOAD_TOO_LARGE, 413)
            }
            // As Confluent has it, what is not there is like any path that is not.
            ErrorCode::GROUP_ID_NOT_FOUND
            | ErrorCode::NO_REASSIGNMENT_IN_PROGRESS
            | ErrorCode::BROKER_ID_NOT_REGISTERED => (StatusCode::NOT_FOUND, 404),
            ErrorCode::THROTTLING_QUOTA_EXCEEDED => {
                (StatusCode::TOO_MANY_REQUESTS, code::THROTTLED)
            }
            ErrorCode::BROKER_NOT_AVAILABLE => {
                (StatusCode::SERVICE_UNAVAILABLE, code::BROKER_NOT_AVAILABLE)
            }
            ErrorCode::UNKNOWN_SERVER_ERROR => (StatusCode::INTERNAL_SERVER_ERROR, code::FAULT),
            retriable if retriable.is_retriable() => {
                (StatusCode::INTERNAL_SERVER_ERROR, code::RETRIABLE)
            }
            _ => (StatusCode::BAD_REQUEST, code::BAD_REQUEST),
        };
        let message = message.map_or_else(|| said(error_code), ToString::to_string);
        Self::new(status, number, message)
    }

    /// The failure of a wire answer, if it is one.
    ///
    /// # Errors
    /// As [`Failure::of_wire`].
    pub fn unless_none(error_code: ErrorCode, message: Option<&Text>) -> Result<(), Self> {
        if error_code.is_none() { Ok(()) } else { Err(Self::of_wire(error_code, message)) }
    }

    /// What stands in the body.
    #[must_use]
    pub fn into_body(self) -> ErrorBody {
        self.body
    }
}

/// A code in words, where the answer has none.
fn said(error_code: ErrorCode) -> String {
    match error_code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => {
            "there is no such topic or partition".into()
        }
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            "a topic's name has up to 249 letters, digits, '.', '_' or '-'".into()
        }
        ErrorCode::NO_REASSIGNMENT_IN_PROGRESS => "no replica of the partition moves".into(),
        ErrorCode::GROUP_ID_NOT_FOUND => "there is no such consumer group".into(),
        ErrorCode::NON_EMPTY_GROUP => {
            "the group has members; its consumers must leave first".into()
        }
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => {
            "somebody in the group reads the topic; its consumers must leave first".into()
        }
        other => format!("refused with {other}"),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// In the document every operation may fail, always in the same form.
impl IntoResponses for Failure {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let answer = |description: &str| {
            let schema = RefOr::Ref(utoipa::openapi::Ref::from_schema_name(ErrorBody::name()));
            ResponseBuilder::new()
                .description(description)
                .content("application/json", Content::new(Some(schema)))
        };
        ResponsesBuilder::new()
            .response("4XX", answer("The request cannot be done as it is."))
            .response("5XX", answer("The node failed; 50003 says that a retry may succeed."))
            .build()
            .into()
    }
}

/// The answer to a path that is no route.
pub async fn no_such_route(OriginalUri(uri): OriginalUri) -> Failure {
    let path = uri.path();
    Failure::missing(format!("there is nothing at {path}; GET /openapi.json lists what there is"))
}

/// The answer to a method that a route does not have; the router adds `Allow`.
pub async fn no_such_method(method: Method, OriginalUri(uri): OriginalUri) -> Failure {
    let message = format!("{} is not for {method}; Allow says what it is for", uri.path());
    Failure::plain(StatusCode::METHOD_NOT_ALLOWED, message)
}
