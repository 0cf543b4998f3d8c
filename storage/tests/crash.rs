//! The end of the world after every single write, and what is left of a log then.
//!
//! A script does everything that a log can do. It is run again and again, each time with the
//! fault at the next step, until it gets through; after each run the directory is opened anew and
//! compared with what had been acknowledged.

mod support;

use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::{Offset, Uuid};
use milena_storage::disk::{Fault, FaultDisk};
use milena_storage::{
    AppendError, Log, LogConfig, LogDirectory, OpenLogError, ReadLimit, RealDisk, StorageError,
};
use rustix::io::Errno;
use support::*;

/// The id of the topic that gets the name of the first one.
const SECOND_ID: Uuid = Uuid::from_u128(0xfeed_feed_feed_feed_feed_feed_feed_feed);

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 2048,
        index_interval_bytes: 200,
        file_delete_delay_ms: 0,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

/// What was acknowledged, and what may or may not have happened beyond it.
#[derive(Clone, Default)]
struct Acknowledged {
    /// The first topic was deleted, and another has its name.
    is_second: bool,
    records: Vec<(Offset, Vec<u8>)>,
    /// A truncation that was under way: the log may end anywhere from here on.
    truncating_to: Option<Offset>,
    start: Offset,
    starting_at: Option<Offset>,
    flushed: Offset,
}

impl Acknowledged {
    fn end(&self) -> Offset {
        self.records.last().map_or(self.start, |(offset, _)| offset.plus(1))
    }

    fn topic_id(&self) -> Uuid {
        if self.is_second { SECOND_ID } else { TOPIC_ID }
    }
}

struct Stopped;

impl<E> From<E> for Stopped
where
    E: std::error::Error,
{
    fn from(_: E) -> Self {
        Self
    }
}

fn script(
    directory: &LogDirectory,
    log: &mut Log,
    acknowledged: &mut Acknowledged,
) -> Result<(), Stopped> {
    let mut random = Random(99);
    append_some(log, acknowledged, &mut random, 14)?;
    log.flush()?;
    acknowledged.flushed = log.flushed_offset();
    append_some(log, acknowledged, &mut random, 6)?;
    maintain(directory, log, acknowledged)?;
    append_some(log, acknowledged, &mut random, 6)?;
    let cut = acknowledged.records[acknowledged.records.len() * 2 / 3].0;
    acknowledged.truncating_to = Some(Offset(cut.0 - 4));
    acknowledged.flushed = acknowledged.flushed.min(Offset(cut.0 - 4));
    log.truncate_to(cut, NOW)?;
    let end = log.log_end_offset();
    acknowledged.truncating_to = None;
    acknowledged.records.retain(|(offset, _)| *offset < end);
    append_some(log, acknowledged, &mut random, 8)?;
    let start = Offset(acknowledged.end().0 / 2);
    log.update_high_watermark(acknowledged.end());
    acknowledged.starting_at = Some(start);
    log.advance_log_start_offset(start)?;
    acknowledged.starting_at = None;
    acknowledged.start = start;
    acknowledged.records.retain(|(offset, _)| *offset >= start);
    log.retain(NOW)?;
    append_some(log, acknowledged, &mut random, 3)?;
    maintain(directory, log, acknowledged)?;
    append_some(log, acknowledged, &mut random, 3)?;
    recreate(directory, log, acknowledged)?;
    append_some(log, acknowledged, &mut random, 12)?;
    maintain(directory, log, acknowledged)?;
    append_some(log, acknowledged, &mut random, 3)?;
    Ok(())
}

/// Deletes the topic and makes another of the same name, with nothing in it.
fn recreate(
    directory: &LogDirectory,
    log: &mut Log,
    acknowledged: &mut Acknowledged,
) -> Result<(), Stopped> {
    *acknowledged = Acknowledged { is_second: true, ..Acknowledged::default() };
    directory.delete_log(TOPIC, PARTITION)?;
    let opened = directory.open_log(TOPIC, SECOND_ID, PARTITION, config());
    *log = opened.map_err(|_| Stopped)?;
    Ok(())
}

