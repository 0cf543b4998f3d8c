//! What a log goes through when the disk is full at the worst moment, and what it knows afterwards.

mod support;

use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::control::{ControlType, end_transaction_marker};
use milena_storage::disk::{Fault, FaultDisk};
use milena_storage::{
    AbortedTransaction, ActiveProducer, AppendContext, EpochEntry, Log, LogConfig, Origin,
    RealDisk, StorageError,
};
use rustix::io::Errno;
use support::*;

const FULL: Fault = Fault::Error(Errno::NOSPC);

fn start_after_restart(root: &Path) -> Offset {
    let directory = open_directory(root, Arc::new(RealDisk));
    open_log(&directory, LogConfig::default()).log_start_offset()
}

/// DeleteRecords would be refused and show its effect all the same, until a restart takes it back
/// and the log start offset falls.
#[test]
fn a_log_start_offset_is_written_before_it_is_shown() {
    for step in 1..=3 {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let directory = open_directory(root.path(), Arc::new(disk.clone()));
        let mut log = open_log(&directory, LogConfig::default());
        for number in 0..10 {
            append(&mut log, &[vec![number]]).unwrap();
        }
        log.advance_log_start_offset(Offset(3)).unwrap();
        disk.fail_in(step, FULL);
        assert_eq!(log.advance_log_start_offset(Offset(5)), Err(StorageError::Full), "{step}");
        assert_eq!(log.log_start_offset(), Offset(3));
        directory.maintain().unwrap();
        drop((log, directory));
        assert_eq!(start_after_restart(root.path()), Offset(3), "step {step}");
    }
}

/// On a full disk nobody could delete records, which is what makes room.
#[test]
fn records_are_deleted_with_the_space_that_is_kept_for_it() {
    for step in 1..=3 {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("reserve"), [0; 4096]).unwrap();
        let disk = FaultDisk::new();
        let directory = open_directory(root.path(), Arc::new(disk.clone()));
        let mut log = open_log(&directory, LogConfig::default());
        append(&mut log, &[vec![1], vec![2]]).unwrap();
        disk.fail_in(step, FULL);
        log.advance_log_start_offset(Offset(1)).unwrap();
        assert_eq!(log.log_start_offset(), Offset(1));
        drop((log, directory));
        assert_eq!(start_after_restart(root.path()), Offset(1), "step {step}");
    }
}

/// Everything that is derived from a log, as its readers see it.
#[derive(Debug, PartialEq)]
struct Derived {
    records: Vec<(Offset, Vec<u8>)>,
    by_time: Vec<Option<Offset>>,
    aborted: Vec<AbortedTransaction>,
    producers: Vec<ActiveProducer>,
    epochs: Vec<EpochEntry>,
}

const RECORDS: i64 = 60;

fn derived(log: &Log) -> Derived {
    let reader = log.reader();
    let end = log.log_end_offset();
    let at = |number: i64| {
        let found = reader.offset_for_timestamp(time_of(number), end).unwrap();
        found.map(|found| found.offset)
    };
    Derived {
        records: read_all(log, 500),
        by_time: (0..=RECORDS).map(at).collect(),
        aborted: reader.aborted_transactions(Offset(0), end),
        producers: log.producers(),
        epochs: reader.epochs(),
    }
}

/// A time for each record.
fn time_of(number: i64) -> Timestamp {
    Timestamp(NOW.0 + number * 10)
}

/// Records whose times rise, in transactions of which each third is aborted.
fn append_until(log: &mut Log, number: i64) {
    let end = log.log_end_offset().0;
    for number in end..number {
        let producer = ProducerId(number % 2);
        let context = context((number / 10) as i32);
        if number % 6 == 5 {
            let outcome = if number % 18 == 5 { ControlType::Abort } else { ControlType::Commit };
            let at = time_of(number);
            let marker = end_transaction_marker(outcome, producer, ProducerEpoch(0), 5, at);
            let context = AppendContext { origin: Origin::Coordinator, ..context };
            log.append_as_leader(&marker.unwrap(), context).unwrap();
            continue;
        }
        let known = log.producers().into_iter().find(|known| known.producer_id == producer);
        let sequence = known.map_or(0, |known| known.last_sequence.0 + 1);
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id: producer,
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(sequence),
            is_transactional: producer.0 == 1,
            ..BatchOptions::default()
        });
        builder.append(time_of(number), None, Some(&[number as u8; 60]), &[]);
        log.append_as_leader(&builder.build().unwrap(), context).unwrap();
    }
}

/// What a save could not write would be taken for written: a search by time would pass over
/// records after a restart, aborted records would be shown, producers be forgotten.
#[test]
fn what_could_not_be_saved_is_saved_later() {
    let config = LogConfig {
        segment_bytes: 1200,
        index_interval_bytes: 100,
        file_delete_delay_ms: 0,
        retention_ms: -1,
        ..LogConfig::default()
    };
    for step in 1.. {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let directory = open_directory(root.path(), Arc::new(disk.clone()));
        let mut log = open_log(&directory, config.clone());
        append_until(&mut log, RECORDS / 2);
        log.advance_log_start_offset(Offset(2)).unwrap();
        let before = disk.steps();
        disk.fail_in(step, FULL);
        let refused = directory.maintain();
        if disk.steps() - before < step {
            assert!(step > 40, "too few steps to mean anything: {step}");
            break;
        }
        // A failed sync is final; what it left is for the next start to read.
        if directory.is_offline() {
            continue;
        }
        append_until(&mut log, RECORDS);
        let expected = derived(&log);
        directory.maintain().unwrap_or_else(|error| panic!("{refused:?} at {step}: {error}"));
        assert_eq!(derived(&log), expected, "step {step}");
        drop((log, directory));
        for is_lossless in [true, false] {
            if !is_lossless {
                std::fs::remove_file(root.path().join("milena-tail-checkpoint")).unwrap();
            }
            let directory = open_directory(root.path(), Arc::new(RealDisk));
            let log = open_log(&directory, config.clone());
            assert_eq!(derived(&log), expected, "after {refused:?} at step {step}");
        }
    }
}
