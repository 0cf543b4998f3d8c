//! What of a decision goes into the log, and whether it may.

use bytes::Bytes;
use milena_protocol::codec::EncodeError;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::metadata_record::MetadataRecord;

use crate::metadata::batch;

/// What the records of one decision may take: they are one batch, in memory and on disk (Kafka's
/// `internal.metadata.max.batch.size.in.bytes`).
const MAX_BYTES: usize = 8 << 20;

/// The records of one decision, as they are appended: together, or not at all.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The records.
    pub records: Vec<MetadataRecord>,
    /// Each as the log holds it.
    pub values: Vec<Bytes>,
}

impl Proposal {
    /// Encodes records in the versions that a level of `metadata.version` writes.
    ///
    /// # Errors
    /// When a record holds what its version cannot.
    pub fn encode(records: Vec<MetadataRecord>, level: i16) -> Result<Self, EncodeError> {
        let values = batch::values_at(&records, level)?;
        Ok(Self { records, values })
    }

    /// Bytes of all values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.values.iter().map(Bytes::len).sum()
    }

    /// Whether it is small enough for a log with such segments: an append that fails ends the
    /// process.
    ///
    /// # Errors
    /// INVALID_REQUEST when it is not.
    pub fn check_size(&self, segment_bytes: usize) -> Result<(), ErrorCode> {
        if self.bytes() > MAX_BYTES.min(segment_bytes / 2) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        Ok(())
    }

    /// Room that the log must have for it. None for one that only deletes topics: on a full disk
    /// deleting goes on, for nothing else makes room.
    #[must_use]
    pub fn needs_room(&self) -> Option<usize> {
        let deletes = |record: &MetadataRecord| matches!(record, MetadataRecord::RemoveTopic(_));
        if self.records.iter().all(deletes) {
            return None;
        }
        // Each record and the batch have some bytes of their own.
        Some(2 * self.bytes() + 4096)
    }
}

#[cfg(test)]
mod tests {
    use milena_protocol::ids::Uuid;
    use milena_protocol::metadata_record::{RemoveTopicRecord, TopicRecord};

    use super::*;

    const LEVEL: i16 = 30;

    fn topic() -> MetadataRecord {
        TopicRecord { name: "topic".into(), topic_id: Uuid::from_u128(1) }.into()
    }

    /// A full disk could never be emptied.
    #[test]
    fn only_deleting_needs_no_room() {
        let removal = MetadataRecord::from(RemoveTopicRecord { topic_id: Uuid::from_u128(1) });
        let proposal = |records| Proposal::encode(records, LEVEL).unwrap();
        assert_eq!(proposal(vec![removal.clone()]).needs_room(), None);
        assert!(proposal(vec![removal, topic()]).needs_room().is_some_and(|bytes| bytes > 4096));
    }

    /// The append would fail, and the process end.
    #[test]
    fn what_no_segment_can_hold_is_refused() {
        let proposal = Proposal::encode(vec![topic(); 10], LEVEL).unwrap();
        let bytes = proposal.bytes();
        assert_eq!(proposal.check_size(2 * bytes), Ok(()));
        assert_eq!(proposal.check_size(2 * bytes - 1), Err(ErrorCode::INVALID_REQUEST));
        let count = MAX_BYTES / (bytes / 10) + 1;
        let proposal = Proposal::encode(vec![topic(); count], LEVEL).unwrap();
        assert_eq!(proposal.check_size(usize::MAX), Err(ErrorCode::INVALID_REQUEST));
    }
}
