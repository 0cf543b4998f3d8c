//! ApiVersions (18), versions 0–4: what the broker serves, asked first by every client.
//!
//! Version 3 adds the client's name and the features; version 4 lets a feature's minimum be 0.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// Asks which APIs and versions the broker serves.
    pub struct ApiVersionsRequest: 0..=4, flexible 3 {
        /// The client's software, such as `apache-kafka-java`.
        client_software_name: Text [3..],
        /// Its version.
        client_software_version: Text [3..],
    }

    /// The APIs, the features that could be used and those that are in use.
    pub struct ApiVersionsResponse: 0..=4, flexible 3 {
        /// UNSUPPORTED_VERSION, INVALID_REQUEST or none.
        error_code: ErrorCode [0..],
        /// Every API that this listener serves.
        api_keys: Vec<ApiVersion> [0..],
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// Features that the broker could run at some level.
        supported_features: Vec<SupportedFeature> [3.., tag 0],
        /// The metadata offset at which the finalized features were read; −1 unknown.
        finalized_features_epoch: i64 [3.., tag 1, default -1],
        /// Features in use in the whole cluster.
        finalized_features: Vec<FinalizedFeature> [3.., tag 2],
        /// Whether a migration from ZooKeeper may go on; never here.
        zk_migration_ready: bool [3.., tag 3],
    }

    /// The versions of one API.
    pub struct ApiVersion {
        /// Its key.
        api_key: i16 [0..],
        /// The lowest version.
        min_version: i16 [0..],
        /// The highest version.
        max_version: i16 [0..],
    }

    /// The levels of one feature that the broker could run at.
    pub struct SupportedFeature {
        /// Its name, such as `metadata.version`.
        name: Text [3..],
        /// The lowest level.
        min_version: i16 [3..],
        /// The highest level.
        max_version: i16 [3..],
    }

    /// The level of one feature in the cluster.
    pub struct FinalizedFeature {
        /// Its name.
        name: Text [3..],
        /// The highest level in use.
        max_version_level: i16 [3..],
        /// The lowest level in use.
        min_version_level: i16 [3..],
    }
}

request!(ApiVersions, ApiVersionsRequest => ApiVersionsResponse);
