//! What one log does: append, read, roll, retain, truncate, restart.

mod support;

use std::sync::Arc;

use milena_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use milena_protocol::record::batch::{Batch, TimestampType};
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::compression::Compression;
use milena_protocol::record::control::{ControlType, end_transaction_marker};
use milena_storage::{
    AppendContext, AppendError, LogCompression, LogConfig, LogTimestamps, Origin, ReadError,
    ReadLimit, RealDisk, RetentionReason,
};
use support::*;

fn small() -> LogConfig {
    LogConfig { segment_bytes: 4096, index_interval_bytes: 256, ..LogConfig::default() }
}

fn value(number: usize) -> Vec<u8> {
    format!("value {number:06}").into_bytes()
}

fn limit(upper: Offset, max_bytes: usize, at_least_one_batch: bool) -> ReadLimit {
    ReadLimit { upper, max_bytes, at_least_one_batch }
}

/// Consumers would not get back what producers sent, at the offsets they were told.
#[test]
fn what_was_appended_is_read_back_across_segments() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    for number in 0..500usize {
        let appended = append(&mut log, &[value(number), value(number)]).unwrap();
        assert_eq!(appended.base_offset, Offset(number as i64 * 2));
        assert_eq!(appended.last_offset, Offset(number as i64 * 2 + 1));
    }
    for max_bytes in [1, 100, 1000, 1 << 20] {
        let records = read_all(&log, max_bytes);
        assert_eq!(records.len(), 1000);
        for (index, (offset, read)) in records.iter().enumerate() {
            assert_eq!((*offset, read), (Offset(index as i64), &value(index / 2)));
        }
    }
    let logs = std::fs::read_dir(root.path().join("orders-0")).unwrap();
    let logs = logs.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "log"));
    assert!(logs.count() > 5);
}

/// Kafka's tools would make a missing index anew, and fail over it.
#[test]
fn a_sealed_segment_has_both_indexes_even_without_an_entry() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    // A batch that fills its segment: the offset index begins with the second one.
    append(&mut log, &[vec![7; 4000]]).unwrap();
    append(&mut log, &[vec![7; 4000]]).unwrap();
    directory.maintain().unwrap();
    let file = |name: &str| std::fs::metadata(root.path().join("orders-0").join(name)).unwrap();
    assert_eq!(file("00000000000000000000.index").len(), 0);
    assert_eq!(file("00000000000000000000.timeindex").len(), 12);
}

/// Kafka would believe files that we changed, should the directory go back to it.
#[test]
fn a_clean_shutdown_of_kafka_is_not_left_to_be_believed() {
    let root = tempfile::tempdir().unwrap();
    let left = root.path().join(".kafka_cleanshutdown");
    std::fs::write(&left, r#"{"version":1,"brokerEpoch":12}"#).unwrap();
    let _directory = open_directory(root.path(), Arc::new(RealDisk));
    assert!(!left.exists());
}

/// Every offset must be found from anywhere, or a consumer that seeks gets stuck.
#[test]
fn every_offset_is_found() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    for number in 0..300 {
        append(&mut log, &[value(number), value(number), value(number)]).unwrap();
    }
    let reader = log.reader();
    for round in 0..3 {
        for offset in 0..900 {
            let slice = reader.read(Offset(offset), limit(Offset(900), 1, true)).unwrap();
            let (batch, rest) = Batch::parse(&slice.records).unwrap();
            assert!(rest.is_empty());
            assert_eq!(batch.base_offset(), Offset(offset / 3 * 3));
            assert_eq!(slice.first_offset, batch.base_offset());
            for upper in [offset, offset + 1, offset + 7] {
                let slice = reader.read(Offset(offset), limit(Offset(upper), 1 << 20, true));
                let end =
                    Batch::parse(&slice.unwrap().records).map(|(batch, _)| batch.base_offset());
                assert_eq!(end.is_ok(), upper > offset);
            }
        }
        // From memory first, then from the files, then from memory and files.
        if round == 0 {
            directory.maintain().unwrap();
        } else {
            log.roll(NOW).unwrap();
            directory.maintain().unwrap();
        }
    }
}

