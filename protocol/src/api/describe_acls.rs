//! DescribeAcls (29), versions 1–3: the access control entries that match a filter.
//!
//! Version 1 brought pattern types.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The filter.
    pub struct DescribeAclsRequest: 1..=3, flexible 2 {
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

    /// The entries, by resource.
    pub struct DescribeAclsResponse: 1..=3, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The resources.
        resources: Vec<DescribeAclsResource> [0..],
    }

    /// A resource.
    pub struct DescribeAclsResource {
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The pattern's type: 3 literal, 4 prefixed.
        pattern_type: i8 [1.., default 3],
        /// The entries.
        acls: Vec<DescribeAclsAcl> [0..],
    }

    /// An access control entry.
    pub struct DescribeAclsAcl {
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

request!(DescribeAcls, DescribeAclsRequest => DescribeAclsResponse);
