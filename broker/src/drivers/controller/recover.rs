//! The way back from a majority of voters that is gone for good: one of those that are left, which
//! is not running, is made the only voter of what its own log holds.
//!
//! What a majority had committed and this log does not hold is lost; what this log holds counts
//! from then on, whether it was committed or not. A log of a newer epoch is what an old voter
//! cannot follow into, so the others come back with empty directories only.

use milena_cluster::configs::Values;
use milena_cluster::controller::Controller;
use milena_cluster::metadata::batch;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::metadata::snapshot::Snapshot;
use milena_cluster::quorum::{
    Append, Content, Control, DYNAMIC_VOTERS, Membership, QuorumState, ReplicaKey, Voter, VoterSet,
};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp};
use milena_storage::{AppendContext, Log, LogDirectory, Origin};

use super::Fatal;
use super::restore::{Tail, open_log, read_tail, reconcile};
use crate::drivers::metadata_log::QuorumFiles;

/// What a node that is not running has of the metadata.
pub struct Remains {
    log: Log,
    files: QuorumFiles,
    state: QuorumState,
    image: MetadataImage,
    last_epoch: LeaderEpoch,
    /// The voters that its log names; none where they are configured.
    pub voters: VoterSet,
    key: ReplicaKey,
}

impl Remains {
    /// Reads what a directory holds. Nothing is changed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(
        directory: &LogDirectory,
        node: NodeId,
        segment_bytes: u32,
        now: Timestamp,
    ) -> Result<Self, Fatal> {
        let mut log = open_log(directory, segment_bytes)?;
        let files = QuorumFiles::open(directory).map_err(|error| fatal(&error))?;
        let state = files.read_state().map_err(|error| fatal(&error))?.unwrap_or_default();
        let snapshot = files.read_snapshot().map_err(|error| fatal(&error))?;
        reconcile(&mut log, &snapshot, now)?;
        let Snapshot { mut image, membership } = snapshot;
        let Tail { batches, epochs, control } = read_tail(&log.reader(), &image).map_err(Fatal)?;
        let mut voters = membership.unwrap_or_default().voters;
        for (_, control) in control {
            if let Control::Voters(set) = control {
                voters = set;
            }
        }
        for batch in batches {
            for (index, record) in batch.records.iter().enumerate() {
                image
                    .replay(batch.base_offset.plus(index as i64), batch.epoch, record)
                    .map_err(|error| fatal(&error))?;
            }
            image.advance(batch.end_offset.plus(-1), batch.epoch);
        }
        let last_epoch = epochs.last().map_or(image.epoch(), |last| last.epoch);
        let key = ReplicaKey { id: node, directory_id: directory.id() };
        Ok(Self { log, files, state, image, last_epoch, voters, key })
    }

    /// The metadata with everything that the log holds.
    #[must_use]
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Where the log ends.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// The highest epoch that the node has seen.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.last_epoch.max(self.state.leader_epoch)
    }

    /// Makes the node the only voter, durably, in an epoch of its own, and takes the brokers of all
    /// other nodes out: what was in sync with them is led by this one.
    ///
    /// # Errors
    /// When the disk refuses, or there is no epoch left.
    pub fn make_only_voter(mut self, now: Timestamp) -> Result<(), Fatal> {
        let epoch = self.epoch().0.checked_add(1).map(LeaderEpoch);
        let epoch = epoch.ok_or_else(|| Fatal("there is no epoch left".to_owned()))?;
        // The state first: a kill in between leaves an epoch that nobody has led.
        let state = QuorumState { leader_epoch: epoch, ..QuorumState::default() };
        self.files.write_state(&state).map_err(|error| fatal(&error))?;
        let membership = Membership { kraft_version: DYNAMIC_VOTERS, voters: self.only_voter() };
        self.append(epoch, now, Content::Membership(membership))?;
        let image = std::mem::take(&mut self.image);
        let others: Vec<NodeId> =
            image.brokers().map(|broker| broker.id).filter(|id| *id != self.key.id).collect();
        let mut controller = Controller::new(self.key.id, Values::default(), image);
        controller.advance(self.end_offset().plus(-1), epoch);
        for other in others {
            let records = controller.fence_broker(other).records;
            if records.is_empty() {
                continue;
            }
            let level = controller.image().metadata_version();
            let values = batch::values_at(&records, level).map_err(|error| fatal(&error))?;
            controller.replay(self.end_offset(), epoch, &records).map_err(|error| fatal(&error))?;
            self.append(epoch, now, Content::Records(values))?;
        }
        self.log.flush().map_err(|error| fatal(&error))
    }

    fn only_voter(&self) -> VoterSet {
        let known = self.voters.voter(self.key.id).filter(|voter| voter.key.matches(&self.key));
        let me = match known {
            Some(known) => Voter { key: self.key, ..known.clone() },
            None => Voter::bare(self.key),
        };
        [me].into_iter().collect()
    }

    fn append(
        &mut self,
        epoch: LeaderEpoch,
        now: Timestamp,
        content: Content,
    ) -> Result<(), Fatal> {
        let base_offset = self.log.log_end_offset();
        let append = Append { base_offset, epoch, timestamp: now, content };
        let bytes = batch::bytes(&append).map_err(|error| fatal(&error))?;
        let context = AppendContext { leader_epoch: epoch, now, origin: Origin::Controller };
        self.log.append_as_leader(&bytes, context).map_err(|error| fatal(&error))?;
        Ok(())
    }
}

fn fatal(error: &dyn std::fmt::Display) -> Fatal {
    Fatal(error.to_string())
}
