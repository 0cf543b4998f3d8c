//! Batches with fewer records than they came with, as compaction leaves them.
//!
//! What others go by stays: base offset, last offset delta, leader epoch, producer, its epoch and
//! sequence, the kind of timestamps. So offsets and sequences do not move. What follows from the
//! records is made anew, as Kafka's cleaner does it:
//!
//! | field | with records | without |
//! | --- | --- | --- |
//! | attributes | codec stays; bit 6 says that the base timestamp is the delete horizon | no codec, no horizon |
//! | base timestamp | the delete horizon, else the first record's timestamp | −1 |
//! | largest timestamp | the records' largest; on LogAppendTime it stays | stays |
//! | record count | of those that are left | 0 |

use std::fmt;

use super::batch::{
    ATTRIBUTES_POSITION, Attributes, Batch, CRC_POSITION, HEADER_BYTES, LENGTH_POSITION,
    LOG_OVERHEAD_BYTES, MAX_TIMESTAMP_POSITION, TimestampType, crc32c,
};
use super::compression::{Compression, CompressionError, compress};
use super::record::{Record, RecordError, Records, put_varint, varint_bytes};
use crate::ids::Timestamp;

const BASE_TIMESTAMP_POSITION: usize = 27;
const RECORD_COUNT_POSITION: usize = 57;

/// Why a batch cannot be rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildError {
    /// A record is none.
    Record(RecordError),
    /// The codec fails.
    Compression(CompressionError),
    /// It would be larger than a batch can be.
    TooLarge,
}

impl fmt::Display for RebuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Compression(error) => error.fmt(f),
            Self::TooLarge => f.write_str("the batch would be larger than a batch can be"),
        }
    }
}

impl std::error::Error for RebuildError {}

/// Which of a batch's records stay.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'k> {
    /// One answer per record, in their order; at least one is yes.
    pub records: &'k [bool],
    /// From when on tombstones and markers in it may go, if that is known.
    pub delete_horizon: Option<Timestamp>,
}

/// The time of a record.
#[must_use]
pub fn timestamp_of(batch: &Batch<'_>, record: &Record<'_>) -> Timestamp {
    match batch.attributes().timestamp_type() {
        TimestampType::LogAppendTime => batch.max_timestamp(),
        TimestampType::CreateTime => {
            Timestamp(batch.base_timestamp().0.wrapping_add(record.timestamp_delta))
        }
    }
}

/// Writes a batch with the records that are kept into `out`, which is cleared first. `plain` are
/// the batch's records decompressed, `scratch` is memory that is used again.
///
/// # Errors
/// [`RebuildError`].
pub fn rebuild(
    batch: &Batch<'_>,
    plain: &[u8],
    kept: Kept<'_>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), RebuildError> {
    scratch.clear();
    let mut base_timestamp = kept.delete_horizon;
    let mut max_timestamp = Timestamp::NONE;
    let mut count = 0i32;
    for (record, is_kept) in Records::new(plain, batch.record_count()).zip(kept.records) {
        let record = record.map_err(RebuildError::Record)?;
        if !is_kept {
            continue;
        }
        let timestamp = timestamp_of(batch, &record);
        let base = *base_timestamp.get_or_insert(timestamp);
        max_timestamp = max_timestamp.max(timestamp);
        let delta = timestamp.0.wrapping_sub(base.0);
        let length = 1 + varint_bytes(delta) + record.behind_timestamp().len();
        put_varint(scratch, length as i64);
        scratch.push(0);
        put_varint(scratch, delta);
        scratch.extend_from_slice(record.behind_timestamp());
        count += 1;
    }
    let codec = batch.attributes().codec().unwrap_or_default();
    let compressed;
    let records = if codec == Compression::None {
        scratch.as_slice()
    } else {
        compressed = compress(codec, None, scratch).map_err(RebuildError::Compression)?;
        compressed.as_slice()
    };
    if batch.attributes().timestamp_type() == TimestampType::LogAppendTime {
        max_timestamp = batch.max_timestamp();
    }
    let header = Header {
        attributes: batch.attributes().with_delete_horizon(kept.delete_horizon.is_some()),
        base_timestamp: base_timestamp.unwrap_or(Timestamp::NONE),
        max_timestamp,
        count,
    };
    finish(batch, &header, records, out)
}

/// Writes a batch without records into `out`, which is cleared first.
pub fn empty(batch: &Batch<'_>, out: &mut Vec<u8>) {
    let attributes = batch.attributes().with_codec(Compression::None).with_delete_horizon(false);
    let header = Header {
        attributes,
        base_timestamp: Timestamp::NONE,
        max_timestamp: batch.max_timestamp(),
        count: 0,
    };
    finish(batch, &header, &[], out).expect("a header alone is not too large");
}

struct Header {
    attributes: Attributes,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    count: i32,
}

