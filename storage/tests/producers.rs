//! What a log knows of its producers after a kill.

mod support;

use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::Offset;
use milena_storage::disk::{Disk, Fault, FaultDisk};
use milena_storage::{Log, LogConfig, LogDirectory, RealDisk};
use support::*;

const BATCHES: i32 = 12;

fn open(root: &Path, disk: Arc<dyn Disk>) -> (LogDirectory, Log) {
    let directory = open_directory(root, disk);
    let log = open_log(&directory, LogConfig::default());
    (directory, log)
}

fn send(log: &mut Log, sequence: i32) -> (Offset, bool) {
    let batch = idempotent(7, 0, sequence, &[vec![7; 100]]);
    let appended = log.append_as_leader(&batch, context(0)).unwrap();
    (appended.base_offset, appended.duplicate)
}

/// A client whose last five requests were in flight when the broker was killed sends them all
/// again: all but the last would be refused as out of order.
#[test]
fn all_five_batches_are_recognised_after_a_kill_at_any_step_of_a_save() {
    for step in 1.. {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let (directory, mut log) = open(root.path(), Arc::new(disk.clone()));
        for sequence in 0..BATCHES {
            assert_eq!(send(&mut log, sequence), (Offset(sequence.into()), false));
            // Behind a roll there are fewer than five batches to replay.
            if sequence == BATCHES - 4 {
                log.roll(NOW).unwrap();
                directory.maintain().unwrap();
            }
            if sequence == BATCHES - 3 {
                directory.maintain().unwrap();
            }
        }
        disk.fail_in(step, Fault::Crash);
        let is_over = directory.maintain().is_ok();
        drop((log, directory));
        let (_directory, mut log) = open(root.path(), Arc::new(RealDisk));
        for sequence in BATCHES - 5..BATCHES {
            let expected = (Offset(sequence.into()), true);
            assert_eq!(send(&mut log, sequence), expected, "step {step}");
        }
        assert_eq!(send(&mut log, BATCHES), (Offset(BATCHES.into()), false));
        if is_over {
            assert!(step > 5, "the save has too few steps to mean anything: {step}");
            break;
        }
    }
}

/// Producers of a history that was given up would bind those of the one that took its place.
#[test]
fn producers_go_with_what_they_wrote() {
    let root = tempfile::tempdir().unwrap();
    let (directory, mut log) = open(root.path(), Arc::new(RealDisk));
    for sequence in 0..8 {
        send(&mut log, sequence);
    }
    directory.maintain().unwrap();
    log.truncate_to(Offset(6), NOW).unwrap();
    assert_eq!(log.producers()[0].last_sequence.0, 5);
    directory.maintain().unwrap();
    log.truncate_fully_and_start_at(Offset(100), NOW).unwrap();
    assert!(log.producers().is_empty());
    directory.maintain().unwrap();
    drop((log, directory));
    let (_directory, log) = open(root.path(), Arc::new(RealDisk));
    assert!(log.producers().is_empty());
}
