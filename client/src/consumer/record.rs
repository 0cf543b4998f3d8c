//! A record as it is handed out, and how a partition's bytes become records.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use milena_protocol::api::fetch::{FetchAbortedTransaction, FetchPartitionResponse};
use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, ProducerId, Timestamp};
use milena_protocol::record::batch::{BatchError, TimestampType};
use milena_protocol::record::compression::decompress;
use milena_protocol::record::control::ControlType;
use milena_protocol::record::record::Records;
use milena_protocol::record::run::{Batches, Tail};
use milena_protocol::record::{Batch, Compression};

use super::options::ConsumerOptions;
use super::place::{Ends, Key};
use crate::offsets::Isolation;

/// Who said when a record happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampKind {
    /// Its producer.
    Created,
    /// The broker that appended it.
    Appended,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its place.
    pub offset: Offset,
    /// The epoch of the leader that wrote it.
    pub leader_epoch: LeaderEpoch,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Who said so.
    pub timestamp_kind: TimestampKind,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; null is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl ConsumedRecord {
    pub(super) fn is_of(&self, key: &Key) -> bool {
        self.topic == key.0 && self.partition == key.1
    }
}

/// What an answer holds for a partition.
#[derive(Debug)]
pub(super) struct FetchedPartition {
    pub records: Vec<ConsumedRecord>,
    /// Where to go on.
    pub next: Offset,
    pub ends: Ends,
}

/// Reads the records behind `from` out of an answer. What stands before something unreadable is
/// handed out first: the next answer begins there, and is the error.
///
/// # Errors
/// What is wrong with the first bytes, in words, and at which offset.
pub(super) fn read(
    key: &Key,
    from: Offset,
    answer: &FetchPartitionResponse,
    options: &ConsumerOptions,
) -> Result<FetchedPartition, String> {
    let bytes = answer.records.as_ref().map(|records| records.0.clone()).unwrap_or_default();
    let mut aborted = Aborted::new(answer, options.isolation);
    let mut reading = Reading { key, from, options, records: Vec::new() };
    let mut next = from;
    let mut batches = Batches::new(&bytes);
    for batch in batches.by_ref() {
        let records = reading.records.len();
        if let Err(why) = reading.checked(&bytes, &batch, &mut aborted) {
            reading.records.truncate(records);
            if next == from {
                return Err(format!("the batch at offset {}: {why}", batch.base_offset()));
            }
            break;
        }
        next = next.max(batch.next_offset());
    }
    if next == from
        && let Some(why) = no_batch(batches.tail())
    {
        return Err(format!("at offset {from}: {why}"));
    }
    let ends = Ends {
        log_start_offset: answer.log_start_offset,
        high_watermark: answer.high_watermark,
        last_stable_offset: answer.last_stable_offset,
    };
    Ok(FetchedPartition { records: reading.records, next, ends })
}

/// What stands where a batch should begin, if that is no batch.
fn no_batch(tail: Tail) -> Option<String> {
    match tail {
        Tail::Clean => None,
        // A broker gives the first batch whole, however large it is (KIP-74).
        Tail::Partial => Some("the broker gave a part of a batch".to_owned()),
        Tail::Zero => Some("the broker gave zeros".to_owned()),
        Tail::Corrupt(BatchError::BadMagic(magic @ (0 | 1))) => Some(format!(
            "the records have format {magic}, of before Kafka 0.11; only format 2 can be read"
        )),
        Tail::Corrupt(error) => Some(error.to_string()),
    }
}

struct Reading<'a> {
    key: &'a Key,
    from: Offset,
    options: &'a ConsumerOptions,
    records: Vec<ConsumedRecord>,
}

