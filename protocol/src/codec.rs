//! The primitives of Kafka's wire format, bounds-checked.
//!
//! | type | encoding |
//! | --- | --- |
//! | integers | big-endian |
//! | string, bytes | `int16`/`int32` length (−1 null); compact: uvarint(length + 1) (0 null) |
//! | array | `int32` count (−1 null); compact: uvarint(count + 1) (0 null) |
//! | struct, nullable | `int8` −1 null, 1 present |
//! | tagged fields | uvarint count, then per field uvarint tag, uvarint size, bytes |
//!
//! Decoding borrows from the frame: strings, bytes and records are slices that share the frame's
//! memory. Nothing is allocated because of a declared length: a count may not exceed the bytes left
//! divided by the element's smallest encoding, and what all arrays of a frame may occupy in memory
//! is bounded by [`MEMORY_FACTOR`] × the frame. Nothing here panics on any bytes.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::schema::Kind;

/// The longest string, in bytes.
const MAX_SHORT_LENGTH: usize = i16::MAX as usize;
/// The decoded arrays of a frame may occupy this many times its size, plus [`MEMORY_SLACK_BYTES`].
pub const MEMORY_FACTOR: usize = 8;
/// What decoded arrays may occupy however small the frame is.
pub const MEMORY_SLACK_BYTES: usize = 64 * 1024;
/// Tagged fields that one struct may carry.
pub const MAX_TAGGED_FIELDS: u32 = 64;
/// Records of at least this size are spliced into a frame instead of being copied.
const SPLICE_MIN_BYTES: usize = 512;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The frame ended inside a value.
    Truncated,
    /// A length or a count is negative, or larger than the bytes that are left.
    BadLength,
    /// A string is not UTF-8.
    NotUtf8,
    /// Null where this version allows none.
    UnexpectedNull,
    /// A variable-length integer is longer than its type.
    BadVarint,
    /// More tagged fields than allowed, or out of order, or of the wrong size.
    BadTaggedField,
    /// Decoding would take more memory than the frame justifies.
    TooMuchMemory,
    /// The message has no such version.
    UnsupportedVersion,
    /// Bytes are left over after the message.
    TrailingBytes,
    /// A value is outside what its field allows.
    BadValue,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the frame ends inside a value",
            Self::BadLength => "a length is negative or larger than the bytes left",
            Self::NotUtf8 => "a string is not UTF-8",
            Self::UnexpectedNull => "null where this version allows none",
            Self::BadVarint => "a variable-length integer is too long",
            Self::BadTaggedField => "a tagged field is out of order, repeated or of a wrong size",
            Self::TooMuchMemory => "the arrays would take too much memory for this frame",
            Self::UnsupportedVersion => "the message has no such version",
            Self::TrailingBytes => "bytes are left over after the message",
            Self::BadValue => "a value is outside what its field allows",
        })
    }
}

impl std::error::Error for DecodeError {}

/// Why a message cannot be written in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A null stands in a field that this version does not let be null.
    NullField(&'static str),
    /// A string is longer than its length prefix can say.
    TooLong,
    /// The message has no such version.
    UnsupportedVersion,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NullField(field) => write!(f, "field {field} may not be null in this version"),
            Self::TooLong => f.write_str("a value is longer than its length prefix can say"),
            Self::UnsupportedVersion => f.write_str("the message has no such version"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// A UTF-8 string that shares the memory it was decoded from.
///
/// Keeping one alive keeps its whole frame alive: what outlives a request takes [`Text::detach`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Bytes);

impl Text {
    /// A string known at compile time.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// A copy that shares no memory with a frame.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when it was made: every constructor takes a str or validates.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Takes bytes that must be UTF-8.
    ///
    /// # Errors
    /// [`DecodeError::NotUtf8`].
    pub fn from_utf8(bytes: Bytes) -> Result<Self, DecodeError> {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Self(bytes)),
            Err(_) => Err(DecodeError::NotUtf8),
        }
    }
}

impl std::ops::Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl std::borrow::Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// Reads values from a frame; every read is bounded by what is left.
#[derive(Debug)]
pub struct Reader {
    frame: Bytes,
    memory_left: usize,
}

impl Reader {
    /// A reader over a whole frame or message.
    #[must_use]
    pub fn new(frame: Bytes) -> Self {
        let memory_left =
            frame.len().saturating_mul(MEMORY_FACTOR).saturating_add(MEMORY_SLACK_BYTES);
        Self { frame, memory_left }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.frame.len()
    }

