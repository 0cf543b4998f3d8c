//! AddOffsetsToTxn (25), versions 0–4: adds a group's offsets to a transaction.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{ProducerEpoch, ProducerId};
use crate::message;

message! {
    /// The group whose offsets will be committed.
    pub struct AddOffsetsToTxnRequest: 0..=4, flexible 3 {
        /// The transactional id.
        transactional_id: Text [0..],
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [0..],
        /// The group.
        group_id: Text [0..],
    }

    /// Whether the group was added.
    pub struct AddOffsetsToTxnResponse: 0..=4, flexible 3 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(AddOffsetsToTxn, AddOffsetsToTxnRequest => AddOffsetsToTxnResponse);
