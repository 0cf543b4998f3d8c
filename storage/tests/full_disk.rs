//! What a log goes through when the disk is full at the worst moment, and what it knows afterwards.

mod support;

use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::Offset;
use milena_storage::disk::{Fault, FaultDisk};
use milena_storage::{LogConfig, RealDisk, StorageError};
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
