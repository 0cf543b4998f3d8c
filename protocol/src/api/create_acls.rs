//! CreateAcls (30), versions 1–3: creates access control entries.
//!
//! Version 1 brought pattern types.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// Entries to create.
    pub struct CreateAclsRequest: 1..=3, flexible 2 {
        /// The entries to create.
        creations: Vec<CreateAclsCreation> [0..],
    }

    /// An access control entry.
    pub struct CreateAclsCreation {
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The pattern's type: 3 literal, 4 prefixed.
        resource_pattern_type: i8 [1.., default 3],
        /// The principal, such as `User:alice`.
        principal: Text [0..],
        /// The host.
        host: Text [0..],
        /// The operation.
        operation: i8 [0..],
        /// 2 deny, 3 allow; in filters 1 any.
        permission_type: i8 [0..],
    }

    /// What became of each entry.
    pub struct CreateAclsResponse: 1..=3, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<CreateAclsResult> [0..],
    }

    /// One result.
    pub struct CreateAclsResult {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(CreateAcls, CreateAclsRequest => CreateAclsResponse);
