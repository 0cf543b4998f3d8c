//! EndTxn (26), versions 0–5: commits or aborts a transaction.
//!
//! From version 5 on the epoch is raised with every transaction (KIP-890).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{ProducerEpoch, ProducerId};
use crate::message;

message! {
    /// Ends a transaction.
    pub struct EndTxnRequest: 0..=5, flexible 3 {
        /// The transactional id.
        transactional_id: Text [0..],
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [0..],
        /// Whether to commit; else abort.
        committed: bool [0..],
    }

    /// Whether the end was accepted.
    pub struct EndTxnResponse: 0..=5, flexible 3 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The producer's id.
        producer_id: ProducerId [5.., default ProducerId::NONE],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [5.., default ProducerEpoch::NONE],
    }
}

request!(EndTxn, EndTxnRequest => EndTxnResponse);
