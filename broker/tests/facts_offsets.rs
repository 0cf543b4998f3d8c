//! Offsets by time, sentinel and epoch, against a real broker process over a bare socket.

mod process;

use milena_protocol::api::list_offsets::ListOffsetsPartitionResponse;
use milena_protocol::api::offset_for_leader_epoch::{
    OffsetForLeaderEpochPartition, OffsetForLeaderEpochRequest, OffsetForLeaderEpochTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex};
use milena_protocol::record::{BatchOptions, Compression};
use process::broker::{Broker, batch, batch_with, list};

/// A consumer would start in the wrong place.
#[test]
fn offsets_are_found_by_sentinel_and_time() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    // Nothing is written yet: the next record will be of the leader's epoch.
    let empty = broker.list("t", -2);
    assert_eq!((empty.offset, empty.leader_epoch), (Offset(0), LeaderEpoch(0)));
    broker.produce("t", batch(&[10, 50, 30]));
    broker.produce("t", batch(&[40]));
    assert_eq!(broker.list("t", -1).offset, Offset(4));
    assert_eq!(broker.list("t", -2).offset, Offset(0));
    let at = |found: ListOffsetsPartitionResponse| (found.offset.0, found.timestamp.0);
    assert_eq!(at(broker.list("t", 20)), (1, 50));
    assert_eq!(at(broker.list("t", 10)), (0, 10));
    assert_eq!(at(broker.list("t", 51)), (-1, -1));
    assert_eq!(at(broker.list("t", -3)), (1, 50));
    assert_eq!(broker.list("t", -4).offset, Offset(0));
    let too_new = list(&mut broker.connection, "t", -3, 6);
    assert_eq!(too_new.error_code, ErrorCode::UNSUPPORTED_VERSION);
}

/// Records that were deleted would come back.
#[test]
fn deleted_records_are_gone_at_once() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[1, 2, 3]));
    assert_eq!(broker.delete_records("t", 9).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(broker.delete_records("t", 2).low_watermark, Offset(2));
    assert_eq!(broker.delete_records("t", -1).low_watermark, Offset(3));
    assert_eq!(broker.list("t", -2).offset, Offset(3));
    assert_eq!(broker.fetch("t", 1).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
}

/// A consumer would start at a batch instead of a record, or miss records that are out of order.
#[test]
fn a_time_finds_the_first_record_that_is_not_older() {
    let mut broker = Broker::start(&[]);
    let rolls = ("segment.bytes", "1048576");
    broker.create("t", &[rolls, ("index.interval.bytes", "0")]);
    let compressed = |timestamps: &[i64]| {
        let options = BatchOptions { compression: Compression::Zstd, ..Default::default() };
        batch_with(options, timestamps)
    };
    broker.produce("t", compressed(&[100, 300, 200]));
    broker.produce("t", batch(&[50, 60]));
    broker.produce("t", compressed(&[400, 350]));
    broker.produce("t", batch(&[500]));
    let found = [(1, 0), (100, 0), (101, 1), (201, 1), (300, 1), (301, 5), (400, 5), (401, 7)];
    for (timestamp, offset) in found {
        let place = broker.list("t", timestamp);
        assert!(place.error_code.is_none() && place.timestamp.0 >= timestamp);
        assert_eq!(place.offset, Offset(offset), "at {timestamp}");
    }
    let none = broker.list("t", 501);
    assert_eq!((none.error_code, none.offset.0, none.timestamp.0), (ErrorCode::NONE, -1, -1));
    // What was deleted is not found.
    broker.delete_records("t", 2);
    assert_eq!(broker.list("t", 1).offset, Offset(2));
}

/// A client could not tell where its history ends.
#[test]
fn the_end_of_an_epoch_is_known() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.produce("t", batch(&[1, 2]));
    let mut end_of = |epoch, believed| {
        let request = OffsetForLeaderEpochRequest {
            replica_id: NodeId(-1),
            topics: vec![OffsetForLeaderEpochTopic {
                topic: "t".into(),
                partitions: vec![OffsetForLeaderEpochPartition {
                    partition: PartitionIndex(0),
                    current_leader_epoch: LeaderEpoch(believed),
                    leader_epoch: LeaderEpoch(epoch),
                }],
            }],
        };
        let answer = broker.connection.ask(&request, 4).topics[0].partitions[0].clone();
        (answer.error_code, answer.leader_epoch.0, answer.end_offset.0)
    };
    assert_eq!(end_of(0, -1), (ErrorCode::NONE, 0, 2));
    assert_eq!(end_of(7, -1), (ErrorCode::NONE, -1, -1));
    assert_eq!(end_of(0, 7).0, ErrorCode::UNKNOWN_LEADER_EPOCH);
}
