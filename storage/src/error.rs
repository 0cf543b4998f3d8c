//! What can go wrong, one enum per operation, with the facts in fields. The broker turns them
//! into error codes; nothing here knows about codes except where the record walk found one.

use std::fmt;
use std::io;
use std::path::PathBuf;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

/// The disk refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// No space left. Nothing was changed; the same call may succeed later.
    Full,
    /// Out of descriptors, maps or memory. Nothing was changed; the same call may succeed later.
    Exhausted {
        /// What was being done.
        operation: &'static str,
        /// The system's words.
        reason: String,
    },
    /// A write or sync failed, now or before, so the whole directory is out of service until
    /// the process starts anew.
    Offline {
        /// The first failure.
        reason: String,
    },
    /// The log was deleted meanwhile.
    Deleted,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("no space left on the log directory"),
            Self::Exhausted { operation, reason } => write!(f, "{operation}: {reason}"),
            Self::Offline { reason } => write!(f, "log directory is offline: {reason}"),
            Self::Deleted => f.write_str("the log was deleted"),
        }
    }
}

impl std::error::Error for StorageError {}

/// Why nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Not a record batch, or its checksum does not match.
    Corrupt {
        /// What was wrong.
        reason: String,
    },
    /// The batch is larger than `max.message.bytes`.
    TooLarge {
        /// Its size, header included.
        batch_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The records are larger than a whole segment may be.
    LargerThanSegment {
        /// Their size.
        batch_bytes: usize,
        /// `segment.bytes`.
        segment_bytes: usize,
    },
    /// The batch breaks a rule; nothing of it was stored. The code is the one that Kafka gives
    /// for the broken rule (INVALID_RECORD, INVALID_TIMESTAMP, UNSUPPORTED_COMPRESSION_TYPE…).
    Invalid {
        /// The code to answer with.
        code: ErrorCode,
        /// For people.
        message: String,
        /// Index of each bad record with its message (KIP-467).
        record_errors: Vec<(i32, String)>,
    },
    /// The producer's sequence does not follow its last one.
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// The last sequence known, −1 for none.
        last: Sequence,
        /// The batch's first sequence.
        found: Sequence,
    },
    /// A newer incarnation of the producer has written already.
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// The newest epoch known.
        current: ProducerEpoch,
        /// The batch's epoch.
        found: ProducerEpoch,
    },
    /// A transaction rule is broken: a plain write inside an open transaction.
    InvalidTransactionState {
        /// The producer.
        producer_id: ProducerId,
    },
    /// A marker of an older coordinator.
    TransactionCoordinatorFenced {
        /// The producer.
        producer_id: ProducerId,
    },
    /// Offsets of a follower's batches do not continue the log.
    UnexpectedOffset {
        /// Where the log ends.
        log_end_offset: Offset,
        /// The batch's base offset.
        found: Offset,
    },
    /// An older leader's batch was offered after a newer leader's.
    StaleLeaderEpoch {
        /// The newest epoch in the log.
        latest: LeaderEpoch,
        /// The offered epoch.
        found: LeaderEpoch,
    },
    /// The disk refused.
    Storage(StorageError),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { reason } => write!(f, "corrupt batch: {reason}"),
            Self::TooLarge { batch_bytes, limit_bytes } => {
                write!(f, "a batch of {batch_bytes} bytes, at most {limit_bytes} are allowed")
            }
            Self::LargerThanSegment { batch_bytes, segment_bytes } => {
                write!(f, "records of {batch_bytes} bytes in segments of {segment_bytes}")
            }
            Self::Invalid { code, message, .. } => write!(f, "{code}: {message}"),
            Self::OutOfOrderSequence { producer_id, last, found } => {
                write!(f, "producer {producer_id} sent sequence {found} after {last}")
            }
            Self::InvalidProducerEpoch { producer_id, current, found } => {
                write!(f, "producer {producer_id} of epoch {found} is fenced by {current}")
            }
            Self::InvalidTransactionState { producer_id } => {
                write!(f, "producer {producer_id} has an open transaction")
            }
            Self::TransactionCoordinatorFenced { producer_id } => {
                write!(f, "marker of an older coordinator for producer {producer_id}")
            }
            Self::UnexpectedOffset { log_end_offset, found } => {
                write!(f, "a batch at {found} offered to a log that ends at {log_end_offset}")
            }
            Self::StaleLeaderEpoch { latest, found } => {
                write!(f, "a batch of leader epoch {found} after one of {latest}")
            }
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppendError {}

