//! Batches of the metadata log as bytes.
//!
//! Record batches of magic 2 without compression; keys are null; values are framed records. A
//! control batch begins every epoch.

use bytes::Bytes;
use milena_protocol::control_record::LeaderChangeMessage;
use milena_protocol::ids::Timestamp;
use milena_protocol::message::{EncodeError, Message};
use milena_protocol::metadata_record::{MetadataRecord, MetadataRecordError};
use milena_protocol::record::batch::Batch;
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::control::{ControlType, control_batch};
use milena_protocol::record::record::Records;

use crate::quorum::{Append, Content, Voter};

/// Why a batch cannot be read back.
#[derive(Debug)]
pub enum BadBatch {
    /// The batch itself is damaged.
    Damaged(String),
    /// A record in it is not one of ours.
    Record(MetadataRecordError),
}

impl std::fmt::Display for BadBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(reason) => write!(f, "a metadata batch is damaged: {reason}"),
            Self::Record(error) => write!(f, "a metadata record cannot be read: {error}"),
        }
    }
}

impl std::error::Error for BadBatch {}

/// Record values, in the versions that this metadata version writes.
///
/// # Errors
/// When a record holds what its version cannot.
pub fn values(records: &[MetadataRecord]) -> Result<Vec<Bytes>, EncodeError> {
    records.iter().map(|record| record.encode(record.versions().max)).collect()
}

/// The bytes of a batch that the quorum wants appended.
///
/// # Errors
/// When a control record cannot be written: a bug.
pub fn bytes(append: &Append) -> Result<Bytes, EncodeError> {
    let built = match &append.content {
        Content::LeaderChange { leader, voters } => control_batch(
            ControlType::LeaderChange,
            &leader_change(leader, voters)?,
            append.base_offset,
            append.epoch,
            append.timestamp,
        ),
        Content::Records(values) => {
            let options = BatchOptions {
                base_offset: append.base_offset,
                leader_epoch: append.epoch,
                ..Default::default()
            };
            let mut builder = BatchBuilder::new(options);
            for value in values {
                builder.append(append.timestamp, None, Some(value), &[]);
            }
            builder.build()
        }
    };
    built.map_err(|_| EncodeError::TooLong)
}

/// The value of a leader change: `int16` version, then the message.
fn leader_change(leader: &Voter, voters: &[Voter]) -> Result<Vec<u8>, EncodeError> {
    use milena_protocol::control_record::LeaderChangeVoter;
    let listed = |voters: &[Voter]| {
        voters
            .iter()
            .map(|voter| LeaderChangeVoter {
                voter_id: voter.id,
                voter_directory_id: voter.directory_id,
            })
            .collect::<Vec<_>>()
    };
    let message = LeaderChangeMessage {
        version: 0,
        leader_id: leader.id,
        voters: listed(voters),
        granting_voters: listed(std::slice::from_ref(leader)),
    };
    Ok(message.to_bytes(0)?.to_vec())
}

/// The records of a batch; none of a control batch.
///
/// # Errors
/// [`BadBatch`].
pub fn records(batch: &Batch<'_>) -> Result<Vec<MetadataRecord>, BadBatch> {
    batch.verify_crc().map_err(|error| BadBatch::Damaged(error.to_string()))?;
    if batch.attributes().is_control() {
        return Ok(Vec::new());
    }
    Records::new(batch.records_bytes(), batch.record_count())
        .map(|record| {
            let record = record.map_err(|error| BadBatch::Damaged(error.to_string()))?;
            let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
            MetadataRecord::decode(value).map_err(BadBatch::Record)
        })
        .collect()
}

/// A batch of records outside of the log, as snapshots hold them.
///
/// # Errors
/// When a record holds what its version cannot.
pub fn loose(
    records: &[MetadataRecord],
    options: BatchOptions,
    timestamp: Timestamp,
) -> Result<Bytes, EncodeError> {
    let mut builder = BatchBuilder::new(options);
    for value in values(records)? {
        builder.append(timestamp, None, Some(&value), &[]);
    }
    builder.build().map_err(|_| EncodeError::TooLong)
}
