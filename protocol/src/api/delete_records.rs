//! DeleteRecords (21), versions 0–2: moves the start of logs forward (KIP-107).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{Offset, PartitionIndex};
use crate::message;

message! {
    /// Partitions and their new start offsets.
    pub struct DeleteRecordsRequest: 0..=2, flexible 2 {
        /// The topics.
        topics: Vec<DeleteRecordsTopic> [0..],
        /// Milliseconds to wait for the change.
        timeout_ms: i32 [0..],
    }

    /// A topic.
    pub struct DeleteRecordsTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<DeleteRecordsPartition> [0..],
    }

    /// A partition.
    pub struct DeleteRecordsPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// Records before this offset go; −1 all up to the high watermark.
        offset: Offset [0..],
    }

    /// The low watermarks reached.
    pub struct DeleteRecordsResponse: 0..=2, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<DeleteRecordsTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct DeleteRecordsTopicResult {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<DeleteRecordsPartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct DeleteRecordsPartitionResult {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// The smallest log start offset of the replicas.
        low_watermark: Offset [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(DeleteRecords, DeleteRecordsRequest => DeleteRecordsResponse);