fn maintain(
    directory: &LogDirectory,
    log: &Log,
    acknowledged: &mut Acknowledged,
) -> Result<(), Stopped> {
    directory.maintain()?;
    acknowledged.flushed = log.flushed_offset();
    Ok(())
}

fn append_some(
    log: &mut Log,
    acknowledged: &mut Acknowledged,
    random: &mut Random,
    count: usize,
) -> Result<(), Stopped> {
    for number in 0..count {
        let values = random.values(3, 200);
        let appended = if number % 3 == 0 {
            let sequence = acknowledged.end().0 as i32;
            let batch = idempotent(sequence.into(), 0, 0, &values);
            log.append_as_leader(&batch, context(number as i32 / 5))
        } else {
            append_in(log, &values, number as i32 / 5)
        };
        // A later append must not go back to an older leader epoch.
        let appended = match appended {
            Err(AppendError::StaleLeaderEpoch { latest, .. }) => append_in(log, &values, latest.0)?,
            appended => appended?,
        };
        for (index, value) in values.into_iter().enumerate() {
            acknowledged.records.push((appended.base_offset.plus(index as i64), value));
        }
    }
    Ok(())
}

fn append_in(
    log: &mut Log,
    values: &[Vec<u8>],
    epoch: i32,
) -> Result<milena_storage::Appended, AppendError> {
    log.append_as_leader(&batch(values), context(epoch))
}

/// Runs the script with a fault; whether the fault came before the script's end.
fn run(root: &Path, disk: &FaultDisk, step: u64, fault: Fault) -> (Acknowledged, bool) {
    let mut acknowledged = Acknowledged::default();
    let directory = open_directory(root, Arc::new(disk.clone()));
    disk.fail_in(step, fault);
    let Ok(mut log) = directory.open_log(TOPIC, TOPIC_ID, PARTITION, config()) else {
        return (acknowledged, true);
    };
    let stopped = script(&directory, &mut log, &mut acknowledged).is_err();
    (acknowledged, stopped)
}

/// Opens the log of a topic as a broker does: what another topic of the name left is put aside.
fn open_or_replace(directory: &LogDirectory, topic_id: Uuid, at: &str) -> Log {
    let open = || directory.open_log(TOPIC, topic_id, PARTITION, config());
    match open() {
        Err(OpenLogError::TopicIdMismatch { .. } | OpenLogError::TopicIdMissing { .. }) => {
            directory.quarantine_log(TOPIC, PARTITION).unwrap();
            open().unwrap_or_else(|error| panic!("{at}: {error}"))
        }
        opened => opened.unwrap_or_else(|error| panic!("{at}: {error}")),
    }
}

/// Opens what is left twice and compares it with what must be there.
fn check(root: &Path, acknowledged: &Acknowledged, must_keep: Offset, at: &str) {
    let mut previous: Option<Vec<(Offset, Vec<u8>)>> = None;
    for _ in 0..2 {
        let directory = open_directory(root, Arc::new(RealDisk));
        let mut log = open_or_replace(&directory, acknowledged.topic_id(), at);
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        let records = read_all(&log, 500);
        match &previous {
            Some(previous) => assert!(records.starts_with(previous), "{at}"),
            None => {
                assert!(end >= must_keep, "{at}: ends at {end}, {must_keep} was acknowledged");
                let latest = acknowledged.starting_at.unwrap_or(acknowledged.start);
                assert!(start <= latest, "{at}: starts at {start}");
                // Where both have a record they have the same one.
                for (offset, value) in &acknowledged.records {
                    if *offset >= start.max(acknowledged.start) && *offset < must_keep {
                        let found = records.iter().find(|(found, _)| found == offset);
                        assert_eq!(found.map(|found| &found.1), Some(value), "{at} {offset}");
                    }
                }
            }
        }
        for pair in records.windows(2) {
            assert_eq!(pair[0].0.plus(1), pair[1].0, "{at}: a hole");
        }
        let epoch = log.latest_epoch().map_or(0, |epoch| epoch.0);
        let appended = log.append_as_leader(&batch(&[vec![1; 50]]), context(epoch)).unwrap();
        assert_eq!(appended.base_offset, end, "{at}");
        log.flush().unwrap();
        let mut expected = records;
        expected.push((end, vec![1; 50]));
        assert!(read_all(&log, 5000) == expected, "{at}");
        previous = Some(expected);
    }
}

