//! Batches of the metadata log and of its snapshots.
//!
//! Plain v2 record batches. Metadata records have no key, their value is a framed record.
//! Control records have the key `int16` version, `int16` type and a flexible message as value.
//! Batches are never compressed and hold one kind of record only.

use std::fmt;

use bytes::Bytes;
use milena_protocol::codec::{DecodeError, EncodeError};
use milena_protocol::control_record::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use milena_protocol::message::Message;
use milena_protocol::metadata_record::{MetadataRecord, MetadataRecordError};
use milena_protocol::record::batch::{Batch, BatchError};
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::compression::Compression;
use milena_protocol::record::control::ControlType;
use milena_protocol::record::record::{RecordError, Records};

/// The largest batch of the metadata log; one change is one batch.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Where a batch is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The epoch of the leader that appends it.
    pub epoch: LeaderEpoch,
    /// When it is appended.
    pub timestamp: Timestamp,
}

/// What a control record of the quorum says.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    /// A leader begins its epoch.
    LeaderChange(LeaderChangeMessage),
    /// A snapshot begins.
    SnapshotHeader(SnapshotHeaderRecord),
    /// A snapshot is whole.
    SnapshotFooter(SnapshotFooterRecord),
    /// The level of the quorum's protocol.
    KRaftVersion(KRaftVersionRecord),
    /// The voters from here on.
    Voters(VotersRecord),
    /// A type that means nothing to the quorum; readers skip it.
    Other,
}

/// The records of one batch, each with its offset.
#[derive(Clone, Debug, PartialEq)]
pub enum Entries {
    /// Metadata records.
    Metadata(Vec<(Offset, MetadataRecord)>),
    /// Control records.
    Control(Vec<(Offset, ControlRecord)>),
}

/// A batch that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Where it stands.
    pub place: Place,
    /// The offset after its last record.
    pub next_offset: Offset,
    /// The bytes it takes.
    pub total_bytes: usize,
    /// What is in it.
    pub entries: Entries,
}

/// Why bytes are not a batch of the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError {
    /// No sound batch stands there.
    Batch(BatchError),
    /// The batch is compressed, which no metadata log is.
    Compressed,
    /// A record in the batch is malformed.
    Record(RecordError),
    /// A record has no value, or a control record no key.
    Empty(Offset),
    /// A value is not a metadata record that this node knows.
    Metadata(Offset, MetadataRecordError),
    /// A control record's value is malformed.
    Control(Offset, DecodeError),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(error) => error.fmt(f),
            Self::Compressed => f.write_str("a batch of the metadata log is compressed"),
            Self::Record(error) => write!(f, "malformed record: {error:?}"),
            Self::Empty(offset) => write!(f, "offset {offset} has no key or no value"),
            Self::Metadata(offset, error) => write!(f, "offset {offset}: {error}"),
            Self::Control(offset, error) => write!(f, "control record at {offset}: {error}"),
        }
    }
}

impl std::error::Error for LogError {}

/// The values of records, in the versions that the level of `metadata.version` has.
///
/// # Errors
/// When a record cannot be written in its version.
pub fn encode(records: &[MetadataRecord], level: i16) -> Result<Vec<Bytes>, EncodeError> {
    records.iter().map(|record| record.encode(record_version(record, level))).collect()
}