impl Reading<'_> {
    /// Adds a batch's records, unless they are not to be handed out.
    fn checked(
        &mut self,
        answer: &Bytes,
        batch: &Batch<'_>,
        aborted: &mut Aborted,
    ) -> Result<(), String> {
        if self.options.verify {
            batch.verify_crc().map_err(|error| error.to_string())?;
        }
        if aborted.leaves_out(batch) { Ok(()) } else { self.batch(answer, batch) }
    }

    /// Adds a batch's records. Keys and values share the memory of the answer, or of the batch's
    /// decompressed bytes.
    fn batch(&mut self, answer: &Bytes, batch: &Batch<'_>) -> Result<(), String> {
        let codec = batch.attributes().codec().ok_or("it has an unknown codec")?;
        let plain = if codec == Compression::None {
            answer.slice_ref(batch.records_bytes())
        } else {
            let mut out = Vec::new();
            let limit = self.options.max_batch_bytes;
            decompress(codec, batch.records_bytes(), limit, &mut out)
                .map_err(|error| error.to_string())?;
            Bytes::from(out)
        };
        let appended = batch.attributes().timestamp_type() == TimestampType::LogAppendTime;
        for record in Records::new(&plain, batch.record_count()) {
            let record = record.map_err(|error| error.to_string())?;
            let offset = batch.base_offset().plus(i64::from(record.offset_delta));
            if offset < self.from {
                continue;
            }
            let share = |bytes: Option<&[u8]>| bytes.map(|bytes| plain.slice_ref(bytes));
            let headers = record
                .headers()
                .map(|header| header.map(|(name, value)| (name.to_owned(), share(value))));
            let headers =
                headers.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
            let created = batch.base_timestamp().0.saturating_add(record.timestamp_delta);
            self.records.push(ConsumedRecord {
                topic: Arc::clone(&self.key.0),
                partition: self.key.1,
                offset,
                leader_epoch: batch.leader_epoch(),
                timestamp: if appended { batch.max_timestamp() } else { Timestamp(created) },
                timestamp_kind: if appended {
                    TimestampKind::Appended
                } else {
                    TimestampKind::Created
                },
                key: share(record.key),
                value: share(record.value),
                headers,
            });
        }
        Ok(())
    }
}

/// Which producers' records are part of an aborted transaction at the place that was reached.
struct Aborted {
    /// By first offset, the last one first.
    ahead: Vec<FetchAbortedTransaction>,
    open: BTreeSet<ProducerId>,
}

impl Aborted {
    fn new(answer: &FetchPartitionResponse, isolation: Isolation) -> Self {
        let mut ahead = match isolation {
            Isolation::ReadCommitted => answer.aborted_transactions.clone().unwrap_or_default(),
            Isolation::ReadUncommitted => Vec::new(),
        };
        ahead.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { ahead, open: BTreeSet::new() }
    }

    /// Whether a batch's records are not handed out. Must see every batch, in order.
    fn leaves_out(&mut self, batch: &Batch<'_>) -> bool {
        while self.ahead.last().is_some_and(|one| one.first_offset <= batch.last_offset()) {
            self.open.extend(self.ahead.pop().map(|one| one.producer_id));
        }
        let attributes = batch.attributes();
        if attributes.is_control() {
            if is_abort(batch) {
                self.open.remove(&batch.producer_id());
            }
            return true;
        }
        attributes.is_transactional() && self.open.contains(&batch.producer_id())
    }
}

/// Whether a control batch ends a transaction by aborting it.
fn is_abort(batch: &Batch<'_>) -> bool {
    let first = Records::new(batch.records_bytes(), batch.record_count()).next();
    let key = first.and_then(Result::ok).and_then(|record| record.key);
    key.and_then(ControlType::from_key) == Some(ControlType::Abort)
}

#[cfg(test)]
mod tests {
    use milena_protocol::codec::Records as RecordBytes;
    use milena_protocol::ids::ProducerEpoch;
    use milena_protocol::record::control::end_transaction_marker;
    use milena_protocol::record::{BatchBuilder, BatchOptions};

    use super::*;