/// A fetch would exceed its limits, or starve on a batch larger than them.
#[test]
fn limits_of_a_read_hold() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, LogConfig::default());
    for number in 0..10 {
        append(&mut log, &[value(number)]).unwrap();
    }
    let reader = log.reader();
    let whole = reader.read(Offset(0), limit(Offset(10), 1 << 20, false)).unwrap().records;
    let one = whole.len() / 10;
    assert_eq!(reader.read(Offset(0), limit(Offset(10), one - 1, false)).unwrap().records.len(), 0);
    assert_eq!(
        reader.read(Offset(0), limit(Offset(10), one - 1, true)).unwrap().records.len(),
        one
    );
    let cut = reader.read(Offset(0), limit(Offset(10), one * 2 + 5, false)).unwrap().records;
    assert_eq!(cut, whole.slice(..one * 2 + 5));
    let upper = reader.read(Offset(2), limit(Offset(5), 1 << 20, false)).unwrap().records;
    assert_eq!(upper, whole.slice(one * 2..one * 5));
    assert!(reader.read(Offset(10), limit(Offset(10), 1, true)).unwrap().records.is_empty());
    assert!(matches!(
        reader.read(Offset(11), limit(Offset(99), 1, true)),
        Err(ReadError::OutOfRange { log_end_offset: Offset(10), .. })
    ));
    assert_eq!(reader.bytes_between(Offset(2), Offset(5)), 3 * one as u64);
    assert_eq!(reader.size_bytes(), 10 * one as u64);
    assert!(!reader.may_block(Offset(0), limit(Offset(10), 1 << 20, true)));
}

/// A view that a connection is still sending would change under it.
#[test]
fn views_survive_truncation_deletion_and_retention() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    for number in 0..200 {
        append(&mut log, &[value(number)]).unwrap();
    }
    let reader = log.reader();
    let views: Vec<_> = (0..200)
        .map(|offset| reader.read(Offset(offset), limit(Offset(200), 1 << 20, true)).unwrap())
        .map(|slice| (slice.records.to_vec(), slice.records))
        .collect();
    log.truncate_to(Offset(77), NOW).unwrap();
    for _ in 0..300 {
        append(&mut log, &[vec![0xee; 40]]).unwrap();
    }
    directory.maintain().unwrap();
    log.truncate_fully_and_start_at(Offset(1000), NOW).unwrap();
    append(&mut log, &[vec![0xdd; 40]]).unwrap();
    directory.delete_log(TOPIC, PARTITION).unwrap();
    directory.maintain().unwrap();
    for (copy, view) in views {
        assert_eq!(copy, view);
    }
    assert!(append(&mut log, &[value(1)]).is_err());
    assert!(!root.path().join("orders-0").exists());
}

/// An acknowledged record would be gone after a kill, or an unknown one there.
#[test]
fn a_restart_finds_everything() {
    let root = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..6 {
        let directory = open_directory(root.path(), Arc::new(RealDisk));
        assert_eq!(directory.is_lossless_restart(), round > 0);
        let mut log = open_log(&directory, small());
        assert_eq!(read_all(&log, 1000), expected, "round {round}");
        for number in 0..50 {
            let appended = append(&mut log, &[value(number)]).unwrap();
            expected.push((appended.base_offset, value(number)));
        }
        if round % 2 == 1 {
            directory.maintain().unwrap();
        }
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(0)));
    }
}

/// The files would not be what Kafka's tools expect to find.
#[test]
fn files_at_rest_hold_exactly_their_batches() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    for number in 0..200 {
        append(&mut log, &[value(number)]).unwrap();
    }
    log.roll(NOW).unwrap();
    directory.maintain().unwrap();
    let mut total = 0;
    for entry in std::fs::read_dir(root.path().join("orders-0")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let bytes = std::fs::read(&path).unwrap();
            let mut run = milena_protocol::record::run::Batches::new(&bytes);
            run.by_ref().for_each(|batch| batch.verify_crc().unwrap());
            assert_eq!(run.position(), bytes.len(), "{}", path.display());
            total += bytes.len();
        }
    }
    assert_eq!(total as u64, log.reader().size_bytes());
    let text = std::fs::read_to_string(root.path().join("orders-0/leader-epoch-checkpoint"));
    assert_eq!(text.unwrap(), "0\n1\n0 0\n");
    let text = std::fs::read_to_string(root.path().join("orders-0/partition.metadata")).unwrap();
    assert_eq!(text, format!("version: 0\ntopic_id: {TOPIC_ID}\n"));
}

