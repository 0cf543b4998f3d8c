//! Walking the records of a batch in any codec, in the memory of one window.
//!
//! A batch of a few kilobytes can hold hundreds of megabytes, in many records or in one. Neither is
//! ever in memory: a record that fits the window is read where it stands there, of a larger one
//! keys, values and headers are passed over as they come out of the codec.

use std::io::Read;

use super::batch::Batch;
use super::compression::{Compression, CompressionError, Decoder};
use super::record::{Cursor, Record, RecordError};

/// What is in memory of a batch's records at a time.
const WINDOW_BYTES: usize = 128 * 1024;
/// The longest variable-length integer.
const VARINT_BYTES: usize = 10;

/// Memory that walks use again.
#[derive(Debug, Default)]
pub struct Scratch {
    window: Vec<u8>,
}

/// What can be said of a record without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// The offset less the batch's base offset.
    pub offset_delta: i32,
    /// Whether it has a key.
    pub has_key: bool,
}

/// Why the records of a batch cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutlineError {
    /// They cannot be decompressed, or become too large.
    Compression(CompressionError),
    /// A record is none.
    Record(RecordError),
}

impl std::fmt::Display for OutlineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Compression(error) => error.fmt(f),
            Self::Record(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OutlineError {}

impl From<RecordError> for OutlineError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

/// The outlines of a batch's records, in their order. The first error is the last item.
pub struct Outlines<'a> {
    window: Window<'a>,
    left: i32,
}

impl<'a> Outlines<'a> {
    /// Begins with the first record; the records may become `limit_bytes` at most.
    ///
    /// # Errors
    /// When the batch names a codec that does not exist, or is not of the one it names.
    pub fn of(
        batch: &Batch<'a>,
        limit_bytes: usize,
        scratch: &'a mut Scratch,
    ) -> Result<Self, OutlineError> {
        let codec = batch.attributes().codec().unwrap_or_default();
        let decoder = Decoder::begin(codec, batch.records_bytes(), limit_bytes)
            .map_err(OutlineError::Compression)?;
        scratch.window.resize(WINDOW_BYTES, 0);
        let buffer = &mut scratch.window;
        let window = Window { decoder, codec, limit_bytes, buffer, start: 0, end: 0 };
        Ok(Self { window, left: batch.record_count() })
    }

    /// Whether bytes are left behind the last record.
    ///
    /// # Errors
    /// When what is left cannot be decompressed.
    pub fn has_rest(&mut self) -> Result<bool, OutlineError> {
        Ok(self.window.fill(1)? > 0)
    }
}

impl Iterator for Outlines<'_> {
    type Item = Result<Outline, OutlineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let outline = self.window.record();
        if outline.is_err() {
            self.left = 0;
        }
        Some(outline)
    }
}

/// A piece of the plain bytes: what came out of the codec and was not passed yet.
struct Window<'a> {
    decoder: Decoder<'a>,
    codec: Compression,
    limit_bytes: usize,
    buffer: &'a mut Vec<u8>,
    start: usize,
    end: usize,
}