    fn batch(base: i64, producer: i64, transactional: bool, values: &[&str]) -> Bytes {
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset(base),
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            is_transactional: transactional,
            compression: if base % 2 == 0 { Compression::Lz4 } else { Compression::None },
            ..BatchOptions::default()
        });
        for value in values {
            builder.append(Timestamp(5), None, Some(value.as_bytes()), &[("h", None)]);
        }
        builder.build().expect("there is such a codec")
    }

    fn answer(batches: &[Bytes], aborted: &[(i64, i64)]) -> FetchPartitionResponse {
        let aborted = aborted.iter().map(|(producer, first)| FetchAbortedTransaction {
            producer_id: ProducerId(*producer),
            first_offset: Offset(*first),
        });
        FetchPartitionResponse {
            records: Some(RecordBytes(Bytes::from(batches.concat()))),
            aborted_transactions: Some(aborted.collect()),
            ..Default::default()
        }
    }

    fn values(answer: &FetchPartitionResponse, isolation: Isolation, from: i64) -> Vec<String> {
        let key = (Arc::from("t"), PartitionIndex(0));
        let options = ConsumerOptions { isolation, ..Default::default() };
        let fetched = read(&key, Offset(from), answer, &options).expect("the batches are whole");
        let text = |record: &ConsumedRecord| {
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned()
        };
        fetched.records.iter().map(text).collect()
    }

    /// Aborted records would be shown to those who asked for committed ones only, or committed ones
    /// of the same producer would be missing.
    #[test]
    fn aborted_transactions_end_with_their_marker() {
        // As a leader places it.
        let abort = |base: i64, producer| {
            let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
            let marker = end_transaction_marker(ControlType::Abort, id, epoch, 0, Timestamp(6));
            let mut marker = marker.expect("it is not compressed").to_vec();
            marker[..8].copy_from_slice(&base.to_be_bytes());
            Bytes::from(marker)
        };
        let batches = [
            batch(0, 1, true, &["aborted"]),
            batch(1, 2, true, &["other"]),
            batch(2, -1, false, &["plain"]),
            abort(3, 1),
            batch(4, 1, true, &["later"]),
        ];
        let answer = answer(&batches, &[(1, 0)]);
        assert_eq!(values(&answer, Isolation::ReadCommitted, 0), ["other", "plain", "later"]);
        let all = ["aborted", "other", "plain", "later"];
        assert_eq!(values(&answer, Isolation::ReadUncommitted, 0), all);
    }

    /// A position in the middle of a batch would hand records out twice.
    #[test]
    fn records_before_the_position_are_left_out() {
        let answer = answer(&[batch(0, -1, false, &["a", "b", "c"])], &[]);
        assert_eq!(values(&answer, Isolation::ReadUncommitted, 2), ["c"]);
    }

    /// Damaged records would be handed out as if they were what somebody wrote.
    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut bytes = batch(1, -1, false, &["a"]).to_vec();
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        let answer = answer(&[Bytes::from(bytes)], &[]);
        let key = (Arc::from("t"), PartitionIndex(0));
        let options = ConsumerOptions::default();
        assert!(read(&key, Offset::ZERO, &answer, &options).is_err());
    }

    /// A reader would ask for the same bytes again and again, as fast as it can, and never say that
    /// it cannot read them.
    #[test]
    fn bytes_that_are_no_batch_are_an_error() {
        let key = (Arc::from("t"), PartitionIndex(0));
        let options = ConsumerOptions::default();
        let good = batch(1, -1, false, &["a"]);
        let mut old = good.to_vec();
        old[16] = 1;
        let cut = good.slice(..good.len() - 1);
        for (bytes, expected) in [
            (Bytes::from(old.clone()), "at offset 1: the records have format 1"),
            (cut.clone(), "at offset 1: the broker gave a part of a batch"),
            (Bytes::from(vec![0; 100]), "at offset 1: the broker gave zeros"),
            (Bytes::from(vec![9; 100]), "at offset 1: magic 9"),
        ] {
            let alone = answer(std::slice::from_ref(&bytes), &[]);
            let why = read(&key, Offset(1), &alone, &options).unwrap_err();
            assert!(why.starts_with(expected), "{why}");
            let behind = answer(&[good.clone(), bytes], &[]);
            let fetched = read(&key, Offset(1), &behind, &options).expect("the first is whole");
            assert_eq!((fetched.records.len(), fetched.next), (1, Offset(2)));
        }
    }

    /// Records before a damaged batch could never be read.
    #[test]
    fn what_stands_before_damage_is_handed_out() {
        let mut damaged = batch(2, -1, false, &["b"]).to_vec();
        let last = damaged.len() - 3;
        damaged[last] ^= 1;
        let answer = answer(&[batch(1, -1, false, &["a"]), Bytes::from(damaged)], &[]);
        assert_eq!(values(&answer, Isolation::ReadUncommitted, 1), ["a"]);
        let key = (Arc::from("t"), PartitionIndex(0));
        let whole = read(&key, Offset(1), &answer, &ConsumerOptions::default());
        assert_eq!(whole.expect("the first is whole").next, Offset(2));
    }
}
