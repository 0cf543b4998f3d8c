//! ListConfigResources (74), versions 0–1: the resources that have a configuration.
//!
//! Version 0 knows client metrics only, version 1 every type (KIP-1142).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The types asked for.
    pub struct ListConfigResourcesRequest: 0..=1, flexible 0 {
        /// The types; empty means all.
        resource_types: Vec<i8> [1..],
    }

    /// The resources.
    pub struct ListConfigResourcesResponse: 0..=1, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The resources.
        config_resources: Vec<ListConfigResourcesResource> [0..],
    }

    /// A resource.
    pub struct ListConfigResourcesResource {
        /// The resource's name.
        resource_name: Text [0..],
        /// The resource's type.
        resource_type: i8 [1.., default 16],
    }
}

request!(ListConfigResources, ListConfigResourcesRequest => ListConfigResourcesResponse);
