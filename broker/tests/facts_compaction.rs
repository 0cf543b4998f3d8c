//! Compacted topics, against a real broker process over a bare socket (facts G7, G9, G10, G14).

mod process;

use std::collections::BTreeMap;

use bytes::Bytes;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, Timestamp};
use milena_protocol::record::batch::Batch;
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::record::Records;
use milena_protocol::record::run::Batches;
use process::broker::{Broker, batch, now_ms, records_of, until};

const FAST: [&str; 2] = ["log.cleaner.backoff.ms=20", "log.retention.check.interval.ms=20"];

fn keyed(pairs: &[(&str, &str)]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (key, value) in pairs {
        builder.append(Timestamp(now_ms()), Some(key.as_bytes()), Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap()
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

/// Every record of a topic, as a consumer reads it from the beginning.
fn consume(broker: &mut Broker, topic: &str) -> Vec<(i64, String, String)> {
    let end = broker.list(topic, -1).offset;
    let (mut found, mut at) = (Vec::new(), Offset(0));
    while at < end {
        let answer = broker.fetch(topic, at.0);
        assert!(answer.error_code.is_none());
        let records = records_of(&answer);
        for batch in Batches::new(&records) {
            batch.verify_crc().unwrap();
            collect(&batch, &mut found);
            at = at.max(batch.next_offset());
        }
    }
    found
}

fn collect(batch: &Batch<'_>, found: &mut Vec<(i64, String, String)>) {
    for record in Records::new(batch.records_bytes(), batch.record_count()) {
        let record = record.unwrap();
        let offset = batch.base_offset().plus(i64::from(record.offset_delta));
        found.push((offset.0, text(record.key), text(record.value)));
    }
}

/// A compacted topic would grow for ever, lose the last value of a key, or give it another offset;
/// or be compacted anew after each start.
#[test]
fn a_compacted_topic_converges_to_one_value_per_key() {
    let mut broker = Broker::start(&FAST);
    let configs = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "100"),
        ("max.compaction.lag.ms", "100"),
        ("file.delete.delay.ms", "0"),
    ];
    assert!(broker.create("table", &configs).is_none());
    let mut last: BTreeMap<String, (i64, String)> = BTreeMap::new();
    for round in 0..20i64 {
        let pairs: Vec<(String, String)> =
            (0..10).map(|key| (format!("k{key}"), format!("{round}-{key}"))).collect();
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        let base = broker.produce("table", keyed(&pairs)).base_offset;
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            last.insert(key.to_owned(), (base.0 + index as i64, value.to_owned()));
        }
    }
    let expected: Vec<(i64, String, String)> =
        last.into_iter().map(|(key, (offset, value))| (offset, key, value)).collect();
    until("one value per key", || consume(&mut broker, "table").len() == expected.len());
    assert_eq!(consume(&mut broker, "table"), expected);
    assert_eq!(broker.list("table", -1).offset, Offset(200));
    let mut broker = broker.restart(&FAST);
    assert_eq!(consume(&mut broker, "table"), expected);
    assert_eq!(broker.list("table", -2).offset, Offset(0), "nothing went by age");
}

/// A record without a key, which compaction could not place, would be taken; records of a topic
/// that is only compacted would be deleted.
#[test]
fn a_compacted_topic_refuses_what_it_cannot_keep() {
    let mut broker = Broker::start(&FAST);
    assert!(broker.create("table", &[("cleanup.policy", "compact")]).is_none());
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(now_ms()), None, Some(b"v"), &[]);
    let refused = broker.produce("table", builder.build().unwrap());
    assert_eq!(refused.error_code, ErrorCode::INVALID_RECORD);
    assert!(broker.produce("table", batch(&[now_ms()])).error_code.is_none());
    assert_eq!(broker.delete_records("table", -1).error_code, ErrorCode::POLICY_VIOLATION);
}
