//! RenewDelegationToken (39), versions 1–2: prolongs a delegation token.

use bytes::Bytes;

use super::request;
use crate::error_code::ErrorCode;
use crate::ids::Timestamp;
use crate::message;

message! {
    /// The token.
    pub struct RenewDelegationTokenRequest: 1..=2, flexible 2 {
        /// The secret that proves the token.
        hmac: Bytes [0..],
        /// Milliseconds to prolong by; −1 the broker's default.
        renew_period_ms: i64 [0..],
    }

    /// Its new expiry.
    pub struct RenewDelegationTokenResponse: 1..=2, flexible 2 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// When it expires unless renewed.
        expiry_timestamp_ms: Timestamp [0..],
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
    }
}

request!(RenewDelegationToken, RenewDelegationTokenRequest => RenewDelegationTokenResponse);
