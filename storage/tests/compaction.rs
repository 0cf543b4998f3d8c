//! What compaction leaves of a log.

mod support;

use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::record::batch::Batch;
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::compression::Compression;
use milena_protocol::record::control::ControlType;
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;
use milena_storage::{
    Assessment, Cleanup, CompactError, Compacted, CompactionBudget, Log, LogConfig, LogDirectory,
    ReadLimit, RealDisk,
};
use support::keyed::*;
use support::*;

fn after(millis: i64) -> Timestamp {
    Timestamp(NOW.0 + millis)
}

fn budget() -> CompactionBudget {
    CompactionBudget::default()
}

/// Brings every segment but a new, empty one to its final form.
fn settle(directory: &LogDirectory, log: &mut Log) {
    log.roll(NOW).unwrap();
    directory.maintain().unwrap();
}

fn compact(log: &Log, now: Timestamp) -> Option<Compacted> {
    log.compaction().compact(&budget(), now, &mut |_| true).unwrap()
}

/// Everything that can be compacted is, over and over, as a background task would.
fn settle_and_compact(directory: &LogDirectory, log: &mut Log, now: Timestamp) -> Compacted {
    // Something new, or there would be nothing to do.
    write(log, NOBODY, &[pair("settle", Some("x"))]);
    settle(directory, log);
    compact(log, now).unwrap()
}

fn all(log: &Log) -> Vec<Found> {
    consume(log, Offset(0), 700, false)
}

fn shown(records: &[Found]) -> Vec<(i64, String)> {
    let key = |found: &Found| String::from_utf8(found.pair.0.clone()).unwrap();
    records.iter().map(|found| (found.offset, key(found))).collect()
}

fn is(records: &[Found], expected: &[(i64, &str)]) {
    let expected: Vec<(i64, String)> =
        expected.iter().map(|(offset, key)| (*offset, (*key).to_owned())).collect();
    assert_eq!(shown(records), expected);
}

fn segment_count(root: &Path) -> usize {
    let files = std::fs::read_dir(root.join("orders-0")).unwrap();
    files
        .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "log"))
        .count()
}

struct World {
    log: Log,
    directory: LogDirectory,
    root: tempfile::TempDir,
}

fn world(config: LogConfig) -> World {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let log = open_log(&directory, config);
    World { log, directory, root }
}

impl World {
    fn reopen(self, config: LogConfig) -> Self {
        let Self { log, directory, root } = self;
        drop((log, directory));
        let directory = open_directory(root.path(), Arc::new(RealDisk));
        let log = open_log(&directory, config);
        Self { log, directory, root }
    }

    fn settle_and_compact(&mut self, now: Timestamp) -> Compacted {
        settle_and_compact(&self.directory, &mut self.log, now)
    }
}

/// The last value of a key would be lost, come at another offset or in another order, or old
/// values would stay for ever.
#[test]
fn the_last_record_of_each_key_stays_at_its_offset() {
    for id in 0..5 {
        let compression = Compression::from_id(id).unwrap();
        let mut world = world(compacted());
        let writer = Writer { compression, ..NOBODY };
        for round in 0..40 {
            let value = format!("value {round}");
            let pairs: Vec<Pair> =
                (0..5).map(|key| pair(&format!("k{}", (round + key) % 7), Some(&value))).collect();
            write(&mut world.log, writer, &pairs);
        }
        let before = all(&world.log);
        let expected = table(&before);
        let (start, end) = (world.log.log_start_offset(), world.log.log_end_offset());
        let done = world.settle_and_compact(after(0));
        assert_eq!(done.first_dirty_offset, end.plus(1));
        assert!(done.after_bytes * 3 < done.before_bytes, "{done:?}");
        let left = all(&world.log);
        assert_eq!(left.len(), 8, "{compression:?}");
        let (last, rest) = left.split_last().unwrap();
        assert_eq!(last.pair, pair("settle", Some("x")));
        assert!(rest.iter().all(|found| before.contains(found)));
        assert!(left.is_sorted_by_key(|found| found.offset));
        assert_eq!(table(rest), expected);
        assert_eq!(world.log.log_start_offset(), start);
        assert_eq!(world.log.log_end_offset(), end.plus(1));
        // Any offset can be read from, also those that are gone.
        for from in 0..end.0 {
            let rest: Vec<Found> = left.iter().filter(|f| f.offset >= from).cloned().collect();
            assert_eq!(consume(&world.log, Offset(from), 300, false), rest);
        }
        let mut world = world.reopen(compacted());
        assert_eq!(all(&world.log), left);
        world.settle_and_compact(after(0));
        assert_eq!(segment_count(world.root.path()), 2, "small neighbours become one");
        assert_eq!(table(&all(&world.log)), table(&left));
    }
}

