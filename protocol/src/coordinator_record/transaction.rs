//! Records of `__transaction_state`.

use crate::codec::Text;
use crate::ids::{PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use crate::message;

message! {
    /// Key of a transactional id (0).
    pub struct TransactionLogKey: 0..=0, flexible none {
        /// The transactional id.
        transactional_id: Text [0..=0],
    }

    /// The state of a transactional id.
    pub struct TransactionLogValue: 0..=1, flexible 1 {
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The producer id before; −1 none.
        previous_producer_id: ProducerId [1.., tag 0, default ProducerId::NONE],
        /// The producer id that comes next.
        next_producer_id: ProducerId [1.., tag 1, default ProducerId::NONE],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [0..],
        /// The epoch that comes next; −1 none.
        next_producer_epoch: ProducerEpoch [1.., tag 3, default ProducerEpoch::NONE],
        /// Milliseconds after which an open transaction is aborted.
        transaction_timeout_ms: i32 [0..],
        /// The state, by number.
        transaction_status: i8 [0..],
        /// The partitions in the transaction.
        transaction_partitions: Option<Vec<TransactionLogPartitions>> [0.., nullable 0..],
        /// When the state last changed.
        transaction_last_update_timestamp_ms: Timestamp [0..],
        /// When the transaction began.
        transaction_start_timestamp_ms: Timestamp [0..],
        /// The transaction version that the client speaks.
        client_transaction_version: i16 [1.., tag 2],
    }

    /// Partitions of one topic.
    pub struct TransactionLogPartitions {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partition_ids: Vec<PartitionIndex> [0..],
    }
}
