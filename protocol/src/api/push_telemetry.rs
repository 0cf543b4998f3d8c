//! PushTelemetry (72), version 0: a client's metrics (KIP-714).

use bytes::Bytes;

use super::request;
use crate::error_code::ErrorCode;
use crate::ids::Uuid;
use crate::message;

message! {
    /// The metrics.
    pub struct PushTelemetryRequest: 0..=0, flexible 0 {
        /// The id of this instance of the client.
        client_instance_id: Uuid [0..],
        /// The subscription; changes when what is wanted does.
        subscription_id: i32 [0..],
        /// Whether the client is stopping and this is its last push.
        terminating: bool [0..],
        /// The codec of the metrics.
        compression_type: i8 [0..],
        /// The metrics, in OTLP.
        metrics: Bytes [0..],
    }

    /// Whether they were taken.
    pub struct PushTelemetryResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(PushTelemetry, PushTelemetryRequest => PushTelemetryResponse);