/// A consumer that reads while the log is compacted would get torn records or none.
#[test]
fn views_of_the_old_segments_stay() {
    let mut world = world(compacted());
    for number in 0..30 {
        write(&mut world.log, NOBODY, &[pair("k", Some(&format!("{number:0100}")))]);
    }
    let reader = world.log.reader();
    let limit = ReadLimit { upper: Offset(30), max_bytes: 1 << 20, at_least_one_batch: true };
    let view = reader.read(Offset(0), limit).unwrap();
    let copy = view.records.to_vec();
    world.settle_and_compact(after(0));
    world.directory.maintain().unwrap();
    assert_eq!(view.records, copy);
    assert_eq!(all(&world.log).len(), 2);
}

/// A deleted key would come back, or what says that it was deleted would stay for ever, or would
/// be gone before everyone could see it.
#[test]
fn tombstones_stay_for_their_time_from_the_first_pass_on() {
    let mut world = world(compacted());
    write(&mut world.log, NOBODY, &[pair("a", Some("1")), pair("b", Some("1"))]);
    write(&mut world.log, NOBODY, &[pair("a", None), pair("c", Some("1"))]);
    world.settle_and_compact(after(5000));
    is(&all(&world.log), &[(1, "b"), (2, "a"), (3, "c"), (4, "settle")]);
    let timestamps: Vec<i64> = all(&world.log).iter().map(|found| found.timestamp).collect();
    assert_eq!(timestamps, [NOW.0 + 1, NOW.0, NOW.0 + 1, NOW.0], "the horizon is no timestamp");
    world.settle_and_compact(after(5999));
    is(&all(&world.log), &[(1, "b"), (2, "a"), (3, "c"), (5, "settle")]);
    world.settle_and_compact(after(6000));
    is(&all(&world.log), &[(1, "b"), (3, "c"), (6, "settle")]);
}

/// Aborted records would take the place of committed ones, or be kept for ever; a reader would
/// take what is left of a transaction for an open one.
#[test]
fn aborted_records_go_and_markers_follow() {
    let mut world = world(compacted());
    let writer = Writer { producer: 5, epoch: 0, sequence: 0, is_transactional: true, ..NOBODY };
    write(&mut world.log, NOBODY, &[pair("a", Some("plain")), pair("b", Some("plain"))]);
    write(&mut world.log, writer, &[pair("a", Some("aborted"))]);
    end(&mut world.log, 5, 0, ControlType::Abort);
    let writer = Writer { sequence: 1, ..writer };
    write(&mut world.log, writer, &[pair("b", Some("committed"))]);
    end(&mut world.log, 5, 0, ControlType::Commit);
    let writer = Writer { sequence: 2, ..writer };
    write(&mut world.log, writer, &[pair("c", Some("committed"))]);
    end(&mut world.log, 5, 0, ControlType::Commit);
    let left = |world: &World, committed| shown(&consume(&world.log, Offset(0), 99, committed));
    let keys = |expected: &[(i64, &str)]| -> Vec<(i64, String)> {
        expected.iter().map(|(offset, key)| (*offset, (*key).to_owned())).collect()
    };
    let markers = |world: &World| -> Vec<i64> {
        let batches = batches(&world.log);
        let batches = batches.iter().map(|batch| Batch::parse(batch).unwrap().0);
        batches.filter(|batch| batch.attributes().is_control()).map(|b| b.base_offset().0).collect()
    };
    world.settle_and_compact(after(0));
    let expected = keys(&[(0, "a"), (4, "b"), (6, "c"), (8, "settle")]);
    assert_eq!(left(&world, true), expected);
    assert_eq!(left(&world, false), expected);
    assert_eq!(markers(&world), [3, 5, 7]);
    // Whoever has read the old bytes must still be told that they were aborted.
    assert_eq!(world.log.reader().aborted_transactions(Offset(0), Offset(99)).len(), 1);
    write(&mut world.log, NOBODY, &[pair("b", Some("plain"))]);
    // The marker of the aborted transaction gets its horizon now.
    world.settle_and_compact(after(10));
    assert_eq!(markers(&world), [3, 5, 7]);
    world.settle_and_compact(after(1010));
    // That of the second transaction did so only now.
    assert_eq!(markers(&world), [5, 7]);
    world.settle_and_compact(after(2010));
    assert_eq!(markers(&world), [7], "its transaction is still there");
    assert!(world.log.reader().aborted_transactions(Offset(0), Offset(99)).is_empty());
    let before = world.log.producers();
    let mut world = rebuilt(world);
    assert_eq!(world.log.first_open_transaction_offset(), None);
    assert_eq!(world.log.producers(), before);
    let expected = keys(&[(0, "a"), (6, "c"), (9, "b"), (12, "settle")]);
    assert_eq!(left(&world, true), expected);
    world.settle_and_compact(after(3010));
}