/// A kill -9 at some instant would lose an acknowledged record or leave a log that cannot open.
#[test]
fn a_kill_after_any_write_loses_nothing_acknowledged() {
    for fault in [Fault::Crash, Fault::Torn] {
        for step in 1.. {
            let root = tempfile::tempdir().unwrap();
            let disk = FaultDisk::new();
            let (acknowledged, stopped) = run(root.path(), &disk, step, fault);
            let must_keep = acknowledged.truncating_to.unwrap_or(acknowledged.end());
            check(root.path(), &acknowledged, must_keep, &format!("{fault:?} at step {step}"));
            if !stopped {
                assert!(step > 60, "the script has too few steps to mean anything: {step}");
                break;
            }
        }
    }
}

/// A power cut at some instant would lose a flushed record or leave a log that cannot open.
#[test]
fn a_power_cut_after_any_write_loses_nothing_flushed() {
    for step in 1.. {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let (acknowledged, stopped) = run(root.path(), &disk, step, Fault::Crash);
        disk.cut_power(root.path()).unwrap();
        // The kernel is the same in a test, so what only another kernel would doubt has to go.
        let _ = std::fs::remove_file(root.path().join("milena-tail-checkpoint"));
        let must_keep = acknowledged.flushed;
        check(root.path(), &acknowledged, must_keep, &format!("power cut at step {step}"));
        if !stopped {
            break;
        }
    }
}

/// A failed write or sync would be tried again, and its data believed to be there.
#[test]
fn the_first_failure_takes_the_directory_offline() {
    for step in 1.. {
        let root = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let fault = Fault::Error(Errno::IO);
        let (acknowledged, stopped) = run(root.path(), &disk, step, fault);
        let must_keep = acknowledged.truncating_to.unwrap_or(acknowledged.end());
        check(root.path(), &acknowledged, must_keep, &format!("EIO at step {step}"));
        if !stopped {
            break;
        }
    }
    let root = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new();
    let directory = open_directory(root.path(), Arc::new(disk.clone()));
    let mut log = open_log(&directory, config());
    append(&mut log, &[vec![1]]).unwrap();
    disk.fail_in(1, Fault::Error(Errno::IO));
    assert!(matches!(log.flush(), Err(StorageError::Offline { .. })));
    assert!(directory.is_offline());
    assert!(matches!(log.flush(), Err(StorageError::Offline { .. })), "a second sync lies");
    assert!(matches!(
        append(&mut log, &[vec![2]]),
        Err(AppendError::Storage(StorageError::Offline { .. }))
    ));
}

/// A full disk would end the process or the log instead of being refused until it heals.
#[test]
fn a_full_disk_refuses_and_heals() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new();
    let directory = open_directory(root.path(), Arc::new(disk.clone()));
    let mut log = open_log(&directory, LogConfig { segment_bytes: 1 << 20, ..config() });
    let value = vec![7; 10_000];
    let mut count = 0;
    let reserve = (64 << 20).min(directory.usage().space.unwrap().total_bytes / 64);
    disk.limit_space(Some(reserve + (300 << 10)));
    let refused = loop {
        match append(&mut log, std::slice::from_ref(&value)) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
        assert!(count < 1000);
    };
    assert_eq!(refused, AppendError::Storage(StorageError::Full));
    assert!(count > 20, "the last kilobytes are used too: {count}");
    assert!(!directory.is_offline());
    for _ in 0..3 {
        assert!(append(&mut log, std::slice::from_ref(&value)).is_err());
        assert_eq!(read_all(&log, 1 << 20).len(), count);
        log.flush().unwrap();
    }
    disk.limit_space(None);
    let limit = ReadLimit { upper: Offset(9999), max_bytes: 1, at_least_one_batch: true };
    assert!(log.reader().read(Offset(0), limit).is_ok());
    let appended = append(&mut log, &[value]).unwrap();
    assert_eq!(appended.base_offset, Offset(count as i64));
    assert_eq!(read_all(&log, 1 << 20).len(), count + 1);
}
