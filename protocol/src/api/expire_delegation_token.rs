//! ExpireDelegationToken (40), versions 1–2: changes when a delegation token expires.

use bytes::Bytes;

use super::request;
use crate::error_code::ErrorCode;
use crate::ids::Timestamp;
use crate::message;

message! {
    /// The token.
    pub struct ExpireDelegationTokenRequest: 1..=2, flexible 2 {
        /// The secret that proves the token.
        hmac: Bytes [0..],
        /// Milliseconds until it expires; negative now.
        expiry_time_period_ms: i64 [0..],
    }

    /// Its new expiry.
    pub struct ExpireDelegationTokenResponse: 1..=2, flexible 2 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// When it expires unless renewed.
        expiry_timestamp_ms: Timestamp [0..],
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
    }
}

request!(ExpireDelegationToken, ExpireDelegationTokenRequest => ExpireDelegationTokenResponse);