/// Reopens with nothing but the batches to go by.
fn rebuilt(world: World) -> World {
    let log = world.root.path().join("orders-0");
    for file in std::fs::read_dir(log).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "snapshot") {
            std::fs::remove_file(path).unwrap();
        }
    }
    for file in ["milena-tail-checkpoint", "recovery-point-offset-checkpoint"] {
        let _ = std::fs::remove_file(world.root.path().join(file));
    }
    world.reopen(compacted())
}

/// A producer would be refused after a restart, or its retry be stored twice.
#[test]
fn the_last_sequence_of_a_producer_survives() {
    let mut world = world(compacted());
    for sequence in 0..20 {
        let writer = Writer { producer: 7, epoch: 2, sequence, ..NOBODY };
        write(&mut world.log, writer, &[pair("k", Some("v"))]);
    }
    write(&mut world.log, NOBODY, &[pair("k", Some("last"))]);
    world.settle_and_compact(after(0));
    is(&all(&world.log), &[(20, "k"), (21, "settle")]);
    let kept = batches(&world.log);
    let first = Batch::parse(&kept[0]).unwrap().0;
    assert_eq!((first.base_offset(), first.record_count()), (Offset(19), 0));
    let before = world.log.producers();
    let mut world = rebuilt(world);
    assert_eq!(world.log.producers(), before);
    let writer = Writer { producer: 7, epoch: 2, sequence: 19, ..NOBODY };
    assert!(write(&mut world.log, writer, &[pair("k", Some("v"))]).duplicate);
    let writer = Writer { sequence: 20, ..writer };
    write(&mut world.log, writer, &[pair("k", Some("v"))]);
    // It has written since, so the empty batch is of no use any more.
    world.settle_and_compact(after(0));
    assert_eq!(Batch::parse(&batches(&world.log)[0]).unwrap().0.base_offset(), Offset(22));
}

/// A fenced producer could write again once its last marker was compacted and the broker restarted.
#[test]
fn the_last_epoch_of_a_producer_survives() {
    let mut world = world(compacted());
    let writer = Writer { producer: 5, epoch: 0, sequence: 0, is_transactional: true, ..NOBODY };
    write(&mut world.log, writer, &[pair("k", Some("1"))]);
    // The marker begins the next epoch (KIP-890).
    end(&mut world.log, 5, 1, ControlType::Commit);
    write(&mut world.log, NOBODY, &[pair("k", Some("2"))]);
    for now in [0, 10, 2000] {
        world.settle_and_compact(after(now));
    }
    let kept = batches(&world.log);
    let first = Batch::parse(&kept[0]).unwrap().0;
    assert!(first.attributes().is_control());
    assert_eq!((first.base_offset(), first.record_count()), (Offset(1), 0));
    let epochs = |world: &World| -> Vec<_> {
        let producers = world.log.producers().into_iter();
        producers.map(|producer| (producer.producer_id, producer.producer_epoch)).collect()
    };
    let before = epochs(&world);
    assert_eq!(before.len(), 1);
    let world = rebuilt(world);
    assert_eq!(epochs(&world), before);
}

