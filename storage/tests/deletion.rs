//! Logs that are deleted while the directory's threads are at work on them.

mod support;

use std::sync::Arc;

use milena_protocol::ids::{NodeId, Offset, PartitionIndex, Uuid};
use milena_storage::{
    DirectoryOptions, LogConfig, LogDirectory, ReadError, ReadLimit, RealDisk, StorageError,
};
use support::*;

/// A thread that saves or syncs a log while it is deleted would find its files gone and take the
/// whole directory for broken, or write into the files of the next log of that name.
#[test]
fn a_log_may_be_deleted_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    let options = DirectoryOptions { runs_threads: true, ..DirectoryOptions::new(NodeId(1)) };
    let directory = LogDirectory::open(root.path(), options, Arc::new(RealDisk)).unwrap();
    // Small segments keep the saver busy, and a sync is asked for after every append.
    let config = LogConfig {
        segment_bytes: 4096,
        flush_ms: 0,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    for round in 1..200u128 {
        let id = Uuid::from_u128(round << 64 | round);
        let opened = directory.open_log("again", id, PartitionIndex(0), config.clone());
        let mut log = opened.unwrap();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(0)));
        for number in 0..round % 40 {
            append(&mut log, &[vec![number as u8; 700]]).unwrap();
        }
        if round % 3 == 0 {
            log.advance_log_start_offset(log.log_end_offset()).unwrap();
        }
        directory.delete_log("again", PartitionIndex(0)).unwrap();
        assert!(!directory.is_offline(), "{:?}", directory.usage());
    }
}

/// A start would destroy directories of somebody else whose names happen to end like a deleted
/// log's.
#[test]
fn only_deleted_logs_are_removed_at_a_start() {
    let root = tempfile::tempdir().unwrap();
    let unique = "0123456789abcdef0123456789ABCDEF";
    let foreign = [
        "please-do-not-delete".to_owned(),
        "-delete".to_owned(),
        format!("orders.{unique}-delete"),
        format!("orders-x.{unique}-delete"),
        format!("orders-0.{}-delete", &unique[1..]),
        format!("orders-0.{}z-delete", &unique[1..]),
    ];
    let ours = format!("orders-0.{unique}-delete");
    // Named like one, but no log holds a directory.
    let holds_more = format!("orders-1.{unique}-delete");
    for name in foreign.iter().chain([&ours, &holds_more]) {
        std::fs::create_dir(root.path().join(name)).unwrap();
        std::fs::write(root.path().join(name).join("00000000000000000000.log"), "x").unwrap();
    }
    std::fs::create_dir(root.path().join(&holds_more).join("photos")).unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    directory.maintain().unwrap();
    let is_whole = |name: &String| root.path().join(name).join("00000000000000000000.log").exists();
    assert!(foreign.iter().all(is_whole) && is_whole(&holds_more));
    assert!(!root.path().join(&ours).exists());
    let mut expected = foreign.to_vec();
    expected.push(holds_more);
    expected.sort();
    assert_eq!(directory.quarantined(), expected);
}

/// Whoever still reads a removed file by its name would lose it before `file.delete.delay.ms`.
#[test]
fn each_removed_file_waits_for_its_own_time() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let config = |file_delete_delay_ms| LogConfig { file_delete_delay_ms, ..LogConfig::default() };
    let mut log = open_log(&directory, config(3_600_000));
    let mut remove_one = |delay| {
        log.set_config(config(delay));
        append(&mut log, &[vec![1]]).unwrap();
        log.roll(NOW).unwrap();
        let end = log.log_end_offset();
        log.update_high_watermark(end);
        log.advance_log_start_offset(end).unwrap();
        assert_eq!(log.retain(NOW).unwrap().len(), 1);
        directory.maintain().unwrap();
    };
    remove_one(3_600_000);
    remove_one(0);
    let is_there =
        |offset: i64| root.path().join(format!("orders-0/{offset:020}.log.deleted")).exists();
    assert!(is_there(0) && !is_there(1));
}

/// A reader of a deleted log would take the next log of that name, which is shorter, for a broken
/// disk, and the whole directory out of service.
#[test]
fn a_reader_of_a_deleted_log_meets_a_shorter_one_of_its_name() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, LogConfig::default());
    append(&mut log, &[vec![1; 1000]]).unwrap();
    log.flush().unwrap();
    drop((log, directory));
    // After a restart nothing is mapped until somebody reads.
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let old = open_log(&directory, LogConfig::default());
    directory.delete_log(TOPIC, PARTITION).unwrap();
    let other = Uuid::from_u128(5 << 64);
    let new = directory.open_log(TOPIC, other, PARTITION, LogConfig::default()).unwrap();
    let limit = ReadLimit { upper: Offset(1), max_bytes: 100, at_least_one_batch: true };
    let read = old.reader().read(Offset(0), limit);
    assert!(matches!(read, Err(ReadError::Storage(StorageError::Deleted))), "{read:?}");
    assert!(!directory.is_offline(), "{:?}", directory.usage());
    assert_eq!(new.log_end_offset(), Offset(0));
}

/// A file that somebody cut would take the other logs of the directory with it.
#[test]
fn a_file_that_somebody_cut_is_one_damaged_log() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, LogConfig::default());
    append(&mut log, &[vec![1; 1000]]).unwrap();
    log.flush().unwrap();
    drop((log, directory));
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let log = open_log(&directory, LogConfig::default());
    let path = root.path().join("orders-0/00000000000000000000.log");
    std::fs::File::options().write(true).open(path).unwrap().set_len(10).unwrap();
    let limit = ReadLimit { upper: Offset(1), max_bytes: 100, at_least_one_batch: true };
    let read = log.reader().read(Offset(0), limit);
    assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{read:?}");
    assert!(!directory.is_offline(), "{:?}", directory.usage());
}
