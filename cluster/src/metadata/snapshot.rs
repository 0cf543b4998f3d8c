//! Snapshots: an image as the bytes of a checkpoint file, and back (KIP-630).
//!
//! A file `%020d-%010d.checkpoint` is named by the end offset (exclusive) and the epoch of the
//! log that it stands for, and holds batches of magic 2:
//!
//! | batch | records |
//! | --- | --- |
//! | control | SNAPSHOT_HEADER |
//! | control | KRAFT_VERSION, KRAFT_VOTERS: only where the voters are dynamic, else absent |
//! | records, any number | what makes the image, in the order of [`records`] |
//! | control | SNAPSHOT_FOOTER; a file without it is not whole |
//!
//! Offsets count from 0 within the file and mean nothing.

use bytes::Bytes;
use milena_protocol::control_record::{SnapshotFooterRecord, SnapshotHeaderRecord};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, ProducerId, Timestamp};
use milena_protocol::message::{EncodeError, Message};
use milena_protocol::metadata_record::{
    ClientQuotaEntity, ClientQuotaRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord,
    ProducerIdsRecord, RegisterBrokerEndpoint, RegisterBrokerFeature, RegisterBrokerRecord,
    TopicRecord,
};
use milena_protocol::record::builder::BatchOptions;
use milena_protocol::record::control::{ControlType, control_batch};
use milena_protocol::record::run::{Batches, Tail};

use super::batch::{self, BadBatch};
use super::image::{BrokerImage, METADATA_VERSION, MetadataImage, TopicImage};
use crate::quorum::{Control, DYNAMIC_VOTERS, Membership};

/// Records in one batch.
const RECORDS_PER_BATCH: usize = 1024;

/// What a checkpoint file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The image.
    pub image: MetadataImage,
    /// Level and voters of the quorum, where they stand in the log.
    pub membership: Option<Membership>,
}

/// Why a checkpoint file is no snapshot.
#[derive(Debug)]
pub enum BadSnapshot {
    /// A batch in it is damaged.
    Batch(BadBatch),
    /// The file has no header or no footer, or something follows that is no batch.
    NotWhole,
    /// Its records do not fit each other.
    Inconsistent(String),
}

impl std::fmt::Display for BadSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Batch(error) => write!(f, "{error}"),
            Self::NotWhole => f.write_str("the snapshot is not whole"),
            Self::Inconsistent(reason) => write!(f, "the snapshot is inconsistent: {reason}"),
        }
    }
}

impl std::error::Error for BadSnapshot {}

/// The name of the file of a snapshot that ends before `end_offset`, written in `epoch`.
#[must_use]
pub fn file_name(end_offset: Offset, epoch: LeaderEpoch) -> String {
    format!("{:020}-{:010}.checkpoint", end_offset.0, epoch.0)
}

/// The end offset and the epoch that a file's name gives.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<(Offset, LeaderEpoch)> {
    let (offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(offset, 20) || !digits(epoch, 10) {
        return None;
    }
    Some((Offset(offset.parse().ok()?), LeaderEpoch(epoch.parse().ok()?)))
}

/// The records that make an image out of nothing, in Kafka's order.
#[must_use]
pub fn records(image: &MetadataImage) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    // How the records are to be understood comes first.
    let mut features: Vec<(&str, i16)> = image.features().collect();
    features.sort_by_key(|(name, _)| (*name != METADATA_VERSION, *name));
    records.extend(features.into_iter().map(|(name, level)| {
        MetadataRecord::from(FeatureLevelRecord { name: name.into(), feature_level: level })
    }));
    records.extend(image.brokers().map(|broker| broker_record(broker).into()));
    records.extend(image.controllers().cloned().map(MetadataRecord::from));
    for topic in image.topics() {
        topic_records(topic, &mut records);
    }
    for (resource, overrides) in image.configs() {
        records.extend(overrides.iter().map(|(name, value)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: resource.kind,
                resource_name: resource.name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            })
        }));
    }
    quota_records(image, &mut records);
    if image.next_producer_id() > ProducerId(0) {
        records.push(MetadataRecord::from(ProducerIdsRecord {
            broker_id: NodeId::NONE,
            next_producer_id: image.next_producer_id(),
            ..Default::default()
        }));
    }
    records.extend(image.acls().cloned().map(MetadataRecord::from));
    records.extend(image.credentials().cloned().map(MetadataRecord::from));
    records.extend(image.tokens().cloned().map(MetadataRecord::from));
    records
}

fn broker_record(broker: &BrokerImage) -> RegisterBrokerRecord {
    RegisterBrokerRecord {
        broker_id: broker.id,
        is_migrating_zk_broker: false,
        incarnation_id: broker.incarnation_id,
        broker_epoch: broker.epoch,
        end_points: broker
            .endpoints
            .iter()
            .map(|endpoint| RegisterBrokerEndpoint {
                name: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
                security_protocol: endpoint.security_protocol,
            })
            .collect(),
        features: broker
            .features
            .iter()
            .map(|(name, levels)| RegisterBrokerFeature {
                name: name.clone(),
                min_supported_version: levels.0,
                max_supported_version: levels.1,
            })
            .collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.log_dirs.clone(),
        cordoned_log_dirs: broker.cordoned_log_dirs.clone(),
    }
}

