//! Snapshots: an image as the bytes of a checkpoint file, and back (KIP-630).
//!
//! Batches of magic 2: a control batch SNAPSHOT_HEADER, batches of records, a control batch
//! SNAPSHOT_FOOTER. Offsets count from 0 within the file. A file without its footer is not whole.

use bytes::Bytes;
use milena_protocol::control_record::{SnapshotFooterRecord, SnapshotHeaderRecord};
use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use milena_protocol::message::{EncodeError, Message};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::metadata_record::{
    RegisterBrokerEndpoint, RegisterBrokerFeature, RegisterBrokerRecord,
};
use milena_protocol::metadata_record::{
    ConfigRecord, FeatureLevelRecord, ProducerIdsRecord,
};
use milena_protocol::metadata_record::{PartitionRecord, TopicRecord};
use milena_protocol::record::builder::BatchOptions;
use milena_protocol::record::control::{ControlType, control_batch};
use milena_protocol::record::run::{Batches, Tail};

use super::batch::{self, BadBatch};
use super::delta::Delta;
use super::image::{BrokerImage, MetadataImage, PartitionImage, TopicImage};

/// Records in one batch.
const RECORDS_PER_BATCH: usize = 1024;

/// Why a checkpoint file is no snapshot.
#[derive(Debug)]
pub enum BadSnapshot {
    /// A batch in it is damaged.
    Batch(BadBatch),
    /// The file ends before its footer, or something follows that is no batch.
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

/// The records that make an image out of nothing, in Kafka's order: features, brokers, topics,
/// configurations, producer ids.
#[must_use]
pub fn records(image: &MetadataImage) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    let metadata_version = crate::controller::features::METADATA_VERSION;
    let mut features: Vec<(&str, i16)> = image.features().collect();
    features.sort_by_key(|(name, _)| (*name != metadata_version, *name));
    records.extend(features.into_iter().map(|(name, level)| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord { name: name.into(), feature_level: level })
    }));
    records.extend(image.brokers().map(broker_record));
    for topic in image.topics() {
        topic_records(topic, &mut records);
    }
    for resource in image.config_resources() {
        let Some(overrides) = image.config(resource) else {
            continue;
        };
        records.extend(overrides.iter().map(|(name, value)| {
            MetadataRecord::Config(ConfigRecord {
                resource_type: resource.kind,
                resource_name: resource.name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            })
        }));
    }
    if image.next_producer_id().0 > 0 {
        records.push(MetadataRecord::ProducerIds(ProducerIdsRecord {
            next_producer_id: image.next_producer_id(),
            ..Default::default()
        }));
    }
    records
}

fn broker_record(broker: &BrokerImage) -> MetadataRecord {
    MetadataRecord::RegisterBroker(RegisterBrokerRecord {
        broker_id: broker.id,
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
        ..Default::default()
    })
}

fn topic_records(topic: &TopicImage, records: &mut Vec<MetadataRecord>) {
    records.push(MetadataRecord::Topic(TopicRecord {
        name: topic.name().clone(),
        topic_id: topic.id(),
    }));
    let some = |list: &Vec<milena_protocol::ids::NodeId>| (!list.is_empty()).then(|| list.clone());
    records.extend(topic.partitions().map(|(partition_id, partition): (_, &PartitionImage)| {
        MetadataRecord::Partition(PartitionRecord {
            partition_id,
            topic_id: topic.id(),
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            removing_replicas: partition.removing_replicas.clone(),
            adding_replicas: partition.adding_replicas.clone(),
            leader: partition.leader,
            leader_recovery_state: partition.leader_recovery_state,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            directories: partition.directories.clone(),
            eligible_leader_replicas: some(&partition.elr),
            last_known_elr: some(&partition.last_known_elr),
        })
    }));
}

/// The bytes of a snapshot file.
///
/// # Errors
/// When a record holds what its version cannot.
pub fn write(image: &MetadataImage, now: Timestamp) -> Result<Bytes, EncodeError> {
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
    for records in records(image).chunks(RECORDS_PER_BATCH) {
        let options =
            BatchOptions { base_offset: offset, leader_epoch: epoch, ..Default::default() };
        file.extend_from_slice(&batch::loose(records, options, now)?);
        offset = offset.plus(records.len() as i64);
    }
    file.extend_from_slice(&control(ControlType::SnapshotFooter, &footer.to_bytes(0)?, offset)?);
    Ok(Bytes::from(file))
}

/// The image of a snapshot file that ends before `end_offset`.
///
/// # Errors
/// [`BadSnapshot`]; the file must not be used then.
pub fn read(
    file: &[u8],
    end_offset: Offset,
    epoch: LeaderEpoch,
) -> Result<MetadataImage, BadSnapshot> {
    let mut delta = Delta::new(&MetadataImage::default());
    let mut batches = Batches::new(file);
    let mut is_whole = false;
    let last = Offset(end_offset.0 - 1);
    for found in &mut batches {
        for record in batch::records(&found).map_err(BadSnapshot::Batch)? {
            delta
                .replay(last, epoch, &record)
                .map_err(|error| BadSnapshot::Inconsistent(error.to_string()))?;
        }
        is_whole = control_type(&found) == Some(ControlType::SnapshotFooter);
    }
    if !is_whole || batches.tail() != Tail::Clean {
        return Err(BadSnapshot::NotWhole);
    }
    delta.advance(last, epoch);
    Ok(delta.finish().0)
}

fn control_type(batch: &milena_protocol::record::Batch<'_>) -> Option<ControlType> {
    if !batch.attributes().is_control() {
        return None;
    }
    let mut records =
        milena_protocol::record::record::Records::new(batch.records_bytes(), batch.record_count());
    ControlType::from_key(records.next()?.ok()?.key?)
}