impl Window<'_> {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Sees to it that `wanted` bytes are there, at most a window of them; answers how many are.
    /// Fewer means that there are no more.
    fn fill(&mut self, wanted: usize) -> Result<usize, OutlineError> {
        debug_assert!(wanted <= self.buffer.len());
        if self.end - self.start < wanted && self.start + wanted > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < wanted {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            let read = self.decoder.read(room).map_err(|error| {
                let fault = Decoder::fault(self.codec, self.limit_bytes, &error);
                OutlineError::Compression(fault)
            })?;
            if read == 0 {
                break;
            }
            self.end += read;
        }
        Ok(self.end - self.start)
    }

    fn record(&mut self) -> Result<Outline, OutlineError> {
        self.fill(VARINT_BYTES)?;
        let mut cursor = Cursor::new(self.bytes());
        let length = usize::try_from(cursor.varint()?).map_err(|_| RecordError::BadLength)?;
        let prefix_bytes = self.bytes().len() - cursor.remaining();
        if prefix_bytes + length > self.buffer.len() {
            self.start += prefix_bytes;
            return self.large(length);
        }
        self.fill(prefix_bytes + length)?;
        let mut cursor = Cursor::new(self.bytes());
        let record = Record::read(&mut cursor)?;
        record.check_headers()?;
        let outline = Outline {
            timestamp_delta: record.timestamp_delta,
            offset_delta: record.offset_delta,
            has_key: record.key.is_some(),
        };
        self.start = self.end - cursor.remaining();
        Ok(outline)
    }

    /// A record of this many bytes that does not fit the window, by the rules of
    /// [`Record::read`].
    fn large(&mut self, length: usize) -> Result<Outline, OutlineError> {
        let mut body = Body { window: self, left: length };
        body.number(|cursor| cursor.byte())?;
        let timestamp_delta = body.number(|cursor| cursor.varlong())?;
        let offset_delta = body.number(|cursor| cursor.varint())?;
        let has_key = body.pass_nullable()?;
        body.pass_nullable()?;
        let header_count = body.number(|cursor| cursor.varint())?;
        let fits = usize::try_from(header_count).is_ok_and(|count| count <= body.left / 2);
        if !fits {
            return Err(RecordError::BadLength.into());
        }
        for _ in 0..header_count {
            let key_bytes = body.number(|cursor| cursor.varint())?;
            let key_bytes = usize::try_from(key_bytes).map_err(|_| RecordError::BadLength)?;
            body.pass_text(key_bytes)?;
            body.pass_nullable()?;
        }
        if body.left != 0 {
            return Err(RecordError::BadLength.into());
        }
        Ok(Outline { timestamp_delta, offset_delta, has_key })
    }
}

/// What is left of a large record.
struct Body<'w, 'a> {
    window: &'w mut Window<'a>,
    left: usize,
}

impl Body<'_, '_> {
    /// The next bytes of the record, up to `wanted` of them.
    fn ahead(&mut self, wanted: usize) -> Result<&[u8], OutlineError> {
        let wanted = wanted.min(self.left);
        self.window.fill(wanted)?;
        let bytes = self.window.bytes();
        Ok(bytes.get(..wanted.min(bytes.len())).unwrap_or_default())
    }

    fn passed(&mut self, bytes: usize) {
        self.window.start += bytes;
        self.left -= bytes;
    }