/// A retried batch would be stored twice; also after a restart, for the last batch.
#[test]
fn retries_of_idempotent_producers_are_answered_not_stored() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    let send = |sequence| idempotent(7, 0, sequence, &[value(1), value(2)]);
    for number in 0..6 {
        let appended = log.append_as_leader(&send(number * 2), context(0)).unwrap();
        assert_eq!(
            (appended.base_offset, appended.duplicate),
            (Offset(i64::from(number) * 2), false)
        );
    }
    for number in 1..6 {
        let appended = log.append_as_leader(&send(number * 2), context(0)).unwrap();
        assert_eq!(
            (appended.base_offset, appended.duplicate),
            (Offset(i64::from(number) * 2), true)
        );
    }
    assert!(matches!(
        log.append_as_leader(&send(14), context(0)),
        Err(AppendError::OutOfOrderSequence { .. })
    ));
    for saves in [false, true] {
        open_directory_again(root.path(), saves, |log| {
            let appended = log.append_as_leader(&send(10), context(0)).unwrap();
            assert_eq!((appended.base_offset, appended.duplicate), (Offset(10), true));
            assert!(log.append_as_leader(&send(14), context(0)).is_err());
        });
    }
    assert_eq!(log.log_end_offset(), Offset(12));
}

fn open_directory_again(
    root: &std::path::Path,
    saves: bool,
    check: impl FnOnce(&mut milena_storage::Log),
) {
    // The lock dies with its process, so a copy stands for the next one's directory.
    let copy = tempfile::tempdir().unwrap();
    copy_tree(root, copy.path());
    let directory = open_directory(copy.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    if saves {
        directory.maintain().unwrap();
        drop(log);
        drop(directory);
        let directory = open_directory(copy.path(), Arc::new(RealDisk));
        check(&mut open_log(&directory, small()));
    } else {
        check(&mut log);
    }
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A poison batch, or a wrong code to the client.
#[test]
fn bad_batches_are_refused_and_nothing_is_stored() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let config = LogConfig { max_message_bytes: 500, ..small() };
    let mut log = open_log(&directory, config);
    let good = batch(&[value(1)]);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(log.append_as_leader(&flipped, context(0)), Err(AppendError::Corrupt { .. })));
    assert!(matches!(
        log.append_as_leader(&good[..good.len() - 1], context(0)),
        Err(AppendError::Corrupt { .. })
    ));
    let twice = [good.clone(), good.clone()].concat();
    assert!(matches!(log.append_as_leader(&twice, context(0)), Err(AppendError::Invalid { .. })));
    assert!(matches!(
        append(&mut log, &[vec![0; 600]]),
        Err(AppendError::TooLarge { limit_bytes: 500, .. })
    ));
    let future = batch_at(Timestamp(NOW.0 + 7_200_000), &[value(1)]);
    assert!(matches!(
        log.append_as_leader(&future, context(0)),
        Err(AppendError::Invalid { record_errors, .. }) if record_errors.len() == 1
    ));
    assert_eq!(log.log_end_offset(), Offset(0));
    log.append_as_leader(&good, context(3)).unwrap();
    assert!(matches!(
        log.append_as_leader(&good, context(2)),
        Err(AppendError::StaleLeaderEpoch { latest: LeaderEpoch(3), .. })
    ));
}

