//! Bodies of requests: JSON, no larger than it may be, within the broker's budget for request
//! bytes, and in time. Memory follows the bytes that arrived, never the length announced.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as Raw;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::BytesMut;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::error::Failure;
use crate::broker::Broker;
use crate::limits::budget::Share;

/// The largest body with records, and the largest record in a stream of them.
pub const MAX_BYTES: usize = 16 << 20;
/// The largest body without records.
const MAX_PLAIN_BYTES: usize = 1 << 20;
/// How long a body may take to arrive.
const MAX_TIME: Duration = Duration::from_secs(60);

/// A body of JSON, of at most so many bytes.
pub struct Body<T, const MAX: usize = MAX_PLAIN_BYTES>(pub T);

impl<T: DeserializeOwned, const MAX: usize> FromRequest<Arc<Broker>> for Body<T, MAX> {
    type Rejection = Failure;

    async fn from_request(request: Request, broker: &Arc<Broker>) -> Result<Self, Failure> {
        check_media_type(request.headers())?;
        let mut share = Share::new(&broker.request_budget);
        let bytes = collect(request.into_body(), MAX, &mut share).await?;
        parse(&bytes).map(Self)
    }
}

/// Lets only JSON in. A browser cannot send it to a foreign host without asking first, so this
/// keeps a web page from writing here.
///
/// # Errors
/// 415.
pub fn check_media_type(headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let message = if given.is_empty() {
        "send the header Content-Type: application/json".to_owned()
    } else {
        format!("bodies of type {given} are not read; send Content-Type: application/json")
    };
    Err(Failure::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

/// A whole body, which holds its share of the budget while the share lives.
///
/// # Errors
/// 400 when it breaks off, 408 when it takes too long, 413 when it is too large, 503 when the
/// budget has no room.
pub async fn collect(
    body: Raw,
    max_bytes: usize,
    share: &mut Share<'_>,
) -> Result<BytesMut, Failure> {
    let arrived = async {
        let mut bytes = BytesMut::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| broken(&error))?;
            if bytes.len() + chunk.len() > max_bytes {
                return Err(too_large(max_bytes));
            }
            grow(share, bytes.len() + chunk.len()).await?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    match tokio::time::timeout(MAX_TIME, arrived).await {
        Ok(arrived) => arrived,
        Err(_) => {
            let message = format!("the body took longer than {} s", MAX_TIME.as_secs());
            Err(Failure::plain(StatusCode::REQUEST_TIMEOUT, message))
        }
    }
}

/// Takes more of the budget.
///
/// # Errors
/// 503 when there is no room.
pub async fn grow(share: &mut Share<'_>, bytes: usize) -> Result<(), Failure> {
    if share.resize(bytes).await {
        return Ok(());
    }
    let message = "no room for the request among those that are under way; try again";
    Err(Failure::plain(StatusCode::SERVICE_UNAVAILABLE, message))
}

/// A body that broke off.
pub fn broken(error: &axum::Error) -> Failure {
    Failure::bad_request(format!("the body cannot be read: {error}"))
}

/// A body, or a record in it, that is too large.
#[must_use]
pub fn too_large(max_bytes: usize) -> Failure {
    let message = format!("the body, or a record in it, has more than {max_bytes} bytes");
    Failure::plain(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// Reads JSON.
///
/// # Errors
/// 400 with what is wrong and where.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::bad_request("the body is empty; it must be a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| unreadable(&error))
}

/// JSON that is not what it should be.
pub fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::bad_request(format!("the JSON cannot be read: {error}"))
}
