//! DescribeDelegationToken (41), versions 1–3: the delegation tokens of some owners.
//!
//! Version 3 also answers who asked for the token.

use bytes::Bytes;

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::Timestamp;
use crate::message;

message! {
    /// The owners.
    pub struct DescribeDelegationTokenRequest: 1..=3, flexible 2 {
        /// The owners; null means all.
        owners: Option<Vec<DescribeDelegationTokenOwner>> [0.., nullable 0..],
    }

    /// A principal that owns tokens.
    pub struct DescribeDelegationTokenOwner {
        /// The principal's type, such as `User`.
        principal_type: Text [0..],
        /// The principal's name.
        principal_name: Text [0..],
    }

    /// The tokens.
    pub struct DescribeDelegationTokenResponse: 1..=3, flexible 2 {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The tokens.
        tokens: Vec<DescribeDelegationTokenToken> [0..],
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
    }

    /// A delegation token.
    pub struct DescribeDelegationTokenToken {
        /// The principal's type, such as `User`.
        principal_type: Text [0..],
        /// The principal's name.
        principal_name: Text [0..],
        /// The type of who asked for the token.
        token_requester_principal_type: Text [3..],
        /// The name of who asked for the token.
        token_requester_principal_name: Text [3..],
        /// When it was created.
        issue_timestamp: Timestamp [0..],
        /// When it expires unless renewed.
        expiry_timestamp: Timestamp [0..],
        /// When it expires at the latest.
        max_timestamp: Timestamp [0..],
        /// The token's id.
        token_id: Text [0..],
        /// The secret that proves the token.
        hmac: Bytes [0..],
        /// Who may renew it besides the owner.
        renewers: Vec<DescribeDelegationTokenRenewer> [0..],
    }

    /// A principal that may renew.
    pub struct DescribeDelegationTokenRenewer {
        /// The principal's type, such as `User`.
        principal_type: Text [0..],
        /// The principal's name.
        principal_name: Text [0..],
    }
}

request!(
    DescribeDelegationToken,
    DescribeDelegationTokenRequest => DescribeDelegationTokenResponse
);
