//! Bugs planted on purpose: what the checkers are worth shows in whether they find them.
//!
//! Each does one thing badly around the controller: with what it is asked, what it is told, or what
//! it has decided. None is in the machine.

use milena_cluster::controller::brokers::Application;
use milena_cluster::controller::isr::IsrChange;
use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::ids::NodeId;
use milena_protocol::metadata_record::{MetadataRecord, PartitionChangeRecord};

/// What is decided on, for bugs that alter what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    Fence,
    Move,
    ProducerIds,
    Other,
}

/// What could be done badly; as it stands, nothing is.
pub trait Bugs {
    /// What a leader proposes, as it reaches the controller.
    fn proposal(_: &MetadataImage, _: &mut IsrChange) {}
    /// What a broker applies with, as it reaches the controller.
    fn application(_: &MetadataImage, _: &mut Application) {}
    /// Whether whoever was heard of before counts as heard of by a new controller.
    fn has_grace() -> bool {
        true
    }
    /// Whether the others' reading counts for who stops.
    fn waits_for_others() -> bool {
        true
    }
    /// Whether a live session keeps another process out.
    fn keeps_out() -> bool {
        true
    }
    /// What was decided, as it is replayed.
    fn records(_: &MetadataImage, _: Decided, records: Vec<MetadataRecord>) -> Vec<MetadataRecord> {
        records
    }
}

/// Nothing is done badly.
#[derive(Debug)]
pub enum Right {}

impl Bugs for Right {}

fn changed(
    records: Vec<MetadataRecord>,
    change: impl Fn(PartitionChangeRecord) -> PartitionChangeRecord,
) -> Vec<MetadataRecord> {
    let each = records.into_iter().map(|record| match record {
        MetadataRecord::PartitionChange(record) => change(record).into(),
        other => other,
    });
    each.collect()
}

/// Whoever is fenced keeps its partitions.
#[derive(Debug)]
pub enum FencedStays {}

impl Bugs for FencedStays {
    fn records(
        _: &MetadataImage,
        decided: Decided,
        mut records: Vec<MetadataRecord>,
    ) -> Vec<MetadataRecord> {
        let is_change = |it: &MetadataRecord| matches!(it, MetadataRecord::PartitionChange(_));
        records.retain(|record| decided != Decided::Fence || !is_change(record));
        records
    }
}

/// Nobody asks on which state of a partition a proposal was made.
#[derive(Debug)]
pub enum AnyPartitionEpoch {}

impl Bugs for AnyPartitionEpoch {
    fn proposal(image: &MetadataImage, proposal: &mut IsrChange) {
        if let Some(partition) = image.partition(proposal.topic_id, proposal.partition) {
            proposal.partition_epoch = partition.partition_epoch;
        }
    }
}

/// A controller that takes over fences whoever has not found it yet.
#[derive(Debug)]
pub enum NoGrace {}

impl Bugs for NoGrace {
    fn has_grace() -> bool {
        false
    }
}

/// Whoever stops is let go though others would still send clients to it.
#[derive(Debug)]
pub enum StopsAtOnce {}

impl Bugs for StopsAtOnce {
    fn waits_for_others() -> bool {
        false
    }
}

/// Whoever was there before is taken for having everything it had.
#[derive(Debug)]
pub enum LossyIsClean {}

impl Bugs for LossyIsClean {
    fn application(image: &MetadataImage, application: &mut Application) {
        let before = image.broker(application.registration.id);
        application.registration.previous_epoch = before.map(|broker| broker.epoch);
    }
}

/// A second process takes the id of one that lives.
#[derive(Debug)]
pub enum AnybodyRegisters {}

impl Bugs for AnybodyRegisters {
    fn keeps_out() -> bool {
        false
    }
}

/// The replicas of before are taken away as a move begins.
#[derive(Debug)]
pub enum EarlyEnd {}

impl Bugs for EarlyEnd {
    fn records(
        image: &MetadataImage,
        decided: Decided,
        records: Vec<MetadataRecord>,
    ) -> Vec<MetadataRecord> {
        if decided != Decided::Move {
            return records;
        }
        changed(records, |mut record| {
            let Some(before) = image.partition(record.topic_id, record.partition_id) else {
                return record;
            };
            let after = before.changed(&record);
            let stays = |id: &&NodeId| !after.removing_replicas.contains(id);
            let isr: Vec<NodeId> = after.isr.iter().filter(stays).copied().collect();
            if let Some(leader) = isr.first().copied() {
                let replicas: Vec<NodeId> = after.replicas.iter().filter(stays).copied().collect();
                record.directories =
                    Some(replicas.iter().filter_map(|id| after.directory_of(*id)).collect());
                record.replicas = Some(replicas);
                record.adding_replicas = Some(Vec::new());
                record.removing_replicas = Some(Vec::new());
                record.eligible_leader_replicas =
                    Some(after.elr.iter().filter(stays).copied().collect());
                record.isr = Some(isr);
                record.leader = leader;
            }
            record
        })
    }
}

/// The leader goes on in its epoch when a replica was taken away.
#[derive(Debug)]
pub enum EpochStays {}

impl Bugs for EpochStays {
    fn records(
        image: &MetadataImage,
        _: Decided,
        records: Vec<MetadataRecord>,
    ) -> Vec<MetadataRecord> {
        changed(records, |mut record| {
            let before = image.partition(record.topic_id, record.partition_id);
            let is_same = before.is_some_and(|before| before.leader == record.leader);
            if record.replicas.is_some() && is_same {
                record.leader = NodeId(-2);
            }
            record
        })
    }
}

/// What was given away is not noted down.
#[derive(Debug)]
pub enum SameBlock {}

impl Bugs for SameBlock {
    fn records(
        _: &MetadataImage,
        decided: Decided,
        mut records: Vec<MetadataRecord>,
    ) -> Vec<MetadataRecord> {
        records.retain(|_| decided != Decided::ProducerIds);
        records
    }
}
