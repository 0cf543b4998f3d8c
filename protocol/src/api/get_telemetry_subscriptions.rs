//! GetTelemetrySubscriptions (71), version 0: which metrics the broker wants from a client
//! (KIP-714).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::Uuid;
use crate::message;

message! {
    /// The client.
    pub struct GetTelemetrySubscriptionsRequest: 0..=0, flexible 0 {
        /// The id of this instance of the client.
        client_instance_id: Uuid [0..],
    }

    /// What to push, and how often.
    pub struct GetTelemetrySubscriptionsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The id of this instance of the client.
        client_instance_id: Uuid [0..],
        /// The subscription; changes when what is wanted does.
        subscription_id: i32 [0..],
        /// Codecs that the broker can undo, best first.
        accepted_compression_types: Vec<i8> [0..],
        /// Milliseconds between two pushes.
        push_interval_ms: i32 [0..],
        /// Bytes that one push may have.
        telemetry_max_bytes: i32 [0..],
        /// Whether counters are sent as changes; else as totals.
        delta_temporality: bool [0..],
        /// Prefixes of the names of the metrics wanted; one empty string means all.
        requested_metrics: Vec<Text> [0..],
    }
}

request!(
    GetTelemetrySubscriptions,
    GetTelemetrySubscriptionsRequest => GetTelemetrySubscriptionsResponse
);
