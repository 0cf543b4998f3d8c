//! Flipped bits, cut files and missing files, in every kind of file that a log has.
//!
//! What must hold: the log opens, nothing is shown whose checksum does not match, what is shown
//! is what was written, and everything that can be derived is derived again.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use milena_protocol::ids::Offset;
use milena_protocol::record::run::Batches;
use milena_storage::{LogConfig, OpenLogError, ReadError, ReadLimit, RealDisk};
use support::*;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 4096, index_interval_bytes: 200, ..LogConfig::default() }
}

type Records = Vec<(Offset, Vec<u8>)>;

/// A log of several sealed segments and an active one, with producers and epochs.
fn build(root: &Path) -> Records {
    let directory = open_directory(root, Arc::new(RealDisk));
    let mut log = open_log(&directory, config());
    let mut random = Random(5);
    let mut records = Vec::new();
    for number in 0..60 {
        let values = random.values(4, 150);
        let context = context(number / 20);
        let appended = if number % 4 == 0 {
            log.append_as_leader(&idempotent(i64::from(number), 0, 0, &values), context).unwrap()
        } else {
            log.append_as_leader(&batch(&values), context).unwrap()
        };
        for (index, value) in values.into_iter().enumerate() {
            records.push((appended.base_offset.plus(index as i64), value));
        }
        if number == 40 {
            directory.maintain().unwrap();
        }
    }
    directory.maintain().unwrap();
    records
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if !path.ends_with(".lock") && !path.ends_with("meta.properties") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Opens the log and reads all that it shows; what it shows must be what was written.
fn check(root: &Path, written: &Records, at: &str) -> usize {
    let directory = open_directory(root, Arc::new(RealDisk));
    let mut log = match directory.open_log(TOPIC, TOPIC_ID, PARTITION, config()) {
        Ok(log) => log,
        // The name of the topic's id is in no other file; whoever owns the metadata decides.
        Err(OpenLogError::TopicIdMismatch { .. } | OpenLogError::TopicIdMissing { .. }) => {
            return 0;
        }
        Err(error) => panic!("{at}: {error}"),
    };
    let reader = log.reader();
    let offsets = reader.offsets();
    let (mut offset, mut shown) = (offsets.log_start_offset, 0);
    while offset < offsets.log_end_offset {
        let limit =
            ReadLimit { upper: offsets.log_end_offset, max_bytes: 700, at_least_one_batch: true };
        let slice = match reader.read(offset, limit) {
            Ok(slice) if !slice.records.is_empty() => slice,
            Ok(_) | Err(ReadError::Corrupt { .. }) => {
                offset = offset.plus(1);
                continue;
            }
            Err(error) => panic!("{at}: {error}"),
        };
        for batch in Batches::new(&slice.records) {
            batch.verify_crc().unwrap_or_else(|error| panic!("{at}: {error}"));
            for record in milena_protocol::record::record::Records::new(
                batch.records_bytes(),
                batch.record_count(),
            ) {
                let record = record.unwrap();
                let found = batch.base_offset().plus(i64::from(record.offset_delta));
                if found >= offset {
                    shown += 1;
                    // The offset of a batch is not under its checksum: only its order tells.
                    let expected = written.iter().find(|(offset, _)| *offset == found);
                    if let Some((_, value)) = expected {
                        assert_eq!(record.value, Some(value.as_slice()), "{at} at {found}");
                    }
                }
            }
            offset = offset.max(batch.next_offset());
        }
    }
    let epoch = log.latest_epoch().map_or(0, |epoch| epoch.0);
    let end = log.log_end_offset();
    assert_eq!(
        log.append_as_leader(&batch(&[vec![9]]), context(epoch)).unwrap().base_offset,
        end,
        "{at}"
    );
    shown
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Damages each file of a built log in some way and checks what comes of it.
fn damage(way: &str, rounds: u64, change: impl Fn(&Path, &mut Random) -> bool) {
    let original = tempfile::tempdir().unwrap();
    let written = build(original.path());
    let mut random = Random(11);
    for file in files(original.path()) {
        let name = file.strip_prefix(original.path()).unwrap();
        for round in 0..rounds {
            // Once as the same kernel would find it, once as another one.
            for is_lossless in [true, false] {
                let root = tempfile::tempdir().unwrap();
                copy(original.path(), root.path());
                if !is_lossless {
                    let _ = std::fs::remove_file(root.path().join("milena-tail-checkpoint"));
                    let _ = std::fs::remove_file(root.path().join("loss-witness"));
                }
                let damaged = root.path().join(name);
                if !damaged.exists() {
                    continue;
                }
                let is_derived = change(&damaged, &mut random)
                    || name.extension().is_none_or(|extension| extension != "log");
                let at = format!("{way} {} round {round} {is_lossless}", name.display());
                let shown = check(root.path(), &written, &at);
                let is_metadata = name.ends_with("partition.metadata");
                let is_start = name.ends_with("log-start-offset-checkpoint");
                if is_derived && !is_metadata && !is_start {
                    assert_eq!(shown, written.len(), "{at}: records are missing");
                }
            }
        }
    }
}

/// A flipped bit would be shown, or would take whole records with it that it did not touch.
#[test]
fn flipped_bits_are_never_shown() {
    damage("flip", 6, |file, random| {
        let mut bytes = std::fs::read(file).unwrap();
        if bytes.is_empty() {
            return true;
        }
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        std::fs::write(file, bytes).unwrap();
        false
    });
}

/// A file that can be derived would be needed.
#[test]
fn derived_files_can_be_deleted() {
    damage("delete", 1, |file, _| {
        let is_log = file.extension().is_some_and(|extension| extension == "log");
        if !is_log {
            std::fs::remove_file(file).unwrap();
        }
        true
    });
}

/// A file cut short, as by a power cut, would stop the log from opening.
#[test]
fn files_can_be_cut_short() {
    damage("cut", 3, |file, random| {
        let len = std::fs::metadata(file).unwrap().len();
        let kept = random.below(len.max(1));
        std::fs::File::options().write(true).open(file).unwrap().set_len(kept).unwrap();
        false
    });
}

/// Pages of a file that were never written, between ones that were.
#[test]
fn holes_are_found() {
    damage("hole", 3, |file, random| {
        let mut bytes = std::fs::read(file).unwrap();
        let at = random.below(bytes.len().max(1) as u64) as usize;
        let end = (at + 200).min(bytes.len());
        bytes[at..end].fill(0);
        std::fs::write(file, bytes).unwrap();
        false
    });
}

/// Acknowledged records would be gone without a word to anybody.
#[test]
fn what_is_given_up_is_told() {
    let root = tempfile::tempdir().unwrap();
    let open = || {
        let directory = open_directory(root.path(), Arc::new(RealDisk));
        open_log(&directory, config())
    };
    let mut log = open();
    let mut random = Random(5);
    for _ in 0..60 {
        append(&mut log, &random.values(4, 150)).unwrap();
    }
    let end = log.log_end_offset();
    let segments = files(root.path()).iter().filter(|path| is_segment(path)).count();
    drop(log);
    // Nothing was saved on the way, so all of it is read again.
    let sealed = files(root.path()).into_iter().find(|path| is_segment(path)).unwrap();
    let mut bytes = std::fs::read(&sealed).unwrap();
    bytes[1500] ^= 1;
    std::fs::write(&sealed, bytes).unwrap();
    let log = open();
    let damage = log.damage().expect("something is gone").clone();
    assert_eq!((&damage.path, damage.from), (&sealed, log.log_end_offset()));
    assert!(damage.from < end && damage.position <= 1500);
    assert_eq!((damage.end, damage.later_segments), (end, segments - 1));
    drop(log);
    assert_eq!(open().damage(), None);
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}