impl From<StorageError> for AppendError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The offset is below the log's start or above its end.
    OutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// First readable offset.
        log_start_offset: Offset,
        /// One past the last offset.
        log_end_offset: Offset,
    },
    /// The bytes in the file are not what was written. Nothing of them leaves.
    Corrupt {
        /// Base offset of the damaged segment.
        segment: Offset,
        /// Byte in its file.
        position: u64,
    },
    /// The disk refused.
    Storage(StorageError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { offset, log_start_offset, log_end_offset } => {
                write!(f, "offset {offset} is outside of {log_start_offset}..{log_end_offset}")
            }
            Self::Corrupt { segment, position } => {
                write!(f, "segment {segment} is damaged at byte {position}")
            }
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<StorageError> for ReadError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// Why a log was not compacted, or not to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompactError {
    /// The bytes in a segment are not what was written, or cannot be read. Trying again is of no
    /// use.
    Damaged {
        /// Base offset of the damaged segment.
        segment: Offset,
        /// Byte in its file.
        position: u64,
    },
    /// The new segment would be larger than a segment can be. Trying again is of no use.
    TooLarge {
        /// Its base offset.
        segment: Offset,
    },
    /// The log was truncated or its oldest segments went meanwhile; the next pass will do.
    Disturbed,
    /// Whoever paces it said stop.
    Stopped,
    /// The disk refused.
    Storage(StorageError),
}

impl fmt::Display for CompactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { segment, position } => {
                write!(f, "segment {segment} is damaged at byte {position}")
            }
            Self::TooLarge { segment } => {
                write!(f, "segment {segment} would become larger than a segment can be")
            }
            Self::Disturbed => f.write_str("the log was cut meanwhile"),
            Self::Stopped => f.write_str("stopped"),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CompactError {}

impl From<StorageError> for CompactError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub enum OpenDirectoryError {
    /// Another process holds its lock.
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs to another cluster or node.
    Foreign {
        /// The directory.
        path: PathBuf,
        /// `cluster.id` or `node.id`.
        key: &'static str,
        /// What its `meta.properties` says.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// `meta.properties` exists and cannot be understood.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// The system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl fmt::Display for OpenDirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => {
                write!(f, "{} is in use by another process", path.display())
            }
            Self::Foreign { path, key, found, expected } => {
                write!(f, "{} belongs to {key} {found}, not to {expected}", path.display())
            }
            Self::Malformed { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenDirectoryError {}

/// Why a log cannot be opened.
#[derive(Debug)]
pub enum OpenLogError {
    /// It is open already.
    AlreadyOpen,
    /// The directory of that name holds another topic id's log.
    TopicIdMismatch {
        /// The id in `partition.metadata`.
        found: milena_protocol::ids::Uuid,
        /// The id asked for.
        expected: milena_protocol::ids::Uuid,
    },
    /// The directory of that name holds records and does not say of which topic.
    TopicIdMissing {
        /// The id asked for.
        expected: milena_protocol::ids::Uuid,
    },
    /// The topic name cannot be a directory name.
    InvalidName,
    /// A file could not be read; the directory as a whole may be fine.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The disk refused.
    Storage(StorageError),
}

impl fmt::Display for OpenLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyOpen => f.write_str("the log is open already"),
            Self::TopicIdMismatch { found, expected } => {
                write!(f, "the directory holds topic id {found}, not {expected}")
            }
            Self::TopicIdMissing { expected } => {
                write!(f, "the directory has no topic id to tell its records to be {expected}'s")
            }
            Self::InvalidName => f.write_str("the topic name cannot be a directory name"),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenLogError {}

impl From<StorageError> for OpenLogError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}
