//! What a topic's configuration does to its records, with a real broker process.

mod process;

use bytes::Bytes;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::record::batch::HEADER_BYTES;
use milena_protocol::record::compression::{Compression, decompress};
use milena_protocol::record::run::Batches;
use milena_protocol::record::{Batch, BatchBuilder, BatchOptions};
use process::broker::{Broker, TOPIC, batch, batch_with, large, now_ms, records_of};

/// The codec and the plain records of the last batch of a topic.
fn stored(broker: &mut Broker, topic: &str, offset: Offset) -> (Compression, Vec<u8>) {
    let records = records_of(&broker.fetch(topic, offset.0));
    let (batch, _) = Batch::parse(&records).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.base_offset(), offset);
    let codec = batch.attributes().codec().unwrap();
    let mut plain = Vec::new();
    decompress(codec, batch.records_bytes(), 1 << 20, &mut plain).unwrap();
    (codec, plain)
}

fn compressed(codec: Compression) -> Bytes {
    batch_with(BatchOptions { compression: codec, ..Default::default() }, &[7; 50])
}

/// A topic's codec would be a wish: disks and networks would carry what producers happen to send.
#[test]
fn batches_are_stored_in_the_topics_codec() {
    let mut broker = Broker::start(&[]);
    let targets = [
        ("uncompressed", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    let plain = batch(&[7; 50])[HEADER_BYTES..].to_vec();
    for (name, target) in targets {
        assert!(broker.create(name, &[("compression.type", name)]).is_none());
        for (_, source) in targets {
            let answer = broker.produce(name, compressed(source));
            assert!(answer.error_code.is_none(), "{source:?} to {target:?}: {answer:?}");
            let (codec, records) = stored(&mut broker, name, answer.base_offset);
            assert_eq!(codec, target, "from {source:?}");
            assert!(records == plain, "{source:?} to {target:?}");
        }
    }
    broker.create("producer", &[]);
    for (_, source) in targets {
        let at = broker.produce("producer", compressed(source)).base_offset;
        assert_eq!(stored(&mut broker, "producer", at).0, source);
    }
}

/// A codec or level that was changed would count only after a restart; a retry would be stored
/// again because its bytes are others.
#[test]
fn a_changed_codec_counts_from_the_next_batch_on() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    let send = |sequence| process::broker::idempotent(4, 0, sequence);
    assert_eq!(broker.produce("t", send(0)).base_offset, Offset(0));
    let gzip = [("compression.type", "gzip"), ("compression.gzip.level", "9")];
    assert!(broker.alter(TOPIC, "t", &gzip).is_none());
    assert_eq!(broker.produce("t", send(1)).base_offset, Offset(1));
    assert_eq!(stored(&mut broker, "t", Offset(1)).0, Compression::Gzip);
    assert_eq!(broker.produce("t", send(1)).base_offset, Offset(1));
    assert_eq!(broker.list("t", -1).offset, Offset(2));
}

/// A few kilobytes of a hostile batch would be stored as hundreds of megabytes.
#[test]
fn what_grows_beyond_the_topics_limit_is_too_large() {
    let mut broker = Broker::start(&[]);
    let limit = ("max.message.bytes", "100000");
    broker.create("plain", &[("compression.type", "uncompressed"), limit]);
    broker.create("gzip", &[("compression.type", "gzip"), limit]);
    let options = BatchOptions { compression: Compression::Zstd, ..Default::default() };
    let mut builder = BatchBuilder::new(options);
    builder.append(Timestamp(1), None, Some(&vec![0; 10_000_000]), &[]);
    let bomb = builder.build().unwrap();
    assert!(bomb.len() < 10_000);
    let answer = broker.produce("plain", bomb.clone());
    assert_eq!(answer.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    assert!(broker.produce("gzip", bomb).error_code.is_none());
}

/// A topic's limit would not hold, or need a restart.
#[test]
fn the_largest_batch_is_the_topics_own() {
    let mut broker = Broker::start(&[]);
    let batch = large(5000);
    let (below, exact) = ((batch.len() - 1).to_string(), batch.len().to_string());
    broker.create("t", &[("max.message.bytes", &below)]);
    let refused = broker.produce("t", batch.clone());
    assert_eq!(refused.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    assert!(broker.alter(TOPIC, "t", &[("max.message.bytes", &exact)]).is_none());
    assert!(broker.produce("t", batch).error_code.is_none());
}

/// A topic's clock would be changed only by a restart, and its batches lie about whose it is.
#[test]
fn whose_clock_stamps_can_be_changed() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    assert_eq!(broker.produce("t", batch(&[5, 6])).log_append_time_ms, Timestamp::NONE);
    let began = now_ms();
    assert!(broker.alter(TOPIC, "t", &[("message.timestamp.type", "LogAppendTime")]).is_none());
    // The topic's bounds are about producers' clocks.
    assert!(broker.alter(TOPIC, "t", &[("message.timestamp.before.max.ms", "1")]).is_none());
    for codec in [Compression::None, Compression::Lz4] {
        let answer = broker.produce("t", compressed(codec));
        assert!(answer.log_append_time_ms.0 >= began, "{answer:?}");
        let records = records_of(&broker.fetch("t", answer.base_offset.0));
        let stored = Batches::new(&records).next().unwrap();
        stored.verify_crc().unwrap();
        assert_eq!(stored.max_timestamp(), answer.log_append_time_ms);
        // Every record of the batch has that time, so the first is found.
        let found = broker.list("t", answer.log_append_time_ms.0);
        assert_eq!(found.timestamp, answer.log_append_time_ms);
    }
}

/// Old or future records would be refused or taken by bounds that no longer hold.
#[test]
fn bounds_of_time_can_be_changed() {
    let mut broker = Broker::start(&[]);
    broker.create("t", &[]);
    assert!(broker.produce("t", batch(&[1])).error_code.is_none());
    let bound = [("message.timestamp.before.max.ms", "1000")];
    assert!(broker.alter(TOPIC, "t", &bound).is_none());
    assert_eq!(broker.produce("t", batch(&[1])).error_code, ErrorCode::INVALID_TIMESTAMP);
    let future = now_ms() + 7_200_000;
    assert_eq!(broker.produce("t", batch(&[future])).error_code, ErrorCode::INVALID_TIMESTAMP);
    let bound = [("message.timestamp.after.max.ms", "86400000")];
    assert!(broker.alter(TOPIC, "t", &bound).is_none());
    assert!(broker.produce("t", batch(&[future])).error_code.is_none());
}