    fn number<T>(
        &mut self,
        read: impl FnOnce(&mut Cursor<'_>) -> Result<T, RecordError>,
    ) -> Result<T, OutlineError> {
        let ahead = self.ahead(VARINT_BYTES)?;
        let ahead_bytes = ahead.len();
        let mut cursor = Cursor::new(ahead);
        let number = read(&mut cursor)?;
        let taken = ahead_bytes - cursor.remaining();
        self.passed(taken);
        Ok(number)
    }

    /// Passes over a length and that many bytes; answers whether it was not null.
    fn pass_nullable(&mut self) -> Result<bool, OutlineError> {
        match self.number(|cursor| cursor.varint())? {
            -1 => Ok(false),
            length => {
                let mut left = usize::try_from(length).map_err(|_| RecordError::BadLength)?;
                while left > 0 {
                    let passed = self.ahead(left.min(WINDOW_BYTES))?.len();
                    if passed == 0 {
                        return Err(RecordError::Truncated.into());
                    }
                    self.passed(passed);
                    left -= passed;
                }
                Ok(true)
            }
        }
    }

    /// Passes over text.
    fn pass_text(&mut self, bytes: usize) -> Result<(), OutlineError> {
        let mut left = bytes;
        while left > 0 {
            let ahead = self.ahead(left.min(WINDOW_BYTES))?;
            let is_all = ahead.len() == left;
            let passed = match std::str::from_utf8(ahead) {
                Ok(text) => text.len(),
                // A character may be cut by the window's end.
                Err(error) if error.error_len().is_none() && !is_all => error.valid_up_to(),
                Err(_) => return Err(RecordError::BadHeaderKey.into()),
            };
            if passed == 0 {
                return Err(RecordError::Truncated.into());
            }
            self.passed(passed);
            left -= passed;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::builder::{BatchBuilder, BatchOptions, NewHeader};
    use super::super::record::Records;
    use super::*;
    use crate::ids::Timestamp;

    const LIMIT_BYTES: usize = 64 << 20;

    type Walked = Result<Vec<Outline>, OutlineError>;

    fn walk(batch: &[u8], limit_bytes: usize) -> Walked {
        let mut scratch = Scratch::default();
        let (batch, _) = Batch::parse(batch).unwrap();
        let mut outlines = Outlines::of(&batch, limit_bytes, &mut scratch)?;
        let walked = outlines.by_ref().collect::<Result<Vec<_>, _>>()?;
        assert!(!outlines.has_rest()?);
        Ok(walked)
    }

    /// Records of all sizes around that of the window.
    fn sizes() -> Vec<usize> {
        let around = |size: usize| (size - 30..size + 5).step_by(3);
        [0, 1, 100].into_iter().chain(around(WINDOW_BYTES)).chain([3 * WINDOW_BYTES]).collect()
    }

    fn batch(codec: Compression, header: &str) -> Vec<u8> {
        let mut builder =
            BatchBuilder::new(BatchOptions { compression: codec, ..Default::default() });
        for (at, size) in sizes().into_iter().enumerate() {
            let value = vec![at as u8; size];
            let (key, value) =
                if at % 2 == 0 { (None, &value) } else { (Some(&value[..]), &value) };
            let headers: [NewHeader<'_>; 2] = [(header, Some(value)), ("h", None)];
            builder.append(Timestamp(100 + at as i64), key, Some(value), &headers[..at % 3]);
        }
        builder.build().unwrap().to_vec()
    }

    /// A record at the window's edge would be refused, or read as another than it is.
    #[test]
    fn records_of_every_size_are_outlined_in_every_codec() {
        let long_key = "é".repeat(WINDOW_BYTES);
        for header in ["key", &long_key] {
            let plain = batch(Compression::None, header);
            let (parsed, _) = Batch::parse(&plain).unwrap();
            let expected: Vec<Outline> =
                Records::new(parsed.records_bytes(), parsed.record_count())
                    .map(|record| record.unwrap())
                    .map(|record| Outline {
                        timestamp_delta: record.timestamp_delta,
                        offset_delta: record.offset_delta,
                        has_key: record.key.is_some(),
                    })
                    .collect();
            for id in 0..5 {
                let codec = Compression::from_id(id).unwrap();
                assert!(
                    walk(&batch(codec, header), LIMIT_BYTES) == Ok(expected.clone()),
                    "{codec:?}"
                );
            }
        }
    }

    /// A batch that expands beyond all bounds would be walked to its end.
    #[test]
    fn the_limit_ends_the_walk() {
        for id in 1..5 {
            let codec = Compression::from_id(id).unwrap();
            let too_large = CompressionError::TooLarge { limit_bytes: 300_000 };
            let walked = walk(&batch(codec, "h"), 300_000);
            assert_eq!(walked, Err(OutlineError::Compression(too_large)), "{codec:?}");
        }
    }

    /// A damaged large record would pass, or a cut one be waited for.
    #[test]
    fn large_records_are_judged_as_small_ones() {
        for value_bytes in [10, 2 * WINDOW_BYTES] {
            let value = vec![b'v'; value_bytes];
            let good = |header: &str| {
                let mut builder = BatchBuilder::new(BatchOptions::default());
                builder.append(Timestamp(1), None, Some(&value), &[(header, Some(b"x"))]);
                builder.build().unwrap().to_vec()
            };
            assert!(walk(&good("h"), LIMIT_BYTES).is_ok());
            let end = good("h").len();
            let mut bad = good("h");
            bad[end - 3] = 0xff;
            assert_eq!(walk(&bad, LIMIT_BYTES), Err(RecordError::BadHeaderKey.into()));
            let mut bad = good("h");
            bad[end - 2] = 4;
            assert_eq!(walk(&bad, LIMIT_BYTES), Err(RecordError::Truncated.into()));
            let mut bad = good("h");
            bad[end - 2] = 0;
            assert_eq!(walk(&bad, LIMIT_BYTES), Err(RecordError::BadLength.into()));
            let cut = &good("h")[..end - 2];
            let mut cut = cut.to_vec();
            let length = (cut.len() - 12) as i32;
            cut[8..12].copy_from_slice(&length.to_be_bytes());
            assert_eq!(walk(&cut, LIMIT_BYTES), Err(RecordError::Truncated.into()));
        }
    }
}
