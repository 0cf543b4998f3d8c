//! The controller: what may change in the cluster, and how.
//!
//! Event-sourced: deciding gives records and an answer and changes nothing; [`Controller::replay`]
//! alone changes state. The driver appends the records as one atomic batch, replays them, and lets
//! the answer go once they are committed.

pub mod alter_configs;
pub mod brokers;
pub mod features;
pub mod topics;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, ProducerId};
use milena_protocol::metadata_record::MetadataRecord;
use milena_protocol::metadata_record::ProducerIdsRecord;

use crate::configs::{Resolver, Values};
use crate::metadata::delta::{Delta, ReplayError};
use crate::metadata::image::MetadataImage;

/// Producer ids in one block (KIP-730).
pub const PRODUCER_ID_BLOCK: i64 = 1000;

/// What follows from a request.
#[derive(Clone, Debug)]
pub struct Decision<A> {
    /// To be appended as one atomic batch; none where nothing changes.
    pub records: Vec<MetadataRecord>,
    /// To be answered once they are committed.
    pub answer: A,
}

/// Why something was refused: a code, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code.
    pub code: ErrorCode,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Refused {
    /// A refusal.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The state that decisions are made on: everything that was appended, committed or not.
#[derive(Clone, Debug)]
pub struct Controller {
    node: NodeId,
    static_values: Values,
    image: MetadataImage,
}

impl Controller {
    /// Starts from an image.
    #[must_use]
    pub fn new(node: NodeId, static_values: Values, image: MetadataImage) -> Self {
        Self { node, static_values, image }
    }

    /// The metadata as of the last record appended.
    #[must_use]
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    pub(crate) fn resolver(&self) -> Resolver<'_> {
        Resolver { node: self.node, static_values: &self.static_values, image: &self.image }
    }

    /// Replays a batch of records, the first of them at `base_offset`.
    ///
    /// # Errors
    /// When a record does not fit: a bug, or a damaged log.
    pub fn replay(
        &mut self,
        base_offset: Offset,
        epoch: LeaderEpoch,
        records: &[MetadataRecord],
    ) -> Result<(), ReplayError> {
        let mut delta = Delta::new(&self.image);
        for (index, record) in records.iter().enumerate() {
            delta.replay(base_offset.plus(index as i64), epoch, record)?;
        }
        self.image = delta.finish().0;
        Ok(())
    }

    /// Gives a broker the next block of producer ids: its first id and its end.
    #[must_use]
    pub fn allocate_producer_ids(&self, broker: NodeId) -> Decision<Result<(i64, i64), Refused>> {
        let Some(registered) = self.image.broker(broker) else {
            let message = format!("broker {broker} is not registered");
            let refused = Refused::new(ErrorCode::BROKER_ID_NOT_REGISTERED, message);
            return Decision { records: Vec::new(), answer: Err(refused) };
        };
        let first = self.image.next_producer_id().0;
        let Some(end) = first.checked_add(PRODUCER_ID_BLOCK) else {
            let message = "all producer ids are used up";
            let refused = Refused::new(ErrorCode::UNKNOWN_SERVER_ERROR, message);
            return Decision { records: Vec::new(), answer: Err(refused) };
        };
        let record = MetadataRecord::ProducerIds(ProducerIdsRecord {
            broker_id: broker,
            broker_epoch: registered.epoch,
            next_producer_id: ProducerId(end),
        });
        Decision { records: vec![record], answer: Ok((first, end)) }
    }
}
