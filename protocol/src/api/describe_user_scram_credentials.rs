//! DescribeUserScramCredentials (50), version 0: which SCRAM credentials users have (KIP-554).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The users.
    pub struct DescribeUserScramCredentialsRequest: 0..=0, flexible 0 {
        /// The users; null or empty means all.
        users: Option<Vec<DescribeUserScramCredentialsUser>> [0.., nullable 0..],
    }

    /// A user.
    pub struct DescribeUserScramCredentialsUser {
        /// The name.
        name: Text [0..],
    }

    /// The credentials, without their secrets.
    pub struct DescribeUserScramCredentialsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The results.
        results: Vec<DescribeUserScramCredentialsResult> [0..],
    }

    /// One result.
    pub struct DescribeUserScramCredentialsResult {
        /// The user.
        user: Text [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The user's credentials.
        credential_infos: Vec<DescribeUserScramCredentialsCredential> [0..],
    }

    /// A credential.
    pub struct DescribeUserScramCredentialsCredential {
        /// The mechanism.
        mechanism: i8 [0..],
        /// How often the hash is applied.
        iterations: i32 [0..],
    }
}

request!(
    DescribeUserScramCredentials,
    DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse
);
