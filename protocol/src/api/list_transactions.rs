//! ListTransactions (66), versions 0–2: the transactions that a broker coordinates (KIP-664).
//!
//! Version 1 filters by duration, 2 by a pattern.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::ProducerId;
use crate::message;

message! {
    /// The filters.
    pub struct ListTransactionsRequest: 0..=2, flexible 0 {
        /// Only these states; empty means all.
        state_filters: Vec<Text> [0..],
        /// Only these producer ids; empty means all.
        producer_id_filters: Vec<ProducerId> [0..],
        /// Only transactions open for at least this many milliseconds; −1 all.
        duration_filter: i64 [1.., default -1],
        /// Only transactional ids that match; null or empty means all.
        transactional_id_pattern: Option<Text> [2.., nullable 2..],
    }

    /// The transactions.
    pub struct ListTransactionsResponse: 0..=2, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// Filters that are no states.
        unknown_state_filters: Vec<Text> [0..],
        /// The transactions.
        transaction_states: Vec<ListTransactionsTransaction> [0..],
    }

    /// A transaction.
    pub struct ListTransactionsTransaction {
        /// The transactional id.
        transactional_id: Text [0..],
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The state, by name.
        transaction_state: Text [0..],
    }
}

request!(ListTransactions, ListTransactionsRequest => ListTransactionsResponse);
