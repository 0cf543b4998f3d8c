//! WriteTxnMarkers (27), versions 1–2: writes the markers that end transactions in partitions'
//! logs.
//!
//! Version 2 says which transaction version is in force.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{PartitionIndex, ProducerEpoch, ProducerId};
use crate::message;

message! {
    /// Markers to write.
    pub struct WriteTxnMarkersRequest: 1..=2, flexible 1 {
        /// The markers.
        markers: Vec<WriteTxnMarkersMarker> [0..],
    }

    /// The end of one transaction.
    pub struct WriteTxnMarkersMarker {
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The producer's epoch.
        producer_epoch: ProducerEpoch [0..],
        /// Whether it commits; else it aborts.
        transaction_result: bool [0..],
        /// The topics.
        topics: Vec<WriteTxnMarkersTopic> [0..],
        /// The epoch of the coordinator that wrote it.
        coordinator_epoch: i32 [0..],
        /// The transaction version in force.
        transaction_version: i8 [2..],
    }

    /// A topic.
    pub struct WriteTxnMarkersTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partition_indexes: Vec<PartitionIndex> [0..],
    }

    /// What became of each marker.
    pub struct WriteTxnMarkersResponse: 1..=2, flexible 1 {
        /// The markers.
        markers: Vec<WriteTxnMarkersMarkerResult> [0..],
    }

    /// A marker in the answer.
    pub struct WriteTxnMarkersMarkerResult {
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The topics.
        topics: Vec<WriteTxnMarkersTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct WriteTxnMarkersTopicResult {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<WriteTxnMarkersPartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct WriteTxnMarkersPartitionResult {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(WriteTxnMarkers, WriteTxnMarkersRequest => WriteTxnMarkersResponse);
