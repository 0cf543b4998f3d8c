//! DescribeTransactions (65), version 0: the state of transactions (KIP-664).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use crate::message;

message! {
    /// The transactional ids.
    pub struct DescribeTransactionsRequest: 0..=0, flexible 0 {
        /// The transactional ids.
        transactional_ids: Vec<Text> [0..],
    }

    /// Their transactions.
    pub struct DescribeTransactionsResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The transactions.
        transaction_states: Vec<DescribeTransactionsTransaction> [0..],
    }

    /// A transaction.
    pub struct DescribeTransactionsTransaction {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The transactional id.
        transactional_id: Text [0..],
        /// The state, by name.
        transaction_state: Text [0..],
        /// Milliseconds after which an open transaction is aborted.
        transaction_timeout_ms: i32 [0..],
        /// When the transaction began; −1 none.
        transaction_start_time_ms: Timestamp [0..],
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [0..],
        /// The topics.
        topics: Vec<DescribeTransactionsTopic> [0..],
    }

    /// A topic.
    pub struct DescribeTransactionsTopic {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }
}

request!(DescribeTransactions, DescribeTransactionsRequest => DescribeTransactionsResponse);
