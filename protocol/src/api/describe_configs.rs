//! DescribeConfigs (32), versions 1–4: the configuration of topics, brokers and other resources.
//!
//! Version 1 brought synonyms, 3 types and documentation.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// Asks for configurations.
    pub struct DescribeConfigsRequest: 1..=4, flexible 4 {
        /// The resources.
        resources: Vec<DescribeConfigsResource> [0..],
        /// Whether to answer the other places a value can come from.
        include_synonyms: bool [1..],
        /// Whether to answer documentation.
        include_documentation: bool [3..],
    }

    /// A resource.
    pub struct DescribeConfigsResource {
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The names asked for; null means all.
        configuration_keys: Option<Vec<Text>> [0.., nullable 0..],
    }

    /// The configurations.
    pub struct DescribeConfigsResponse: 1..=4, flexible 4 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<DescribeConfigsResult> [0..],
    }

    /// A resource and its configuration.
    pub struct DescribeConfigsResult {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The resource's type.
        resource_type: i8 [0..],
        /// The resource's name.
        resource_name: Text [0..],
        /// The configuration entries.
        configs: Vec<DescribeConfigsConfig> [0..],
    }

    /// A configuration entry.
    pub struct DescribeConfigsConfig {
        /// The name.
        name: Text [0..],
        /// The value; null for a secret.
        value: Option<Text> [0.., nullable 0..],
        /// Whether it cannot be changed while running.
        read_only: bool [0..],
        /// Where the value comes from.
        config_source: i8 [1.., default -1],
        /// Whether the value is a secret, and so left out.
        is_sensitive: bool [0..],
        /// The places the value can come from, the deciding one first.
        synonyms: Vec<DescribeConfigsSynonym> [1..],
        /// The type of the value.
        config_type: i8 [3..],
        /// What the entry is for, in words.
        documentation: Option<Text> [3.., nullable 0..],
    }

    /// A place that the value could come from.
    pub struct DescribeConfigsSynonym {
        /// The name.
        name: Text [1..],
        /// The value; null for a secret.
        value: Option<Text> [1.., nullable 0..],
        /// Where the value comes from.
        source: i8 [1..],
    }
}

request!(DescribeConfigs, DescribeConfigsRequest => DescribeConfigsResponse);
