//! Logs of keys and values, their transactions, and what a consumer makes of them.

use std::collections::{BTreeMap, HashSet};

use milena_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::record::batch::Batch;
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::compression::{Compression, decompress};
use milena_protocol::record::control::{ControlType, end_transaction_marker};
use milena_protocol::record::rebuild::timestamp_of;
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;
use milena_storage::{AppendContext, Appended, Cleanup, Log, LogConfig, Origin, ReadLimit};

use super::NOW;

/// A key and a value; no value is a tombstone.
pub type Pair = (Vec<u8>, Option<Vec<u8>>);

/// A record as it stands in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: i64,
    pub timestamp: i64,
    pub pair: Pair,
}

/// Who writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writer {
    pub producer: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub is_transactional: bool,
    pub compression: Compression,
}

pub const NOBODY: Writer = Writer {
    producer: -1,
    epoch: -1,
    sequence: -1,
    is_transactional: false,
    compression: Compression::None,
};

pub fn compacted() -> LogConfig {
    LogConfig {
        cleanup: Cleanup { delete: false, compact: true },
        segment_bytes: 2048,
        index_interval_bytes: 200,
        file_delete_delay_ms: 0,
        retention_ms: -1,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1000,
        ..LogConfig::default()
    }
}

pub fn pair(key: &str, value: Option<&str>) -> Pair {
    (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()))
}

pub fn keyed_batch(writer: Writer, at: Timestamp, pairs: &[Pair]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id: ProducerId(writer.producer),
        producer_epoch: ProducerEpoch(writer.epoch),
        base_sequence: Sequence(writer.sequence),
        is_transactional: writer.is_transactional,
        compression: writer.compression,
        ..BatchOptions::default()
    });
    for (index, (key, value)) in pairs.iter().enumerate() {
        let at = Timestamp(at.0 + index as i64 % 3);
        builder.append(at, Some(key), value.as_deref(), &[("h", Some(b"v"))]);
    }
    builder.build().unwrap().to_vec()
}

/// Appends and commits.
pub fn write(log: &mut Log, writer: Writer, pairs: &[Pair]) -> Appended {
    let context = AppendContext { leader_epoch: LeaderEpoch(0), now: NOW, origin: Origin::Client };
    let appended = log.append_as_leader(&keyed_batch(writer, NOW, pairs), context).unwrap();
    log.update_high_watermark(log.log_end_offset());
    appended
}

/// Ends a producer's transaction.
pub fn end(log: &mut Log, producer: i64, epoch: i16, marker: ControlType) -> Appended {
    let marker =
        end_transaction_marker(marker, ProducerId(producer), ProducerEpoch(epoch), 0, NOW).unwrap();
    let context =
        AppendContext { leader_epoch: LeaderEpoch(0), now: NOW, origin: Origin::Coordinator };
    let appended = log.append_as_leader(&marker, context).unwrap();
    log.update_high_watermark(log.log_end_offset());
    appended
}

fn records_of(batch: &Batch<'_>, from: Offset, found: &mut Vec<Found>) {
    let mut plain = Vec::new();
    let codec = batch.attributes().codec().unwrap();
    decompress(codec, batch.records_bytes(), 1 << 24, &mut plain).unwrap();
    let mut records = Records::new(&plain, batch.record_count());
    for record in &mut records {
        let record = record.unwrap();
        let offset = batch.base_offset().plus(i64::from(record.offset_delta));
        assert!(offset <= batch.last_offset());
        assert_eq!(record.header_count(), 1, "headers stay");
        if offset >= from {
            let key = record.key.unwrap_or_default().to_vec();
            found.push(Found {
                offset: offset.0,
                timestamp: timestamp_of(batch, &record).0,
                pair: (key, record.value.map(<[u8]>::to_vec)),
            });
        }
    }
    assert!(!records.has_rest());
}

/// What a consumer sees that reads from `from` on, `max_bytes` at a time; committed records only,
/// or all. A batch that tells nothing moves it on all the same.
pub fn consume(log: &Log, from: Offset, max_bytes: usize, committed_only: bool) -> Vec<Found> {
    let reader = log.reader();
    let offsets = reader.offsets();
    let open = log.first_open_transaction_offset();
    let stable = open.map_or(offsets.high_watermark, |open| open.min(offsets.high_watermark));
    let upper = if committed_only { stable } else { offsets.log_end_offset };
    let mut found = Vec::new();
    let mut at = from.max(offsets.log_start_offset);
    while at < upper {
        let limit = ReadLimit { upper, max_bytes, at_least_one_batch: true };
        let slice = reader.read(at, limit).unwrap();
        let mut aborted = reader.aborted_transactions(slice.first_offset, upper);
        aborted.sort_by_key(|transaction| transaction.first_offset);
        let mut aborted = aborted.into_iter().peekable();
        let mut aborting = HashSet::new();
        let before = at;
        for batch in Batches::new(&slice.records) {
            batch.verify_crc().unwrap();
            while let Some(next) = aborted.next_if(|next| next.first_offset <= batch.last_offset())
            {
                aborting.insert(next.producer_id);
            }
            let attributes = batch.attributes();
            if attributes.is_control() {
                if is_abort(&batch) {
                    aborting.remove(&batch.producer_id());
                }
            } else if !committed_only
                || !attributes.is_transactional()
                || !aborting.contains(&batch.producer_id())
            {
                records_of(&batch, at, &mut found);
            }
            at = at.max(batch.next_offset());
        }
        assert!(at > before, "a consumer would stay at {at}");
    }
    found
}

fn is_abort(batch: &Batch<'_>) -> bool {
    let record = Records::new(batch.records_bytes(), batch.record_count()).next();
    let key = record.and_then(|record| record.unwrap().key);
    key.and_then(ControlType::from_key) == Some(ControlType::Abort)
}

/// Every batch of a log.
pub fn batches(log: &Log) -> Vec<Vec<u8>> {
    let reader = log.reader();
    let offsets = reader.offsets();
    let (mut found, mut at) = (Vec::new(), offsets.log_start_offset);
    while at < offsets.log_end_offset {
        let upper = offsets.log_end_offset;
        let limit = ReadLimit { upper, max_bytes: 1 << 20, at_least_one_batch: true };
        let slice = reader.read(at, limit).unwrap();
        for batch in Batches::new(&slice.records) {
            found.push(batch.bytes().to_vec());
            at = batch.next_offset();
        }
    }
    found
}

/// What somebody holds who applied every record.
pub fn table(records: &[Found]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut table = BTreeMap::new();
    for Found { pair: (key, value), .. } in records {
        match value {
            Some(value) => table.insert(key.clone(), value.clone()),
            None => table.remove(key),
        };
    }
    table
}
