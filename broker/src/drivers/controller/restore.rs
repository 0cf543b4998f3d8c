//! The start: snapshot, then the log behind it, then the quorum's member.

use std::fmt;

use milena_cluster::configs::Values;
use milena_cluster::controller::ledger::{self, Appended};
use milena_cluster::metadata::batch;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::metadata::snapshot::Snapshot;
use milena_cluster::quorum::{
    Control, EpochStart, Membership, Quorum, Restored, RestoredLog, SnapshotId, Timing, Voter,
    VoterSet,
};
use milena_cluster::time::Now;
use milena_protocol::ids::{NodeId, Offset, PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::run::Batches;
use milena_storage::{Log, LogConfig, LogDirectory, LogReader, ReadError, ReadLimit};

use super::Fatal;
use super::driver::{Driver, SnapshotRules};
use super::ledger::Ledger;
use crate::drivers::metadata_log::{self, QuorumFiles};
use crate::drivers::replay::each_batch;
use crate::machine::Machine;

/// What a driver begins with, besides what is on the disk.
pub struct Beginning<'a> {
    /// This node.
    pub node: NodeId,
    /// The cluster's id, by which each epoch's voters are ranked.
    pub cluster_id: &'a str,
    /// The directory that holds the metadata log.
    pub directory: &'a LogDirectory,
    /// A segment of the metadata log takes so many bytes.
    pub segment_bytes: u32,
    /// Where this node listens for other members.
    pub me: Voter,
    /// The voters that are configured; they count until the log names others.
    pub voters: VoterSet,
    /// The quorum's waits.
    pub timing: Timing,
    /// A number that no other start draws.
    pub seed: u64,
    /// The broker's own configuration.
    pub static_values: &'a Values,
    /// How many bootstrap servers can be asked for the leader.
    pub bootstrap_count: usize,
    /// When snapshots are written.
    pub rules: SnapshotRules,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
    /// What this node runs on.
    pub machine: Machine,
}

/// Replays snapshot and log, and restores the quorum's member. The image is that of the snapshot:
/// what of the log behind it is committed the quorum has yet to say.
///
/// # Errors
/// When something on the disk cannot be read or does not fit together.
pub fn restore(beginning: Beginning<'_>) -> Result<Driver, Fatal> {
    let damaged = |error: &dyn fmt::Display| Fatal(error.to_string());
    let directory = beginning.directory;
    let mut log = open_log(directory, beginning.segment_bytes)?;
    // The log makes its directory; the small files live in it.
    let files = QuorumFiles::open(directory).map_err(|error| damaged(&error))?;
    let state = files.read_state().map_err(|error| damaged(&error))?.unwrap_or_default();
    let snapshot = files.read_snapshot().map_err(|error| damaged(&error))?;
    let snapshot_id = reconcile(&mut log, &snapshot, (beginning.clock)())?;
    let Snapshot { image, membership } = snapshot;
    let Tail { batches, epochs, control } = read_tail(&log.reader(), &image).map_err(Fatal)?;
    // What a kill left in the page cache counts from now on.
    log.flush().map_err(|error| damaged(&error))?;
    let configured = Membership { kraft_version: 0, voters: beginning.voters };
    let restored = Restored {
        base: membership.unwrap_or(configured),
        me: beginning.me,
        cluster_id: beginning.cluster_id.to_owned(),
        seed: beginning.seed,
        timing: beginning.timing,
        state,
        log: RestoredLog { snapshot: snapshot_id, epochs, end_offset: log.log_end_offset() },
        control,
        bootstrap_count: beginning.bootstrap_count,
    };
    let clock = beginning.clock;
    let quorum = Quorum::restore(restored, Now { wall: clock(), ..Now::default() });
    let static_values = beginning.static_values.clone();
    let metadata = ledger::Ledger::new(beginning.node, static_values, image, batches)
        .map_err(|error| Fatal(format!("a metadata record does not replay: {error}")))?;
    let ledger = Ledger::new(log, files, metadata);
    Ok(Driver::new(quorum, ledger, beginning.rules, clock, beginning.machine))
}

