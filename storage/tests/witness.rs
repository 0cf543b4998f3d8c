//! What one process leaves so that the next knows whether records were lost between them.

mod support;

use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::{BrokerEpoch, Uuid};
use milena_storage::disk::{Fault, FaultDisk};
use milena_storage::{LogConfig, LogDirectory, OpenLogError, RealDisk};
use rustix::io::Errno;
use support::*;

/// A process that appends, does what the test wants, and dies.
fn first_process(root: &Path, disk: &FaultDisk, last: impl FnOnce(&LogDirectory)) {
    let directory = open_directory(root, Arc::new(disk.clone()));
    directory.witness_broker_epoch(BrokerEpoch(7)).unwrap();
    let mut log = open_log(&directory, LogConfig::default());
    append(&mut log, &[vec![1]]).unwrap();
    last(&directory);
}

/// A replica that has everything would be put out of its place at every restart.
#[test]
fn a_kill_alone_is_lossless() {
    let root = tempfile::tempdir().unwrap();
    first_process(root.path(), &FaultDisk::new(), |_| ());
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let log = open_log(&directory, LogConfig::default());
    assert_eq!(directory.previous_witness().unwrap().broker_epoch, BrokerEpoch(7));
    assert!(directory.is_lossless_restart());
    assert_eq!(log.flushed_offset(), log.log_end_offset());
}

/// A machine was restarted, and its records are gone. A process that ends before it has said so
/// would hide that from the next one, whose kernel is the same.
#[test]
fn what_another_kernel_lost_stays_lost() {
    let root = tempfile::tempdir().unwrap();
    first_process(root.path(), &FaultDisk::new(), |_| ());
    let witness = root.path().join("loss-witness");
    let text = std::fs::read_to_string(&witness).unwrap();
    let (body, _) = text.split_at(text.find("crc=").unwrap());
    let other = body.replace("boot.id=", "boot.id=another-");
    let crc = crc32fast::hash(other.as_bytes());
    std::fs::write(&witness, format!("{other}crc={crc:08x}\n")).unwrap();
    let second = open_directory(root.path(), Arc::new(RealDisk));
    assert!(!second.is_same_kernel());
    drop(second);
    let third = open_directory(root.path(), Arc::new(RealDisk));
    assert!(third.is_same_kernel());
    assert_eq!(third.previous_witness().unwrap().broker_epoch, BrokerEpoch(-1));
}

/// A registration that reached the controller, whose answer reached nobody, would make the next run
/// look as if it had lost records.
#[test]
fn a_registration_without_an_answer_is_left_to_the_next_process() {
    let root = tempfile::tempdir().unwrap();
    let incarnation = Uuid::from_u128(5 << 64);
    first_process(root.path(), &FaultDisk::new(), |directory| {
        directory.witness_incarnation(incarnation).unwrap();
    });
    let second = open_directory(root.path(), Arc::new(RealDisk));
    assert_eq!(second.unanswered_incarnation(), Some(incarnation));
    second.witness_broker_epoch(BrokerEpoch(8)).unwrap();
    drop(second);
    let third = open_directory(root.path(), Arc::new(RealDisk));
    assert_eq!(third.unanswered_incarnation(), None);
}

/// A replica whose disk failed would keep its place with records that are nowhere.
#[test]
fn a_process_that_met_a_failure_leaves_no_witness() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new();
    first_process(root.path(), &disk, |directory| {
        disk.fail_in(1, Fault::Error(Errno::IO));
        assert!(directory.maintain().is_err() && directory.is_offline());
        // Nor does it leave one afterwards.
        assert!(directory.witness_broker_epoch(BrokerEpoch(8)).is_err());
        assert!(directory.maintain().is_err());
    });
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let _log = open_log(&directory, LogConfig::default());
    assert_eq!(directory.previous_witness(), None);
    assert!(!directory.is_lossless_restart());
}

/// The kernel may have failed to write a page when nobody was there to be told.
#[test]
fn a_failure_that_nobody_was_told_of_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    first_process(root.path(), &FaultDisk::new(), |_| ());
    let disk = FaultDisk::new();
    let directory = open_directory(root.path(), Arc::new(disk.clone()));
    let _log = open_log(&directory, LogConfig::default());
    disk.fail_in(1, Fault::Error(Errno::IO));
    assert!(!directory.is_lossless_restart());
    assert!(directory.is_offline());
}

/// After a power cut the records of a deleted topic would be shown as those of the next of its
/// name.
#[test]
fn whose_records_they_are_is_as_durable_as_the_records() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new();
    let directory = open_directory(root.path(), Arc::new(disk.clone()));
    let mut log = open_log(&directory, LogConfig::default());
    append(&mut log, &[vec![1]]).unwrap();
    log.flush().unwrap();
    drop((log, directory));
    disk.cut_power(root.path()).unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let other = Uuid::from_u128(7 << 64);
    let opened = directory.open_log(TOPIC, other, PARTITION, LogConfig::default());
    assert!(matches!(opened, Err(OpenLogError::TopicIdMismatch { found: TOPIC_ID, .. })));
    assert_eq!(read_all(&open_log(&directory, LogConfig::default()), 100).len(), 1);
}

/// Records of nobody knows which topic would be taken for those of whoever asks.
#[test]
fn records_without_a_topic_id_are_nobodys() {
    let root = tempfile::tempdir().unwrap();
    let open = |id| {
        let directory = open_directory(root.path(), Arc::new(RealDisk));
        directory.open_log(TOPIC, id, PARTITION, LogConfig::default())
    };
    let mut log = open(TOPIC_ID).unwrap();
    std::fs::remove_file(root.path().join("orders-0/partition.metadata")).unwrap();
    // An empty log is anybody's.
    drop(open(TOPIC_ID).unwrap());
    append(&mut log, &[vec![1]]).unwrap();
    drop(log);
    std::fs::remove_file(root.path().join("orders-0/partition.metadata")).unwrap();
    assert!(matches!(open(TOPIC_ID), Err(OpenLogError::TopicIdMissing { expected: TOPIC_ID })));
    // The metadata's own topic has had one id ever since.
    assert_eq!(read_all(&open(Uuid::METADATA_TOPIC).unwrap(), 100).len(), 1);
}