    /// What is left, as a slice that shares the frame.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.frame
    }

    /// Confirms that everything was read.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`].
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.frame.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }

    fn need(&self, bytes: usize) -> Result<(), DecodeError> {
        if self.frame.len() < bytes { Err(DecodeError::Truncated) } else { Ok(()) }
    }

    /// The next `length` bytes, sharing the frame.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer are left.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.need(length)?;
        Ok(self.frame.split_to(length))
    }

    /// Accounts for memory that a decoded array will occupy.
    ///
    /// # Errors
    /// [`DecodeError::TooMuchMemory`].
    pub fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        match self.memory_left.checked_sub(bytes) {
            Some(left) => {
                self.memory_left = left;
                Ok(())
            }
            None => Err(DecodeError::TooMuchMemory),
        }
    }

    /// An unsigned LEB128 of at most 32 bits.
    ///
    /// # Errors
    /// [`DecodeError::BadVarint`] or [`DecodeError::Truncated`].
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in 0..5 {
            self.need(1)?;
            let byte = self.frame.get_u8();
            let bits = u32::from(byte & 0x7f);
            if shift == 4 && bits > 0xf {
                return Err(DecodeError::BadVarint);
            }
            value |= bits << (7 * shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::BadVarint)
    }

    /// A length: compact (uvarint, one more than the value) or as the given plain integer.
    fn length(&mut self, flexible: bool, short: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            let length = (self.uvarint()? as usize).checked_sub(1);
            // What an `int16` could not say is no string in compact form either.
            if short && length.is_some_and(|length| length > MAX_SHORT_LENGTH) {
                return Err(DecodeError::BadLength);
            }
            return Ok(length);
        }
        let value = if short { i32::from(i16::read(self)?) } else { i32::read(self)? };
        match value {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| DecodeError::BadLength),
        }
    }

    /// Skips the tagged fields of a struct that knows none, or hands each to `known`, which
    /// answers whether it took it.
    ///
    /// # Errors
    /// [`DecodeError::BadTaggedField`] and whatever `known` returns.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.uvarint()?;
        if count > MAX_TAGGED_FIELDS {
            return Err(DecodeError::BadTaggedField);
        }
        let mut previous = None;
        for _ in 0..count {
            let tag = self.uvarint()?;
            if previous.is_some_and(|last| tag <= last) {
                return Err(DecodeError::BadTaggedField);
            }
            previous = Some(tag);
            let size = self.uvarint()? as usize;
            let body = self.take(size)?;
            let mut field = Reader { frame: body, memory_left: self.memory_left };
            if known(tag, &mut field)? && field.remaining() != 0 {
                return Err(DecodeError::BadTaggedField);
            }
            self.memory_left = field.memory_left;
        }
        Ok(())
    }
}

/// Writes values; records are spliced in without a copy.
///
/// Errors are kept until the end, so that encoding reads straight down.
#[derive(Debug, Default)]
pub struct Writer {
    plain: BytesMut,
    splices: Vec<(usize, Bytes)>,
    error: Option<EncodeError>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer that expects to write about this much.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { plain: BytesMut::with_capacity(bytes), ..Self::default() }
    }

    /// Remembers the first error.
    pub fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    /// Where plain bytes go.
    pub fn plain(&mut self) -> &mut BytesMut {
        &mut self.plain
    }

    /// Bytes written so far, spliced ones included.
    #[must_use]
    pub fn written(&self) -> usize {
        self.plain.len() + self.splices.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }

    /// An unsigned LEB128.
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.plain.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.plain.put_u8(value as u8);
    }

    fn length(&mut self, length: Option<usize>, flexible: bool, short: bool) {
        let limit = if flexible || !short { i32::MAX as usize - 1 } else { i16::MAX as usize };
        if length.is_some_and(|length| length > limit) {
            self.fail(EncodeError::TooLong);
        }
        match (flexible, short) {
            (true, _) => self.uvarint(length.map_or(0, |length| length as u32 + 1)),
            (false, true) => self.plain.put_i16(length.map_or(-1, |length| length as i16)),
            (false, false) => self.plain.put_i32(length.map_or(-1, |length| length as i32)),
        }
    }

    fn bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < SPLICE_MIN_BYTES {
            self.plain.extend_from_slice(bytes);
        } else {
            self.splices.push((self.plain.len(), bytes.clone()));
        }
    }

    /// Appends what another writer wrote.
    pub fn append(&mut self, other: Writer) {
        let offset = self.plain.len();
        self.plain.extend_from_slice(&other.plain);
        self.splices.extend(other.splices.into_iter().map(|(at, bytes)| (offset + at, bytes)));
        if let Some(error) = other.error {
            self.fail(error);
        }
    }

    /// The whole as one contiguous buffer.
    ///
    /// # Errors
    /// The first error that was met while writing.
    pub fn into_bytes(self) -> Result<Bytes, EncodeError> {
        let chunks = self.into_chunks()?;
        if let [only] = chunks.as_slice() {
            return Ok(only.clone());
        }
        let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
        chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
        Ok(whole.freeze())
    }

    /// The whole as consecutive pieces, to be written vectored.
    ///
    /// # Errors
    /// The first error that was met while writing.
    pub fn into_chunks(self) -> Result<Vec<Bytes>, EncodeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut plain = self.plain.freeze();
        let mut chunks = Vec::with_capacity(2 * self.splices.len() + 1);
        let mut done = 0;
        for (at, bytes) in self.splices {
            if at > done {
                chunks.push(plain.split_to(at - done));
                done = at;
            }
            chunks.push(bytes);
        }
        if !plain.is_empty() || chunks.is_empty() {
            chunks.push(plain);
        }
        Ok(chunks)
    }

    /// Writes the `int32` length of everything after the first four bytes into them.
    ///
    /// The caller must have begun with four placeholder bytes.
    pub fn patch_frame_length(&mut self) {
        let length = self.written().saturating_sub(4);
        match (i32::try_from(length), self.plain.get_mut(..4)) {
            (Ok(length), Some(slot)) => slot.copy_from_slice(&length.to_be_bytes()),
            _ => self.fail(EncodeError::TooLong),
        }
    }
}

