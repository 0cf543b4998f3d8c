//! The records of classic groups and offsets in `__consumer_offsets`.

use milena_protocol::codec::{EncodeError, Text};
use milena_protocol::coordinator_record::offset::{
    GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
use milena_protocol::ids::{PartitionIndex, Timestamp};

use crate::coordinator::Record;
use crate::coordinator::record::{key, read_key, read_optional, split, value};

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
            let place = read_key(rest)?;
            Some(Content::Offset(place, read_optional(value)?))
        }
        GROUP_METADATA => {
            let id = read_key(rest)?;
            Some(Content::Group(id, read_optional(value)?))
        }
        _ => None,
    }
}
