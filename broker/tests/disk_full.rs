//! A disk that is full: produces are refused, everything else goes on, and nothing is lost.

mod process;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Offset;
use process::broker::{Broker, batch, create, large, list, produce, records_of, until};
use process::small_disk::SmallDisk;
use process::{Connection, MILENA, Process};

const SETTINGS: &[&str] = &[
    "log.retention.check.interval.ms=50",
    "log.segment.delete.delay.ms=0",
    // The records are of 1970.
    "log.retention.ms=-1",
];
const BATCH_BYTES: usize = 100_000;

fn start(disk: &SmallDisk) -> (Process, Connection) {
    let directory = disk.path().join("data");
    let process = Process::launch(disk.command(MILENA), &directory, SETTINGS);
    let connection = process.connect();
    (process, connection)
}

/// Produces until the disk is full; answers how many batches were taken.
fn fill(connection: &mut Connection, topic: &str) -> i64 {
    for count in 0.. {
        let answer = produce(connection, topic, large(BATCH_BYTES), -1);
        match answer.error_code {
            ErrorCode::NONE => {}
            // Clients try again after this one.
            ErrorCode::KAFKA_STORAGE_ERROR => return count,
            other => panic!("refused with {other}"),
        }
    }
    unreachable!("the disk never fills")
}

/// Reads a topic from its start to its end; answers how many records there are.
fn read(connection: &mut Connection, topic: &str) -> i64 {
    let mut next = list(connection, topic, -2, 11).offset.0;
    let (start, end) = (next, list(connection, topic, -1, 11).offset.0);
    while next < end {
        let request = process::broker::fetch_request(topic, next, 0);
        let answer = connection.ask(&request, 12).responses[0].partitions[0].clone();
        assert!(answer.error_code.is_none(), "{}", answer.error_code);
        let records = records_of(&answer);
        let batches = milena_protocol::record::run::Batches::new(&records);
        next = batches.inspect(|batch| batch.verify_crc().unwrap()).last().unwrap().next_offset().0;
    }
    end - start
}

fn broker(disk: &SmallDisk) -> Broker {
    let (process, connection) = start(disk);
    Broker { directory: tempfile::tempdir().unwrap(), process, connection }
}

/// A broker that filled its disk would lose records, stop, or need a hand to go on.
#[test]
fn a_broker_that_filled_its_disk_goes_on_by_itself() {
    let Some(disk) = SmallDisk::make(48) else { return };
    let mut broker = broker(&disk);
    let segments = [("segment.bytes", "1048576")];
    for topic in ["kept", "trimmed", "dropped"] {
        assert!(create(&mut broker.connection, topic, 1, &segments).is_none());
        for _ in 0..50 {
            let answer = produce(&mut broker.connection, topic, large(BATCH_BYTES), -1);
            assert!(answer.error_code.is_none());
        }
    }
    let mut kept = 50;
    for _ in 0..2 {
        kept += fill(&mut broker.connection, "kept");
        // What was acknowledged is there, and is read.
        assert_eq!(read(&mut broker.connection, "kept"), kept);
        assert_eq!(read(&mut broker.connection, "trimmed"), 50);
        // Also after a kill and a start on the full disk.
        broker.process.kill();
        (broker.process, broker.connection) = start(&disk);
    }
    assert!(kept > 100, "{kept}");
    // Deleting records gives space back.
    assert_eq!(broker.delete_records("trimmed", 49).low_watermark, Offset(49));
    until("room after deleting records", || {
        broker.produce("trimmed", large(BATCH_BYTES)).error_code.is_none()
    });
    let more = fill(&mut broker.connection, "kept");
    // So does deleting a topic.
    assert!(broker.delete_topic("dropped").is_none());
    until("room after deleting a topic", || {
        broker.produce("kept", large(BATCH_BYTES)).error_code.is_none()
    });
    assert_eq!(read(&mut broker.connection, "kept"), kept + more + 1);
}

/// A disk that somebody else filled to the last byte would take the broker down with it.
#[test]
fn a_broker_whose_disk_somebody_else_filled_goes_on_by_itself() {
    let Some(disk) = SmallDisk::make(24) else { return };
    let mut broker = broker(&disk);
    assert!(create(&mut broker.connection, "t", 1, &[]).is_none());
    assert!(broker.produce("t", large(BATCH_BYTES)).error_code.is_none());
    disk.fill();
    let taken = 1 + fill(&mut broker.connection, "t");
    assert_eq!(read(&mut broker.connection, "t"), taken);
    // There is a little for metadata; a topic may be made that has no room for its log yet.
    let new = create(&mut broker.connection, "new", 1, &[]);
    assert_eq!(read(&mut broker.connection, "t"), taken, "after {new}");
    broker.process.kill();
    (broker.process, broker.connection) = start(&disk);
    assert_eq!(read(&mut broker.connection, "t"), taken);
    disk.free();
    until("room for records", || broker.produce("t", large(BATCH_BYTES)).error_code.is_none());
    until("room for the topic", || {
        !new.is_none() || broker.produce("new", batch(&[1])).error_code.is_none()
    });
    until("room for topics", || {
        let code = create(&mut broker.connection, "late", 1, &[]);
        code.is_none() || code == ErrorCode::TOPIC_ALREADY_EXISTS
    });
    assert!(broker.produce("late", batch(&[1])).error_code.is_none());
    assert_eq!(read(&mut broker.connection, "t"), taken + 1);
}
