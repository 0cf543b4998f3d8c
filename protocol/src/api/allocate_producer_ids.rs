//! AllocateProducerIds (67), version 0: a broker asks for a block of producer ids (KIP-730).

use super::request;
use crate::error_code::ErrorCode;
use crate::ids::{BrokerEpoch, NodeId, ProducerId};
use crate::message;

message! {
    /// The broker.
    pub struct AllocateProducerIdsRequest: 0..=0, flexible 0 {
        /// The broker.
        broker_id: NodeId [0..],
        /// The broker's epoch.
        broker_epoch: BrokerEpoch [0.., default BrokerEpoch(-1)],
    }

    /// The block.
    pub struct AllocateProducerIdsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The first id of the block.
        producer_id_start: ProducerId [0..],
        /// How many ids the block has.
        producer_id_len: i32 [0..],
    }
}

request!(AllocateProducerIds, AllocateProducerIdsRequest => AllocateProducerIdsResponse);