/// Records would be compacted that a transaction may still abort, that may be lost with a leader,
/// or that a consumer was promised to see for a while.
#[test]
fn the_undecided_and_the_young_are_left_alone() {
    let lag = LogConfig { min_compaction_lag_ms: 500, ..compacted() };
    let mut world = world(lag.clone());
    write(&mut world.log, NOBODY, &[pair("k", Some("1")), pair("k", Some("2"))]);
    settle(&world.directory, &mut world.log);
    let assess = |world: &World, now| world.log.compaction().assess(now).unwrap().unwrap();
    assert_eq!(assess(&world, after(500)).cleanable_bytes, 0);
    assert!(assess(&world, after(501)).is_due());
    let writer = Writer { producer: 1, epoch: 0, sequence: 0, is_transactional: true, ..NOBODY };
    let open = write(&mut world.log, writer, &[pair("k", Some("3"))]);
    settle(&world.directory, &mut world.log);
    write(&mut world.log, NOBODY, &[pair("k", Some("4"))]);
    settle(&world.directory, &mut world.log);
    assert_eq!(assess(&world, after(999)).first_uncleanable_offset, open.base_offset);
    end(&mut world.log, 1, 0, ControlType::Commit);
    assert_eq!(assess(&world, after(999)).first_uncleanable_offset, Offset(4));
    world.log.set_config(LogConfig { cleanup: Cleanup { delete: true, compact: false }, ..lag });
    assert_eq!(world.log.compaction().assess(after(999)), Ok(None));
}

/// An idle log's last records would stay beyond `max.compaction.lag.ms`.
#[test]
fn an_idle_log_is_compacted_in_time() {
    let config = LogConfig {
        max_compaction_lag_ms: 5000,
        min_cleanable_dirty_ratio: 1.0,
        segment_bytes: 1 << 20,
        ..compacted()
    };
    let mut world = world(config.clone());
    write(&mut world.log, NOBODY, &[pair("k", Some("1")), pair("k", Some("2"))]);
    let compaction = world.log.compaction();
    assert!(!compaction.roll_if_overdue(after(5000)).unwrap());
    assert!(compaction.roll_if_overdue(after(5002)).unwrap());
    assert!(!compaction.roll_if_overdue(after(5002)).unwrap(), "an empty segment is not rolled");
    world.directory.maintain().unwrap();
    assert!(compaction.assess(after(5002)).unwrap().unwrap().is_due());
    compact(&world.log, after(5002)).unwrap();
    is(&all(&world.log), &[(1, "k")]);
    // While it is written to, it is rolled by the append.
    let mut busy = self::world(config);
    write(&mut busy.log, NOBODY, &[pair("k", Some("1"))]);
    let late = keyed_batch(NOBODY, after(5003), &[pair("k", Some("2"))]);
    busy.log.append_as_leader(&late, context(0)).unwrap();
    assert_eq!(segment_count(busy.root.path()), 2);
}

/// Records of a compacted log would go by age or size; or those of one that does both would not.
#[test]
fn time_and_size_only_count_where_the_policy_says_delete() {
    for delete in [false, true] {
        let config = LogConfig {
            cleanup: Cleanup { delete, compact: true },
            retention_ms: 1000,
            retention_bytes: 1,
            ..compacted()
        };
        let mut world = world(config);
        for number in 0..50 {
            write(&mut world.log, NOBODY, &[pair(&format!("{number:0200}"), Some("v"))]);
        }
        world.settle_and_compact(after(0));
        let removed = world.log.retain(after(2000)).unwrap();
        assert_eq!(removed.is_empty(), !delete);
        assert_eq!(all(&world.log).is_empty(), delete);
        assert_eq!(world.log.log_end_offset(), Offset(51));
        if !delete {
            world.log.advance_log_start_offset(Offset(40)).unwrap();
            world.log.retain(after(2000)).unwrap();
            assert_eq!(all(&world.log).len(), 11);
        }
    }
}