fn finish(
    batch: &Batch<'_>,
    header: &Header,
    records: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RebuildError> {
    let length = i32::try_from(HEADER_BYTES - LOG_OVERHEAD_BYTES + records.len());
    let length = length.map_err(|_| RebuildError::TooLarge)?;
    out.clear();
    out.extend(batch.bytes().iter().take(HEADER_BYTES));
    put(out, LENGTH_POSITION, length.to_be_bytes());
    put(out, ATTRIBUTES_POSITION, header.attributes.0.to_be_bytes());
    put(out, BASE_TIMESTAMP_POSITION, header.base_timestamp.0.to_be_bytes());
    put(out, MAX_TIMESTAMP_POSITION, header.max_timestamp.0.to_be_bytes());
    put(out, RECORD_COUNT_POSITION, header.count.to_be_bytes());
    out.extend_from_slice(records);
    let crc = crc32c(out.get(ATTRIBUTES_POSITION..).unwrap_or_default());
    put(out, CRC_POSITION, crc.to_be_bytes());
    Ok(())
}

fn put<const N: usize>(bytes: &mut [u8], position: usize, value: [u8; N]) {
    if let Some(field) = bytes.get_mut(position..position + N) {
        field.copy_from_slice(&value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::builder::{BatchBuilder, BatchOptions};
    use super::super::compression::decompress;
    use super::*;
    use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

    fn batch(compression: Compression, timestamp_type: TimestampType) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset(70),
            leader_epoch: LeaderEpoch(3),
            compression,
            timestamp_type,
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(2),
            base_sequence: Sequence(40),
            is_transactional: true,
            ..BatchOptions::default()
        });
        for (index, at) in [1000i64, 5000, 2000, 3000].into_iter().enumerate() {
            let key = [b'a' + index as u8];
            let value = (index != 2).then_some(&b"value"[..]);
            builder.append(Timestamp(at), Some(&key), value, &[("h", Some(b"x"))]);
        }
        builder.build().unwrap().to_vec()
    }

    fn rebuilt(batch: &[u8], records: &[bool], horizon: Option<i64>) -> Vec<u8> {
        let (batch, _) = Batch::parse(batch).unwrap();
        let mut plain = Vec::new();
        let codec = batch.attributes().codec().unwrap();
        decompress(codec, batch.records_bytes(), 1 << 20, &mut plain).unwrap();
        let kept = Kept { records, delete_horizon: horizon.map(Timestamp) };
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        rebuild(&batch, &plain, kept, &mut scratch, &mut out).unwrap();
        out
    }

    /// Offset, timestamp and key of each record.
    fn records(bytes: &[u8]) -> Vec<(i64, i64, u8)> {
        let (batch, rest) = Batch::parse(bytes).unwrap();
        assert!(rest.is_empty());
        batch.verify_crc().unwrap();
        let mut plain = Vec::new();
        let codec = batch.attributes().codec().unwrap();
        decompress(codec, batch.records_bytes(), 1 << 20, &mut plain).unwrap();
        let mut walk = Records::new(&plain, batch.record_count());
        let found = walk
            .by_ref()
            .map(|record| {
                let record = record.unwrap();
                assert_eq!(record.headers().next().unwrap().unwrap(), ("h", Some(&b"x"[..])));
                let offset = batch.base_offset().plus(i64::from(record.offset_delta));
                (offset.0, timestamp_of(&batch, &record).0, record.key.unwrap()[0])
            })
            .collect();
        assert!(!walk.has_rest());
        found
    }

    /// Records would move, or a producer's sequence would be lost.
    #[test]
    fn kept_records_stay_what_they_were() {
        for id in 0..5 {
            let codec = Compression::from_id(id).unwrap();
            let original = batch(codec, TimestampType::CreateTime);
            for horizon in [None, Some(90_000_000)] {
                let bytes = rebuilt(&original, &[false, true, true, false], horizon);
                let (batch, _) = Batch::parse(&bytes).unwrap();
                assert_eq!(records(&bytes), [(71, 5000, b'b'), (72, 2000, b'c')]);
                assert_eq!(batch.base_timestamp().0, horizon.unwrap_or(5000));
                assert_eq!(batch.attributes().has_delete_horizon(), horizon.is_some());
                assert_eq!(batch.max_timestamp(), Timestamp(5000));
                assert_eq!((batch.base_offset(), batch.last_offset()), (Offset(70), Offset(73)));
                assert_eq!((batch.base_sequence(), batch.last_sequence().0), (Sequence(40), 43));
                assert_eq!(batch.leader_epoch(), LeaderEpoch(3));
                assert!(batch.attributes().is_transactional());
                assert_eq!(batch.attributes().codec(), Some(codec));
            }
        }
    }

    /// A batch in which nothing changes would come out as another.
    #[test]
    fn a_batch_with_all_its_records_is_the_same() {
        let original = batch(Compression::None, TimestampType::CreateTime);
        assert_eq!(rebuilt(&original, &[true; 4], None), original);
    }

    /// Records that a leader stamped would get another time.
    #[test]
    fn stamped_records_keep_the_leaders_time() {
        let original = batch(Compression::Lz4, TimestampType::LogAppendTime);
        for horizon in [None, Some(77)] {
            let bytes = rebuilt(&original, &[true, false, true, false], horizon);
            assert_eq!(records(&bytes), [(70, 5000, b'a'), (72, 5000, b'c')]);
        }
    }

    /// The last sequence of a producer would be forgotten with its last record.
    #[test]
    fn an_empty_batch_says_whose_it_was() {
        let original = batch(Compression::Zstd, TimestampType::CreateTime);
        let mut out = Vec::new();
        empty(&Batch::parse(&original).unwrap().0, &mut out);
        let (batch, _) = Batch::parse(&out).unwrap();
        assert_eq!((out.len(), records(&out)), (HEADER_BYTES, Vec::new()));
        assert_eq!((batch.base_offset(), batch.last_offset()), (Offset(70), Offset(73)));
        assert_eq!(batch.last_sequence(), Sequence(43));
        assert_eq!(batch.producer_id(), ProducerId(9));
        assert_eq!(batch.base_timestamp(), Timestamp::NONE);
        assert_eq!(batch.max_timestamp(), Timestamp(5000));
        assert_eq!(batch.attributes().codec(), Some(Compression::None));
    }
}
