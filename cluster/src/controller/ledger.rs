//! What a node has of the metadata: the image as of the last commit, the batches behind it of which
//! nobody has said yet that they are committed, and the controller, which has replayed both.
//!
//! Where the bytes are its driver knows. Whatever befalls the log there is told here: a batch is
//! appended, the end is cut off, all below a high watermark counts, a snapshot takes the place of
//! everything.

use std::sync::Arc;

use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::record::run::Batches;

use super::machine::Controller;
use crate::configs::Values;
use crate::metadata::batch::{self, BadBatch};
use crate::metadata::delta::{Changes, Delta, ReplayError};
use crate::metadata::image::MetadataImage;
use crate::quorum;

/// A batch that is in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended {
    /// Where it begins.
    pub base_offset: Offset,
    /// Where it ends.
    pub end_offset: Offset,
    /// The epoch of the leader that made it.
    pub epoch: LeaderEpoch,
    /// None of a control batch, which takes offsets and changes nothing.
    pub records: Vec<MetadataRecord>,
}

impl Appended {
    /// A batch that the leader sent, or that was found in the log.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn read(batch: &quorum::Batch) -> Result<Self, BadBatch> {
        let mut records = Vec::new();
        for one in Batches::new(&batch.bytes) {
            records.extend(batch::records(&one)?);
        }
        let quorum::Batch { base_offset, end_offset, epoch, .. } = *batch;
        Ok(Self { base_offset, end_offset, epoch, records })
    }
}

/// What a node has of the metadata.
#[derive(Clone, Debug)]
pub struct Ledger {
    node: NodeId,
    static_values: Values,
    controller: Controller,
    image: Arc<MetadataImage>,
    /// In the order of the log, without gaps.
    uncommitted: Vec<Appended>,
}

impl Ledger {
    /// What a snapshot and the log behind it say; `static_values` are the node's own configuration.
    ///
    /// # Errors
    /// When a record does not fit: a bug, or a damaged log.
    pub fn new(
        node: NodeId,
        static_values: Values,
        image: MetadataImage,
        tail: Vec<Appended>,
    ) -> Result<Self, ReplayError> {
        let controller = Controller::new(node, static_values.clone(), image.clone());
        let image = Arc::new(image);
        let mut ledger = Self { node, static_values, controller, image, uncommitted: Vec::new() };
        tail.into_iter().try_for_each(|batch| ledger.append(batch))?;
        Ok(ledger)
    }

    /// The image as of the last commit.
    #[must_use]
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// The controller, with everything replayed that was appended.
    #[must_use]
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Takes a batch that was appended to the log.
    ///
    /// # Errors
    /// When a record does not fit: a bug, or a damaged log.
    ///
    /// # Panics
    /// When the batch is not the next one.
    pub fn append(&mut self, appended: Appended) -> Result<(), ReplayError> {
        let last = self.uncommitted.last();
        let follows = last.is_none_or(|last| last.end_offset == appended.base_offset);
        assert!(follows, "{} does not follow what was appended", appended.base_offset);
        replay(&mut self.controller, &appended)?;
        self.uncommitted.push(appended);
        Ok(())
    }

    /// The log was cut. What was cut off the controller never knew.
    ///
    /// # Errors
    /// When a record does not fit: a bug.
    ///
    /// # Panics
    /// When something committed is cut off.
    pub fn truncate(&mut self, end: Offset) -> Result<(), ReplayError> {
        assert!(end > self.image.offset(), "{end} cuts off what is committed");
        self.uncommitted.retain(|batch| batch.end_offset <= end);
        self.rebuild()
    }

    /// Another image takes the place of everything: answers what is different in it.
    pub fn install(&mut self, image: MetadataImage) -> Changes {
        let changes = Changes::between(&self.image, &image);
        self.uncommitted.clear();
        self.controller = Controller::new(self.node, self.static_values.clone(), image.clone());
        self.image = Arc::new(image);
        changes
    }

    /// Everything below counts: what is different in the next image. None where nothing new does.
    ///
    /// # Errors
    /// When a record does not fit: a bug.
    pub fn commit(&mut self, high_watermark: Offset) -> Result<Option<Changes>, ReplayError> {
        let count = self.uncommitted.partition_point(|batch| batch.end_offset <= high_watermark);
        if count == 0 {
            return Ok(None);
        }
        let mut delta = Delta::new(&self.image);
        for batch in self.uncommitted.drain(..count) {
            for (index, record) in batch.records.iter().enumerate() {
                delta.replay(batch.base_offset.plus(index as i64), batch.epoch, record)?;
            }
            // A control record takes an offset and changes nothing.
            delta.advance(batch.end_offset.plus(-1), batch.epoch);
        }
        let (image, changes) = delta.finish();
        self.image = Arc::new(image);
        Ok(Some(changes))
    }

    /// The controller as the image and what is appended behind it make it.
    fn rebuild(&mut self) -> Result<(), ReplayError> {
        let image = (*self.image).clone();
        self.controller = Controller::new(self.node, self.static_values.clone(), image);
        self.uncommitted.iter().try_for_each(|batch| replay(&mut self.controller, batch))
    }

