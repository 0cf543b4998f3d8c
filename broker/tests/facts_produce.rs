//! What Produce stores, refuses and acknowledges, against a real broker process over a bare socket.

mod process;

use bytes::Bytes;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, ProducerId, Sequence, Timestamp};
use milena_protocol::record::batch::{HEADER_BYTES, patch};
use milena_protocol::record::compression::compress;
use milena_protocol::record::run::Batches;
use milena_protocol::record::{Batch, BatchBuilder, BatchOptions, Compression};
use process::broker::{
    Broker, batch, batch_with, corrupted, fetch_request, now_ms, produce, produce_request,
};

/// A producer that asks for no answer would get one, or believe that it wrote.
#[test]
fn acks_0_says_nothing_and_closes_on_failure() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    broker.connection.send(&produce_request("t", batch(&[1]), 0), 12);
    assert_eq!(broker.list("t", -1).offset, Offset(1));
    broker.connection.send(&produce_request("t", corrupted(&batch(&[1])), 0), 12);
    assert_eq!(broker.connection.frame(), None);
}

/// Bad data would be stored, or good data refused.
#[test]
fn a_bad_batch_is_refused_with_its_code_and_nothing_is_stored() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[("max.message.bytes", "1000")]);
    let good = batch(&[1]);
    let twice = Bytes::from([good.as_ref(), good.as_ref()].concat());
    let large = {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(Timestamp(1), None, Some(&[7; 2000]), &[]);
        builder.build().unwrap()
    };
    let transactional =
        batch_with(BatchOptions { is_transactional: true, ..Default::default() }, &[1]);
    let control = batch_with(BatchOptions { is_control: true, ..Default::default() }, &[1]);
    let mut old = good.to_vec();
    old[16] = 1;
    let cases = [
        (corrupted(&good), ErrorCode::CORRUPT_MESSAGE),
        (good.slice(..good.len() - 1), ErrorCode::CORRUPT_MESSAGE),
        (twice, ErrorCode::INVALID_RECORD),
        (large, ErrorCode::MESSAGE_TOO_LARGE),
        (transactional, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        (control, ErrorCode::INVALID_RECORD),
        (Bytes::from(old), ErrorCode::INVALID_RECORD),
        (Bytes::new(), ErrorCode::INVALID_RECORD),
        (batch(&[i64::MAX - 1]), ErrorCode::INVALID_TIMESTAMP),
    ];
    for (bad, code) in cases {
        let answer = broker.produce("t", bad);
        assert_eq!(answer.error_code, code, "{answer:?}");
        assert_eq!(answer.base_offset, Offset::NONE);
    }
    let answer = produce(&mut broker.connection, "t", good.clone(), 5);
    assert_eq!(answer.error_code, ErrorCode::INVALID_REQUIRED_ACKS);
    let answer = broker.produce("nowhere", good.clone());
    assert_eq!(answer.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(broker.list("t", -1).offset, Offset::ZERO);
    assert_eq!(broker.produce("t", good).base_offset, Offset::ZERO);
}

/// A client would not know which of its records was bad.
#[test]
fn bad_records_are_named() {
    let mut broker = Broker::start(&[]);
    broker.create("compacted", &[("cleanup.policy", "compact")]);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(1), Some(b"k"), Some(b"v"), &[]);
    builder.append(Timestamp(1), None, Some(b"v"), &[]);
    let answer = broker.produce("compacted", builder.build().unwrap());
    assert_eq!(answer.error_code, ErrorCode::INVALID_RECORD);
    let named: Vec<i32> = answer.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(named, [1]);
    assert!(answer.error_message.is_some());
}

/// Records on a topic with append time would keep the producer's time.
#[test]
fn log_append_time_is_stamped_by_the_broker() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[("message.timestamp.type", "LogAppendTime")]);
    let answer = broker.produce("t", batch(&[5]));
    assert!(answer.log_append_time_ms > Timestamp(1_600_000_000_000));
    let records = broker.fetch("t", 0).records.unwrap().0;
    let stored = Batches::new(&records).next().unwrap();
    assert_eq!(stored.max_timestamp(), answer.log_append_time_ms);
    stored.verify_crc().unwrap();
}

/// On a durable topic a record with acks=1 would stay invisible for ever.
#[test]
fn durable_records_become_visible_whatever_the_acks() {
    let mut broker = Broker::start(&[]);
    broker.create("durable", &[("flush.messages", "1")]);
    assert!(produce(&mut broker.connection, "durable", batch(&[1]), 1).error_code.is_none());
    let response = broker.connection.ask(&fetch_request("durable", 0, 15_000), 12);
    assert!(!response.responses[0].partitions[0].records.clone().unwrap().0.is_empty());
    assert!(broker.produce("durable", batch(&[2])).error_code.is_none());
    assert_eq!(broker.list("durable", -1).offset, Offset(2));
}

/// The same batch with other bytes where its records are, in a codec, with a good checksum.
fn with_records(batch: &Bytes, codec: Compression, change: impl Fn(&mut Vec<u8>)) -> Bytes {
    let (parsed, _) = Batch::parse(batch).unwrap();
    let mut records = parsed.records_bytes().to_vec();
    change(&mut records);
    let mut bytes = batch[..HEADER_BYTES].to_vec();
    bytes.extend(compress(codec, None, &records).unwrap());
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    patch::stamp(&mut bytes, parsed.attributes().with_codec(codec), parsed.max_timestamp());
    Bytes::from(bytes)
}

