//! CreateDelegationToken (38), versions 1–3: creates a delegation token (KIP-48).
//!
//! Version 3 may create it for another owner.

use bytes::Bytes;

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::Timestamp;
use crate::message;

message! {
    /// Who may own and renew the token.
    pub struct CreateDelegationTokenRequest: 1..=3, flexible 2 {
        /// The owner's type; null for the caller.
        owner_principal_type: Option<Text> [3.., nullable 3..],
        /// The owner's name; null for the caller.
        owner_principal_name: Option<Text> [3.., nullable 3..],
        /// Who may renew it besides the owner.
        renewers: Vec<CreateDelegationTokenRenewer> [0..],
        /// Milliseconds the token may live at most; −1 the broker's limit.
        max_lifetime_ms: i64 [0..],
    }

    /// A principal that may renew.
    pub struct CreateDelegationTokenRenewer {
        /// The principal's type, such as `User`.
        principal_type: Text [0..],
        /// The principal's name.
        principal_name: Text [0..],
    }

    /// The token.
    pub struct CreateDelegationTokenResponse: 1..=3, flexible 2 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The principal's type, such as `User`.
        principal_type: Text [0..],
        /// The principal's name.
        principal_name: Text [0..],
        /// The type of who asked for the token.
        token_requester_principal_type: Text [3..],
        /// The name of who asked for the token.
        token_requester_principal_name: Text [3..],
        /// When it was created.
        issue_timestamp_ms: Timestamp [0..],
        /// When it expires unless renewed.
        expiry_timestamp_ms: Timestamp [0..],
        /// When it expires at the latest.
        max_timestamp_ms: Timestamp [0..],
        /// The token's id.
        token_id: Text [0..],
        /// The secret that proves the token.
        hmac: Bytes [0..],
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
    }
}

request!(CreateDelegationToken, CreateDelegationTokenRequest => CreateDelegationTokenResponse);
