//! Deciding whether a leader may store a batch, and in what form, before it gets an offset.

use std::cell::RefCell;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, Sequence, Timestamp};
use milena_protocol::record::batch::{
    Batch, BatchError, HEADER_BYTES, LENGTH_POSITION, LOG_OVERHEAD_BYTES, MAX_TIMESTAMP_POSITION,
    TimestampType, patch,
};
use milena_protocol::record::compression::{
    Compression, CompressionError, recompress as recompress_records,
};
use milena_protocol::record::control::ControlType;
use milena_protocol::record::outline::{Outline, Outlines};
use milena_protocol::record::record::Records;
use milena_protocol::record::validate::{
    Invalid, MAX_PLAIN_BYTES, Rules, Scratch, Validated, validate,
};

use crate::config::{LogCompression, LogConfig, LogTimestamps, RecordValidation};
use crate::error::AppendError;
use crate::producers::Marker;

thread_local! {
    /// Memory for decompressed records, one per thread instead of one per log.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Who wrote a batch that a leader is asked to append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A producer: everything is checked.
    Client,
    /// A coordinator of this broker, writing its own records or a transaction marker.
    Coordinator,
    /// The coordinator of a transaction whose end raised the epoch, writing its marker (KIP-1228).
    RaisedMarker,
    /// The metadata quorum.
    Controller,
}

/// A batch that may be stored.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// With this header, and its records as they came.
    InPlace {
        /// The header, without offset and epoch yet.
        head: [u8; HEADER_BYTES],
    },
    /// In another form, because a rule of the log demands it.
    Rebuilt {
        /// The whole batch, without offset and epoch yet.
        batch: Vec<u8>,
        /// What it was stamped with.
        log_append_time: Option<Timestamp>,
    },
}

/// A batch that a log takes, in the form in which it takes it.
#[derive(Debug)]
pub struct AdmittedBatch<'a> {
    pub(crate) batch: Batch<'a>,
    pub(crate) admitted: Admitted,
}

impl AdmittedBatch<'_> {
    /// The sequence of its first record; −1 outside of idempotence.
    #[must_use]
    pub fn base_sequence(&self) -> Sequence {
        self.batch.base_sequence()
    }
}

impl From<Invalid> for AppendError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid {
            code: invalid.code,
            message: invalid.message,
            record_errors: invalid.record_errors,
        }
    }
}

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> Self {
        Self::Corrupt { reason: error.to_string() }
    }
}

/// Parses the one batch that a produce request carries for a partition.
pub(crate) fn parse(bytes: &[u8]) -> Result<Batch<'_>, AppendError> {
    let (batch, rest) = Batch::parse(bytes).map_err(|error| match error {
        // Only magic 2 exists any more (KIP-724); the message sets of old are invalid, not torn.
        BatchError::BadMagic(_) => AppendError::Invalid {
            code: ErrorCode::INVALID_RECORD,
            message: error.to_string(),
            record_errors: Vec::new(),
        },
        error => error.into(),
    })?;
    if !rest.is_empty() {
        return Err(AppendError::Invalid {
            code: ErrorCode::INVALID_RECORD,
            message: "a partition's records must be exactly one batch".to_owned(),
            record_errors: Vec::new(),
        });
    }
    Ok(batch)
}

