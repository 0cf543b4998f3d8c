//! DeleteAcls (31), versions 1–3: deletes the access control entries that match filters.
//!
//! Version 1 brought pattern types.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The filters.
    pub struct DeleteAclsRequest: 1..=3, flexible 2 {
        /// The filters.
        filters: Vec<DeleteAclsFilter> [0..],
    }

    /// What entries must look like.
    pub struct DeleteAclsFilter {
        /// The resource's type: 1 any.
        resource_type_filter: i8 [0..],
        /// The resource's name; null matches any.
        resource_name_filter: Option<Text> [0.., nullable 0..],
        /// The pattern's type: 1 any, 2 whatever matches, 3 literal, 4 prefixed.
        pattern_type_filter: i8 [1.., default 3],
        /// The principal; null matches any.
        principal_filter: Option<Text> [0.., nullable 0..],
        /// The host; null matches any.
        host_filter: Option<Text> [0.., nullable 0..],
        /// The operation.
        operation: i8 [0..],
        /// 2 deny, 3 allow; in filters 1 any.
        permission_type: i8 [0..],
    }

    /// What each filter matched and deleted.
    pub struct DeleteAclsResponse: 1..=3, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// One per filter.
        filter_results: Vec<DeleteAclsFilterResult> [0..],
    }

    /// What a filter matched.
    pub struct DeleteAclsFilterResult {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The entries that were deleted.
        matching_acls: Vec<DeleteAclsMatchingAcl> [0..],
    }

    /// An access control entry.
    pub struct DeleteAclsMatchingAcl {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The pattern's type: 3 literal, 4 prefixed.
        pattern_type: i8 [1.., default 3],
        /// The principal, such as `User:alice`.
        principal: Text [0..],
        /// The host.
        host: Text [0..],
        /// The operation.
        operation: i8 [0..],
        /// 2 deny, 3 allow; in filters 1 any.
        permission_type: i8 [0..],
    }
}

request!(DeleteAcls, DeleteAclsRequest => DeleteAclsResponse);