/// A topic's own clock or codec would not be applied.
#[test]
fn batches_are_stamped_and_recompressed_as_the_topic_says() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let config = LogConfig {
        timestamp_type: LogTimestamps::LogAppendTime,
        compression: LogCompression::Fixed(Compression::Lz4, None),
        ..LogConfig::default()
    };
    let mut log = open_log(&directory, config);
    let appended =
        log.append_as_leader(&batch_at(Timestamp(5), &[vec![7; 1000]]), context(4)).unwrap();
    assert_eq!(appended.log_append_time, Some(NOW));
    let read = log.reader().read(Offset(0), limit(Offset(1), 1 << 20, true)).unwrap().records;
    let (batch, _) = Batch::parse(&read).unwrap();
    batch.verify_crc().unwrap();
    assert!(batch.total_bytes() < 200);
    assert_eq!(batch.attributes().codec(), Some(Compression::Lz4));
    assert_eq!(batch.attributes().timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!((batch.max_timestamp(), batch.leader_epoch()), (NOW, LeaderEpoch(4)));
    let found = log.reader().offset_for_timestamp(NOW, Offset(1)).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (Offset(0), NOW));
}

/// A group would be told a wrong age of what it has not read yet, or one of a marker.
#[test]
fn the_record_at_an_offset_is_found() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    for (number, compression) in [(0, Compression::None), (1, Compression::Zstd)] {
        let mut builder = BatchBuilder::new(BatchOptions { compression, ..Default::default() });
        for record in 0..3 {
            builder.append(Timestamp(100 * number + record), None, Some(b"v"), &[]);
        }
        log.append_as_leader(&builder.build().unwrap(), context(0)).unwrap();
    }
    let (id, epoch) = (ProducerId(7), ProducerEpoch(0));
    for _ in 0..3 {
        let marker = end_transaction_marker(ControlType::Commit, id, epoch, 0, Timestamp(900));
        let context = AppendContext { origin: Origin::Coordinator, ..context(0) };
        log.append_as_leader(&marker.unwrap(), context).unwrap();
    }
    append(&mut log, &[value(1)]).unwrap();
    let find = |from: i64, upper: i64| {
        let found = log.reader().first_record_from(Offset(from), Offset(upper), |_| false).unwrap();
        found.map(|found| (found.offset.0, found.timestamp.0))
    };
    let records = [(0, 0), (1, 1), (2, 2), (3, 100), (4, 101), (5, 102)];
    for (offset, timestamp) in records {
        assert_eq!(find(offset, 10), Some((offset, timestamp)));
    }
    // Behind the last record come markers, which nobody reads.
    assert_eq!(find(6, 9), None);
    assert_eq!(find(6, 10).map(|found| found.0), Some(9));
    assert_eq!((find(10, 10), find(3, 3)), (None, None));
    let hidden = |batch: &Batch<'_>| batch.base_offset() < Offset(3);
    let found = log.reader().first_record_from(Offset(1), Offset(10), hidden).unwrap();
    assert_eq!(found.map(|found| found.offset), Some(Offset(3)));
}

/// A search by time would find a wrong record.
#[test]
fn records_are_found_by_time() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    for number in 0..300i64 {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(Timestamp(1000 + number * 10), None, Some(b"a"), &[]);
        builder.append(Timestamp(1005 + number * 10), None, Some(b"b"), &[]);
        log.append_as_leader(&builder.build().unwrap(), context(0)).unwrap();
    }
    let check = |log: &milena_storage::Log| {
        let reader = log.reader();
        for number in 0..600i64 {
            let time = Timestamp(1000 + number * 5);
            for asked in [time, Timestamp(time.0 - 4)] {
                let found = reader.offset_for_timestamp(asked, Offset(600)).unwrap().unwrap();
                assert_eq!((found.offset, found.timestamp), (Offset(number), time));
            }
        }
        assert_eq!(reader.offset_for_timestamp(Timestamp(3996), Offset(600)).unwrap(), None);
        assert_eq!(reader.offset_for_timestamp(Timestamp(1500), Offset(50)).unwrap(), None);
        let largest = reader.max_timestamp_offset().unwrap().unwrap();
        assert_eq!((largest.offset, largest.timestamp), (Offset(599), Timestamp(3995)));
    };
    check(&log);
    directory.maintain().unwrap();
    check(&log);
    drop((log, directory));
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    check(&open_log(&directory, small()));
}