    /// What holds after every step.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self) {
        self.controller.check_invariants();
        let last = self.uncommitted.last().map(|batch| batch.end_offset.plus(-1));
        let last = last.unwrap_or(self.image.offset());
        assert_eq!(self.controller.image().offset(), last, "the controller is at the log's end");
        let first = self.uncommitted.first();
        assert!(first.is_none_or(|first| first.base_offset > self.image.offset()));
    }
}

fn replay(controller: &mut Controller, batch: &Appended) -> Result<(), ReplayError> {
    controller.replay(batch.base_offset, batch.epoch, &batch.records)?;
    controller.advance(batch.end_offset.plus(-1), batch.epoch);
    Ok(())
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::Uuid;
    use milena_protocol::metadata_record::TopicRecord;

    use super::*;

    fn topic(number: u128) -> Appended {
        let record = TopicRecord {
            name: format!("t{number}").as_str().into(),
            topic_id: Uuid::from_u128(number),
        };
        Appended {
            base_offset: Offset(number as i64),
            end_offset: Offset(number as i64 + 1),
            epoch: LeaderEpoch(1),
            records: vec![MetadataRecord::Topic(record)],
        }
    }

    /// Topics of the numbers 0 and 1, of which nobody has said that they are committed.
    fn ledger() -> Ledger {
        let tail = vec![topic(0), topic(1)];
        Ledger::new(NodeId(1), Values::new(), MetadataImage::default(), tail).unwrap()
    }

    fn names(image: &MetadataImage) -> Vec<String> {
        image.topics().map(|topic| topic.name().to_string()).collect()
    }

    /// A broker would act on what another leader may undo.
    #[test]
    fn the_image_has_what_is_committed_and_the_controller_what_is_appended() {
        let mut ledger = ledger();
        assert_eq!(names(ledger.image()), [""; 0]);
        assert_eq!(names(ledger.controller().image()), ["t0", "t1"]);
        let changes = ledger.commit(Offset(1)).unwrap().unwrap();
        assert_eq!(changes.created_topics, [Uuid::from_u128(0)].into());
        assert_eq!(names(ledger.image()), ["t0"]);
        ledger.check_invariants();
        assert_eq!(ledger.commit(Offset(1)).unwrap(), None, "nothing new counts");
    }

    /// The next decision would be made on what another leader never had.
    #[test]
    fn the_controller_does_not_know_what_was_cut_off() {
        let mut ledger = ledger();
        ledger.truncate(Offset(1)).unwrap();
        ledger.check_invariants();
        assert_eq!(names(ledger.controller().image()), ["t0"]);
        let other = Appended { epoch: LeaderEpoch(2), ..topic(2) };
        ledger.append(Appended { base_offset: Offset(1), end_offset: Offset(2), ..other }).unwrap();
        ledger.commit(Offset(2)).unwrap();
        ledger.check_invariants();
        assert_eq!(names(ledger.image()), ["t0", "t2"]);
        assert_eq!(ledger.image().epoch(), LeaderEpoch(2));
    }

    /// What was acknowledged would be undone.
    #[test]
    #[should_panic(expected = "1 cuts off what is committed")]
    fn what_is_committed_is_not_cut_off() {
        let mut ledger = ledger();
        ledger.commit(Offset(2)).unwrap();
        let _ = ledger.truncate(Offset(1));
    }

    /// A control batch would be taken for a gap, and the records behind it for others.
    #[test]
    fn a_control_batch_takes_offsets_and_changes_nothing() {
        let mut ledger = ledger();
        let control = Appended { records: Vec::new(), ..topic(2) };
        ledger.append(control).unwrap();
        ledger.append(topic(3)).unwrap();
        let changes = ledger.commit(Offset(4)).unwrap().unwrap();
        ledger.check_invariants();
        assert_eq!(changes.created_topics.len(), 3);
        assert_eq!(ledger.image().offset(), Offset(3));
    }

    /// A broker would keep what the snapshot knows to be gone.
    #[test]
    fn a_snapshot_takes_the_place_of_everything() {
        let mut other = MetadataImage::default();
        let MetadataRecord::Topic(record) = topic(7).records.remove(0) else { unreachable!() };
        other.replay(Offset(9), LeaderEpoch(3), &MetadataRecord::Topic(record)).unwrap();
        let mut ledger = ledger();
        ledger.commit(Offset(1)).unwrap();
        let changes = ledger.install(other);
        ledger.check_invariants();
        assert_eq!(changes.created_topics, [Uuid::from_u128(7)].into());
        assert_eq!(changes.removed_topics.len(), 1);
        assert_eq!(names(ledger.controller().image()), ["t7"]);
        assert_eq!(ledger.image().offset(), Offset(9));
    }

    /// A damaged log would be believed.
    #[test]
    fn a_record_that_does_not_fit_is_refused() {
        let mut ledger = ledger();
        let again = Appended { base_offset: Offset(2), end_offset: Offset(3), ..topic(1) };
        assert_eq!(ledger.append(again), Err(ReplayError::DuplicateTopic("t1".into())));
    }
}
