//! What a log knows about idempotent and transactional producers.
//!
//! Per producer id: the epoch, the last five batches (so that a retry is recognised and answered
//! with the first offset), and the open transaction. The state is a fold of the log; a snapshot
//! bounds how much of the log has to be read for it.
//!
//! Snapshot file, Kafka's format, all big-endian:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 2 | version 1 |
//! | 2 | 4 | CRC-32C of bytes 6… |
//! | 6 | 4 | number of entries |
//! | 10 | 46 each | producer id i64, epoch i16, last sequence i32, last offset i64, offset delta i32, timestamp i64, coordinator epoch i32, first offset of the open transaction i64 (−1 none) |
//!
//! Only the last batch of a producer is in the file; all five are in the file of [`window`], which
//! a restart of the same kernel begins with.

pub(crate) mod window;

use std::collections::{BTreeMap, HashMap};

use milena_protocol::ids::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::record::batch::{Batch, crc32c};

use crate::error::AppendError;
use crate::index::AbortedTransaction;

const WINDOW: usize = 5;
const SNAPSHOT_VERSION: i16 = 1;
const SNAPSHOT_HEADER_BYTES: usize = 10;
const SNAPSHOT_ENTRY_BYTES: usize = 46;

/// What is kept of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Its record count less one.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

impl ProducerBatch {
    /// Sequence of its first record.
    #[must_use]
    pub fn first_sequence(&self) -> Sequence {
        let first = i64::from(self.last_sequence.0) - i64::from(self.offset_delta);
        Sequence((first & 0x7fff_ffff) as i32)
    }

    /// Offset of its first record.
    #[must_use]
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// A producer as DescribeProducers shows it (KIP-664).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its newest epoch.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of its last record, −1 for none.
    pub last_sequence: Sequence,
    /// When it last wrote.
    pub last_timestamp: Timestamp,
    /// Epoch of the coordinator that last ended a transaction of it, −1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub transaction_start_offset: Option<Offset>,
}

/// What a batch says about its producer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducerWrite {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) base_sequence: Sequence,
    pub(crate) base_offset: Offset,
    pub(crate) last_offset_delta: i32,
    pub(crate) timestamp: Timestamp,
    pub(crate) is_transactional: bool,
}

impl ProducerWrite {
    /// What a batch that gets `base_offset` says; `None` without a producer id, and for control
    /// batches, which say something else.
    pub(crate) fn of(batch: &Batch<'_>, base_offset: Offset) -> Option<Self> {
        (batch.producer_id().0 >= 0 && !batch.attributes().is_control()).then(|| Self {
            producer_id: batch.producer_id(),
            producer_epoch: batch.producer_epoch(),
            base_sequence: batch.base_sequence(),
            base_offset,
            last_offset_delta: batch.last_offset_delta(),
            timestamp: batch.max_timestamp(),
            is_transactional: batch.attributes().is_transactional(),
        })
    }

    fn last_sequence(&self) -> Sequence {
        self.base_sequence.plus(self.last_offset_delta)
    }
}

/// A marker that ends a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) coordinator_epoch: i32,
    pub(crate) offset: Offset,
    pub(crate) timestamp: Timestamp,
}

/// The last that a producer left in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastTrace {
    /// A batch of records, which says its last sequence.
    Data {
        /// Where it ends.
        last_offset: Offset,
    },
    /// A marker, which says its epoch.
    Marker {
        /// The epoch.
        epoch: ProducerEpoch,
    },
}

#[derive(Clone, Debug)]
struct Producer {
    epoch: ProducerEpoch,
    /// Oldest first; the first `batch_count` are in use.
    batches: [ProducerBatch; WINDOW],
    batch_count: u8,
    coordinator_epoch: i32,
    last_timestamp: Timestamp,
    transaction_start: Option<Offset>,
}

const NO_BATCH: ProducerBatch = ProducerBatch {
    last_sequence: Sequence::NONE,
    last_offset: Offset::NONE,
    offset_delta: 0,
    timestamp: Timestamp::NONE,
};

impl Producer {
    fn new(epoch: ProducerEpoch) -> Self {
        Self {
            epoch,
            batches: [NO_BATCH; WINDOW],
            batch_count: 0,
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            transaction_start: None,
        }
    }

    fn window(&self) -> &[ProducerBatch] {
        self.batches.get(..usize::from(self.batch_count)).unwrap_or_default()
    }

    fn last_sequence(&self) -> Sequence {
        self.window().last().map_or(Sequence::NONE, |batch| batch.last_sequence)
    }

