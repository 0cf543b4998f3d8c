//! Control records: a key of `int16` version and `int16` type, a value that depends on the type.
//!
//! Readers skip types that they do not know.

use bytes::Bytes;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::record::builder::{BatchBuilder, BatchOptions};
use crate::record::compression::CompressionError;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum ControlType {
    /// The transaction was aborted.
    Abort = 0,
    /// The transaction was committed.
    Commit = 1,
    /// A new leader of a quorum begins its epoch.
    LeaderChange = 2,
    /// A snapshot begins.
    SnapshotHeader = 3,
    /// A snapshot is complete.
    SnapshotFooter = 4,
    /// The version of the quorum's protocol.
    KraftVersion = 5,
    /// The voters of the quorum.
    KraftVoters = 6,
}

impl ControlType {
    /// The type of a number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        [
            Self::Abort,
            Self::Commit,
            Self::LeaderChange,
            Self::SnapshotHeader,
            Self::SnapshotFooter,
            Self::KraftVersion,
            Self::KraftVoters,
        ]
        .get(usize::try_from(number).ok()?)
        .copied()
    }

    /// The key of a record of this type.
    #[must_use]
    pub const fn key(self) -> [u8; 4] {
        let number = (self as i16).to_be_bytes();
        [0, 0, number[0], number[1]]
    }

    /// The type that a record's key names.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let [_, _, high, low] = *key.first_chunk::<4>()?;
        Self::from_number(i16::from_be_bytes([high, low]))
    }
}

/// The marker that ends a producer's transaction on a partition.
///
/// # Errors
/// Never: a marker is not compressed.
pub fn end_transaction_marker(
    marker: ControlType,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    coordinator_epoch: i32,
    timestamp: Timestamp,
) -> Result<Bytes, CompressionError> {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id,
        producer_epoch,
        is_transactional: true,
        is_control: true,
        ..Default::default()
    });
    let mut value = [0; 6];
    if let Some(slot) = value.get_mut(2..) {
        slot.copy_from_slice(&coordinator_epoch.to_be_bytes());
    }
    builder.append(timestamp, Some(&marker.key()), Some(&value), &[]);
    builder.build()
}

/// A batch of one control record, at its place in a log.
///
/// # Errors
/// Never: a control batch is not compressed.
pub fn control_batch(
    control: ControlType,
    value: &[u8],
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    timestamp: Timestamp,
) -> Result<Bytes, CompressionError> {
    let options =
        BatchOptions { base_offset, leader_epoch, is_control: true, ..Default::default() };
    let mut builder = BatchBuilder::new(options);
    builder.append(timestamp, Some(&control.key()), Some(value), &[]);
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::batch::Batch;

    /// Kafka's readers would not see where a transaction ends.
    #[test]
    fn a_marker_is_78_bytes() {
        let marker = end_transaction_marker(
            ControlType::Commit,
            ProducerId(7),
            ProducerEpoch(1),
            3,
            Timestamp(5),
        )
        .unwrap();
        assert_eq!(marker.len(), 78);
        let (batch, _) = Batch::parse(&marker).unwrap();
        assert!(batch.attributes().is_control() && batch.attributes().is_transactional());
        assert_eq!(batch.base_sequence().0, -1);
    }
}
