//! One record inside a batch, and the variable-length integers that it is made of.
//!
//! Layout: varint length of the rest, `int8` attributes, varlong timestamp delta, varint offset
//! delta, varint key length (−1 null) and key, varint value length (−1 null) and value, varint
//! header count, and per header a key (never null) and a value (−1 null). Integers are zigzag
//! LEB128.

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// They end inside a record.
    Truncated,
    /// A variable-length integer is too long.
    BadVarint,
    /// A length is negative or does not fit.
    BadLength,
    /// A header's key is not UTF-8.
    BadHeaderKey,
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the batch ends inside a record",
            Self::BadVarint => "a variable-length integer in a record is too long",
            Self::BadLength => "a length in a record is negative or does not fit",
            Self::BadHeaderKey => "the key of a record header is not UTF-8",
        })
    }
}

impl std::error::Error for RecordError {}

/// Appends a zigzag varint or varlong.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// How many bytes a zigzag varint takes.
#[must_use]
pub fn varint_bytes(value: i64) -> usize {
    let bits = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (bits | 1).leading_zeros() as usize).div_ceil(7)
}

/// Reads varints and slices; every read is bounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, RecordError> {
        let (first, rest) = self.bytes.split_first().ok_or(RecordError::Truncated)?;
        self.bytes = rest;
        Ok(*first)
    }

    /// A zigzag varint of at most 32 bits.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<i32, RecordError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(i32::from(first >> 1) ^ -i32::from(first & 1));
        }
        let bits = self.long_tail(first, 32)?;
        let bits = u32::try_from(bits).map_err(|_| RecordError::BadVarint)?;
        Ok((bits >> 1) as i32 ^ -((bits & 1) as i32))
    }

    /// A zigzag varint of at most 64 bits.
    #[inline]
    pub(crate) fn varlong(&mut self) -> Result<i64, RecordError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(i64::from(first >> 1) ^ -i64::from(first & 1));
        }
        let bits = self.long_tail(first, 64)?;
        Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
    }

    fn long_tail(&mut self, first: u8, max_bits: u32) -> Result<u64, RecordError> {
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift >= max_bits || (bits << shift) >> shift != bits {
                return Err(RecordError::BadVarint);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(RecordError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A length and that many bytes; −1 is null.
    #[inline]
    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| RecordError::BadLength)?;
                self.take(length).map(Some)
            }
        }
    }
}

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// The offset less the batch's base offset.
    pub offset_delta: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone.
    pub value: Option<&'a [u8]>,
    header_count: i32,
    header_bytes: &'a [u8],
    behind_timestamp: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record's bytes from its offset delta on, which do not depend on the batch it is in.
    #[must_use]
    pub fn behind_timestamp(&self) -> &'a [u8] {
        self.behind_timestamp
    }

    /// The headers in their order; duplicates stay.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        Headers { left: self.header_count, cursor: Cursor::new(self.header_bytes) }
    }

    /// Checks that the headers are what the record claims.
    ///
    /// # Errors
    /// What is wrong with the first bad one, or that bytes follow the last.
    pub(crate) fn check_headers(&self) -> Result<(), RecordError> {
        if self.header_count == 0 {
            return Ok(());
        }
        let mut headers = self.headers();
        for header in &mut headers {
            header?;
        }
        if headers.has_rest() { Err(RecordError::BadLength) } else { Ok(()) }
    }

    /// How many headers the record claims.
    #[must_use]
    pub fn header_count(&self) -> i32 {
        self.header_count
    }

    /// The record at the front of the cursor; headers are not looked into.
    #[inline]
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, RecordError> {
        let length = usize::try_from(cursor.varint()?).map_err(|_| RecordError::BadLength)?;
        let mut body = Cursor::new(cursor.take(length)?);
        let _attributes = body.byte()?;
        let timestamp_delta = body.varlong()?;
        let behind_timestamp = body.bytes;
        let offset_delta = body.varint()?;
        let key = body.nullable_bytes()?;
        let value = body.nullable_bytes()?;
        let header_count = body.varint()?;
        // A header takes at least two bytes.
        let fits = usize::try_from(header_count).is_ok_and(|count| count <= body.remaining() / 2);
        if !fits || (header_count == 0 && body.remaining() != 0) {
            return Err(RecordError::BadLength);
        }
        Ok(Self {
            timestamp_delta,
            offset_delta,
            key,
            value,
            header_count,
            header_bytes: body.bytes,
            behind_timestamp,
        })
    }
}

/// A header: a key and a value that may be null.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// The headers of a record.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    left: i32,
    cursor: Cursor<'a>,
}

impl<'a> Headers<'a> {
    fn read(&mut self) -> Result<Header<'a>, RecordError> {
        let key = self.cursor.nullable_bytes()?.ok_or(RecordError::BadLength)?;
        let key = std::str::from_utf8(key).map_err(|_| RecordError::BadHeaderKey)?;
        Ok((key, self.cursor.nullable_bytes()?))
    }

    fn has_rest(&self) -> bool {
        self.cursor.remaining() != 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let header = self.read();
        if header.is_err() {
            self.left = 0;
        }
        Some(header)
    }
}

/// The offset delta of a record, from its first bytes behind its length.
///
/// # Errors
/// When they are none.
pub fn offset_delta(front: &[u8]) -> Result<i32, RecordError> {
    let mut cursor = Cursor::new(front);
    cursor.byte()?;
    cursor.varlong()?;
    cursor.varint()
}

/// The records of plain (not compressed) record bytes.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    cursor: Cursor<'a>,
    left: i32,
}

impl<'a> Records<'a> {
    /// `count` records out of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], count: i32) -> Self {
        Self { cursor: Cursor::new(bytes), left: count }
    }

    /// Whether bytes are left after the last record.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        self.cursor.remaining() != 0
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let record = Record::read(&mut self.cursor);
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Integers would be read differently than every other client writes them.
    #[test]
    fn varints_have_kafkas_bytes() {
        let vectors: &[(i64, &[u8])] = &[
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (300, &[0xd8, 4]),
            (i32::MAX as i64, &[0xfe, 0xff, 0xff, 0xff, 0xf]),
            (i32::MIN as i64, &[0xff, 0xff, 0xff, 0xff, 0xf]),
        ];
        for (value, bytes) in vectors {
            let mut out = Vec::new();
            put_varint(&mut out, *value);
            assert_eq!(&out, bytes);
            assert_eq!(varint_bytes(*value), bytes.len());
            assert_eq!(Cursor::new(bytes).varint(), Ok(*value as i32));
            assert_eq!(Cursor::new(bytes).varlong(), Ok(*value));
        }
        for value in [i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(Cursor::new(&out).varlong(), Ok(value));
            assert_eq!(Cursor::new(&out).varint(), Err(RecordError::BadVarint));
        }
        assert_eq!(Cursor::new(&[0xff; 11]).varlong(), Err(RecordError::BadVarint));
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(RecordError::Truncated));
    }
}
