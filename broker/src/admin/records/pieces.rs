//! The records of a batch one after the other, in the memory of the one that is looked at.
//!
//! A batch of a few kilobytes can hold hundreds of megabytes, in many records or in one. What is
//! not asked for is passed over as it comes out of the codec, and so is a record that is larger
//! than its reader has room for.

use std::io::{self, BufRead, BufReader, Read};

use milena_protocol::record::compression::Decoder;
use milena_protocol::record::record::{Record, RecordError, Records, offset_delta};
use milena_protocol::record::validate::MAX_PLAIN_BYTES;
use milena_protocol::record::{Batch, Compression};

/// What is decompressed at a time.
const WINDOW_BYTES: usize = 64 << 10;
/// The attributes, the timestamp delta and the offset delta of a record at their longest.
const FRONT_BYTES: usize = 1 + 10 + 5;

/// Reads records out of a batch.
pub struct Pieces<'a> {
    input: BufReader<Decoder<'a>>,
    codec: Compression,
    left: i32,
    /// A record with its length in front of it.
    record: Vec<u8>,
}

/// A record of a batch.
pub enum Piece<'p> {
    /// It fits.
    Record(Record<'p>),
    /// It does not: so large it is. Nothing can be read behind it.
    Large(usize),
}

impl<'a> Pieces<'a> {
    /// Begins with the first record.
    ///
    /// # Errors
    /// When the batch is not of the codec that it names, in words.
    pub fn of(batch: &Batch<'a>) -> Result<Self, String> {
        let codec = batch.attributes().codec().ok_or("it has an unknown codec")?;
        let decoder = Decoder::begin(codec, batch.records_bytes(), MAX_PLAIN_BYTES);
        let decoder = decoder.map_err(|error| error.to_string())?;
        let input = BufReader::with_capacity(WINDOW_BYTES, decoder);
        Ok(Self { input, codec, left: batch.record_count(), record: Vec::new() })
    }

    /// The next record from an offset delta on, as far as it has no more than `room` bytes.
    ///
    /// # Errors
    /// When the next bytes are no record, in words.
    pub fn next(&mut self, from: i64, room: usize) -> Result<Option<Piece<'_>>, String> {
        while self.left > 0 {
            self.left -= 1;
            self.record.clear();
            let length = self.length()?;
            let prefix_bytes = self.record.len();
            self.read(length.min(FRONT_BYTES))?;
            let front = self.record.get(prefix_bytes..).unwrap_or_default();
            let delta = offset_delta(front).map_err(|error| error.to_string())?;
            let rest = length.saturating_sub(FRONT_BYTES);
            if i64::from(delta) < from {
                self.pass(rest)?;
                continue;
            }
            if length > room {
                self.left = 0;
                return Ok(Some(Piece::Large(length)));
            }
            self.read(rest)?;
            let record = Records::new(&self.record, 1).next();
            let record = record.unwrap_or(Err(RecordError::Truncated));
            return Ok(Some(Piece::Record(record.map_err(|error| error.to_string())?)));
        }
        Ok(None)
    }

    /// The length in front of a record.
    fn length(&mut self) -> Result<usize, String> {
        let mut bits = 0_u64;
        for shift in (0..35).step_by(7) {
            self.read(1)?;
            let byte = self.record.last().copied().unwrap_or_default();
            bits |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let value = (bits >> 1) as i64 ^ -((bits & 1) as i64);
                let length = usize::try_from(value).map_err(|_| RecordError::BadLength);
                return length.map_err(|error| error.to_string());
            }
        }
        Err(RecordError::BadVarint.to_string())
    }

    /// Adds so many bytes to the record.
    fn read(&mut self, bytes: usize) -> Result<(), String> {
        let got = (&mut self.input).take(bytes as u64).read_to_end(&mut self.record);
        if got.map_err(|error| self.fault(&error))? < bytes {
            return Err(RecordError::Truncated.to_string());
        }
        Ok(())
    }

    fn pass(&mut self, mut bytes: usize) -> Result<(), String> {
        while bytes > 0 {
            let there = match self.input.fill_buf() {
                Ok([]) => return Err(RecordError::Truncated.to_string()),
                Ok(there) => there.len().min(bytes),
                Err(error) => return Err(self.fault(&error)),
            };
            self.input.consume(there);
            bytes -= there;
        }
        Ok(())
    }

    fn fault(&self, error: &io::Error) -> String {
        Decoder::fault(self.codec, MAX_PLAIN_BYTES, error).to_string()
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::Timestamp;
    use milena_protocol::record::{BatchBuilder, BatchOptions};

    use super::*;

    /// A record would be missed or taken for another one, or a large one would be held although
    /// nobody asked for it.
    #[test]
    fn records_come_out_one_by_one() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let options = BatchOptions { compression, ..Default::default() };
            let mut builder = BatchBuilder::new(options);
            for size in [0, 1, 500_000, 3, 200_000] {
                let value = vec![b'v'; size];
                builder.append(Timestamp(7), Some(b"key"), Some(&value), &[("h", Some(b"1"))]);
            }
            let bytes = builder.build().expect("a batch");
            let (batch, _) = Batch::parse(&bytes).expect("a batch");
            let mut pieces = Pieces::of(&batch).expect("there is such a codec");
            let mut told = Vec::new();
            let mut from = 0;
            while let Some(piece) = pieces.next(from, 100_000).expect("records") {
                match piece {
                    Piece::Record(record) => {
                        assert_eq!(record.key, Some(&b"key"[..]));
                        assert_eq!(record.headers().count(), 1);
                        told.push((record.offset_delta, record.value.map_or(0, <[u8]>::len)));
                    }
                    Piece::Large(bytes) => told.push((-1, bytes - bytes % 1000)),
                }
                // The large one in the middle is passed over.
                from = if told.len() == 2 { 3 } else { 0 };
            }
            assert_eq!(told, [(0, 0), (1, 1), (3, 3), (-1, 200_000)]);
            assert!(pieces.record.capacity() < 100_000);
        }
    }
}
