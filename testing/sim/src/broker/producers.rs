//! What a log knows of its producers, idempotent and transactional ones: a fold of its batches. A
//! broker's log has it; here it is as short as the rules are.

use std::collections::BTreeMap;

use milena_cluster::coordinator::Producer;
use milena_cluster::quorum::Batch;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use milena_protocol::record::batch;
use milena_protocol::record::control::ControlType;
use milena_protocol::record::record::Records;

/// Batches of which a retry is known again.
const WINDOW: usize = 5;

/// A batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub epoch: ProducerEpoch,
    /// The sequences of its first and last record.
    pub first: i32,
    pub last: i32,
    pub base_offset: Offset,
    pub end_offset: Offset,
    pub is_transactional: bool,
}

/// A marker that ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    pub producer: Producer,
    pub is_commit: bool,
    pub coordinator_epoch: LeaderEpoch,
    /// Whether the epoch was raised when the transaction ended.
    pub is_raised: bool,
}

/// What a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Records of a producer, or of none.
    Records(ProducerId, Sent),
    /// A marker; whether its epoch was raised it does not say.
    Marker(Marker),
}

/// What a batch is that stands at an offset.
pub fn written(bytes: &[u8], base_offset: Offset) -> Option<Written> {
    let (batch, _) = batch::Batch::parse(bytes).ok()?;
    if batch.attributes().is_control() {
        return marker(&batch).map(Written::Marker);
    }
    let sent = Sent {
        epoch: batch.producer_epoch(),
        first: batch.base_sequence().0,
        last: batch.last_sequence().0,
        base_offset,
        end_offset: base_offset.plus(i64::from(batch.record_count())),
        is_transactional: batch.attributes().is_transactional(),
    };
    Some(Written::Records(batch.producer_id(), sent))
}

fn marker(batch: &batch::Batch<'_>) -> Option<Marker> {
    let mut records = Records::new(batch.records_bytes(), batch.record_count());
    let record = records.next()?.ok()?;
    let is_commit = match ControlType::from_key(record.key?)? {
        ControlType::Commit => true,
        ControlType::Abort => false,
        _ => return None,
    };
    let (_, epoch) = record.value?.split_at_checked(2)?;
    Some(Marker {
        producer: Producer { id: batch.producer_id(), epoch: batch.producer_epoch() },
        is_commit,
        coordinator_epoch: LeaderEpoch(i32::from_be_bytes(*epoch.first_chunk()?)),
        is_raised: false,
    })
}

/// What is known of a producer.
#[derive(Clone, Debug)]
struct Known {
    epoch: ProducerEpoch,
    coordinator_epoch: LeaderEpoch,
    window: Vec<Sent>,
    /// Where its open transaction begins.
    open_from: Option<Offset>,
}

impl Known {
    fn new(epoch: ProducerEpoch) -> Self {
        Self { epoch, coordinator_epoch: LeaderEpoch::NONE, window: Vec::new(), open_from: None }
    }

    fn raise(&mut self, epoch: ProducerEpoch) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.window.clear();
        }
    }
}

/// A transaction that was aborted: the batches of its producer between these offsets count for
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    pub producer: ProducerId,
    pub first_offset: Offset,
    /// Where its marker stands.
    pub last_offset: Offset,
}

/// All producers of a log.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    known: BTreeMap<ProducerId, Known>,
    pub aborted: Vec<Aborted>,
}

impl Producers {
    /// What a whole log says.
    pub fn of<'a>(log: impl IntoIterator<Item = &'a Batch>) -> Self {
        let mut producers = Self::default();
        for batch in log {
            match written(&batch.bytes, batch.base_offset) {
                Some(Written::Records(id, sent)) => producers.note(id, sent),
                Some(Written::Marker(marker)) => producers.mark(marker, batch.base_offset),
                None => {}
            }
        }
        producers
    }

    /// A batch that was appended.
    pub fn note(&mut self, id: ProducerId, sent: Sent) {
        if id == ProducerId::NONE {
            return;
        }
        let known = self.known.entry(id).or_insert_with(|| Known::new(sent.epoch));
        known.raise(sent.epoch);
        // Coordinators' records are in transactions too, and have no sequences.
        if sent.first >= 0 {
            known.window.push(sent);
        }
        if known.window.len() > WINDOW {
            known.window.remove(0);
        }
        if sent.is_transactional {
            known.open_from.get_or_insert(sent.base_offset);
        }
    }

    /// A marker that was appended.
    pub fn mark(&mut self, marker: Marker, offset: Offset) {
        let Producer { id, epoch } = marker.producer;
        let known = self.known.entry(id).or_insert_with(|| Known::new(epoch));
        known.raise(epoch);
        known.coordinator_epoch = marker.coordinator_epoch;
        let begun = known.open_from.take();
        if let Some(first_offset) = begun.filter(|_| !marker.is_commit) {
            self.aborted.push(Aborted { producer: id, first_offset, last_offset: offset });
        }
    }

    /// Where the oldest open transaction begins.
    pub fn open_from(&self) -> Option<Offset> {
        self.known.values().filter_map(|known| known.open_from).min()
    }

    /// Whether a producer has a transaction open in this epoch.
    pub fn has_open(&self, producer: Producer) -> bool {
        let known = self.known.get(&producer.id);
        known.is_some_and(|known| known.epoch == producer.epoch && known.open_from.is_some())
    }

    /// Whether a batch may be appended; where it is one again, which that was.
    pub fn admit(&self, id: ProducerId, next: Sent) -> Result<Option<Sent>, ErrorCode> {
        let known = self.known.get(&id);
        let is_same = known.is_some_and(|known| known.epoch == next.epoch);
        let window = known.filter(|_| is_same).map_or(&[][..], |known| &known.window);
        let again = window.iter().find(|it| (it.first, it.last) == (next.first, next.last));
        if let Some(again) = again {
            return Ok(Some(*again));
        }
        if known.is_some_and(|known| next.epoch < known.epoch) {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let follows = window.last().map_or(0, |last| last.last + 1);
        if next.first == follows {
            return Ok(None);
        }
        Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
    }

    /// Whether a marker may be appended (KIP-1228).
    pub fn admit_marker(&self, marker: Marker) -> Result<(), ErrorCode> {
        let Some(known) = self.known.get(&marker.producer.id) else { return Ok(()) };
        let epoch = marker.producer.epoch;
        let is_of_before = marker.is_raised && epoch == known.epoch && known.open_from.is_some();
        if epoch < known.epoch || is_of_before {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if marker.coordinator_epoch < known.coordinator_epoch {
            return Err(ErrorCode::TRANSACTION_COORDINATOR_FENCED);
        }
        Ok(())
    }
}