/// How a field stands in the version at hand.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The message's version.
    pub version: i16,
    /// Whether this version is flexible (compact lengths, tagged fields).
    pub flexible: bool,
    /// Whether this field may be null in this version.
    pub nullable: bool,
    /// Whether this is a tagged field, in which a null struct is written otherwise.
    pub tagged: bool,
    /// The field's name, for errors.
    pub field: &'static str,
}

/// A value that can stand in a message.
pub trait Wire: Sized {
    /// How the value looks, for tools and tests.
    const KIND: Kind;
    /// The fewest bytes that a value of any version takes.
    const MIN_BYTES: usize;
    /// Appends the value.
    fn encode(&self, writer: &mut Writer, context: Context);
    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are not such a value in this version.
    fn decode(reader: &mut Reader, context: Context) -> Result<Self, DecodeError>;
}

/// A value that may be null where a version allows it.
pub trait Nullable: Wire {
    /// Appends null.
    fn encode_null(writer: &mut Writer, context: Context);
    /// Reads a value or null.
    ///
    /// # Errors
    /// When the bytes are not such a value in this version.
    fn decode_nullable(reader: &mut Reader, context: Context) -> Result<Option<Self>, DecodeError>;
    /// Appends a present value where null would be possible.
    fn encode_present(&self, writer: &mut Writer, context: Context) {
        self.encode(writer, context);
    }
}

/// Integers and the like, whose encoding is the same in every version.
trait Plain: Sized {
    fn read(reader: &mut Reader) -> Result<Self, DecodeError>;
}

macro_rules! plain {
    ($($type:ty, $kind:ident, $bytes:literal, $get:ident, $put:ident;)*) => {$(
        impl Plain for $type {
            fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
                reader.need($bytes)?;
                Ok(reader.frame.$get())
            }
        }
        impl Wire for $type {
            const KIND: Kind = Kind::$kind;
            const MIN_BYTES: usize = $bytes;
            fn encode(&self, writer: &mut Writer, _: Context) {
                writer.plain.$put(*self);
            }
            fn decode(reader: &mut Reader, _: Context) -> Result<Self, DecodeError> {
                Self::read(reader)
            }
        }
    )*};
}

plain! {
    i8, Int8, 1, get_i8, put_i8;
    i16, Int16, 2, get_i16, put_i16;
    u16, Uint16, 2, get_u16, put_u16;
    i32, Int32, 4, get_i32, put_i32;
    u32, Uint32, 4, get_u32, put_u32;
    i64, Int64, 8, get_i64, put_i64;
    f64, Float64, 8, get_f64, put_f64;
}

macro_rules! wrapped {
    ($($type:ty, $inner:ty;)*) => {$(
        impl Wire for $type {
            const KIND: Kind = <$inner as Wire>::KIND;
            const MIN_BYTES: usize = <$inner as Wire>::MIN_BYTES;
            fn encode(&self, writer: &mut Writer, context: Context) {
                self.0.encode(writer, context);
            }
            fn decode(reader: &mut Reader, context: Context) -> Result<Self, DecodeError> {
                <$inner as Wire>::decode(reader, context).map(Self)
            }
        }
    )*};
}

wrapped! {
    crate::ids::NodeId, i32;
    crate::ids::PartitionIndex, i32;
    crate::ids::Offset, i64;
    crate::ids::LeaderEpoch, i32;
    crate::ids::BrokerEpoch, i64;
    crate::ids::ProducerId, i64;
    crate::ids::ProducerEpoch, i16;
    crate::ids::Sequence, i32;
    crate::ids::Timestamp, i64;
    crate::error_code::ErrorCode, i16;
}