/// Retention would keep or remove the wrong segments (facts G1 to G8).
#[test]
fn retention_goes_by_start_size_and_time() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let config = LogConfig { retention_ms: -1, file_delete_delay_ms: 0, ..small() };
    let mut log = open_log(&directory, config.clone());
    for number in 0..400 {
        append(&mut log, &[value(number)]).unwrap();
    }
    log.set_config(LogConfig { retention_bytes: 8192, ..config.clone() });
    assert_eq!(log.retain(NOW).unwrap(), [], "nothing beyond the high watermark goes");
    log.update_high_watermark(Offset(400));
    let size = log.reader().size_bytes();
    let removed = log.retain(NOW).unwrap();
    assert!(!removed.is_empty() && removed.iter().all(|r| r.reason == RetentionReason::Size));
    let left = log.reader().size_bytes();
    assert!((8192..8192 + 4096).contains(&left), "{left}");
    assert_eq!(left, size - removed.iter().map(|removed| removed.bytes).sum::<u64>());
    let start = log.log_start_offset();
    assert!(start > Offset(0));

    log.set_config(config.clone());
    log.advance_log_start_offset(Offset(390)).unwrap();
    let removed = log.retain(NOW).unwrap();
    assert!(!removed.is_empty() && removed.iter().all(|r| r.reason == RetentionReason::LogStart));
    assert_eq!(log.log_start_offset(), Offset(390));
    assert_eq!(read_all(&log, 1000).len(), 10);

    log.set_config(LogConfig { retention_ms: 1000, ..config });
    assert_eq!(log.retain(NOW).unwrap(), []);
    let removed = log.retain(Timestamp(NOW.0 + 1001)).unwrap();
    assert_eq!(removed.last().unwrap().reason, RetentionReason::Time);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(400), Offset(400)));
    directory.maintain().unwrap();
    drop((log, directory));
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(400), Offset(400)));
    assert_eq!(append(&mut log, &[value(0)]).unwrap().base_offset, Offset(400));
    let deleted = std::fs::read_dir(root.path().join("orders-0")).unwrap();
    assert!(deleted.flatten().all(|f| !f.path().to_string_lossy().ends_with(".deleted")));
}

/// Old data that is replayed would end in one segment that time retention can never remove.
#[test]
fn segments_roll_by_the_records_own_time() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, LogConfig { segment_ms: 1000, ..LogConfig::default() });
    for timestamp in [0, 500, 1000, 1001, 1500, 2001, 2002] {
        log.append_as_leader(&batch_at(Timestamp(timestamp), &[value(0)]), context(0)).unwrap();
    }
    let mut names: Vec<String> = std::fs::read_dir(root.path().join("orders-0"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".log"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[1].starts_with("00000000000000000003"), "{names:?}");
    assert!(names[2].starts_with("00000000000000000006"), "{names:?}");
}

/// A follower would diverge from its leader.
#[test]
fn followers_keep_bytes_and_cut_by_offset() {
    let root = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let follower_directory = open_directory(other.path(), Arc::new(RealDisk));
    let mut leader = open_log(&directory, LogConfig::default());
    let mut follower = open_log(&follower_directory, small());
    for number in 0..100usize {
        let epoch = context((number / 40) as i32);
        leader.append_as_leader(&batch(&[value(number), value(number)]), epoch).unwrap();
    }
    let bytes = leader.reader().read(Offset(0), limit(Offset(200), 1 << 20, true)).unwrap().records;
    let cut = bytes.len() - 10;
    assert_eq!(follower.append_as_follower(&bytes[..cut], NOW).unwrap(), Offset(198));
    assert!(follower.append_as_follower(&bytes, NOW).is_err());
    assert_eq!(follower.reader().epochs(), leader.reader().epochs());
    let end = follower.reader().end_offset_for_epoch(LeaderEpoch(0));
    assert_eq!(end, Some((LeaderEpoch(0), Offset(80))));

    follower.truncate_to(Offset(81), NOW).unwrap();
    assert_eq!(follower.log_end_offset(), Offset(80), "nothing of a cut batch is kept");
    assert_eq!(follower.latest_epoch(), Some(LeaderEpoch(0)));
    let rest = leader.reader().read(Offset(80), limit(Offset(200), 1 << 20, true)).unwrap().records;
    assert_eq!(follower.append_as_follower(&rest, NOW).unwrap(), Offset(200));
    assert_eq!(read_all(&follower, 1000), read_all(&leader, 1000));
    drop((follower, follower_directory));
    let follower_directory = open_directory(other.path(), Arc::new(RealDisk));
    let follower = open_log(&follower_directory, small());
    assert_eq!(read_all(&follower, 1000), read_all(&leader, 1000));
    assert_eq!(follower.reader().epochs(), leader.reader().epochs());
}

