//! AddPartitionsToTxn (24), versions 0–5: adds partitions to a transaction.
//!
//! Version 4 lets a broker ask for many transactions at once (KIP-890).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{PartitionIndex, ProducerEpoch, ProducerId};
use crate::message;

message! {
    /// Partitions that a transaction will write to.
    pub struct AddPartitionsToTxnRequest: 0..=5, flexible 3 {
        /// The transactions.
        transactions: Vec<AddPartitionsToTxnTransaction> [4..],
        /// The transactional id, up to version 3.
        v3_and_below_transactional_id: Text [0..=3],
        /// The producer's id, up to version 3.
        v3_and_below_producer_id: ProducerId [0..=3],
        /// The producer's epoch, up to version 3.
        v3_and_below_producer_epoch: ProducerEpoch [0..=3],
        /// The partitions, up to version 3.
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic> [0..=3],
    }

    /// A transaction.
    pub struct AddPartitionsToTxnTransaction {
        /// The transactional id.
        transactional_id: Text [4..],
        /// The producer's id.
        producer_id: ProducerId [4..],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [4..],
        /// Whether to only ask if the partitions are in the transaction.
        verify_only: bool [4..],
        /// The topics.
        topics: Vec<AddPartitionsToTxnTopic> [4..],
    }

    /// A topic.
    pub struct AddPartitionsToTxnTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// What became of each partition.
    pub struct AddPartitionsToTxnResponse: 0..=5, flexible 3 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [4..],
        /// The transactions, from version 4 on.
        results_by_transaction: Vec<AddPartitionsToTxnResult> [4..],
        /// The topics, up to version 3.
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult> [0..=3],
    }

    /// One result.
    pub struct AddPartitionsToTxnResult {
        /// The transactional id.
        transactional_id: Text [4..],
        /// The topics.
        topic_results: Vec<AddPartitionsToTxnTopicResult> [4..],
    }

    /// A topic in the answer.
    pub struct AddPartitionsToTxnTopicResult {
        /// The name.
        name: Text [0..],
        /// The partitions.
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct AddPartitionsToTxnPartitionResult {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong with the partition, or none.
        partition_error_code: ErrorCode [0..],
    }
}

request!(AddPartitionsToTxn, AddPartitionsToTxnRequest => AddPartitionsToTxnResponse);
