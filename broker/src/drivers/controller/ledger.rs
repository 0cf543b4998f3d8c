//! What this node has of the metadata: the log, its snapshots, the image as of the last commit, and
//! the controller, which is ahead of the image by what is appended and not committed.

use std::sync::Arc;

use bytes::Bytes;
use milena_cluster::configs::Values;
use milena_cluster::controller::Controller;
use milena_cluster::metadata::batch;
use milena_cluster::metadata::delta::{Changes, Delta};
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::metadata::snapshot::{self, Snapshot};
use milena_cluster::quorum::{Append, Batch, Content, Membership, Piece, SnapshotId};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::record::run::Batches;
use milena_storage::{AppendContext, Log, Origin, ReadLimit};

use super::Fatal;
use crate::drivers::metadata_log::QuorumFiles;

/// A batch that is in the log, and of which nobody has said yet that it is committed.
pub(super) struct Uncommitted {
    pub base_offset: Offset,
    pub end_offset: Offset,
    pub epoch: LeaderEpoch,
    /// None of a control batch.
    pub records: Vec<MetadataRecord>,
}

/// What this node has of the metadata.
pub(super) struct Ledger {
    pub log: Log,
    pub files: QuorumFiles,
    node: NodeId,
    static_values: Values,
    controller: Controller,
    /// The image as of the last commit.
    image: Arc<MetadataImage>,
    uncommitted: Vec<Uncommitted>,
    /// The records of the decision that is proposed just now: they come back as values.
    proposed: Option<Vec<MetadataRecord>>,
    pub bytes_since_snapshot: u64,
}

impl Ledger {
    /// What a snapshot and the log behind it say.
    ///
    /// # Errors
    /// When a record does not fit.
    pub fn new(
        log: Log,
        files: QuorumFiles,
        node: NodeId,
        static_values: Values,
        image: MetadataImage,
        tail: Vec<Uncommitted>,
    ) -> Result<Self, Fatal> {
        let mut ledger = Self {
            log,
            files,
            node,
            controller: Controller::new(node, static_values.clone(), MetadataImage::default()),
            static_values,
            image: Arc::new(image),
            uncommitted: tail,
            proposed: None,
            bytes_since_snapshot: 0,
        };
        ledger.rebuild()?;
        Ok(ledger)
    }

    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// These records are what the quorum wants appended next.
    pub fn propose(&mut self, records: Vec<MetadataRecord>) {
        self.proposed = Some(records);
    }

    /// Appends what this node decided as the leader.
    pub fn append(&mut self, append: &Append) -> Result<(), Fatal> {
        let bytes: Bytes = batch::bytes(append)
            .map_err(|error| Fatal(format!("a metadata batch cannot be made: {error}")))?;
        let context = AppendContext {
            leader_epoch: append.epoch,
            now: append.timestamp,
            origin: Origin::Controller,
        };
        let appended = self
            .log
            .append_as_leader(&bytes, context)
            .map_err(|error| Fatal(format!("cannot append to the metadata log: {error}")))?;
        assert_eq!(appended.base_offset, append.base_offset, "the log and the quorum disagree");
        self.bytes_since_snapshot += bytes.len() as u64;
        let records = match append.content {
            Content::Records(_) => self.proposed.take().expect("records that were proposed"),
            Content::LeaderChange { .. } | Content::Membership(_) | Content::Voters(_) => {
                Vec::new()
            }
        };
        self.note(Uncommitted {
            base_offset: append.base_offset,
            end_offset: append.end_offset(),
            epoch: append.epoch,
            records,
        })
    }

    /// Appends what the leader sent.
    pub fn append_replicated(&mut self, batch: &Batch, now: Timestamp) -> Result<(), Fatal> {
        let fatal = |error: &dyn std::fmt::Display| {
            Fatal(format!("cannot append what the leader sent: {error}"))
        };
        let mut records = Vec::new();
        for one in Batches::new(&batch.bytes) {
            records.extend(batch::records(&one).map_err(|error| fatal(&error))?);
        }
        let end = self.log.append_as_follower(&batch.bytes, now).map_err(|error| fatal(&error))?;
        assert_eq!(end, batch.end_offset, "the log and the quorum disagree");
        self.bytes_since_snapshot += batch.bytes.len() as u64;
        self.note(Uncommitted {
            base_offset: batch.base_offset,
            end_offset: batch.end_offset,
            epoch: batch.epoch,
            records,
        })
    }

    fn note(&mut self, appended: Uncommitted) -> Result<(), Fatal> {
        replay(&mut self.controller, &appended)?;
        self.uncommitted.push(appended);
        Ok(())
    }

