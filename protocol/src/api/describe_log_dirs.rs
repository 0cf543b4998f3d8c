//! DescribeLogDirs (35), versions 1–5: log directories, and what replicas take there.
//!
//! Version 3 brought an error for the whole answer, 4 the sizes of the volume, 5 cordoned
//! directories.

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::PartitionIndex;
use crate::message;

message! {
    /// Asks about log directories.
    pub struct DescribeLogDirsRequest: 1..=5, flexible 2 {
        /// The topics; null means all.
        topics: Option<Vec<DescribeLogDirsRequestTopic>> [0.., nullable 0..],
    }

    /// A topic asked about.
    pub struct DescribeLogDirsRequestTopic {
        /// The topic's name.
        topic: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// The directories.
    pub struct DescribeLogDirsResponse: 1..=5, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [3..],
        /// The results.
        results: Vec<DescribeLogDirsResult> [0..],
    }

    /// A log directory.
    pub struct DescribeLogDirsResult {
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
        /// The path.
        log_dir: Text [0..],
        /// The topics.
        topics: Vec<DescribeLogDirsTopic> [0..],
        /// Bytes of the volume; −1 unknown.
        total_bytes: i64 [4.., default -1],
        /// Bytes of the volume that are free; −1 unknown.
        usable_bytes: i64 [4.., default -1],
        /// Whether it gets no new partitions.
        is_cordoned: bool [5..],
    }

    /// A topic with replicas in the directory.
    pub struct DescribeLogDirsTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<DescribeLogDirsPartition> [0..],
    }

    /// A replica.
    pub struct DescribeLogDirsPartition {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// Bytes of its segments.
        partition_size: i64 [0..],
        /// How many records it is behind.
        offset_lag: i64 [0..],
        /// Whether it is a copy that will replace the current replica.
        is_future_key: bool [0..],
    }
}

request!(DescribeLogDirs, DescribeLogDirsRequest => DescribeLogDirsResponse);
