//! InitProducerId (22), versions 0–5: a producer id and epoch, for idempotence or transactions.
//!
//! Version 3 lets a producer go on with its id, 4 answers PRODUCER_FENCED. Version 6, two-phase
//! commit (KIP-939), is unfinished in Kafka and not declared.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{ProducerEpoch, ProducerId};
use crate::message;

message! {
    /// Asks for a producer id.
    pub struct InitProducerIdRequest: 0..=5, flexible 2 {
        /// The transactional id.
        transactional_id: Option<Text> [0.., nullable 0..],
        /// Milliseconds after which an open transaction is aborted.
        transaction_timeout_ms: i32 [0..],
        /// The producer's id.
        producer_id: ProducerId [3.., default ProducerId::NONE],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [3.., default ProducerEpoch::NONE],
    }

    /// The producer id and its epoch.
    pub struct InitProducerIdResponse: 0..=5, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The producer's id.
        producer_id: ProducerId [0.., default ProducerId::NONE],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [0..],
    }
}

request!(InitProducerId, InitProducerIdRequest => InitProducerIdResponse);
