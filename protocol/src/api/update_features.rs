//! UpdateFeatures (57), versions 0–2: changes the levels of cluster features (KIP-584).
//!
//! Version 1 can validate only, 2 answers one error for all.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::message;

message! {
    /// The new levels.
    pub struct UpdateFeaturesRequest: 0..=2, flexible 0 {
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0.., default 60_000],
        /// The new levels.
        feature_updates: Vec<UpdateFeaturesUpdate> [0..],
        /// Whether to check only and change nothing.
        validate_only: bool [1..],
    }

    /// The new level of a feature.
    pub struct UpdateFeaturesUpdate {
        /// The feature.
        feature: Text [0..],
        /// The highest level.
        max_version_level: i16 [0..],
        /// Whether the level may fall; only version 0 says it so.
        allow_downgrade: bool [0..=0],
        /// 1 raise only, 2 lower if nothing is lost, 3 lower even so.
        upgrade_type: i8 [1.., default 1],
    }

    /// What became of them.
    pub struct UpdateFeaturesResponse: 0..=2, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The results.
        results: Vec<UpdateFeaturesResult> [0..=1],
    }

    /// One result.
    pub struct UpdateFeaturesResult {
        /// The feature.
        feature: Text [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(UpdateFeatures, UpdateFeaturesRequest => UpdateFeaturesResponse);
