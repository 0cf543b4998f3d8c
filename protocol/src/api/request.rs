//! What makes a message a request: its key, its answer, and the headers that go with both.

use super::key::ApiKey;
use crate::message::Message;

/// A request, and the response that belongs to it.
pub trait Request: Message {
    /// The API's key.
    const KEY: ApiKey;
    /// What answers it, in the same version.
    type Response: Message;
}

/// Says which key a request has and what answers it.
macro_rules! request {
    ($key:ident, $request:ty => $response:ty) => {
        impl $crate::api::request::Request for $request {
            const KEY: $crate::api::key::ApiKey = $crate::api::key::ApiKey::$key;
            type Response = $response;
        }
    };
}
pub(crate) use request;

/// The version of the request header that goes with an API version: 2 where it is flexible, else 1.
#[must_use]
pub fn request_header_version<R: Request>(version: i16) -> i16 {
    if R::is_flexible(version) { 2 } else { 1 }
}

/// The version of the response header: 1 where flexible, else 0; ApiVersions always answers with 0,
/// because a client that does not know the broker cannot know which header it uses (KIP-511).
#[must_use]
pub fn response_header_version<R: Request>(version: i16) -> i16 {
    i16::from(R::is_flexible(version) && R::KEY != ApiKey::ApiVersions)
}