/// The next whole batch of a run, and what follows it; `None` at the end or at a cut batch.
pub(crate) fn next_whole(bytes: &[u8]) -> Result<Option<(Batch<'_>, &[u8])>, AppendError> {
    match Batch::parse(bytes) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(BatchError::Truncated { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Checks a batch against the limits and rules of a log, its checksum and its own claims.
pub(crate) fn admit(
    batch: Batch<'_>,
    config: &LogConfig,
    origin: Origin,
    now: Timestamp,
) -> Result<Admitted, AppendError> {
    check_size(batch.total_bytes(), config, origin)?;
    batch.verify_crc()?;
    if origin != Origin::Client {
        return in_place(&batch);
    }
    let rules = Rules {
        now,
        timestamp_type: match config.timestamp_type {
            LogTimestamps::CreateTime => TimestampType::CreateTime,
            LogTimestamps::LogAppendTime => TimestampType::LogAppendTime,
        },
        before_max_ms: config.timestamp_before_max_ms,
        after_max_ms: config.timestamp_after_max_ms,
        is_compacted: config.cleanup.compact,
        walk_records: config.record_validation == RecordValidation::Records,
    };
    let validated = SCRATCH.with(|scratch| validate(&batch, &rules, &mut scratch.borrow_mut()))?;
    let admitted = reshape(&batch, config, &validated, now)?;
    if let Admitted::Rebuilt { batch, .. } = &admitted {
        check_size(batch.len(), config, origin)?;
    }
    Ok(admitted)
}

fn check_size(batch_bytes: usize, config: &LogConfig, origin: Origin) -> Result<(), AppendError> {
    let limit_bytes = config.max_message_bytes as usize;
    if origin == Origin::Client && batch_bytes > limit_bytes {
        return Err(AppendError::TooLarge { batch_bytes, limit_bytes });
    }
    let segment_bytes = config.segment_bytes as usize;
    if batch_bytes > segment_bytes {
        return Err(AppendError::LargerThanSegment { batch_bytes, segment_bytes });
    }
    Ok(())
}

fn in_place(batch: &Batch<'_>) -> Result<Admitted, AppendError> {
    match batch.bytes().first_chunk() {
        Some(head) => Ok(Admitted::InPlace { head: *head }),
        None => Err(AppendError::Corrupt { reason: "the batch has no header".to_owned() }),
    }
}

/// Gives the batch the form that the log stores: its codec, its stamp, its largest timestamp.
fn reshape(
    batch: &Batch<'_>,
    config: &LogConfig,
    validated: &Validated,
    now: Timestamp,
) -> Result<Admitted, AppendError> {
    let stamps = config.timestamp_type == LogTimestamps::LogAppendTime;
    let source = batch.attributes().codec().unwrap_or_default();
    let (target, level) = match config.compression {
        LogCompression::Producer => (source, None),
        LogCompression::Fixed(target, level) => (target, level),
    };
    if target == source && !stamps && validated.header_timestamp_matches {
        return in_place(batch);
    }
    let mut bytes = if target == source {
        batch.bytes().to_vec()
    } else {
        recompress(batch, config, source, (target, level))?
    };
    let (kind, max_timestamp) = if stamps {
        (TimestampType::LogAppendTime, now)
    } else {
        (TimestampType::CreateTime, validated.max_timestamp)
    };
    let attributes = batch.attributes().with_codec(target).with_timestamp_type(kind);
    patch::stamp(&mut bytes, attributes, max_timestamp);
    Ok(Admitted::Rebuilt { batch: bytes, log_append_time: stamps.then_some(now) })
}

fn recompress(
    batch: &Batch<'_>,
    config: &LogConfig,
    source: Compression,
    target: (Compression, Option<i32>),
) -> Result<Vec<u8>, AppendError> {
    let limit_bytes = (config.max_message_bytes as usize).saturating_sub(HEADER_BYTES);
    let (plain, records) = (MAX_PLAIN_BYTES, batch.records_bytes());
    let changed = recompress_records(source, records, plain, target, limit_bytes);
    let records = changed.map_err(|error| match error {
        // How large it would become in the end was not waited for.
        CompressionError::TooLarge { limit_bytes: limit } if limit == limit_bytes => {
            let limit_bytes = config.max_message_bytes as usize;
            AppendError::TooLarge { batch_bytes: limit_bytes + 1, limit_bytes }
        }
        error => AppendError::Corrupt { reason: error.to_string() },
    })?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len());
    bytes.extend_from_slice(batch.bytes().get(..HEADER_BYTES).unwrap_or_default());
    bytes.extend_from_slice(&records);
    let length = i32::try_from(bytes.len() - LOG_OVERHEAD_BYTES)
        .expect("max.message.bytes, which bounds it, has 32 bits");
    if let Some(field) = bytes.get_mut(LENGTH_POSITION..LENGTH_POSITION + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    Ok(bytes)
}

/// The largest timestamp in a header that was patched.
pub(crate) fn max_timestamp(head: &[u8]) -> Timestamp {
    let field = head.get(MAX_TIMESTAMP_POSITION..).and_then(<[u8]>::first_chunk);
    Timestamp(field.map_or(-1, |bytes| i64::from_be_bytes(*bytes)))
}

/// The transaction marker that a control batch is, and whether it aborts.
pub(crate) fn marker(batch: &Batch<'_>, base_offset: Offset) -> Option<(Marker, bool)> {
    if !batch.attributes().is_control() || batch.producer_id().0 < 0 {
        return None;
    }
    let record = Records::new(batch.records_bytes(), 1).next()?.ok()?;
    let aborts = match ControlType::from_key(record.key?)? {
        ControlType::Abort => true,
        ControlType::Commit => false,
        _ => return None,
    };
    let (_, value) = record.value?.split_first_chunk::<2>()?;
    let coordinator_epoch = i32::from_be_bytes(*value.first_chunk::<4>()?);
    let marker = Marker {
        producer_id: batch.producer_id(),
        producer_epoch: batch.producer_epoch(),
        coordinator_epoch,
        offset: base_offset.plus(i64::from(batch.last_offset_delta())),
        timestamp: batch.max_timestamp(),
    };
    Some((marker, aborts))
}

/// The first record of a stored batch for which `wanted` has an answer. A batch that cannot be
/// read has none.
pub(crate) fn first_record<T>(
    batch: &Batch<'_>,
    wanted: impl FnMut(&Outline) -> Option<T>,
) -> Option<T> {
    batch.attributes().codec()?;
    SCRATCH.with(|scratch| {
        let mut scratch = scratch.borrow_mut();
        let outlines = Outlines::of(batch, MAX_PLAIN_BYTES, &mut scratch).ok()?;
        let mut wanted = wanted;
        outlines.map_while(Result::ok).find_map(|outline| wanted(&outline))
    })
}