    /// Cuts the log. What was cut off the controller never knew.
    pub fn truncate(&mut self, end: Offset, now: Timestamp) -> Result<(), Fatal> {
        assert!(end > self.image.offset(), "what is committed is not cut off");
        self.log
            .truncate_to(end, now)
            .map_err(|error| Fatal(format!("cannot cut the metadata log: {error}")))?;
        self.uncommitted.retain(|batch| batch.end_offset <= end);
        self.rebuild()
    }

    /// The controller as the image and what is appended behind it make it.
    fn rebuild(&mut self) -> Result<(), Fatal> {
        let image = (*self.image).clone();
        self.controller = Controller::new(self.node, self.static_values.clone(), image);
        for batch in &self.uncommitted {
            replay(&mut self.controller, batch)?;
        }
        Ok(())
    }

    /// Everything below counts: the next image, and what is different in it. None where nothing
    /// new does.
    pub fn commit(&mut self, high_watermark: Offset) -> Result<Option<Changes>, Fatal> {
        self.log.update_high_watermark(high_watermark);
        let count = self.uncommitted.partition_point(|batch| batch.end_offset <= high_watermark);
        if count == 0 {
            return Ok(None);
        }
        let mut delta = Delta::new(&self.image);
        for batch in self.uncommitted.drain(..count) {
            for (index, record) in batch.records.iter().enumerate() {
                delta
                    .replay(batch.base_offset.plus(index as i64), batch.epoch, record)
                    .map_err(|error| Fatal(format!("a committed record does not fit: {error}")))?;
            }
            // A control record takes an offset and changes nothing.
            delta.advance(batch.end_offset.plus(-1), batch.epoch);
        }
        let (image, changes) = delta.finish();
        self.image = Arc::new(image);
        Ok(Some(changes))
    }

    /// The batches between two offsets, at most so many bytes and at least one batch.
    pub fn batches(&self, from: Offset, to: Offset, max_bytes: usize) -> Result<Vec<Batch>, Fatal> {
        let fatal = |error: &dyn std::fmt::Display| {
            Fatal(format!("cannot read the metadata log at {from}: {error}"))
        };
        let limit = ReadLimit { upper: to, max_bytes, at_least_one_batch: true };
        let read = self.log.reader().read(from, limit).map_err(|error| fatal(&error))?;
        batch::of_quorum(&read.records).map_err(|error| fatal(&error))
    }

    /// Fills in a piece of a snapshot; false where there is no such snapshot.
    pub fn fill(&self, piece: &mut Piece, max_bytes: usize) -> bool {
        match self.files.read_piece(piece.snapshot, piece.position, max_bytes) {
            Ok(Some((size, bytes))) => {
                piece.size = size;
                piece.bytes = bytes;
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(snapshot = ?piece.snapshot, %error, "cannot read a snapshot");
                false
            }
        }
    }

    /// Takes a snapshot that the leader sent in place of the log. None where it is damaged;
    /// otherwise what it says about the voters, and what is different in its image.
    pub fn install(
        &mut self,
        id: SnapshotId,
        now: Timestamp,
    ) -> Result<Option<(Option<Membership>, Changes)>, Fatal> {
        let fatal = |error: &dyn std::fmt::Display| {
            Fatal(format!("cannot install a metadata snapshot: {error}"))
        };
        let bytes = self.files.read_download(id).map_err(|error| fatal(&error))?;
        let Snapshot { image, membership } = match snapshot::read(&bytes, id.end_offset, id.epoch) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(?id, %error, "a snapshot arrived damaged and is fetched again");
                self.files.drop_download(id).map_err(|error| fatal(&error))?;
                return Ok(None);
            }
        };
        // The snapshot first: a kill in between finds it, and a log that it makes superfluous.
        self.files.keep_download(id).map_err(|error| fatal(&error))?;
        self.log.truncate_fully_and_start_at(id.end_offset, now).map_err(|error| fatal(&error))?;
        let changes = Changes::between(&self.image, &image);
        self.uncommitted.clear();
        self.image = Arc::new(image);
        self.bytes_since_snapshot = 0;
        self.rebuild()?;
        Ok(Some((membership, changes)))
    }
}

fn replay(controller: &mut Controller, batch: &Uncommitted) -> Result<(), Fatal> {
    controller
        .replay(batch.base_offset, batch.epoch, &batch.records)
        .map_err(|error| Fatal(format!("a metadata record does not replay: {error}")))?;
    controller.advance(batch.end_offset.plus(-1), batch.epoch);
    Ok(())
}