/// Undecided or aborted records would be shown to readers of decided ones.
#[test]
fn transactions_open_and_end() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    append(&mut log, &[value(0)]).unwrap();
    let transactional = |producer, sequence| {
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            base_sequence: milena_protocol::ids::Sequence(sequence),
            is_transactional: true,
            ..BatchOptions::default()
        });
        builder.append(NOW, None, Some(b"t"), &[]);
        builder.build().unwrap()
    };
    log.append_as_leader(&transactional(1, 0), context(0)).unwrap();
    log.append_as_leader(&transactional(2, 0), context(0)).unwrap();
    assert_eq!(log.first_open_transaction_offset(), Some(Offset(1)));
    let end = |log: &mut milena_storage::Log, producer, control| {
        let marker =
            end_transaction_marker(control, ProducerId(producer), ProducerEpoch(0), 5, NOW)
                .unwrap();
        let origin = Origin::Coordinator;
        let context = AppendContext { origin, ..context(0) };
        log.append_as_leader(&marker, context).unwrap();
    };
    end(&mut log, 1, ControlType::Abort);
    assert_eq!(log.first_open_transaction_offset(), Some(Offset(2)));
    end(&mut log, 2, ControlType::Commit);
    assert_eq!(log.first_open_transaction_offset(), None);
    let aborted = log.reader().aborted_transactions(Offset(0), Offset(5));
    assert_eq!(aborted.len(), 1);
    assert_eq!((aborted[0].first_offset, aborted[0].last_offset), (Offset(1), Offset(3)));
    log.append_as_leader(&transactional(1, 1), context(0)).unwrap();
    for saves in [false, true] {
        open_directory_again(root.path(), saves, |log| {
            assert_eq!(log.first_open_transaction_offset(), Some(Offset(5)));
            assert_eq!(log.reader().aborted_transactions(Offset(0), Offset(5)), aborted);
        });
    }
}

/// Large batches take another road to the file; they must meet the small ones' bytes there.
#[test]
fn large_and_small_batches_mix() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log =
        open_log(&directory, LogConfig { segment_bytes: 3 << 20, ..LogConfig::default() });
    let mut expected = Vec::new();
    let mut random = Random(7);
    for number in 0..40usize {
        let bytes =
            if number.is_multiple_of(3) { 900_000 } else { 1 + random.below(3000) as usize };
        let value = vec![number as u8; bytes];
        let appended = append(&mut log, std::slice::from_ref(&value)).unwrap();
        expected.push((appended.base_offset, value));
    }
    assert!(read_all(&log, 1 << 20) == expected);
    directory.maintain().unwrap();
    drop((log, directory));
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    assert!(read_all(&open_log(&directory, LogConfig::default()), 1 << 20) == expected);
}

/// A larger `segment.bytes` would find the map of the active segment too small.
#[test]
fn settings_change_while_a_segment_is_mapped() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    append(&mut log, &[vec![1; 3000]]).unwrap();
    let reader = log.reader();
    let view = reader.read(Offset(0), limit(Offset(1), 1, true)).unwrap().records;
    log.set_config(LogConfig { segment_bytes: 1 << 20, ..small() });
    for _ in 0..30 {
        append(&mut log, &[vec![2; 3000]]).unwrap();
    }
    assert_eq!(read_all(&log, 1 << 20).len(), 31);
    assert_eq!(view, reader.read(Offset(0), limit(Offset(1), 1, true)).unwrap().records);
    log.set_config(small());
    append(&mut log, &[vec![3; 3000]]).unwrap();
    assert_eq!(read_all(&log, 1 << 20).len(), 32);
}