/// The version in which a record is written at a level of `metadata.version`.
#[must_use]
pub fn record_version(record: &MetadataRecord, level: i16) -> i16 {
    let steps: &[i16] = match record {
        MetadataRecord::RegisterBroker(_) => &[IN_CONTROLLED_SHUTDOWN, 8, DIRECTORIES, CORDONED],
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

/// 3.3-IV3 brought controlled shutdown to registrations.
const IN_CONTROLLED_SHUTDOWN: i16 = 7;
/// 3.7-IV2 brought directory ids (KIP-858).
const DIRECTORIES: i16 = 17;
/// 4.0-IV1 brought eligible leader replicas (KIP-966).
const ELIGIBLE_LEADERS: i16 = 23;
/// 4.3-IV0 brought cordoned directories (KIP-1066).
const CORDONED: i16 = 30;

/// A batch of encoded metadata records.
#[must_use]
pub fn build(place: Place, values: &[Bytes]) -> Bytes {
    let mut builder = builder(place, false);
    for value in values {
        builder.append(place.timestamp, None, Some(value), &[]);
    }
    finish(&builder)
}

/// A batch of control records.
///
/// # Errors
/// When a record cannot be written, which is a mistake of the caller.
pub fn build_control(place: Place, records: &[ControlRecord]) -> Result<Bytes, EncodeError> {
    let mut builder = builder(place, true);
    for record in records {
        if let Some((kind, value)) = encode_control(record)? {
            builder.append(place.timestamp, Some(&kind.key()), Some(&value), &[]);
        }
    }
    Ok(finish(&builder))
}

fn builder(place: Place, is_control: bool) -> BatchBuilder {
    BatchBuilder::new(BatchOptions {
        base_offset: place.base_offset,
        leader_epoch: place.epoch,
        is_control,
        ..Default::default()
    })
}

fn finish(builder: &BatchBuilder) -> Bytes {
    builder.build().expect("only a codec can fail, and the batch is not compressed")
}

fn encode_control(record: &ControlRecord) -> Result<Option<(ControlType, Bytes)>, EncodeError> {
    Ok(Some(match record {
        ControlRecord::LeaderChange(body) => {
            (ControlType::LeaderChange, body.to_bytes(body.version)?)
        }
        ControlRecord::SnapshotHeader(body) => (ControlType::SnapshotHeader, body.to_bytes(0)?),
        ControlRecord::SnapshotFooter(body) => (ControlType::SnapshotFooter, body.to_bytes(0)?),
        ControlRecord::KRaftVersion(body) => (ControlType::KraftVersion, body.to_bytes(0)?),
        ControlRecord::Voters(body) => (ControlType::KraftVoters, body.to_bytes(0)?),
        ControlRecord::Other => return Ok(None),
    }))
}

/// Reads the batch at the start of `bytes`; the checksum is verified.
///
/// # Errors
/// [`LogError`]. A record whose id or version is not known is an error too: a node that skipped
/// it would hold another state than the rest of the cluster.
pub fn decode(bytes: &[u8]) -> Result<Decoded, LogError> {
    let (batch, _) = Batch::parse(bytes).map_err(LogError::Batch)?;
    batch.verify_crc().map_err(LogError::Batch)?;
    if batch.attributes().codec() != Some(Compression::None) {
        return Err(LogError::Compressed);
    }
    let entries = if batch.attributes().is_control() {
        Entries::Control(walk(&batch, decode_control)?)
    } else {
        Entries::Metadata(walk(&batch, |offset, _, value| {
            MetadataRecord::decode(value).map_err(|error| LogError::Metadata(offset, error))
        })?)
    };
    Ok(Decoded {
        place: Place {
            base_offset: batch.base_offset(),
            epoch: batch.leader_epoch(),
            timestamp: batch.max_timestamp(),
        },
        next_offset: batch.next_offset(),
        total_bytes: batch.total_bytes(),
        entries,
    })
}

fn walk<T>(
    batch: &Batch<'_>,
    read: impl Fn(Offset, Option<&[u8]>, Bytes) -> Result<T, LogError>,
) -> Result<Vec<(Offset, T)>, LogError> {
    let mut entries = Vec::new();
    for record in Records::new(batch.records_bytes(), batch.record_count()) {
        let record = record.map_err(LogError::Record)?;
        let offset = batch.base_offset().plus(i64::from(record.offset_delta));
        // A copy per record, so that what is kept of it does not keep the whole batch alive.
        let value = record.value.map(Bytes::copy_from_slice).ok_or(LogError::Empty(offset))?;
        entries.push((offset, read(offset, record.key, value)?));
    }
    Ok(entries)
}

fn decode_control(
    offset: Offset,
    key: Option<&[u8]>,
    value: Bytes,
) -> Result<ControlRecord, LogError> {
    let kind = ControlType::from_key(key.ok_or(LogError::Empty(offset))?);
    let malformed = |error| LogError::Control(offset, error);
    Ok(match kind {
        Some(ControlType::LeaderChange) => {
            let high = LeaderChangeMessage::VERSIONS.max;
            // The body's first field is its own version.
            let version = value.first_chunk().map_or(0, |bytes| i16::from_be_bytes(*bytes));
            ControlRecord::LeaderChange(
                LeaderChangeMessage::from_bytes(value, version.clamp(0, high))
                    .map_err(malformed)?,
            )
        }
        Some(ControlType::SnapshotHeader) => ControlRecord::SnapshotHeader(
            SnapshotHeaderRecord::from_bytes(value, 0).map_err(malformed)?,
        ),
        Some(ControlType::SnapshotFooter) => ControlRecord::SnapshotFooter(
            SnapshotFooterRecord::from_bytes(value, 0).map_err(malformed)?,
        ),
        Some(ControlType::KraftVersion) => ControlRecord::KRaftVersion(
            KRaftVersionRecord::from_bytes(value, 0).map_err(malformed)?,
        ),
        Some(ControlType::KraftVoters) => {
            ControlRecord::Voters(VotersRecord::from_bytes(value, 0).map_err(malformed)?)
        }
        Some(ControlType::Abort | ControlType::Commit) | None => ControlRecord::Other,
    })
}