/// The metadata log of a directory.
pub(super) fn open_log(directory: &LogDirectory, segment_bytes: u32) -> Result<Log, Fatal> {
    let config =
        LogConfig { segment_bytes, retention_ms: -1, retention_bytes: -1, ..LogConfig::default() };
    let log = directory
        .open_log(metadata_log::TOPIC, Uuid::METADATA_TOPIC, PartitionIndex(0), config)
        .map_err(|error| Fatal(error.to_string()))?;
    if let Some(damage) = log.damage() {
        tracing::error!(topic = metadata_log::TOPIC, %damage, "metadata that was damaged is gone");
    }
    Ok(log)
}

/// Lets the log begin where a snapshot ends that it does not go on from: a kill came between the
/// snapshot's arrival and the end of the log that it replaces. Answers which snapshot that is.
pub(super) fn reconcile(
    log: &mut Log,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<Option<SnapshotId>, Fatal> {
    let fatal = |error: &dyn fmt::Display| Fatal(error.to_string());
    let image = &snapshot.image;
    if image.offset() == Offset::NONE {
        return Ok(None);
    }
    let id = SnapshotId { end_offset: image.offset().plus(1), epoch: image.epoch() };
    if !continues(log, id).map_err(|error| fatal(&error))? {
        log.truncate_fully_and_start_at(id.end_offset, now).map_err(|error| fatal(&error))?;
    }
    Ok(Some(id))
}

/// Whether the log goes on where a snapshot ends: it reaches that far, in the snapshot's epoch.
fn continues(log: &Log, snapshot: SnapshotId) -> Result<bool, ReadError> {
    let SnapshotId { end_offset, epoch } = snapshot;
    if log.log_end_offset() < end_offset {
        return Ok(false);
    }
    if log.log_start_offset() >= end_offset {
        return Ok(true);
    }
    let limit = ReadLimit { upper: end_offset, max_bytes: 0, at_least_one_batch: true };
    let read = log.reader().read(end_offset.plus(-1), limit)?;
    Ok(Batches::new(&read.records).last().is_none_or(|batch| batch.leader_epoch() == epoch))
}

/// What stands in the log behind a snapshot.
pub(super) struct Tail {
    pub batches: Vec<Appended>,
    /// Where the epochs in it begin.
    pub epochs: Vec<EpochStart>,
    /// What it says about the voters.
    pub control: Vec<(Offset, Control)>,
}

pub(super) fn read_tail(reader: &LogReader, image: &MetadataImage) -> Result<Tail, String> {
    let offsets = reader.offsets();
    let (mut batches, mut epochs, mut control) = (Vec::new(), Vec::<EpochStart>::new(), Vec::new());
    let next = image.offset().plus(1);
    if offsets.log_start_offset > next {
        return Err(format!(
            "the log begins at {}, but no whole snapshot reaches that far: the newest ends at {}; \
             bring back a snapshot (a .checkpoint file) from a backup",
            offsets.log_start_offset, next
        ));
    }
    let reached = each_batch(reader, next, |found| {
        let (base, epoch) = (found.base_offset(), found.leader_epoch());
        let records = batch::records(found).map_err(|error| error.to_string())?;
        // A snapshot ends between batches; one that began before it is part of it.
        if base >= next {
            let end_offset = found.next_offset();
            batches.push(Appended { base_offset: base, end_offset, epoch, records });
        }
        if epochs.last().is_none_or(|last| last.epoch < epoch) {
            epochs.push(EpochStart { epoch, start_offset: base });
        }
        control.extend(batch::control(found).map_err(|error| error.to_string())?);
        Ok(())
    })?;
    if reached < offsets.log_end_offset {
        return Err(format!("the log cannot be read at offset {reached}"));
    }
    Ok(Tail { batches, epochs, control })
}