/// More keys than fit into memory would lose values, or never be compacted to the end.
#[test]
fn a_small_map_takes_more_passes() {
    let mut world = world(compacted());
    for round in 0..4 {
        for number in 0..100 {
            let pairs =
                [pair(&format!("k{number}"), Some(&round.to_string())), pair("hot", Some("x"))];
            write(&mut world.log, NOBODY, &pairs);
        }
    }
    settle(&world.directory, &mut world.log);
    let expected = table(&all(&world.log));
    let small = CompactionBudget { dedupe_buffer_bytes: 24 * 30, ..budget() };
    let compaction = world.log.compaction();
    let (mut passes, mut reached) = (0, Offset(0));
    while let Some(done) = compaction.compact(&small, after(0), &mut |_| true).unwrap() {
        assert!(done.keys <= 27 && done.first_dirty_offset > reached, "{done:?}");
        reached = done.first_dirty_offset;
        passes += 1;
        assert_eq!(table(&all(&world.log)), expected);
    }
    assert!(passes > 10, "{passes}");
    assert_eq!(all(&world.log).len(), 101);
}

/// A restart would compact everything again, or take a checkpoint that means nothing for a fact.
#[test]
fn the_checkpoint_is_kafkas_and_is_not_trusted() {
    let mut world = world(compacted());
    write(&mut world.log, NOBODY, &[pair("k", Some("1"))]);
    world.settle_and_compact(after(0));
    let path = world.root.path().join("cleaner-offset-checkpoint");
    assert_eq!(std::fs::read(&path).unwrap(), b"0\n1\norders 0 2\n");
    assert_eq!(compact(&world.log, after(0)), None);
    let world = world.reopen(compacted());
    assert_eq!(compact(&world.log, after(0)), None);
    std::fs::write(&path, b"0\n1\norders 0 99\n").unwrap();
    let world = world.reopen(compacted());
    let assessment =
        |world: &World| -> Assessment { world.log.compaction().assess(after(0)).unwrap().unwrap() };
    assert_eq!(assessment(&world).first_dirty_offset, Offset(0), "behind the log's end");
    std::fs::write(&path, b"0\n2\norders 0 2\n").unwrap();
    let mut world = world.reopen(compacted());
    assert_eq!(assessment(&world).first_dirty_offset, Offset(0), "not whole");
    compact(&world.log, after(0)).unwrap();
    // What is written in the place of what was cut is new.
    world.log.truncate_to(Offset(1), NOW).unwrap();
    assert_eq!(assessment(&world).first_dirty_offset, Offset(1));
    assert_eq!(std::fs::read(&path).unwrap(), b"0\n1\norders 0 1\n");
}

/// A kill -9 after a compaction would have the next start read from the middle of a batch, and cut
/// the log there.
#[test]
fn a_tail_mark_into_a_replaced_segment_is_taken_back() {
    let mut world = world(compacted());
    // The mark points behind a batch that goes, and those that follow are of another size.
    write(&mut world.log, NOBODY, &[pair("a", Some("1"))]);
    world.directory.maintain().unwrap();
    let path = world.root.path().join("milena-tail-checkpoint");
    let mark = std::fs::read(&path).unwrap();
    for number in 1..29 {
        let key = format!("k{number}");
        write(&mut world.log, NOBODY, &[pair(&key, Some(&"v".repeat(150)))]);
    }
    write(&mut world.log, NOBODY, &[pair("a", Some("2"))]);
    settle(&world.directory, &mut world.log);
    // As if the process had come to the log, but not to the file.
    std::fs::write(&path, mark).unwrap();
    compact(&world.log, after(0)).unwrap();
    let expected = all(&world.log);
    let world = world.reopen(compacted());
    assert_eq!(world.log.log_end_offset(), Offset(30));
    assert_eq!(expected.len(), 29);
    assert_eq!(all(&world.log), expected);
}

