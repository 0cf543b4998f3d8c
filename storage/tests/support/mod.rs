//! What the tests of the log share: batches, directories, reading a log back.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::{
    LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp,
    Uuid,
};
use milena_protocol::record::batch::Batch;
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;
use milena_storage::{
    AppendContext, AppendError, Appended, DirectoryOptions, Disk, Log, LogConfig, LogDirectory,
    Origin, ReadLimit,
};

pub mod keyed;

pub const TOPIC: &str = "orders";
pub const TOPIC_ID: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
pub const PARTITION: PartitionIndex = PartitionIndex(0);
pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A directory without threads: the test does their work.
pub fn open_directory(path: &Path, disk: Arc<dyn Disk>) -> LogDirectory {
    let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(NodeId(1)) };
    LogDirectory::open(path, options, disk).unwrap()
}

pub fn open_log(directory: &LogDirectory, config: LogConfig) -> Log {
    directory.open_log(TOPIC, TOPIC_ID, PARTITION, config).unwrap()
}

/// A batch of values, each a record of the given time.
pub fn batch_at(timestamp: Timestamp, values: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for value in values {
        builder.append(timestamp, Some(b"key"), Some(value), &[]);
    }
    builder.build().unwrap().to_vec()
}

pub fn batch(values: &[Vec<u8>]) -> Vec<u8> {
    batch_at(NOW, values)
}

/// A batch of an idempotent producer.
pub fn idempotent(producer: i64, epoch: i16, sequence: i32, values: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id: ProducerId(producer),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
        ..BatchOptions::default()
    });
    for value in values {
        builder.append(NOW, None, Some(value), &[]);
    }
    builder.build().unwrap().to_vec()
}

pub fn context(epoch: i32) -> AppendContext {
    AppendContext { leader_epoch: LeaderEpoch(epoch), now: NOW, origin: Origin::Client }
}

pub fn append(log: &mut Log, values: &[Vec<u8>]) -> Result<Appended, AppendError> {
    log.append_as_leader(&batch(values), context(0))
}

/// All records of a log, read as a consumer would, `max_bytes` at a time.
pub fn read_all(log: &Log, max_bytes: usize) -> Vec<(Offset, Vec<u8>)> {
    let reader = log.reader();
    let offsets = reader.offsets();
    let mut records = Vec::new();
    let mut at = offsets.log_start_offset;
    while at < offsets.log_end_offset {
        let limit =
            ReadLimit { upper: offsets.log_end_offset, max_bytes, at_least_one_batch: true };
        let slice = reader.read(at, limit).unwrap();
        let before = at;
        for batch in Batches::new(&slice.records) {
            batch.verify_crc().unwrap();
            collect(&batch, at, &mut records);
            at = at.max(batch.next_offset());
        }
        assert!(at > before, "no progress at {at}");
    }
    records
}

fn collect(batch: &Batch<'_>, from: Offset, records: &mut Vec<(Offset, Vec<u8>)>) {
    for record in Records::new(batch.records_bytes(), batch.record_count()) {
        let record = record.unwrap();
        let offset = batch.base_offset().plus(i64::from(record.offset_delta));
        if offset >= from {
            records.push((offset, record.value.unwrap_or_default().to_vec()));
        }
    }
}

/// A small generator of numbers, so that a seed says everything.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn values(&mut self, records: u64, bytes: u64) -> Vec<Vec<u8>> {
        let count = 1 + self.below(records);
        (0..count)
            .map(|_| {
                let len = 1 + self.below(bytes);
                let fill = self.next() as u8;
                (0..len).map(|index| fill.wrapping_add(index as u8)).collect()
            })
            .collect()
    }
}

/// The seed of this run: `SEED`, or one drawn from the clock; printed, so that it can be given.
pub fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64 % 1_000_000)
    });
    println!("SEED={seed}");
    seed
}