fn topic_records(topic: &TopicImage, records: &mut Vec<MetadataRecord>) {
    let record = TopicRecord { name: topic.name().clone(), topic_id: topic.id() };
    records.push(record.into());
    records.extend(
        topic.partitions().map(|(index, partition)| partition.to_record(topic.id(), index).into()),
    );
}

fn quota_records(image: &MetadataImage, records: &mut Vec<MetadataRecord>) {
    for (entity, keys) in image.quotas() {
        let entity: Vec<_> = entity
            .iter()
            .map(|(entity_type, entity_name)| ClientQuotaEntity {
                entity_type: entity_type.clone(),
                entity_name: entity_name.clone(),
            })
            .collect();
        records.extend(keys.iter().map(|(key, value)| {
            MetadataRecord::from(ClientQuotaRecord {
                entity: entity.clone(),
                key: key.clone(),
                value: *value,
                remove: false,
            })
        }));
    }
}

/// The bytes of a snapshot file of an image, and of the quorum's level and voters at its end.
///
/// # Errors
/// When a record holds what its version cannot.
///
/// # Panics
/// When a metadata transaction is open: its records are in no image, so they would be lost.
pub fn write(
    image: &MetadataImage,
    membership: &Membership,
    now: Timestamp,
) -> Result<Bytes, EncodeError> {
    assert!(!image.is_in_transaction(), "no snapshot cuts a metadata transaction");
    let epoch = image.epoch();
    let header = SnapshotHeaderRecord { version: 0, last_contained_log_timestamp: now };
    let footer = SnapshotFooterRecord { version: 0 };
    let control = |kind, value: &[u8], offset| {
        control_batch(kind, value, offset, epoch, now).map_err(|_| EncodeError::TooLong)
    };
    let mut file = Vec::new();
    let mut offset = Offset::ZERO;
    file.extend_from_slice(&control(ControlType::SnapshotHeader, &header.to_bytes(0)?, offset)?);
    offset = offset.plus(1);
    if membership.kraft_version >= DYNAMIC_VOTERS {
        let version = batch::kraft_version_value(membership.kraft_version)?;
        file.extend_from_slice(&control(ControlType::KraftVersion, &version, offset)?);
        let voters = batch::voters_value(&membership.voters)?;
        file.extend_from_slice(&control(ControlType::KraftVoters, &voters, offset.plus(1))?);
        offset = offset.plus(2);
    }
    for records in records(image).chunks(RECORDS_PER_BATCH) {
        let options =
            BatchOptions { base_offset: offset, leader_epoch: epoch, ..Default::default() };
        let values = batch::values_at(records, image.metadata_version())?;
        file.extend_from_slice(&batch::loose(&values, options, now)?);
        offset = offset.plus(records.len() as i64);
    }
    file.extend_from_slice(&control(ControlType::SnapshotFooter, &footer.to_bytes(0)?, offset)?);
    Ok(Bytes::from(file))
}

/// What a snapshot file that ends before `end_offset` holds.
///
/// # Errors
/// [`BadSnapshot`]; the file must not be used then.
pub fn read(file: &[u8], end_offset: Offset, epoch: LeaderEpoch) -> Result<Snapshot, BadSnapshot> {
    let mut image = MetadataImage::default();
    let mut membership = None;
    let mut batches = Batches::new(file);
    let (mut has_header, mut has_footer) = (false, false);
    let last = end_offset.plus(-1);
    for found in &mut batches {
        for record in batch::records(&found).map_err(BadSnapshot::Batch)? {
            if !has_header || has_footer {
                return Err(BadSnapshot::NotWhole);
            }
            image
                .replay(last, epoch, &record)
                .map_err(|error| BadSnapshot::Inconsistent(error.to_string()))?;
        }
        for (_, control) in batch::control(&found).map_err(BadSnapshot::Batch)? {
            let known: &mut Membership = membership.get_or_insert_default();
            match control {
                Control::KraftVersion(version) => known.kraft_version = version,
                Control::Voters(voters) => known.voters = voters,
            }
        }
        match batch::control_type(&found) {
            Some(ControlType::SnapshotHeader) => has_header = true,
            Some(ControlType::SnapshotFooter) => has_footer = true,
            _ => {}
        }
    }
    if !has_footer || !has_header || batches.tail() != Tail::Clean {
        return Err(BadSnapshot::NotWhole);
    }
    image.advance(last, epoch);
    // Kafka writes the level without voters too, where it is 0.
    let membership = membership.filter(|known| known.kraft_version >= DYNAMIC_VOTERS);
    Ok(Snapshot { image, membership })
}
