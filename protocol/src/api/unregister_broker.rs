//! UnregisterBroker (64), version 0: removes a broker's registration (KIP-631).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::NodeId;
use crate::message;

message! {
    /// The broker.
    pub struct UnregisterBrokerRequest: 0..=0, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
    }

    /// Whether it is gone.
    pub struct UnregisterBrokerResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
    }
}

request!(UnregisterBroker, UnregisterBrokerRequest => UnregisterBrokerResponse);
