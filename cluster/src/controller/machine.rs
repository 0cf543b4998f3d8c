//! The machine itself: what decisions are made on, and how records change it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, ProducerId, Uuid};
use milena_protocol::metadata_record::{MetadataRecord, ProducerIdsRecord};

use super::names::ambiguous_metric_name;
use crate::configs::{Resolver, Values};
use crate::metadata::delta::ReplayError;
use crate::metadata::image::{BrokerImage, MetadataImage};

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
    pub(super) static_values: Values,
    pub(super) image: MetadataImage,
    /// Topics whose names have dots or underscores, by the name that metrics give them.
    pub(super) metric_names: BTreeMap<String, BTreeSet<Text>>,
}

impl Controller {
    /// Starts from an image.
    #[must_use]
    pub fn new(node: NodeId, static_values: Values, image: MetadataImage) -> Self {
        let names: Vec<Text> = image.topics().map(|topic| topic.name().clone()).collect();
        let mut controller = Self { node, static_values, image, metric_names: BTreeMap::new() };
        names.into_iter().for_each(|name| controller.note_name(name));
        controller
    }

    /// The metadata as of the last record appended.
    #[must_use]
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// How long a broker may be silent until it is fenced: `broker.session.timeout.ms`.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        let millis = self.resolver().broker_number("broker.session.timeout.ms");
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    pub(super) fn resolver(&self) -> Resolver<'_> {
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
        for (index, record) in records.iter().enumerate() {
            match record {
                MetadataRecord::Topic(record) => self.note_name(record.name.detach()),
                MetadataRecord::RemoveTopic(record) => self.forget_name(record.topic_id),
                _ => {}
            }
            self.image.replay(base_offset.plus(index as i64), epoch, record)?;
        }
        Ok(())
    }

    /// Moves on over control records, so that the next record's offset is known.
    pub fn advance(&mut self, last: Offset, epoch: LeaderEpoch) {
        self.image.advance(last, epoch);
    }

    /// Gives a broker the next block of producer ids: its first id and its end.
    #[must_use]
    pub fn allocate_producer_ids(&self, broker: NodeId) -> Decision<Result<(i64, i64), Refused>> {
        let epoch = self.image.broker(broker).map_or(BrokerEpoch(-1), |broker| broker.epoch);
        self.allocate_producer_ids_to(broker, epoch)
    }

    /// Gives one registration of a broker the next block of producer ids (KIP-730).
    #[must_use]
    pub fn allocate_producer_ids_to(
        &self,
        broker: NodeId,
        epoch: BrokerEpoch,
    ) -> Decision<Result<(i64, i64), Refused>> {
        if let Err(refused) = self.registered(broker, epoch) {
            return Decision { records: Vec::new(), answer: Err(refused) };
        }
        let first = self.image.next_producer_id().0;
        let Some(end) = first.checked_add(PRODUCER_ID_BLOCK) else {
            let message = "all producer ids are used up";
            let refused = Refused::new(ErrorCode::UNKNOWN_SERVER_ERROR, message);
            return Decision { records: Vec::new(), answer: Err(refused) };
        };
        let record = MetadataRecord::ProducerIds(ProducerIdsRecord {
            broker_id: broker,
            broker_epoch: epoch,
            next_producer_id: ProducerId(end),
        });
        Decision { records: vec![record], answer: Ok((first, end)) }
    }

    /// The registration that a broker speaks for.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH where it speaks for none, or for another one.
    pub(super) fn registered(
        &self,
        id: NodeId,
        epoch: BrokerEpoch,
    ) -> Result<&BrokerImage, Refused> {
        let Some(broker) = self.image.broker(id) else {
            let message = format!("broker {id} is not registered");
            return Err(Refused::new(ErrorCode::STALE_BROKER_EPOCH, message));
        };
        if broker.epoch != epoch {
            let message = format!("broker {id} has epoch {}, not {epoch}", broker.epoch);
            return Err(Refused::new(ErrorCode::STALE_BROKER_EPOCH, message));
        }
        Ok(broker)
    }

    fn note_name(&mut self, name: Text) {
        if let Some(metric_name) = ambiguous_metric_name(&name) {
            self.metric_names.entry(metric_name).or_default().insert(name);
        }
    }

    fn forget_name(&mut self, topic_id: Uuid) {
        let Some(topic) = self.image.topic_by_id(topic_id) else { return };
        let Some(metric_name) = ambiguous_metric_name(topic.name()) else { return };
        if let Some(names) = self.metric_names.get_mut(&metric_name) {
            names.remove(topic.name());
            if names.is_empty() {
                self.metric_names.remove(&metric_name);
            }
        }
    }

    /// What holds after every step.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self) {
        self.image.check_invariants();
        let ambiguous = self
            .image
            .topics()
            .filter(|topic| ambiguous_metric_name(topic.name()).is_some())
            .count();
        assert_eq!(ambiguous, self.metric_names.values().map(BTreeSet::len).sum::<usize>());
    }
}
