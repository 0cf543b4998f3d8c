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

/// 3.3-IV3 brought controlled shutdown to registrations.
const IN_CONTROLLED_SHUTDOWN: i16 = 7;
/// 3.4-IV0 brought the mark of a migration to registrations.
const MIGRATION: i16 = 8;
/// 3.7-IV2 brought directory ids (KIP-858).
const DIRECTORIES: i16 = 17;
/// 4.0-IV1 brought eligible leader replicas (KIP-966).
const ELIGIBLE_LEADERS: i16 = 23;
/// 4.3-IV0 brought cordoned directories (KIP-1066).
const CORDONED: i16 = 30;

/// The version in which a record is written at a level of `metadata.version`.
#[must_use]
pub fn record_version(record: &MetadataRecord, level: i16) -> i16 {
    let steps: &[i16] = match record {
        MetadataRecord::RegisterBroker(_) => {
            &[IN_CONTROLLED_SHUTDOWN, MIGRATION, DIRECTORIES, CORDONED]
        }
        MetadataRecord::BrokerRegistrationChange(_) => {
            &[IN_CONTROLLED_SHUTDOWN, DIRECTORIES, CORDONED]
        }
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => {
            &[DIRECTORIES, ELIGIBLE_LEADERS]
        }
        _ => &[],
    };
    steps.iter().filter(|step| level >= **step).count() as i16
}

/// Record values, in the versions of the newest level of `metadata.version`.
///
/// # Errors
/// When a record holds what its version cannot.
pub fn values(records: &[MetadataRecord]) -> Result<Vec<Bytes>, EncodeError> {
    records.iter().map(|record| record.encode(record.versions().max)).collect()
}

/// Record values, in the versions that a level of `metadata.version` writes.
///
/// # Errors
/// When a record holds what its version cannot.
pub fn values_at(records: &[MetadataRecord], level: i16) -> Result<Vec<Bytes>, EncodeError> {
    records.iter().map(|record| record.encode(record_version(record, level))).collect()
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

/// A batch of record values outside of the log, as snapshots hold them.
///
/// # Errors
/// Never: the batch is not compressed.
pub fn loose(
    values: &[Bytes],
    options: BatchOptions,
    timestamp: Timestamp,
) -> Result<Bytes, EncodeError> {
    let mut builder = BatchBuilder::new(options);
    for value in values {
        builder.append(timestamp, None, Some(value), &[]);
    }
    builder.build().map_err(|_| EncodeError::TooLong)
}

/// What the first record of a control batch says; nothing of other batches.
#[must_use]
pub fn control_type(batch: &Batch<'_>) -> Option<ControlType> {
    if !batch.attributes().is_control() {
        return None;
    }
    let mut records = Records::new(batch.records_bytes(), batch.record_count());
    ControlType::from_key(records.next()?.ok()?.key?)
}
