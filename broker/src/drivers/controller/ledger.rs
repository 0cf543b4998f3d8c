//! Where the metadata of this node is: the log and its snapshots. What they say the cluster's
//! ledger knows, which is told of everything that happens to them.

use std::sync::Arc;

use bytes::Bytes;
use milena_cluster::controller::Controller;
use milena_cluster::controller::ledger::{self, Appended};
use milena_cluster::metadata::batch;
use milena_cluster::metadata::delta::{Changes, ReplayError};
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::metadata::snapshot::{self, Snapshot};
use milena_cluster::quorum::{Append, Batch, Content, Membership, Piece, SnapshotId};
use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::metadata_record::MetadataRecord;
use milena_storage::{AppendContext, Log, Origin, ReadLimit};

use super::Fatal;
use crate::drivers::metadata_log::QuorumFiles;

/// Where the metadata of this node is, and what it says.
pub(super) struct Ledger {
    pub log: Log,
    pub files: QuorumFiles,
    metadata: ledger::Ledger,
    /// The records of the decision that is proposed just now: they come back as values.
    proposed: Option<Vec<MetadataRecord>>,
    pub bytes_since_snapshot: u64,
}

impl Ledger {
    /// A log and its snapshots, and what they say.
    pub fn new(log: Log, files: QuorumFiles, metadata: ledger::Ledger) -> Self {
        Self { log, files, metadata, proposed: None, bytes_since_snapshot: 0 }
    }

    pub fn image(&self) -> &Arc<MetadataImage> {
        self.metadata.image()
    }

    pub fn controller(&self) -> &Controller {
        self.metadata.controller()
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
        let appended = Appended {
            base_offset: append.base_offset,
            end_offset: append.end_offset(),
            epoch: append.epoch,
            records,
        };
        self.metadata.append(appended).map_err(fatal)
    }

    /// Appends what the leader sent.
    pub fn append_replicated(&mut self, batch: &Batch, now: Timestamp) -> Result<(), Fatal> {
        let fatal = |error: &dyn std::fmt::Display| {
            Fatal(format!("cannot append what the leader sent: {error}"))
        };
        let appended = Appended::read(batch).map_err(|error| fatal(&error))?;
        let end = self.log.append_as_follower(&batch.bytes, now).map_err(|error| fatal(&error))?;
        assert_eq!(end, batch.end_offset, "the log and the quorum disagree");
        self.bytes_since_snapshot += batch.bytes.len() as u64;
        self.metadata.append(appended).map_err(self::fatal)
    }

    /// Cuts the log.
    pub fn truncate(&mut self, end: Offset, now: Timestamp) -> Result<(), Fatal> {
        // What is committed it refuses to cut off, before anything is gone.
        self.metadata.truncate(end).map_err(fatal)?;
        self.log
            .truncate_to(end, now)
            .map_err(|error| Fatal(format!("cannot cut the metadata log: {error}")))
    }

    /// Everything below counts: what is different in the next image. None where nothing new does.
    pub fn commit(&mut self, high_watermark: Offset) -> Result<Option<Changes>, Fatal> {
        self.log.update_high_watermark(high_watermark);
        self.metadata.commit(high_watermark).map_err(fatal)
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
        self.bytes_since_snapshot = 0;
        Ok(Some((membership, self.metadata.install(image))))
    }
}

fn fatal(error: ReplayError) -> Fatal {
    Fatal(format!("a metadata record does not replay: {error}"))
}
