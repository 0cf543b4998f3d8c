//! SaslAuthenticate (36), versions 0–2: one step of a SASL exchange.
//!
//! Version 1 brought the lifetime of the session.

use bytes::Bytes;

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The client's bytes.
    pub struct SaslAuthenticateRequest: 0..=2, flexible 2 {
        /// Bytes of the exchange, as the mechanism defines them.
        auth_bytes: Bytes [0..],
    }

    /// The server's bytes, or why it refuses.
    pub struct SaslAuthenticateResponse: 0..=2, flexible 2 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// Bytes of the exchange, as the mechanism defines them.
        auth_bytes: Bytes [0..],
        /// Milliseconds after which to authenticate again; 0 never.
        session_lifetime_ms: i64 [1..],
    }
}

request!(SaslAuthenticate, SaslAuthenticateRequest => SaslAuthenticateResponse);
