//! AlterReplicaLogDirs (34), versions 1–2: moves replicas between the log directories of a broker
//! (KIP-113).

use super::request;
use crate::codec::Text;
use crate::error_code::ErrorCode;
use crate::ids::PartitionIndex;
use crate::message;

message! {
    /// Replicas, by the directory they shall move to.
    pub struct AlterReplicaLogDirsRequest: 1..=2, flexible 2 {
        /// The directories that replicas shall move to.
        dirs: Vec<AlterReplicaLogDirsDirectory> [0..],
    }

    /// A log directory.
    pub struct AlterReplicaLogDirsDirectory {
        /// The directory's absolute path.
        path: Text [0..],
        /// The topics.
        topics: Vec<AlterReplicaLogDirsTopic> [0..],
    }

    /// A topic.
    pub struct AlterReplicaLogDirsTopic {
        /// The name.
        name: Text [0..],
        /// The partitions.
        partitions: Vec<PartitionIndex> [0..],
    }

    /// What became of each replica.
    pub struct AlterReplicaLogDirsResponse: 1..=2, flexible 2 {
        /// Milliseconds the client is held back for.
        throttle_time_ms: i32 [0..],
        /// The results.
        results: Vec<AlterReplicaLogDirsTopicResult> [0..],
    }

    /// A topic in the answer.
    pub struct AlterReplicaLogDirsTopicResult {
        /// The topic's name.
        topic_name: Text [0..],
        /// The partitions.
        partitions: Vec<AlterReplicaLogDirsPartitionResult> [0..],
    }

    /// A partition in the answer.
    pub struct AlterReplicaLogDirsPartitionResult {
        /// The partition.
        partition_index: PartitionIndex [0..],
        /// What went wrong, or none.
        error_code: ErrorCode [0..],
    }
}

request!(AlterReplicaLogDirs, AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse);
