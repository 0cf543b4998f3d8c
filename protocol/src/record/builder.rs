//! Making record batches: for clients, coordinators, the metadata log and tests.

use bytes::Bytes;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use crate::record::batch::{
    ATTRIBUTES_POSITION, Attributes, CRC_POSITION, HEADER_BYTES, LOG_OVERHEAD_BYTES, TimestampType,
    crc32c,
};
use crate::record::compression::{Compression, CompressionError, compress};
use crate::record::record::{Records, put_varint, varint_bytes};

/// Everything about a batch but its records.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// The first record's offset; producers send 0.
    pub base_offset: Offset,
    /// The leader's epoch; −1 where the leader sets it.
    pub leader_epoch: LeaderEpoch,
    /// How the records are compressed.
    pub compression: Compression,
    /// The codec's level.
    pub compression_level: Option<i32>,
    /// When timestamps were taken.
    pub timestamp_type: TimestampType,
    /// The producer; −1 none.
    pub producer_id: ProducerId,
    /// Its epoch; −1 none.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence; −1 none.
    pub base_sequence: Sequence,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
    /// Whether it is a control batch.
    pub is_control: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            compression: Compression::None,
            compression_level: None,
            timestamp_type: TimestampType::CreateTime,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            is_transactional: false,
            is_control: false,
        }
    }
}

/// A header of a record to be written.
pub type NewHeader<'a> = (&'a str, Option<&'a [u8]>);

/// Collects records into one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    records: Vec<u8>,
    count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        Self {
            options,
            records: Vec::new(),
            count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        }
    }

    /// Says whose records these are: a producer knows its sequence only when it sends.
    pub fn set_producer(
        &mut self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        base_sequence: Sequence,
    ) {
        self.options.producer_id = producer_id;
        self.options.producer_epoch = producer_epoch;
        self.options.base_sequence = base_sequence;
    }

    /// How many records it holds.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.count
    }

    /// Its size before compression.
    #[must_use]
    pub fn uncompressed_bytes(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// Adds a record; its offset is the next one.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[NewHeader<'_>],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        let offset_delta = i64::from(self.count);
        let length = 1
            + varint_bytes(timestamp_delta)
            + varint_bytes(offset_delta)
            + nullable_size(key)
            + nullable_size(value)
            + varint_bytes(headers.len() as i64)
            + headers
                .iter()
                .map(|(key, value)| nullable_size(Some(key.as_bytes())) + nullable_size(*value))
                .sum::<usize>();
        let out = &mut self.records;
        put_varint(out, length as i64);
        out.push(0);
        put_varint(out, timestamp_delta);
        put_varint(out, offset_delta);
        put_nullable(out, key);
        put_nullable(out, value);
        put_varint(out, headers.len() as i64);
        for (key, value) in headers {
            put_nullable(out, Some(key.as_bytes()));
            put_nullable(out, *value);
        }
        self.count += 1;
    }

    /// Two batches with these records, in order, each with about half of the bytes; none where
    /// there is only one record.
    #[must_use]
    pub fn halves(&self) -> Option<[Self; 2]> {
        if self.count < 2 {
            return None;
        }
        let mut halves = [Self::new(self.options), Self::new(self.options)];
        let [first, second] = &mut halves;
        for record in Records::new(&self.records, self.count).flatten() {
            let is_first = first.count == 0
                || (second.count == 0
                    && first.count + 1 < self.count
                    && first.records.len() < self.records.len() / 2);
            let timestamp = self.base_timestamp.0.wrapping_add(record.timestamp_delta);
            let headers: Vec<NewHeader<'_>> = record.headers().flatten().collect();
            let half = if is_first { &mut *first } else { &mut *second };
            half.append(Timestamp(timestamp), record.key, record.value, &headers);
        }
        Some(halves)
    }

    /// The finished batch.
    ///
    /// # Errors
    /// When the codec fails, which it does only for levels that do not exist.
    pub fn build(&self) -> Result<Bytes, CompressionError> {
        let options = &self.options;
        let compressed;
        let records = if options.compression == Compression::None {
            self.records.as_slice()
        } else {
            compressed = compress(options.compression, options.compression_level, &self.records)?;
            compressed.as_slice()
        };
        let attributes = Attributes::default()
            .with_codec(options.compression)
            .with_timestamp_type(options.timestamp_type)
            .with_transactional(options.is_transactional)
            .with_control(options.is_control);
        let total = HEADER_BYTES + records.len();
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&options.base_offset.0.to_be_bytes());
        out.extend_from_slice(&((total - LOG_OVERHEAD_BYTES) as i32).to_be_bytes());
        out.extend_from_slice(&options.leader_epoch.0.to_be_bytes());
        out.push(2);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&attributes.0.to_be_bytes());
        out.extend_from_slice(&(self.count - 1).to_be_bytes());
        out.extend_from_slice(&self.base_timestamp.0.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp.0.to_be_bytes());
        out.extend_from_slice(&options.producer_id.0.to_be_bytes());
        out.extend_from_slice(&options.producer_epoch.0.to_be_bytes());
        out.extend_from_slice(&options.base_sequence.0.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(records);
        let crc = crc32c(out.get(ATTRIBUTES_POSITION..).unwrap_or_default());
        if let Some(slot) = out.get_mut(CRC_POSITION..ATTRIBUTES_POSITION) {
            slot.copy_from_slice(&crc.to_be_bytes());
        }
        Ok(Bytes::from(out))
    }
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend_from_slice(bytes.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::Batch;

    type Told = (i64, Option<Vec<u8>>, Option<Vec<u8>>, usize);

    fn records(builder: &BatchBuilder) -> Vec<Told> {
        let bytes = builder.build().expect("it is not compressed");
        let (batch, _) = Batch::parse(&bytes).expect("a batch");
        assert_eq!(batch.verify_crc(), Ok(()));
        let deltas = Records::new(batch.records_bytes(), batch.record_count());
        let deltas: Vec<i32> = deltas.map(|record| record.unwrap().offset_delta).collect();
        assert_eq!(deltas, (0..batch.record_count()).collect::<Vec<_>>());
        Records::new(batch.records_bytes(), batch.record_count())
            .map(|record| {
                let record = record.unwrap();
                let time = batch.base_timestamp().0 + record.timestamp_delta;
                let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                (time, owned(record.key), owned(record.value), record.headers().count())
            })
            .collect()
    }

    /// A batch that is too large would lose or change records when it is written in two.
    #[test]
    fn halves_have_the_same_records() {
        let whole = |sizes: &[usize]| {
            let mut builder = BatchBuilder::new(BatchOptions::default());
            for (number, size) in (0_i64..).zip(sizes) {
                let value = vec![b'v'; *size];
                let time = Timestamp(1000 - 7 * number);
                builder.append(time, None, Some(&value), &[("h", None), ("i", Some(b"1"))]);
            }
            builder
        };
        for (sizes, at) in [
            (&[1, 1][..], 1),
            (&[5000, 1, 1], 1),
            (&[1, 1, 5000], 2),
            (&[10, 10, 10, 10], 2),
            (&[1, 5000, 1], 2),
        ] {
            let whole = whole(sizes);
            let [first, second] = whole.halves().expect("two records at least");
            assert_eq!(first.record_count(), at, "{sizes:?}");
            let told = [records(&first), records(&second)].concat();
            assert_eq!(told, records(&whole), "{sizes:?}");
        }
        assert!(whole(&[1]).halves().is_none());
    }
}
