//! Operating errors of the log as error codes of the protocol. The only such place.

use milena_protocol::error_code::ErrorCode;
use milena_storage::{AppendError, ReadError, StorageError};

use crate::replicas::partition::ProduceError;

/// What a refused append is answered.
#[derive(Debug)]
pub struct AppendFault {
    /// For the partition.
    pub code: ErrorCode,
    /// For people, from Produce version 8 on.
    pub message: Option<String>,
    /// The bad records of the batch (KIP-467).
    pub records: Vec<(i32, Option<String>)>,
}

/// A refused append as its answer.
#[must_use]
pub fn append_fault(error: &AppendError) -> AppendFault {
    let code = match error {
        AppendError::Corrupt { .. } => ErrorCode::CORRUPT_MESSAGE,
        AppendError::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        AppendError::LargerThanSegment { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
        AppendError::Invalid { code, .. } => *code,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
        AppendError::InvalidTransactionState { .. } => ErrorCode::INVALID_TXN_STATE,
        AppendError::TransactionCoordinatorFenced { .. } => {
            ErrorCode::TRANSACTION_COORDINATOR_FENCED
        }
        AppendError::UnexpectedOffset { .. } | AppendError::StaleLeaderEpoch { .. } => {
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        AppendError::Storage(error) => storage_code(error),
    };
    let records = match error {
        AppendError::Invalid { record_errors, .. } => {
            record_errors.iter().map(|(index, message)| (*index, Some(message.clone()))).collect()
        }
        _ => Vec::new(),
    };
    AppendFault { code, message: Some(error.to_string()), records }
}

/// A refused append of this broker's own as its code.
#[must_use]
pub fn produce_code(error: &ProduceError) -> ErrorCode {
    match error {
        ProduceError::Refused(code) => *code,
        ProduceError::Append(error) => append_fault(error).code,
    }
}

/// Why a coordinator could not append, as its clients are told (fact O10).
#[must_use]
pub fn coordinator_code(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => {
            ErrorCode::NOT_COORDINATOR
        }
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        code => code,
    }
}

/// A refused read as its code.
#[must_use]
pub fn read_code(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::Corrupt { .. } => ErrorCode::CORRUPT_MESSAGE,
        ReadError::Storage(error) => storage_code(error),
    }
}

/// What the disk's refusal is answered. All of them are retriable: a full disk heals by itself,
/// and another replica may lead after a failed one.
#[must_use]
pub fn storage_code(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::Full | StorageError::Exhausted { .. } | StorageError::Offline { .. } => {
            ErrorCode::KAFKA_STORAGE_ERROR
        }
        StorageError::Deleted => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    }
}
