//! AlterConfigs (33), versions 0–2: replaces the whole dynamic configuration of resources.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The new configurations.
    pub struct AlterConfigsRequest: 0..=2, flexible 2 {
        /// The resources.
        resources: Vec<AlterConfigsResource> [0..],
        /// Whether to check only and change nothing.
        validate_only: bool [0..],
    }

    /// A resource.
    pub struct AlterConfigsResource {
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The configuration entries.
        configs: Vec<AlterConfigsConfig> [0..],
    }

    /// A configuration entry.
    pub struct AlterConfigsConfig {
        /// The name.
        name: Text [0..],
        /// The value.
        value: Option<Text> [0.., nullable 0..],
    }

    /// What became of each resource.
    pub struct AlterConfigsResponse: 0..=2, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The topics.
        responses: Vec<AlterConfigsResourceResponse> [0..],
    }

    /// A resource in the answer.
    pub struct AlterConfigsResourceResponse {
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

request!(AlterConfigs, AlterConfigsRequest => AlterConfigsResponse);