/// Sixteen waiters would pay for sixteen syncs, or be told of a sync that did not cover them.
#[test]
fn concurrent_flushes_share_and_cover() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let log = std::sync::Mutex::new(open_log(&directory, LogConfig::default()));
    let flush = log.lock().unwrap().flush_handle();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for number in 0..20 {
                    let end = append(&mut log.lock().unwrap(), &[value(number)]).unwrap();
                    flush.flush(end.last_offset.plus(1)).unwrap();
                    assert!(flush.flushed_offset() > end.last_offset);
                }
            });
        }
    });
    assert_eq!(flush.flushed_offset(), Offset(320));
}

/// Readers beside a writer, threads at work: a reader would see a torn batch or a gap.
#[test]
fn readers_beside_a_writer_see_whole_batches() {
    let root = tempfile::tempdir().unwrap();
    let options = milena_storage::DirectoryOptions::new(milena_protocol::ids::NodeId(1));
    let directory =
        milena_storage::LogDirectory::open(root.path(), options, Arc::new(RealDisk)).unwrap();
    let config = LogConfig { segment_bytes: 64 << 10, ..small() };
    let mut log = open_log(&directory, config);
    let total = 20_000;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let reader = log.reader();
            scope.spawn(move || {
                let mut at = Offset(0);
                while at < Offset(total) {
                    let upper = reader.offsets().log_end_offset;
                    let slice = reader.read(at, limit(upper, 4000, true)).unwrap();
                    for batch in milena_protocol::record::run::Batches::new(&slice.records) {
                        batch.verify_crc().unwrap();
                        assert!(batch.base_offset() <= at && batch.next_offset() > at);
                        at = batch.next_offset();
                    }
                    std::thread::yield_now();
                }
            });
        }
        for number in 0..total / 2 {
            append(&mut log, &[value(number as usize), value(number as usize)]).unwrap();
        }
    });
    assert_eq!(read_all(&log, 1 << 20).len(), total as usize);
    assert!(!directory.is_offline());
}

/// A thread that serves others would wait for the disk and for checksums, on the first read after a
/// restart or on every one.
#[test]
fn what_may_block_is_known_before_the_read() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    for number in 0..200 {
        append(&mut log, &[value(number)]).unwrap();
    }
    let limit = limit(Offset(200), 2000, true);
    assert!(!log.reader().may_block(Offset(190), limit), "just appended");
    let expected = log.reader().read(Offset(20), limit).unwrap().records;
    directory.maintain().unwrap();
    drop((log, directory));
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let log = open_log(&directory, small());
    let reader = log.reader();
    assert!(!reader.may_block(Offset(200), limit), "there is nothing to read");
    for offset in [20, 190] {
        assert!(reader.may_block(Offset(offset), limit), "{offset}");
        let slice = reader.read_blocking(Offset(offset), limit).unwrap();
        assert!(offset != 20 || slice.records == expected);
        assert!(!reader.may_block(Offset(offset), limit), "{offset} was read");
    }
    assert!(reader.may_block(Offset(100), limit), "another segment");
}

/// A leader that wrote nothing would not know where the epoch before its own ended (KIP-101); as a
/// follower it would refuse what the next leader kept of an older epoch.
#[test]
fn an_epoch_begins_before_anything_is_written_in_it() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path(), Arc::new(RealDisk));
    let mut log = open_log(&directory, small());
    append(&mut log, &[value(0)]).unwrap();
    let of = log.latest_epoch().unwrap();
    let next = LeaderEpoch(of.0 + 3);
    log.begin_epoch(next);
    let reader = log.reader();
    assert_eq!(reader.end_offset_for_epoch(next), Some((next, Offset(1))));
    assert_eq!(reader.end_offset_for_epoch(of), Some((of, Offset(1))));
    log.forget_unwritten_epochs();
    assert_eq!(log.latest_epoch(), Some(of));
    log.begin_epoch(next);
    let context = AppendContext { leader_epoch: next, now: NOW, origin: Origin::Client };
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.append(NOW, None, Some(&value(1)), &[]);
    log.append_as_leader(&batch.build().unwrap(), context).unwrap();
    log.forget_unwritten_epochs();
    assert_eq!(reader.end_offset_for_epoch(of), Some((of, Offset(1))));
    assert_eq!(reader.end_offset_for_epoch(next), Some((next, Offset(2))));
}
