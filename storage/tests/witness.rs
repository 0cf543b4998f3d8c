//! What one process leaves so that the next knows whether records were lost between them.

mod support;

use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::BrokerEpoch;
use milena_storage::disk::{Fault, FaultDisk};
use milena_storage::{LogConfig, LogDirectory, RealDisk};
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
