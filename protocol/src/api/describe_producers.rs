//! DescribeProducers (61), version 0: the producers that a partition knows (KIP-664).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::{Offset, PartitionIndex, ProducerId, Sequence, Timestamp};
use crate::message;

message! {
    /// The partitions.
    pub struct DescribeProducersRequest: 0..=0, flexible 0 {
        /// The topics.
        topics: Vec<DescribeProducersTopicRequest> [0..],
    }

    /// A topic asked about.
    pub struct DescribeProducersTopicRequest {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partition_indexes: Vec<PartitionIndex> [0..],
    }

    /// Their producers.
    pub struct DescribeProducersResponse: 0..=0, flexible 0 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The topics.
        topics: Vec<DescribeProducersTopicResponse> [0..],
    }

    /// A topic in the answer.
    pub struct DescribeProducersTopicResponse {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<DescribeProducersPartitionResponse> [0..],
    }

    /// A partition in the answer.
    pub struct DescribeProducersPartitionResponse {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The error in words; null when there is none.
        error_message: Option<Text> [0.., nullable 0..],
        /// The producers.
        active_producers: Vec<DescribeProducersProducer> [0..],
    }

    /// A producer.
    pub struct DescribeProducersProducer {
        /// The producer's id.
        producer_id: ProducerId [0..],
        /// The producer's epoch.
        producer_epoch: i32 [0..],
        /// The sequence of its last record; −1 none.
        last_sequence: Sequence [0.., default Sequence::NONE],
        /// The time of its last batch; −1 none.
        last_timestamp: Timestamp [0.., default Timestamp::NONE],
        /// The epoch of the coordinator that wrote it.
        coordinator_epoch: i32 [0..],
        /// Where the open transaction began; −1 none is open.
        current_txn_start_offset: Offset [0.., default Offset::NONE],
    }
}

request!(DescribeProducers, DescribeProducersRequest => DescribeProducersResponse);
