//! Keys and values of the coordinators' topics: a big-endian `int16`, which is the type of a key
//! and the version of a value, and the message after it. Consumers write their subscriptions and
//! assignments in the same form.

use bytes::{BufMut, Bytes, BytesMut};
use milena_protocol::codec::EncodeError;
use milena_protocol::message::Message;

/// The version in which all keys are written.
const KEY_VERSION: i16 = 0;

/// A key as it stands in the log.
///
/// # Errors
/// When a field is longer than its length can say.
pub fn key<K: Message>(kind: i16, key: &K) -> Result<Bytes, EncodeError> {
    numbered(kind, key, KEY_VERSION)
}

/// A value as it stands in the log.
///
/// # Errors
/// When a field is longer than its length can say.
pub fn value<V: Message>(version: i16, value: &V) -> Result<Bytes, EncodeError> {
    numbered(version, value, version)
}

fn numbered<M: Message>(number: i16, message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(number);
    bytes.extend_from_slice(&message.to_bytes(version)?);
    Ok(bytes.freeze())
}

/// The number that a key or value begins with, and what follows it.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(i16, Bytes)> {
    let (number, rest) = bytes.split_first_chunk::<2>()?;
    Some((i16::from_be_bytes(*number), Bytes::copy_from_slice(rest)))
}

/// A key without its type; none where it cannot be read.
#[must_use]
pub fn read_key<K: Message>(bytes: Bytes) -> Option<K> {
    K::from_bytes(bytes, KEY_VERSION).ok()
}

/// A value of any version that is known.
#[must_use]
pub fn read_value<V: Message>(bytes: &[u8]) -> Option<V> {
    let (version, rest) = split(bytes)?;
    V::from_bytes(rest, version).ok()
}

/// A value that may be missing; none where there is one that cannot be read.
#[must_use]
pub fn read_optional<V: Message>(value: Option<&[u8]>) -> Option<Option<V>> {
    match value {
        None => Some(None),
        Some(bytes) => read_value(bytes).map(Some),
    }
}
