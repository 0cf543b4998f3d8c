//! The records of `__consumer_offsets`: an `int16` type and the key, an `int16` version and the
//! value.

use bytes::{BufMut, Bytes, BytesMut};
use milena_protocol::codec::{EncodeError, Text};
use milena_protocol::coordinator_record::offset::{
    GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
use milena_protocol::ids::{PartitionIndex, Timestamp};
use milena_protocol::message::Message;

use crate::coordinator::Record;

/// The type of a key from before topics had one of their own; it reads like [`OFFSET_COMMIT`].
const LEGACY_OFFSET_COMMIT: i16 = 0;
const OFFSET_COMMIT: i16 = 1;
const GROUP_METADATA: i16 = 2;

/// The version of a group's value: the last before tagged fields, as Kafka writes it.
const GROUP_METADATA_VERSION: i16 = 3;
/// The version of an offset that expires at a time of its own, which later versions cannot say.
const EXPIRING_OFFSET_VERSION: i16 = 1;
const OFFSET_VERSION: i16 = 4;

/// A record of a classic group or a stored offset; a missing value takes it back.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// An offset.
    Offset(OffsetCommitKey, Option<OffsetCommitValue>),
    /// A classic group.
    Group(GroupMetadataKey, Option<GroupMetadataValue>),
}

/// A key as it stands in the log.
///
/// # Errors
/// When a field is longer than its length can say.
pub fn key<K: Message>(kind: i16, key: &K) -> Result<Bytes, EncodeError> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(kind);
    bytes.extend_from_slice(&key.to_bytes(0)?);
    Ok(bytes.freeze())
}

/// A value as it stands in the log.
///
/// # Errors
/// When a field is longer than its length can say.
pub fn value<V: Message>(version: i16, value: &V) -> Result<Bytes, EncodeError> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    bytes.extend_from_slice(&value.to_bytes(version)?);
    Ok(bytes.freeze())
}

/// The number that a key or value begins with, and what follows it.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(i16, Bytes)> {
    let (number, rest) = bytes.split_first_chunk::<2>()?;
    Some((i16::from_be_bytes(*number), Bytes::copy_from_slice(rest)))
}

/// A value of any version that is known.
#[must_use]
pub fn read_value<V: Message>(bytes: &[u8]) -> Option<V> {
    let (version, rest) = split(bytes)?;
    V::from_bytes(rest, version).ok()
}

/// An offset that is stored.
///
/// # Errors
/// When a field is longer than its length can say.
pub fn offset(place: OffsetCommitKey, stored: &OffsetCommitValue) -> Result<Record, EncodeError> {
    let expires = stored.expire_timestamp != Timestamp::NONE;
    let version = if expires { EXPIRING_OFFSET_VERSION } else { OFFSET_VERSION };
    Ok(Record { key: key(OFFSET_COMMIT, &place)?, value: Some(value(version, stored)?) })
}

/// An offset that is taken back.
///
/// # Errors
/// When a field is longer than its length can say.
pub fn no_offset(
    group: &Text,
    topic: &Text,
    partition: PartitionIndex,
) -> Result<Record, EncodeError> {
    let place = OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition };
    Ok(Record { key: key(OFFSET_COMMIT, &place)?, value: None })
}

/// A classic group.
///
/// # Errors
/// When a field is longer than its length can say.
pub fn group(id: &Text, stored: Option<&GroupMetadataValue>) -> Result<Record, EncodeError> {
    Ok(Record {
        key: key(GROUP_METADATA, &GroupMetadataKey { group: id.clone() })?,
        value: stored.map(|stored| value(GROUP_METADATA_VERSION, stored)).transpose()?,
    })
}

/// What a record says; none where it is of another kind, or cannot be read.
#[must_use]
pub fn read(key: &[u8], value: Option<&[u8]>) -> Option<Content> {
    let (kind, rest) = split(key)?;
    match kind {
        LEGACY_OFFSET_COMMIT | OFFSET_COMMIT => {
            let place = OffsetCommitKey::from_bytes(rest, 0).ok()?;
            Some(Content::Offset(place, optional(value)?))
        }
        GROUP_METADATA => {
            let id = GroupMetadataKey::from_bytes(rest, 0).ok()?;
            Some(Content::Group(id, optional(value)?))
        }
        _ => None,
    }
}

fn optional<V: Message>(value: Option<&[u8]>) -> Option<Option<V>> {
    match value {
        None => Some(None),
        Some(bytes) => read_value(bytes).map(Some),
    }
}
