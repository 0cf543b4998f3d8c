//! InitProducerId (22), versions 0–6: a producer id and epoch, for idempotence or transactions.
//!
//! Version 3 lets a producer go on with its id, 6 prepares two-phase commit.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{ProducerEpoch, ProducerId};
use crate::message;

message! {
    /// Asks for a producer id.
    pub struct InitProducerIdRequest: 0..=6, flexible 2 {
        /// The transactional id.
        transactional_id: Option<Text> [0.., nullable 0..],
        /// Milliseconds after which an open transaction is aborted.
        transaction_timeout_ms: i32 [0..],
        /// The producer's id.
        producer_id: ProducerId [3.., default ProducerId::NONE],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [3.., default ProducerEpoch::NONE],
        /// Whether the transaction is prepared by an outside coordinator (KIP-939).
        enable_2pc: bool [6..],
        /// Whether a prepared transaction stays open (KIP-939).
        keep_prepared_txn: bool [6..],
    }

    /// The producer id and its epoch.
    pub struct InitProducerIdResponse: 0..=6, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The producer's id.
        producer_id: ProducerId [0.., default ProducerId::NONE],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [0..],
        /// The producer id of a prepared transaction; −1 none.
        ongoing_txn_producer_id: ProducerId [6.., default ProducerId::NONE],
        /// The epoch of a prepared transaction; −1 none.
        ongoing_txn_producer_epoch: ProducerEpoch [6.., default ProducerEpoch::NONE],
    }
}

request!(InitProducerId, InitProducerIdRequest => InitProducerIdResponse);
