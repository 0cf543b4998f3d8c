//! The records of the metadata log, `__cluster_metadata`: their declarations and their framing.
//!
//! | bytes | meaning |
//! | --- | --- |
//! | uvarint | frame version, always 1 |
//! | uvarint | record id |
//! | uvarint | record version |
//! | rest | the record, a flexible message |
//!
//! Nothing may follow the record. An id that is not known is an error that carries the id: a node
//! that skipped it would hold another state than the rest of the cluster.

mod broker;
mod config;
mod security;
mod topic;
mod transaction;

use std::fmt;

use bytes::Bytes;

pub use broker::*;
pub use config::*;
pub use security::*;
pub use topic::*;
pub use transaction::*;

use crate::codec::{DecodeError, EncodeError, Reader, Writer};
use crate::message::{Message, Shape, Versions};

/// The only version of the framing.
const FRAME_VERSION: u32 = 1;

/// Why bytes are not a metadata record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataRecordError {
    /// The framing has another version.
    UnknownFrame(u32),
    /// No record has this id.
    UnknownRecord(u32),
    /// The record exists, but not in this version.
    UnknownVersion {
        /// The record's id.
        id: u32,
        /// The version that stands in the frame.
        version: u32,
    },
    /// The frame or the record itself is malformed.
    Malformed(DecodeError),
}

impl fmt::Display for MetadataRecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFrame(version) => {
                write!(f, "metadata record in unknown frame version {version}")
            }
            Self::UnknownRecord(id) => write!(f, "unknown metadata record {id}"),
            Self::UnknownVersion { id, version } => {
                write!(f, "metadata record {id} in unknown version {version}")
            }
            Self::Malformed(error) => write!(f, "malformed metadata record: {error}"),
        }
    }
}

impl std::error::Error for MetadataRecordError {}

impl From<DecodeError> for MetadataRecordError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

macro_rules! metadata_records {
    ($($id:literal $name:ident($record:ident),)*) => {
        /// Any record of the metadata log.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each record documents itself")]
        pub enum MetadataRecord {
            $($name($record),)*
        }

        impl MetadataRecord {
            /// Ids and shapes of all records, ordered by id.
            pub const ALL: &[(u32, Shape)] = &[$(($id, Shape::of::<$record>()),)*];

            /// The number that stands for this kind of record in the log.
            #[must_use]
            pub fn id(&self) -> u32 {
                match self {
                    $(Self::$name(_) => $id,)*
                }
            }

            /// The versions in which this kind of record can be written.
            #[must_use]
            pub fn versions(&self) -> Versions {
                match self {
                    $(Self::$name(_) => $record::VERSIONS,)*
                }
            }

            fn write_body(&self, writer: &mut Writer, version: i16) {
                match self {
                    $(Self::$name(record) => record.write(writer, version),)*
                }
            }

            fn read_body(
                reader: &mut Reader,
                id: u32,
                version: u32,
            ) -> Result<Self, MetadataRecordError> {
                match id {
                    $($id => match i16::try_from(version) {
                        Ok(version) if $record::VERSIONS.contains(version) => {
                            Ok(Self::$name($record::read(reader, version)?))
                        }
                        _ => Err(MetadataRecordError::UnknownVersion { id, version }),
                    },)*
                    _ => Err(MetadataRecordError::UnknownRecord(id)),
                }
            }
        }

        $(impl From<$record> for MetadataRecord {
            fn from(record: $record) -> Self {
                Self::$name(record)
            }
        })*
    };
}

metadata_records! {
    0 RegisterBroker(RegisterBrokerRecord),
    1 UnregisterBroker(UnregisterBrokerRecord),
    2 Topic(TopicRecord),
    3 Partition(PartitionRecord),
    4 Config(ConfigRecord),
    5 PartitionChange(PartitionChangeRecord),
    7 FenceBroker(FenceBrokerRecord),
    8 UnfenceBroker(UnfenceBrokerRecord),
    9 RemoveTopic(RemoveTopicRecord),
    10 DelegationToken(DelegationTokenRecord),
    11 UserScramCredential(UserScramCredentialRecord),
    12 FeatureLevel(FeatureLevelRecord),
    14 ClientQuota(ClientQuotaRecord),
    15 ProducerIds(ProducerIdsRecord),
    17 BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    18 AccessControlEntry(AccessControlEntryRecord),
    19 RemoveAccessControlEntry(RemoveAccessControlEntryRecord),
    20 NoOp(NoOpRecord),
    21 ZkMigrationState(ZkMigrationStateRecord),
    22 RemoveUserScramCredential(RemoveUserScramCredentialRecord),
    23 BeginTransaction(BeginTransactionRecord),
    24 EndTransaction(EndTransactionRecord),
    25 AbortTransaction(AbortTransactionRecord),
    26 RemoveDelegationToken(RemoveDelegationTokenRecord),
    27 RegisterController(RegisterControllerRecord),
    28 ClearElr(ClearElrRecord),
}

impl MetadataRecord {
    /// Appends the framed record in a version, which the metadata version in force chooses.
    pub fn write(&self, writer: &mut Writer, version: i16) {
        writer.uvarint(FRAME_VERSION);
        writer.uvarint(self.id());
        writer.uvarint(version.max(0) as u32);
        self.write_body(writer, version);
    }

    /// The framed record, as it stands in the value of a record of the log.
    ///
    /// # Errors
    /// When the record has no such version, or a null stands where the version has none.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut writer = Writer::new();
        self.write(&mut writer, version);
        writer.into_bytes()
    }

    /// Reads a framed record that is all of `value`.
    ///
    /// # Errors
    /// When the frame, the id or the version is unknown, or the bytes are not such a record.
    pub fn decode(value: Bytes) -> Result<Self, MetadataRecordError> {
        let mut reader = Reader::new(value);
        let frame_version = reader.uvarint()?;
        if frame_version != FRAME_VERSION {
            return Err(MetadataRecordError::UnknownFrame(frame_version));
        }
        let id = reader.uvarint()?;
        let version = reader.uvarint()?;
        let record = Self::read_body(&mut reader, id, version)?;
        reader.finish()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of one kind would be replayed as another.
    #[test]
    fn framing_names_record_and_version() {
        let record = MetadataRecord::from(FeatureLevelRecord {
            name: "metadata.version".into(),
            feature_level: 30,
        });
        let bytes = record.encode(0).unwrap();
        assert_eq!(&bytes[..4], [1, 12, 0, 17]);
        assert_eq!(&bytes[bytes.len() - 3..], [0, 30, 0]);
        assert_eq!(MetadataRecord::decode(bytes), Ok(record));
    }

    /// A newer record would be skipped silently, and the node's state would differ.
    #[test]
    fn unknown_records_are_named() {
        let decode = |bytes: &'static [u8]| MetadataRecord::decode(Bytes::from_static(bytes));
        assert_eq!(decode(&[1, 6, 0]), Err(MetadataRecordError::UnknownRecord(6)));
        assert_eq!(decode(&[0, 2, 0]), Err(MetadataRecordError::UnknownFrame(0)));
        let version = MetadataRecordError::UnknownVersion { id: 2, version: 9 };
        assert_eq!(decode(&[1, 2, 9]), Err(version));
        let rest = MetadataRecordError::Malformed(DecodeError::TrailingBytes);
        assert_eq!(decode(&[1, 20, 0, 0, 0]), Err(rest));
    }

    /// Two kinds would share an id.
    #[test]
    fn ids_are_ordered() {
        assert_eq!(MetadataRecord::ALL.len(), 26);
        assert!(MetadataRecord::ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