    fn remember(&mut self, batch: ProducerBatch) {
        if usize::from(self.batch_count) == WINDOW {
            self.batches.rotate_left(1);
        } else {
            self.batch_count += 1;
        }
        if let Some(last) = self.batches.get_mut(usize::from(self.batch_count) - 1) {
            *last = batch;
        }
        self.last_timestamp = batch.timestamp;
    }

    fn bump(&mut self, epoch: ProducerEpoch) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.batch_count = 0;
        }
    }
}

/// The producers of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Producers {
    by_id: HashMap<ProducerId, Producer>,
    /// Open transactions by first offset: the first of them bounds the last stable offset.
    open: BTreeMap<Offset, ProducerId>,
}

impl Producers {
    /// How many producers are known.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Where the oldest open transaction begins.
    pub(crate) fn first_open_offset(&self) -> Option<Offset> {
        self.open.first_key_value().map(|(offset, _)| *offset)
    }

    /// Judges a client's batch before it gets an offset: `Some` means that it is a retry of a
    /// batch that is in the log already.
    pub(crate) fn check(
        &self,
        write: &ProducerWrite,
    ) -> Result<Option<ProducerBatch>, AppendError> {
        let producer_id = write.producer_id;
        // Whatever is unknown may begin anywhere: its state may have expired (KIP-360).
        let Some(known) = self.by_id.get(&producer_id) else { return Ok(None) };
        if write.producer_epoch == known.epoch {
            let retried = known.window().iter().find(|batch| {
                batch.last_sequence == write.last_sequence()
                    && batch.first_sequence() == write.base_sequence
            });
            if let Some(batch) = retried {
                return Ok(Some(*batch));
            }
        }
        if write.producer_epoch < known.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id,
                current: known.epoch,
                found: write.producer_epoch,
            });
        }
        let expected = if write.producer_epoch == known.epoch {
            known.last_sequence().plus(1)
        } else {
            Sequence(0)
        };
        if write.base_sequence != expected && known.epoch != ProducerEpoch::NONE {
            return Err(AppendError::OutOfOrderSequence {
                producer_id,
                last: known.last_sequence(),
                found: write.base_sequence,
            });
        }
        if known.transaction_start.is_some() && !write.is_transactional {
            return Err(AppendError::InvalidTransactionState { producer_id });
        }
        Ok(None)
    }

    /// Whether anything is remembered of a producer.
    pub(crate) fn knows(&self, id: ProducerId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Whether a producer has a transaction open, in this epoch.
    pub(crate) fn has_open_transaction(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        let known = self.by_id.get(&id);
        known.is_some_and(|known| known.epoch == epoch && known.transaction_start.is_some())
    }

    /// Judges a marker before it is appended. Where the end of the transaction raised the epoch, a
    /// marker of the epoch that is open comes late, from the transaction before.
    pub(crate) fn check_marker(&self, marker: &Marker, is_raised: bool) -> Result<(), AppendError> {
        let producer_id = marker.producer_id;
        let Some(known) = self.by_id.get(&producer_id) else { return Ok(()) };
        let is_of_before =
            is_raised && marker.producer_epoch == known.epoch && known.transaction_start.is_some();
        if marker.producer_epoch < known.epoch || is_of_before {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id,
                current: known.epoch,
                found: marker.producer_epoch,
            });
        }
        if marker.coordinator_epoch < known.coordinator_epoch {
            return Err(AppendError::TransactionCoordinatorFenced { producer_id });
        }
        Ok(())
    }

    /// Notes a batch that is in the log.
    pub(crate) fn appended(&mut self, write: &ProducerWrite) {
        let producer = self
            .by_id
            .entry(write.producer_id)
            .or_insert_with(|| Producer::new(write.producer_epoch));
        producer.bump(write.producer_epoch);
        producer.remember(ProducerBatch {
            last_sequence: write.last_sequence(),
            last_offset: write.base_offset.plus(i64::from(write.last_offset_delta)),
            offset_delta: write.last_offset_delta,
            timestamp: write.timestamp,
        });
        if write.is_transactional && producer.transaction_start.is_none() {
            producer.transaction_start = Some(write.base_offset);
            self.open.insert(write.base_offset, write.producer_id);
        }
    }

    /// Notes a marker that is in the log; returns where the transaction that it ended began.
    pub(crate) fn marked(&mut self, marker: &Marker) -> Option<Offset> {
        let producer = self
            .by_id
            .entry(marker.producer_id)
            .or_insert_with(|| Producer::new(marker.producer_epoch));
        producer.bump(marker.producer_epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.last_timestamp = marker.timestamp;
        let start = producer.transaction_start.take()?;
        self.open.remove(&start);
        Some(start)
    }

    /// Ends a producer's transaction; what to remember of it if it was aborted.
    pub(crate) fn ended(&mut self, marker: &Marker, aborts: bool) -> Option<AbortedTransaction> {
        let first_offset = self.marked(marker)?;
        let next = marker.offset.plus(1);
        aborts.then(|| AbortedTransaction {
            producer_id: marker.producer_id,
            first_offset,
            last_offset: marker.offset,
            last_stable_offset: self.first_open_offset().unwrap_or(next),
        })
    }

    /// Notes an epoch of a producer of which nothing else is left in the log.
    pub(crate) fn known(
        &mut self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        timestamp: Timestamp,
    ) {
        let producer = self.by_id.entry(producer_id).or_insert_with(|| Producer::new(epoch));
        producer.bump(epoch);
        producer.last_timestamp = timestamp;
    }

    /// What compaction must leave of each producer, so that it is known again after a restart.
    pub(crate) fn last_traces(&self) -> HashMap<ProducerId, LastTrace> {
        let trace = |producer: &Producer| match producer.window().last() {
            Some(batch) => LastTrace::Data { last_offset: batch.last_offset },
            None => LastTrace::Marker { epoch: producer.epoch },
        };
        self.by_id.iter().map(|(id, producer)| (*id, trace(producer))).collect()
    }

    /// Forgets producers that wrote nothing for `expiration_ms`; open transactions stay.
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.by_id.retain(|_, producer| {
            producer.transaction_start.is_some()
                || now.0.saturating_sub(producer.last_timestamp.0) < expiration_ms
        });
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What DescribeProducers shows, by producer id.
    pub(crate) fn active(&self) -> Vec<ActiveProducer> {
        let mut active: Vec<ActiveProducer> = self
            .by_id
            .iter()
            .map(|(producer_id, producer)| ActiveProducer {
                producer_id: *producer_id,
                producer_epoch: producer.epoch,
                last_sequence: producer.last_sequence(),
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                transaction_start_offset: producer.transaction_start,
            })
            .collect();
        active.sort_unstable_by_key(|producer| producer.producer_id);
        active
    }

    /// The snapshot file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.by_id.len()).unwrap_or(u32::MAX);
        let mut bytes =
            Vec::with_capacity(SNAPSHOT_HEADER_BYTES + self.by_id.len() * SNAPSHOT_ENTRY_BYTES);
        bytes.extend_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&count.to_be_bytes());
        for (producer_id, producer) in &self.by_id {
            let last = producer.window().last().copied().unwrap_or(NO_BATCH);
            let start = producer.transaction_start.unwrap_or(Offset::NONE);
            bytes.extend_from_slice(&producer_id.0.to_be_bytes());
            bytes.extend_from_slice(&producer.epoch.0.to_be_bytes());
            bytes.extend_from_slice(&last.last_sequence.0.to_be_bytes());
            bytes.extend_from_slice(&last.last_offset.0.to_be_bytes());
            bytes.extend_from_slice(&last.offset_delta.to_be_bytes());
            bytes.extend_from_slice(&producer.last_timestamp.0.to_be_bytes());
            bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
            bytes.extend_from_slice(&start.0.to_be_bytes());
        }
        let checksum = crc32c(bytes.get(6..).unwrap_or_default());
        if let Some(field) = bytes.get_mut(2..6) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        bytes
    }

    /// Reads a snapshot file; `None` when it is not whole.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let (crc, body) = rest.split_first_chunk::<4>()?;
        if i16::from_be_bytes(*version) != SNAPSHOT_VERSION
            || u32::from_be_bytes(*crc) != crc32c(body)
        {
            return None;
        }
        let (count, entries) = body.split_first_chunk::<4>()?;
        let (entries, rest) = entries.as_chunks::<SNAPSHOT_ENTRY_BYTES>();
        if !rest.is_empty() || u32::from_be_bytes(*count) as usize != entries.len() {
            return None;
        }
        let mut producers = Self::default();
        for entry in entries {
            let mut fields = Fields(entry);
            let producer_id = ProducerId(i64::from_be_bytes(fields.take()?));
            let mut producer = Producer::new(ProducerEpoch(i16::from_be_bytes(fields.take()?)));
            let batch = ProducerBatch {
                last_sequence: Sequence(i32::from_be_bytes(fields.take()?)),
                last_offset: Offset(i64::from_be_bytes(fields.take()?)),
                offset_delta: i32::from_be_bytes(fields.take()?),
                timestamp: Timestamp(i64::from_be_bytes(fields.take()?)),
            };
            producer.coordinator_epoch = i32::from_be_bytes(fields.take()?);
            let start = Offset(i64::from_be_bytes(fields.take()?));
            if batch.last_sequence.0 >= 0 {
                producer.remember(batch);
            }
            producer.last_timestamp = batch.timestamp;
            if start.0 >= 0 {
                producer.transaction_start = Some(start);
                producers.open.insert(start, producer_id);
            }
            producers.by_id.insert(producer_id, producer);
        }
        Some(producers)
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(epoch: i16, sequence: i32, offset: i64, count: i32) -> ProducerWrite {
        ProducerWrite {
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(epoch),
            base_sequence: Sequence(sequence),
            base_offset: Offset(offset),
            last_offset_delta: count - 1,
            timestamp: Timestamp(1000),
            is_transactional: false,
        }
    }

    /// A retry would be stored twice, or answered with a wrong offset.
    #[test]
    fn the_last_five_batches_are_recognised() {
        let mut producers = Producers::default();
        for number in 0..7 {
            let batch = write(0, number * 10, i64::from(number) * 10, 10);
            assert_eq!(producers.check(&batch), Ok(None));
            producers.appended(&batch);
        }
        for number in 2..7 {
            let found = producers.check(&write(0, number * 10, 999, 10)).unwrap().unwrap();
            assert_eq!(found.first_offset(), Offset(i64::from(number) * 10));
        }
        assert!(matches!(
            producers.check(&write(0, 10, 999, 10)),
            Err(AppendError::OutOfOrderSequence { .. })
        ));
        assert!(producers.check(&write(0, 71, 999, 1)).is_err());
        assert_eq!(producers.check(&write(0, 70, 999, 1)), Ok(None));
    }

    /// A fenced producer could write, or a new one not.
    #[test]
    fn epochs_fence() {
        let mut producers = Producers::default();
        assert_eq!(producers.check(&write(3, 77, 0, 1)), Ok(None));
        producers.appended(&write(3, 77, 0, 1));
        assert!(matches!(
            producers.check(&write(2, 78, 1, 1)),
            Err(AppendError::InvalidProducerEpoch { .. })
        ));
        assert!(matches!(
            producers.check(&write(4, 78, 1, 1)),
            Err(AppendError::OutOfOrderSequence { .. })
        ));
        assert_eq!(producers.check(&write(4, 0, 1, 1)), Ok(None));
    }

    /// A sequence that wraps would be taken for a gap.
    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.appended(&write(0, i32::MAX - 1, 0, 4));
        assert_eq!(producers.check(&write(0, 2, 4, 1)), Ok(None));
        let retry = producers.check(&write(0, i32::MAX - 1, 9, 4)).unwrap().unwrap();
        assert_eq!(retry.first_offset(), Offset(0));
    }

    /// A marker that comes late would end the transaction after its own (KIP-1228).
    #[test]
    fn a_raised_marker_ends_no_transaction_of_its_own_epoch() {
        let mut producers = Producers::default();
        producers.appended(&ProducerWrite { is_transactional: true, ..write(3, 0, 100, 1) });
        let open = |epoch| producers.has_open_transaction(ProducerId(9), ProducerEpoch(epoch));
        assert!(open(3) && !open(2) && !open(4));
        let marker = |epoch| Marker {
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(epoch),
            coordinator_epoch: 0,
            offset: Offset(101),
            timestamp: Timestamp(1),
        };
        assert_eq!(producers.check_marker(&marker(3), false), Ok(()));
        assert!(producers.check_marker(&marker(3), true).is_err());
        assert_eq!(producers.check_marker(&marker(4), true), Ok(()));
        producers.marked(&marker(4));
        // A retry of it.
        assert_eq!(producers.check_marker(&marker(4), true), Ok(()));
    }

    /// A restart would forget producers and open transactions.
    #[test]
    fn snapshots_come_back() {
        let mut producers = Producers::default();
        producers.appended(&write(1, 5, 100, 2));
        producers.appended(&ProducerWrite {
            producer_id: ProducerId(10),
            is_transactional: true,
            ..write(0, 0, 102, 3)
        });
        let bytes = producers.encode();
        assert_eq!(bytes.len(), 10 + 2 * 46);
        let mut back = Producers::decode(&bytes).unwrap();
        assert_eq!(back.active(), producers.active());
        assert_eq!(back.first_open_offset(), Some(Offset(102)));
        let marker = Marker {
            producer_id: ProducerId(10),
            producer_epoch: ProducerEpoch(0),
            coordinator_epoch: 4,
            offset: Offset(105),
            timestamp: Timestamp(1),
        };
        assert_eq!(back.check_marker(&marker, false), Ok(()));
        assert_eq!(back.marked(&marker), Some(Offset(102)));
        assert_eq!(back.first_open_offset(), None);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Producers::decode(&bytes).is_none(), "bit {bit}");
        }
    }
}
