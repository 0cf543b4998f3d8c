//! All that is known of a log's producers, in a file beside the tail mark.
//!
//! Kafka's snapshot has only the last batch of a producer, so a process that begins with one would
//! not recognise a retry of an older batch, although the client may send all five again. This file
//! has them. It is `<offset>.producers`, describes the log up to that offset, is never synced and
//! is believed only together with a tail mark at its offset. All big-endian:
//!
//! | size | field |
//! |---|---|
//! | 2 | version 1 |
//! | 4 | CRC-32 (IEEE) of what follows |
//! | 4 | number of producers |
//!
//! then for each producer
//!
//! | size | field |
//! |---|---|
//! | 8 | producer id |
//! | 2 | epoch |
//! | 8 | timestamp of its last write |
//! | 4 | coordinator epoch |
//! | 8 | first offset of the open transaction, −1 for none |
//! | 1 | number of batches |
//! | 24 each | last sequence i32, last offset i64, offset delta i32, timestamp i64; oldest first |

use milena_protocol::ids::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::{Fields, Producer, ProducerBatch, Producers, WINDOW};

const VERSION: i16 = 1;
const HEADER_BYTES: usize = 10;
const PRODUCER_BYTES: usize = 31;
const BATCH_BYTES: usize = 24;

/// The file's bytes.
pub(crate) fn encode(producers: &Producers) -> Vec<u8> {
    let count = u32::try_from(producers.by_id.len()).unwrap_or(u32::MAX);
    let mut body = Vec::with_capacity(
        HEADER_BYTES + producers.by_id.len() * (PRODUCER_BYTES + WINDOW * BATCH_BYTES),
    );
    body.extend_from_slice(&count.to_be_bytes());
    for (producer_id, producer) in &producers.by_id {
        let start = producer.transaction_start.unwrap_or(Offset::NONE);
        body.extend_from_slice(&producer_id.0.to_be_bytes());
        body.extend_from_slice(&producer.epoch.0.to_be_bytes());
        body.extend_from_slice(&producer.last_timestamp.0.to_be_bytes());
        body.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        body.extend_from_slice(&start.0.to_be_bytes());
        body.push(producer.batch_count);
        for batch in producer.window() {
            body.extend_from_slice(&batch.last_sequence.0.to_be_bytes());
            body.extend_from_slice(&batch.last_offset.0.to_be_bytes());
            body.extend_from_slice(&batch.offset_delta.to_be_bytes());
            body.extend_from_slice(&batch.timestamp.0.to_be_bytes());
        }
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    bytes.append(&mut body);
    bytes
}

/// Reads the file; `None` when it is not whole.
pub(crate) fn decode(bytes: &[u8]) -> Option<Producers> {
    let mut fields = Fields(bytes);
    if i16::from_be_bytes(fields.take()?) != VERSION
        || u32::from_be_bytes(fields.take()?) != crc32fast::hash(fields.0)
    {
        return None;
    }
    let count = u32::from_be_bytes(fields.take()?);
    let mut producers = Producers::default();
    for _ in 0..count {
        let (producer_id, producer) = decode_producer(&mut fields)?;
        if let Some(start) = producer.transaction_start {
            producers.open.insert(start, producer_id);
        }
        producers.by_id.insert(producer_id, producer);
    }
    fields.0.is_empty().then_some(producers)
}

fn decode_producer(fields: &mut Fields<'_>) -> Option<(ProducerId, Producer)> {
    let producer_id = ProducerId(i64::from_be_bytes(fields.take()?));
    let mut producer = Producer::new(ProducerEpoch(i16::from_be_bytes(fields.take()?)));
    let last_timestamp = Timestamp(i64::from_be_bytes(fields.take()?));
    producer.coordinator_epoch = i32::from_be_bytes(fields.take()?);
    let start = Offset(i64::from_be_bytes(fields.take()?));
    producer.transaction_start = (start.0 >= 0).then_some(start);
    let [count] = fields.take()?;
    if usize::from(count) > WINDOW {
        return None;
    }
    for _ in 0..count {
        producer.remember(ProducerBatch {
            last_sequence: Sequence(i32::from_be_bytes(fields.take()?)),
            last_offset: Offset(i64::from_be_bytes(fields.take()?)),
            offset_delta: i32::from_be_bytes(fields.take()?),
            timestamp: Timestamp(i64::from_be_bytes(fields.take()?)),
        });
    }
    producer.last_timestamp = last_timestamp;
    Some((producer_id, producer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producers::ProducerWrite;

    /// A retry of any but the last batch would be refused after a restart, or a damaged file be
    /// believed.
    #[test]
    fn all_of_the_window_comes_back() {
        let mut producers = Producers::default();
        let write = |producer, sequence, is_transactional| ProducerWrite {
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(2),
            base_sequence: Sequence(sequence),
            base_offset: Offset(i64::from(sequence) + producer * 100),
            last_offset_delta: 0,
            timestamp: Timestamp(77),
            is_transactional,
        };
        for sequence in 0..8 {
            producers.appended(&write(1, sequence, false));
        }
        producers.appended(&write(2, 0, true));
        let bytes = encode(&producers);
        assert_eq!(bytes.len(), HEADER_BYTES + 2 * PRODUCER_BYTES + 6 * BATCH_BYTES);
        let back = decode(&bytes).unwrap();
        assert_eq!(back.active(), producers.active());
        assert_eq!(back.first_open_offset(), Some(Offset(200)));
        for sequence in 3..8 {
            let retry = back.check(&write(1, sequence, false)).unwrap();
            assert_eq!(retry.unwrap().first_offset(), Offset(100 + i64::from(sequence)));
        }
        assert!(back.check(&write(1, 2, false)).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes).is_none(), "bit {bit}");
        }
    }
}