impl Wire for bool {
    const KIND: Kind = Kind::Bool;
    const MIN_BYTES: usize = 1;
    fn encode(&self, writer: &mut Writer, _: Context) {
        writer.plain.put_u8(u8::from(*self));
    }
    fn decode(reader: &mut Reader, _: Context) -> Result<Self, DecodeError> {
        i8::read(reader).map(|byte| byte != 0)
    }
}

impl Wire for crate::ids::Uuid {
    const KIND: Kind = Kind::Uuid;
    const MIN_BYTES: usize = 16;
    fn encode(&self, writer: &mut Writer, _: Context) {
        writer.plain.extend_from_slice(&self.0);
    }
    fn decode(reader: &mut Reader, _: Context) -> Result<Self, DecodeError> {
        let mut id = [0; 16];
        reader.take(16)?.copy_to_slice(&mut id);
        Ok(Self(id))
    }
}

/// Strings and byte strings: a length, then that many bytes.
macro_rules! counted {
    ($type:ty, $kind:ident, $short:literal, $make:expr, $bytes:expr) => {
        impl Wire for $type {
            const KIND: Kind = Kind::$kind;
            const MIN_BYTES: usize = 1;
            fn encode(&self, writer: &mut Writer, context: Context) {
                let bytes: &Bytes = $bytes(self);
                writer.length(Some(bytes.len()), context.flexible, $short);
                writer.bytes(bytes);
            }
            fn decode(reader: &mut Reader, context: Context) -> Result<Self, DecodeError> {
                Self::decode_nullable(reader, context)?.ok_or(DecodeError::UnexpectedNull)
            }
        }
        impl Nullable for $type {
            fn encode_null(writer: &mut Writer, context: Context) {
                writer.length(None, context.flexible, $short);
            }
            fn decode_nullable(
                reader: &mut Reader,
                context: Context,
            ) -> Result<Option<Self>, DecodeError> {
                match reader.length(context.flexible, $short)? {
                    None => Ok(None),
                    Some(length) => reader.take(length).and_then($make).map(Some),
                }
            }
        }
    };
}

counted!(Text, String, true, Text::from_utf8, Text::as_bytes);
counted!(Bytes, Bytes, false, Ok, identity);
counted!(Records, Records, false, |bytes| Ok(Records(bytes)), Records::as_bytes);

fn identity(bytes: &Bytes) -> &Bytes {
    bytes
}

/// Record batches inside a Produce or a Fetch message: bytes that are not looked into here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Records(pub Bytes);

impl Records {
    fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} bytes)", self.0.len())
    }
}

impl<T: Wire> Wire for Vec<T> {
    const KIND: Kind = Kind::Array(&T::KIND);
    const MIN_BYTES: usize = 1;
    fn encode(&self, writer: &mut Writer, context: Context) {
        writer.length(Some(self.len()), context.flexible, false);
        let element = Context { nullable: false, ..context };
        self.iter().for_each(|item| item.encode(writer, element));
    }
    fn decode(reader: &mut Reader, context: Context) -> Result<Self, DecodeError> {
        Self::decode_nullable(reader, context)?.ok_or(DecodeError::UnexpectedNull)
    }
}

impl<T: Wire> Nullable for Vec<T> {
    fn encode_null(writer: &mut Writer, context: Context) {
        writer.length(None, context.flexible, false);
    }
    fn decode_nullable(reader: &mut Reader, context: Context) -> Result<Option<Self>, DecodeError> {
        let Some(count) = reader.length(context.flexible, false)? else {
            return Ok(None);
        };
        if count > reader.remaining() / T::MIN_BYTES.max(1) {
            return Err(DecodeError::BadLength);
        }
        reader.charge(count.saturating_mul(size_of::<T>()))?;
        let element = Context { nullable: false, ..context };
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(T::decode(reader, element)?);
        }
        Ok(Some(items))
    }
}

impl<T: Nullable> Wire for Option<T> {
    const KIND: Kind = T::KIND;
    const MIN_BYTES: usize = if T::MIN_BYTES < 1 { T::MIN_BYTES } else { 1 };
    fn encode(&self, writer: &mut Writer, context: Context) {
        match self {
            Some(value) if context.nullable => value.encode_present(writer, context),
            Some(value) => value.encode(writer, context),
            None if context.nullable => T::encode_null(writer, context),
            None => writer.fail(EncodeError::NullField(context.field)),
        }
    }
    fn decode(reader: &mut Reader, context: Context) -> Result<Self, DecodeError> {
        if context.nullable {
            T::decode_nullable(reader, context)
        } else {
            T::decode(reader, context).map(Some)
        }
    }
}
