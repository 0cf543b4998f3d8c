//! Batches of the metadata log as bytes.
//!
//! Record batches of magic 2 without compression; keys are null; values are framed records. A
//! control batch begins every epoch.

use bytes::Bytes;
use milena_protocol::control_record::{
    KRaftVersionRecord, LeaderChangeMessage, LeaderChangeVoter, VotersEndpoint,
    VotersKRaftVersionFeature, VotersRecord, VotersVoter,
};
use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::message::{EncodeError, Message};
use milena_protocol::metadata_record::{MetadataRecord, MetadataRecordError};
use milena_protocol::record::batch::Batch;
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::control::{ControlType, control_batch};
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;

use crate::quorum::{self, Append, Content, Control, Endpoint, ReplicaKey, Voter, VoterSet};

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
/// 3.7-IV0 brought the registration of controllers (KIP-919).
pub const CONTROLLER_REGISTRATION: i16 = 15;
/// 3.7-IV2 brought directory ids (KIP-858).
pub const DIRECTORIES: i16 = 17;
/// 4.0-IV1 brought eligible leader replicas (KIP-966).
const ELIGIBLE_LEADERS: i16 = 23;
/// 4.3-IV0 brought cordoned directories (KIP-1066).
pub const CORDONED: i16 = 30;

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
    let control = |kind: ControlType, value: &[u8]| {
        control_batch(kind, value, append.base_offset, append.epoch, append.timestamp)
    };
    let built = match &append.content {
        Content::LeaderChange { leader, voters, granting, kraft_version } => {
            let version = i16::from(*kraft_version > 0);
            let message = LeaderChangeMessage {
                version,
                leader_id: leader.id,
                voters: voters.iter().map(change_voter).collect(),
                granting_voters: granting.iter().map(change_voter).collect(),
            };
            control(ControlType::LeaderChange, &message.to_bytes(version)?)
        }
        Content::Membership(membership) => {
            let options = BatchOptions {
                base_offset: append.base_offset,
                leader_epoch: append.epoch,
                is_control: true,
                ..Default::default()
            };
            let mut builder = BatchBuilder::new(options);
            for (kind, value) in [
                (ControlType::KraftVersion, kraft_version_value(membership.kraft_version)?),
                (ControlType::KraftVoters, voters_value(&membership.voters)?),
            ] {
                builder.append(append.timestamp, Some(&kind.key()), Some(&value), &[]);
            }
            builder.build()
        }
        Content::Voters(voters) => control(ControlType::KraftVoters, &voters_value(voters)?),
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

fn change_voter(voter: &ReplicaKey) -> LeaderChangeVoter {
    LeaderChangeVoter { voter_id: voter.id, voter_directory_id: voter.directory_id }
}

/// The value of a KRAFT_VERSION record.
///
/// # Errors
/// Never: a number always fits.
pub fn kraft_version_value(kraft_version: i16) -> Result<Bytes, EncodeError> {
    KRaftVersionRecord { version: 0, kraft_version }.to_bytes(0)
}

/// The value of a KRAFT_VOTERS record.
///
/// # Errors
/// When a name in it is longer than a text may be.
pub fn voters_value(voters: &VoterSet) -> Result<Bytes, EncodeError> {
    let endpoint = |endpoint: &Endpoint| VotersEndpoint {
        name: endpoint.name.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
    };
    let voter = |voter: &Voter| VotersVoter {
        voter_id: voter.key.id,
        voter_directory_id: voter.key.directory_id,
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_version_feature: VotersKRaftVersionFeature {
            min_supported_version: voter.kraft_versions.0,
            max_supported_version: voter.kraft_versions.1,
        },
    };
    VotersRecord { version: 0, voters: voters.iter().map(voter).collect() }.to_bytes(0)
}

/// What the control records of a batch say about who votes, each with its offset.
///
/// # Errors
/// [`BadBatch`]; a record of a type that is not known is skipped.
pub fn control(batch: &Batch<'_>) -> Result<Vec<(Offset, Control)>, BadBatch> {
    if !batch.attributes().is_control() {
        return Ok(Vec::new());
    }
    batch.verify_crc().map_err(|error| BadBatch::Damaged(error.to_string()))?;
    let damaged = |error: &dyn std::fmt::Display| BadBatch::Damaged(error.to_string());
    let mut found = Vec::new();
    for record in Records::new(batch.records_bytes(), batch.record_count()) {
        let record = record.map_err(|error| damaged(&error))?;
        let offset = batch.base_offset().plus(i64::from(record.offset_delta));
        let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
        match record.key.and_then(ControlType::from_key) {
            Some(ControlType::KraftVersion) => {
                let record = KRaftVersionRecord::from_bytes(value, 0).map_err(|e| damaged(&e))?;
                found.push((offset, Control::KraftVersion(record.kraft_version)));
            }
            Some(ControlType::KraftVoters) => {
                let record = VotersRecord::from_bytes(value, 0).map_err(|e| damaged(&e))?;
                found.push((offset, Control::Voters(voter_set(&record))));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn voter_set(record: &VotersRecord) -> VoterSet {
    let endpoint = |endpoint: &VotersEndpoint| Endpoint {
        name: endpoint.name.to_string(),
        host: endpoint.host.to_string(),
        port: endpoint.port,
    };
    let voter = |voter: &VotersVoter| Voter {
        key: ReplicaKey { id: voter.voter_id, directory_id: voter.voter_directory_id },
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_versions: (
            voter.kraft_version_feature.min_supported_version,
            voter.kraft_version_feature.max_supported_version,
        ),
    };
    record.voters.iter().map(voter).collect()
}

/// The whole batches at the beginning of what was read or fetched, as the quorum knows them; what
/// is cut off at the end is left out.
///
/// # Errors
/// [`BadBatch`] where a checksum does not match or a control record cannot be read.
pub fn of_quorum(bytes: &Bytes) -> Result<Vec<quorum::Batch>, BadBatch> {
    let mut found = Vec::new();
    let mut begin = 0;
    let mut run = Batches::new(bytes);
    while let Some(one) = run.next() {
        one.verify_crc().map_err(|error| BadBatch::Damaged(error.to_string()))?;
        let end = run.position();
        found.push(quorum::Batch {
            base_offset: one.base_offset(),
            end_offset: one.next_offset(),
            epoch: one.leader_epoch(),
            control: control(&one)?,
            bytes: bytes.slice(begin..end),
        });
        begin = end;
    }
    Ok(found)
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
