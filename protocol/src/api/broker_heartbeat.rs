//! BrokerHeartbeat (63), versions 0–2: a broker tells the controller that it lives (KIP-631).
//!
//! Version 1 brought offline log directories, 2 cordoned ones.

use super::request;
use crate::error_code::ErrorCode;
use crate::ids::{BrokerEpoch, NodeId, Offset, Uuid};
use crate::message;

message! {
    /// A sign of life.
    pub struct BrokerHeartbeatRequest: 0..=2, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0.., default BrokerEpoch(-1)],
        /// How far the broker has applied the metadata log.
        current_metadata_offset: Offset [0..],
        /// Whether the broker asks to be fenced.
        want_fence: bool [0..],
        /// Whether the broker asks to stop.
        want_shut_down: bool [0..],
        /// Directories that failed.
        offline_log_dirs: Vec<Uuid> [1.., tag 0],
        /// Directories that shall get no new partitions.
        cordoned_log_dirs: Option<Vec<Uuid>> [2.., nullable 2.., tag 1],
    }

    /// What the controller thinks of the broker.
    pub struct BrokerHeartbeatResponse: 0..=2, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// Whether the broker has applied enough of the metadata log.
        is_caught_up: bool [0..],
        /// Whether the broker is fenced.
        is_fenced: bool [0.., default true],
        /// Whether the broker may stop now.
        should_shut_down: bool [0..],
    }
}

request!(BrokerHeartbeat, BrokerHeartbeatRequest => BrokerHeartbeatResponse);