/// The same batch with other bytes in its header, with a good checksum.
fn with_header(batch: &Bytes, position: usize, value: &[u8]) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[position..position + value.len()].copy_from_slice(value);
    let (parsed, _) = Batch::parse(batch).unwrap();
    patch::stamp(&mut bytes, parsed.attributes(), parsed.max_timestamp());
    Bytes::from(bytes)
}

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// Producing with acks=0 to what is not there would look like success for ever.
#[test]
fn acks_0_to_an_unknown_topic_closes_the_connection() {
    let mut broker = Broker::start(&[]);
    broker.connection.send(&produce_request("none", batch(&[1]), 0), 12);
    assert_eq!(broker.connection.frame(), None);
}

/// A topic that asks for two replicas in sync but has only one replica could never be written, or
/// what was written never be read.
#[test]
fn more_replicas_in_sync_than_there_are_is_all_of_them() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[("min.insync.replicas", "2")]);
    assert!(broker.produce("t", batch(&[1])).error_code.is_none());
    assert!(produce(&mut broker.connection, "t", batch(&[2]), 1).error_code.is_none());
    assert_eq!(broker.fetch("t", 0).high_watermark, Offset(2));
    assert_eq!(broker.list("t", -1).offset, Offset(2));
}

/// A header that lies would be stored, and every reader would stumble over it.
#[test]
fn one_batch_of_the_present_format_with_honest_claims_is_asked() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let good = batch(&[1, 2]);
    let producer = BatchOptions {
        producer_id: ProducerId(5),
        base_sequence: Sequence::NONE,
        ..Default::default()
    };
    let bad = [
        ("base offset", with_header(&good, 0, &7i64.to_be_bytes())),
        ("last offset delta", with_header(&good, 23, &5i32.to_be_bytes())),
        ("count", with_header(&good, 57, &3i32.to_be_bytes())),
        ("count of none", with_header(&good, 57, &0i32.to_be_bytes())),
        ("negative count", with_header(&good, 57, &(-1i32).to_be_bytes())),
        ("no sequence", batch_with(producer, &[1])),
        ("no records", with_records(&good, Compression::None, Vec::clear)),
    ];
    for (what, bad) in bad {
        let answer = broker.produce("t", bad);
        assert_eq!(answer.error_code, ErrorCode::INVALID_RECORD, "{what}: {answer:?}");
    }
    let mut request = produce_request("t", good, -1);
    request.topic_data[0].partition_data[0].records = None;
    let answer = broker.connection.ask(&request, 12);
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, ErrorCode::INVALID_RECORD);
    assert_eq!(broker.list("t", -1).offset, Offset::ZERO);
}

/// A change of a batch's records.
type Change = fn(&mut Vec<u8>);
/// Where the first record's offset delta stands, after three fields of a byte each.
const OFFSET_DELTA: usize = 3;

/// A batch that is sound outside and broken inside would be stored, and poison every consumer.
#[test]
fn every_record_is_looked_at_in_every_codec() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let good = batch(&[1, 1]);
    for (codec, stored) in CODECS.into_iter().zip(0..) {
        let changes: [(&str, Change); 4] = [
            ("offset delta", |records| records[OFFSET_DELTA] = 8),
            ("record length", |records| records[0] += 2),
            ("bytes missing", |records| records.truncate(records.len() - 1)),
            ("bytes too many", |records| records.push(0)),
        ];
        for (what, change) in changes {
            let answer = broker.produce("t", with_records(&good, codec, change));
            let code = answer.error_code;
            assert_eq!(code, ErrorCode::INVALID_RECORD, "{codec:?} {what}: {answer:?}");
        }
        let whole = broker.produce("t", with_records(&good, codec, |_| ()));
        assert_eq!(whole.base_offset, Offset(2 * stored), "{codec:?}: {whole:?}");
    }
}

/// Bytes that are no compressed records would be stored as such.
#[test]
fn what_cannot_be_decompressed_is_refused() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let good = batch(&[1]);
    for codec in &CODECS[1..] {
        let (parsed, _) = Batch::parse(&good).unwrap();
        let mut bytes = good.to_vec();
        patch::stamp(&mut bytes, parsed.attributes().with_codec(*codec), Timestamp(1));
        let answer = broker.produce("t", bytes.into());
        assert!(!answer.error_code.is_none(), "{codec:?}");
    }
    assert_eq!(broker.list("t", -1).offset, Offset::ZERO);
}

/// A wrong clock could block retention, or old records slip in; without a time none could be sent.
#[test]
fn timestamps_are_kept_within_the_topics_bounds() {
    let mut broker = Broker::start(&[]);
    let bounds =
        [("message.timestamp.before.max.ms", "60000"), ("message.timestamp.after.max.ms", "60000")];
    broker.create("bounded", &bounds);
    broker.create("free", &[]);
    let now = now_ms();
    let hour = 3_600_000;
    let bad = [now - 120_000, now + 120_000];
    for timestamp in bad {
        let answer = broker.produce("bounded", batch(&[now, timestamp]));
        assert_eq!(answer.error_code, ErrorCode::INVALID_TIMESTAMP);
        let named: Vec<i32> = answer.record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(named, [1]);
    }
    for timestamp in [now - 30_000, now + 30_000, -1] {
        assert!(broker.produce("bounded", batch(&[timestamp])).error_code.is_none());
    }
    // By default any past is taken, and an hour of future.
    for (timestamp, taken) in [(1, true), (now + hour / 2, true), (now + 2 * hour, false)] {
        assert_eq!(broker.produce("free", batch(&[timestamp])).error_code.is_none(), taken);
    }
}
