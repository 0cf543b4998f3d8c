//! FindCoordinator (10), versions 0–6: which broker coordinates a group, a transactional id or a
//! share partition.
//!
//! Version 1 brought the kind of key, 4 several keys at once, 6 share partitions.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::NodeId;
use crate::message;

message! {
    /// Asks who coordinates.
    pub struct FindCoordinatorRequest: 0..=6, flexible 3 {
        /// The key.
        key: Text [0..=3],
        /// 0 group, 1 transaction, 2 share partition.
        key_type: i8 [1..],
        /// The keys whose coordinators are asked for.
        coordinator_keys: Vec<Text> [4..],
    }

    /// The coordinators.
    pub struct FindCoordinatorResponse: 0..=6, flexible 3 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [1..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..=3],
        /// The error in words; null when there is none.
        error_message: Option<Text> [1..=3, nullable 1..=3],
        /// The node.
        node_id: NodeId [0..=3],
        /// The host.
        host: Text [0..=3],
        /// The port.
        port: i32 [0..=3],
        /// One per key.
        coordinators: Vec<FindCoordinatorCoordinator> [4..],
    }

    /// A coordinator.
    pub struct FindCoordinatorCoordinator {
        /// The key.
        key: Text [4..],
        /// The node.
        node_id: NodeId [4..],
        /// The host.
        host: Text [4..],
        /// The port.
        port: i32 [4..],
        /// What went wrong, or none.
        error_code: ErrorCode [4..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [4.., nullable 4..],
    }
}

request!(FindCoordinator, FindCoordinatorRequest => FindCoordinatorResponse);