/// A damaged segment would be compacted into a good-looking one, or what is whole be thrown away.
#[test]
fn a_damaged_segment_is_told_and_left() {
    let mut world = world(compacted());
    for number in 0..30 {
        write(&mut world.log, NOBODY, &[pair("k", Some(&format!("{number:0100}")))]);
    }
    settle(&world.directory, &mut world.log);
    let path = world.root.path().join("orders-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    drop(world.log);
    drop(world.directory);
    std::fs::write(&path, &bytes).unwrap();
    let directory = open_directory(world.root.path(), Arc::new(RealDisk));
    let log = open_log(&directory, compacted());
    let result = log.compaction().compact(&budget(), after(0), &mut |_| true);
    assert!(matches!(result, Err(CompactError::Damaged { segment: Offset(0), .. })), "{result:?}");
    assert!(!directory.is_offline());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let leftovers = std::fs::read_dir(world.root.path().join("orders-0")).unwrap();
    let is_left = |name: &str| name.ends_with(".cleaned") || name.ends_with(".swap");
    assert!(!leftovers.into_iter().any(|f| is_left(&f.unwrap().file_name().to_string_lossy())));
}

/// A cleaner that is told to stop, or whose log is deleted, would go on or leave files behind.
#[test]
fn a_pass_can_be_stopped_and_its_log_deleted() {
    let mut world = world(compacted());
    for _ in 0..30 {
        write(&mut world.log, NOBODY, &[pair("k", Some(&"v".repeat(200)))]);
    }
    settle(&world.directory, &mut world.log);
    let compaction = world.log.compaction();
    let mut calls = 0;
    let stopped = compaction.compact(&budget(), after(0), &mut |_| {
        calls += 1;
        calls < 5
    });
    assert_eq!((stopped, calls), (Err(CompactError::Stopped), 5));
    let before = all(&world.log);
    let directory = &world.directory;
    let (mut calls, mut is_deleted) = (0, false);
    let deleted = compaction.compact(&budget(), after(0), &mut |_| {
        calls += 1;
        if calls == 5 {
            directory.delete_log(TOPIC, PARTITION).unwrap();
            open_log(directory, compacted());
            is_deleted = true;
        }
        true
    });
    assert!(matches!(deleted, Err(CompactError::Storage(_))) && is_deleted, "{deleted:?}");
    assert_eq!(before.len(), 30);
    let names: Vec<String> = std::fs::read_dir(world.root.path().join("orders-0"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.contains(".cleaned")), "{names:?}");
}

/// A truncation behind what a pass is at would take the pass's files for leftovers of a crash, and
/// the pass put nothing in the place of the old.
#[test]
fn a_truncation_behind_a_pass_leaves_its_files_alone() {
    let mut world = world(compacted());
    for number in 0..60 {
        let key = format!("k{}", number / 2);
        write(&mut world.log, NOBODY, &[pair(&key, Some(&"v".repeat(200)))]);
    }
    settle(&world.directory, &mut world.log);
    let compaction = world.log.compaction();
    let log = &mut world.log;
    let mut is_cut = false;
    let path = world.root.path().join("orders-0/00000000000000000000.log.cleaned");
    let result = compaction.compact(&budget(), after(0), &mut |_| {
        // The new files are there, and not swapped in yet.
        if !is_cut && path.exists() {
            log.truncate_to(Offset(50), NOW).unwrap();
            is_cut = true;
        }
        true
    });
    assert!(is_cut);
    assert_eq!(result, Err(CompactError::Disturbed));
    let expected: Vec<i64> = (0..50).collect();
    let left = all(&world.log);
    assert!(left.iter().all(|found| expected.contains(&found.offset)));
    let keys: std::collections::BTreeSet<_> = left.iter().map(|found| &found.pair.0).collect();
    assert_eq!(keys.len(), 25, "{left:?}");
    let world = world.reopen(compacted());
    assert_eq!(all(&world.log), left);
}

/// Retention or truncation under a pass would be undone by it.
#[test]
fn a_pass_gives_way_to_whoever_takes_segments_away() {
    for truncates in [false, true] {
        let mut world = world(compacted());
        for number in 0..30 {
            write(&mut world.log, NOBODY, &[pair("k", Some(&format!("{number:0200}")))]);
        }
        settle(&world.directory, &mut world.log);
        let compaction = world.log.compaction();
        let log = &mut world.log;
        // Five segments are learnt, then the first is written.
        let mut calls = 0;
        let disturbed = compaction.compact(&budget(), after(0), &mut |_| {
            calls += 1;
            if calls == 6 && truncates {
                log.truncate_to(Offset(3), NOW).unwrap();
            } else if calls == 6 {
                log.advance_log_start_offset(Offset(25)).unwrap();
                assert!(!log.retain(NOW).unwrap().is_empty());
            }
            true
        });
        assert_eq!(disturbed, Err(CompactError::Disturbed));
        let left = all(&world.log);
        let offsets = if truncates { 0..3 } else { 25..30 };
        assert!(left.iter().map(|found| found.offset).eq(offsets), "{left:?}");
    }
}

/// A reader that comes when segments are swapped would find another segment's bytes under the
/// name of its own, take the directory offline for it, or be told a wrong end.
#[test]
fn readers_beside_a_compaction_see_every_last_value() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut world = world(compacted());
    let (is_over, reader) = (AtomicBool::new(false), world.log.reader());
    let read = |from: Offset| {
        let mut at = from;
        let mut seen = std::collections::BTreeMap::new();
        // Where the log ends is asked each time, as a fetch does: what lies before an older end may
        // be gone by now, and what took its place begin behind it.
        loop {
            let upper = reader.offsets().high_watermark;
            if at >= upper {
                break seen;
            }
            let limit = ReadLimit { upper, max_bytes: 900, at_least_one_batch: true };
            let slice = reader.read(at, limit).unwrap();
            for batch in Batches::new(&slice.records) {
                batch.verify_crc().unwrap();
                assert!(batch.next_offset() > at);
                at = batch.next_offset();
                for record in Records::new(batch.records_bytes(), batch.record_count()) {
                    let record = record.unwrap();
                    seen.insert(record.key.unwrap().to_vec(), record.value.unwrap().to_vec());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0;
                    let mut known = 0;
                    while !is_over.load(Ordering::Acquire) {
                        let seen = read(Offset(0));
                        // Keys come in order and never go.
                        assert!(seen.len() >= known, "{} keys after {known}", seen.len());
                        known = seen.len();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for number in 0..120 {
            for _ in 0..5 {
                let key = format!("key {:05}", number / 2);
                write(&mut world.log, NOBODY, &[pair(&key, Some(&"v".repeat(150)))]);
            }
            settle(&world.directory, &mut world.log);
            compact(&world.log, after(0));
        }
        is_over.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert_eq!(read(Offset(0)).len(), 60);
    assert!(!world.directory.is_offline());
}

/// A group would be told the age of a record that is gone, or of none: a batch with tombstones has
/// another time in its header than that of its first record.
#[test]
fn the_record_at_a_hole_is_the_next_one() {
    let World { mut log, directory, root: _root } = world(compacted());
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (age_ms, key, value) in [(40, "a", Some("1")), (30, "b", Some("1")), (20, "c", None)] {
        let value = value.map(str::as_bytes);
        builder.append(after(-age_ms), Some(key.as_bytes()), value, &[]);
    }
    log.append_as_leader(&builder.build().unwrap(), context(0)).unwrap();
    write(&mut log, NOBODY, &[pair("a", Some("2"))]);
    settle_and_compact(&directory, &mut log, NOW);
    let end = log.reader().offsets().log_end_offset;
    let found = [0, 1, 2].map(|offset| {
        let found = log.reader().first_record_from(Offset(offset), end, |_| false).unwrap();
        found.map(|found| (found.offset.0, NOW.0 - found.timestamp.0))
    });
    assert_eq!(found, [Some((1, 30)), Some((1, 30)), Some((2, 20))]);
}
