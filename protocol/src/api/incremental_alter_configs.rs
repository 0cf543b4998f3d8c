//! IncrementalAlterConfigs (44), versions 0–1: changes single configuration entries of resources
//! (KIP-339).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The changes.
    pub struct IncrementalAlterConfigsRequest: 0..=1, flexible 1 {
        /// The resources.
        resources: Vec<IncrementalAlterConfigsResource> [0..],
        /// Whether to check only and change nothing.
        validate_only: bool [0..],
    }

    /// A resource.
    pub struct IncrementalAlterConfigsResource {
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The configuration entries.
        configs: Vec<IncrementalAlterConfigsConfig> [0..],
    }

    /// A configuration entry.
    pub struct IncrementalAlterConfigsConfig {
        /// The name.
        name: Text [0..],
        /// 0 set, 1 delete, 2 append, 3 subtract.
        config_operation: i8 [0..],
        /// The value to set, append or subtract.
        value: Option<Text> [0.., nullable 0..],
    }

    /// What became of each resource.
    pub struct IncrementalAlterConfigsResponse: 0..=1, flexible 1 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The topics.
        responses: Vec<IncrementalAlterConfigsResourceResponse> [0..],
    }

    /// A resource in the answer.
    pub struct IncrementalAlterConfigsResourceResponse {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
    }
}

request!(
    IncrementalAlterConfigs,
    IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse
);
