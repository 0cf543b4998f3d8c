//! What a node has of the metadata: the image as of the last commit, and the controller, which is
//! ahead of it by what is appended and not committed.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use milena_cluster::configs::Values;
use milena_cluster::controller::Controller;
use milena_cluster::metadata::batch;
use milena_cluster::metadata::delta::{Changes, Delta};
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum::{Append, Batch};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::record::batch::patch;
use milena_protocol::record::run::Batches;

use crate::quorum_checks::Violation;
use crate::recovery::received;

/// A batch that is in the log, and of which nobody has said yet that it is committed.
struct Uncommitted {
    base_offset: Offset,
    end_offset: Offset,
    epoch: LeaderEpoch,
    /// None of a control batch.
    records: Vec<MetadataRecord>,
}

/// What a node has of the metadata.
pub struct Ledger {
    node: NodeId,
    values: Values,
    controller: Controller,
    image: Arc<MetadataImage>,
    uncommitted: Vec<Uncommitted>,
}

/// The records of a batch; none of a control batch.
fn records(bytes: &Bytes) -> Result<Vec<MetadataRecord>, Violation> {
    let mut found = Vec::new();
    for one in Batches::new(bytes) {
        found.extend(batch::records(&one).map_err(|error| error.to_string())?);
    }
    Ok(found)
}

/// What a leader decided, as the log holds it.
pub fn encoded(append: &Append) -> Result<Batch, Violation> {
    let bytes = batch::bytes(append).map_err(|error| format!("it cannot be written: {error}"))?;
    let mut bytes = BytesMut::from(&bytes[..]);
    patch::place(&mut bytes, append.base_offset, append.epoch);
    let found = received(&bytes.freeze()).ok_or("a batch that is not whole was made")?;
    let is_same = found.base_offset == append.base_offset
        && found.end_offset == append.end_offset()
        && found.epoch == append.epoch
        && found.control == append.control();
    if is_same { Ok(found) } else { Err(format!("another batch was made: {found:?}")) }
}

impl Ledger {
    /// What a snapshot and the log behind it say.
    pub fn new(
        node: NodeId,
        values: Values,
        image: MetadataImage,
        tail: &[Batch],
    ) -> Result<Self, Violation> {
        let controller = Controller::new(node, values.clone(), image.clone());
        let image = Arc::new(image);
        let mut ledger = Self { node, values, controller, image, uncommitted: Vec::new() };
        tail.iter().try_for_each(|batch| ledger.append(batch))?;
        Ok(ledger)
    }

    /// The image as of the last commit.
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// The controller, with everything replayed that was appended.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Takes a batch that was appended to the log.
    pub fn append(&mut self, batch: &Batch) -> Result<(), Violation> {
        // Control records are known to the quorum's machine, and are no metadata.
        let appended = Uncommitted {
            base_offset: batch.base_offset,
            end_offset: batch.end_offset,
            epoch: batch.epoch,
            records: records(&batch.bytes)?,
        };
        replay(&mut self.controller, &appended)?;
        self.uncommitted.push(appended);
        Ok(())
    }

    /// The log was cut. What was cut off the controller never knew.
    pub fn truncate(&mut self, end: Offset) -> Result<(), Violation> {
        if end <= self.image.offset() {
            return Err(format!("{} cuts off what is committed, to {end}", self.node));
        }
        self.uncommitted.retain(|batch| batch.end_offset <= end);
        self.rebuild()
    }

    /// Another image takes the place of everything.
    pub fn install(&mut self, image: MetadataImage) -> Result<Changes, Violation> {
        let changes = Changes::between(&self.image, &image);
        self.uncommitted.clear();
        self.image = Arc::new(image);
        self.rebuild()?;
        Ok(changes)
    }

    fn rebuild(&mut self) -> Result<(), Violation> {
        let image = (*self.image).clone();
        self.controller = Controller::new(self.node, self.values.clone(), image);
        self.uncommitted.iter().try_for_each(|batch| replay(&mut self.controller, batch))
    }

    /// Everything below counts: what is different in the next image. None where nothing new does.
    pub fn commit(&mut self, high_watermark: Offset) -> Result<Option<Changes>, Violation> {
        let count = self.uncommitted.partition_point(|batch| batch.end_offset <= high_watermark);
        if count == 0 {
            return Ok(None);
        }
        let mut delta = Delta::new(&self.image);
        for batch in self.uncommitted.drain(..count) {
            for (index, record) in batch.records.iter().enumerate() {
                delta
                    .replay(batch.base_offset.plus(index as i64), batch.epoch, record)
                    .map_err(|error| format!("a committed record does not fit: {error}"))?;
            }
            delta.advance(batch.end_offset.plus(-1), batch.epoch);
        }
        let (image, changes) = delta.finish();
        self.image = Arc::new(image);
        Ok(Some(changes))
    }
}

fn replay(controller: &mut Controller, batch: &Uncommitted) -> Result<(), Violation> {
    controller
        .replay(batch.base_offset, batch.epoch, &batch.records)
        .map_err(|error| format!("a metadata record does not replay: {error}"))?;
    controller.advance(batch.end_offset.plus(-1), batch.epoch);
    controller.check_invariants();
    Ok(())
}
