//! The end of the world after every single write of a compaction.
//!
//! A log is prepared, with transactions, tombstones and an emptied producer, and is known to be on
//! the medium. Then it is compacted with the fault at the next step, again and again, until the
//! compaction gets through. Whatever is found afterwards has to tell a consumer the same as before,
//! and has to be compacted by the next pass as if nothing had been.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::{Offset, ProducerId, Timestamp};
use milena_protocol::record::control::ControlType;
use milena_storage::disk::{Fault, FaultDisk};
use milena_storage::{
    CompactError, CompactionBudget, Log, LogConfig, LogDirectory, RealDisk, StorageError,
};
use rustix::io::Errno;
use support::keyed::*;
use support::*;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 1024, ..compacted() }
}

/// What must not change.
#[derive(Debug, PartialEq)]
struct Seen {
    table: BTreeMap<Vec<u8>, Vec<u8>>,
    producers: Vec<(ProducerId, i16, i32)>,
    start: Offset,
    end: Offset,
}

fn seen(log: &Log) -> Seen {
    let producers = log.producers().into_iter();
    Seen {
        table: table(&consume(log, Offset(0), 500, true)),
        producers: producers
            .map(|producer| {
                (producer.producer_id, producer.producer_epoch.0, producer.last_sequence.0)
            })
            .collect(),
        start: log.log_start_offset(),
        end: log.log_end_offset(),
    }
}

/// Two passes are needed to give a marker its horizon, a third takes it away.
const ROUNDS: i64 = 3;

fn prepare(directory: &LogDirectory, log: &mut Log) {
    let mut random = Random(7);
    let mut sequences = [0; 4];
    for round in 0..16 {
        let producer = random.below(4) as i64;
        let sequence = &mut sequences[producer as usize];
        let is_transactional = producer > 1;
        let writer = match producer {
            0 => NOBODY,
            _ => Writer { producer, epoch: 0, sequence: *sequence, is_transactional, ..NOBODY },
        };
        let pairs: Vec<Pair> = (0..3)
            .map(|_| {
                let key = format!("key {}", random.below(9));
                let value = format!("{round} {}", "v".repeat(random.below(120) as usize));
                pair(&key, (random.below(5) > 0).then_some(value.as_str()))
            })
            .collect();
        write(log, writer, &pairs);
        *sequence += 3;
        if is_transactional {
            let aborts = random.below(2) == 0;
            end(log, producer, 0, if aborts { ControlType::Abort } else { ControlType::Commit });
        }
    }
    log.roll(NOW).unwrap();
    directory.maintain().unwrap();
}

fn at(round: i64) -> Timestamp {
    Timestamp(NOW.0 + round * 2000)
}

fn compact(log: &Log, now: Timestamp) -> Result<(), CompactError> {
    // Fewer keys at a time than there are: several passes over several segments.
    let budget = CompactionBudget { dedupe_buffer_bytes: 24 * 8, ..CompactionBudget::default() };
    while log.compaction().compact(&budget, now, &mut |_| true)?.is_some() {}
    Ok(())
}

/// Prepares a log and compacts it for some rounds, with a fault in the last of them. Answers what
/// was seen before that, and how the compaction ended.
fn run(
    root: &Path,
    disk: &FaultDisk,
    rounds: i64,
    step: u64,
    fault: Fault,
) -> (Seen, Result<(), CompactError>) {
    let directory = open_directory(root, Arc::new(disk.clone()));
    let mut log = open_log(&directory, config());
    prepare(&directory, &mut log);
    for round in 1..rounds {
        compact(&log, at(round)).unwrap();
        write(&mut log, NOBODY, &[pair(&format!("round {round}"), Some("x"))]);
        log.roll(NOW).unwrap();
        directory.maintain().unwrap();
    }
    let before = seen(&log);
    disk.fail_in(step, fault);
    let result = compact(&log, at(rounds));
    (before, result)
}

fn check(root: &Path, before: &Seen, rounds: i64, place: &str) {
    for again in 0..2 {
        let directory = open_directory(root, Arc::new(RealDisk));
        let mut log = open_log(&directory, config());
        // All of it was committed; whoever leads again finds that out.
        log.update_high_watermark(log.log_end_offset());
        assert_eq!(&seen(&log), before, "{place}, open {again}");
        let names = std::fs::read_dir(root.join("orders-0")).unwrap();
        for name in names.map(|file| file.unwrap().file_name().into_string().unwrap()) {
            let is_ours = [".cleaned", ".swap", ".quarantined"].iter().any(|s| name.ends_with(s));
            assert!(!is_ours, "{place} left {name}");
        }
        compact(&log, at(rounds + again)).unwrap();
        assert_eq!(&seen(&log), before, "{place}, compacted {again}");
        let mut keys: Vec<Vec<u8>> =
            consume(&log, Offset(0), 500, false).into_iter().map(|found| found.pair.0).collect();
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count, "{place}: a key twice after a whole pass");
    }
}

/// A kill -9 in a compaction would lose the last value of a key, or bring back an old one.
#[test]
fn a_kill_at_any_step_leaves_the_old_or_the_new() {
    for (fault, rounds) in [(Fault::Crash, 1), (Fault::Crash, ROUNDS), (Fault::Torn, 2)] {
        for step in 1.. {
            let root = tempfile::tempdir().unwrap();
            let disk = FaultDisk::new();
            let (before, result) = run(root.path(), &disk, rounds, step, fault);
            check(root.path(), &before, rounds, &format!("{fault:?} in {rounds} at {step}"));
            if result.is_ok() {
                assert!(step > 20, "too few steps to mean anything: {step}");
                break;
            }
        }
    }
}

/// A power cut in a compaction would leave a segment whose bytes never arrived.
#[test]
fn a_power_cut_at_any_step_leaves_the_old_or_the_new() {
    for rounds in [1, ROUNDS] {
        for step in 1.. {
            let root = tempfile::tempdir().unwrap();
            let disk = FaultDisk::new();
            let (before, result) = run(root.path(), &disk, rounds, step, Fault::Crash);
            disk.cut_power(root.path()).unwrap();
            // The kernel is the same in a test; another would doubt this.
            let _ = std::fs::remove_file(root.path().join("milena-tail-checkpoint"));
            check(root.path(), &before, rounds, &format!("power cut in {rounds} at {step}"));
            if result.is_ok() {
                break;
            }
        }
    }
}

/// A full disk would end the log, or be taken for done.
#[test]
fn a_full_disk_leaves_the_old_and_is_tried_again() {
    for step in 1.. {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let directory = open_directory(root.path(), Arc::new(disk.clone()));
        let mut log = open_log(&directory, config());
        prepare(&directory, &mut log);
        let before = seen(&log);
        disk.fail_in(step, Fault::Error(Errno::NOSPC));
        let result = compact(&log, at(1));
        if result.is_ok() {
            break;
        }
        if !directory.is_offline() {
            assert_eq!(result, Err(CompactError::Storage(StorageError::Full)), "step {step}");
            assert_eq!(seen(&log), before, "step {step}");
            compact(&log, at(1)).unwrap();
            assert_eq!(seen(&log), before, "step {step}");
        }
        drop(log);
        drop(directory);
        check(root.path(), &before, 1, &format!("full at {step}"));
    }
}
