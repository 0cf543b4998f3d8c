//! Records that bracket several batches into one atomic change (KIP-868).

use crate::codec::Text;
use crate::message;

message! {
    /// The records that follow count only when the transaction ends.
    pub struct BeginTransactionRecord: 0..=0, flexible 0 {
        /// The name.
        name: Option<Text> [0.., nullable 0.., tag 0],
    }

    /// The records since the begin of the transaction count.
    pub struct EndTransactionRecord: 0..=0, flexible 0 {}

    /// The records since the begin of the transaction do not count.
    pub struct AbortTransactionRecord: 0..=0, flexible 0 {
        /// Why, in words.
        reason: Option<Text> [0.., nullable 0.., tag 0],
    }
}
