//! AlterUserScramCredentials (51), version 0: sets and removes SCRAM credentials (KIP-554).

use bytes::Bytes;

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The changes.
    pub struct AlterUserScramCredentialsRequest: 0..=0, flexible 0 {
        /// Credentials to remove.
        deletions: Vec<AlterUserScramCredentialsDeletion> [0..],
        /// Credentials to set.
        upsertions: Vec<AlterUserScramCredentialsUpsertion> [0..],
    }

    /// A credential to remove.
    pub struct AlterUserScramCredentialsDeletion {
        /// The name.
        name: Text [0..],
        /// The mechanism.
        mechanism: i8 [0..],
    }

    /// A credential to set.
    pub struct AlterUserScramCredentialsUpsertion {
        /// The name.
        name: Text [0..],
        /// The mechanism.
        mechanism: i8 [0..],
        /// How often the hash is applied.
        iterations: i32 [0..],
        /// The salt.
        salt: Bytes [0..],
        /// The password, salted and hashed.
        salted_password: Bytes [0..],
    }

    /// What became of each user.
    pub struct AlterUserScramCredentialsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// One per user.
        results: Vec<AlterUserScramCredentialsResult> [0..],
    }

    /// One result.
    pub struct AlterUserScramCredentialsResult {
        /// The user.
        user: Text [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(
    AlterUserScramCredentials,
    AlterUserScramCredentialsRequest => AlterUserScramCredentialsResponse
);
