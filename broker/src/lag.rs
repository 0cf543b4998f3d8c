//! How far a group is behind in a partition: in offsets, and in time.
//!
//! | | from | to |
//! | --- | --- | --- |
//! | offsets | the committed offset, or the log's start where records before it are gone | where the records end that the group may read |
//! | time | when the first record from there on was written | now |
//!
//! Offsets are counted, as every tool counts them: what compaction took away and the markers of
//! transactions count too. Time is that of a record which the group would be given, so a group that
//! has only markers left is not behind in time. It costs one batch of the log, or its header alone
//! where the group is at the beginning of a batch.

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::codec::Text;
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::batch::Batch;
use milena_storage::{LogReader, ReadError};

use crate::broker::Broker;
use crate::replicas::partition::Partition;

/// Which records a group may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// All that are acknowledged.
    #[default]
    ReadUncommitted,
    /// Those of no transaction, or of a committed one.
    ReadCommitted,
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The topic.
    pub topic: Text,
    /// The topic's id when it was committed; zero where nobody said.
    pub topic_id: Uuid,
    /// The partition.
    pub partition: PartitionIndex,
    /// The offset of the next record that the group will read.
    pub offset: Offset,
}

/// How far a group is behind in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Where the records end that the group may read.
    pub end: Offset,
    /// Where it will go on.
    next: Offset,
    isolation: Isolation,
}

impl Committed {
    /// The partition itself, if this broker leads or follows it: a follower knows a moment later
    /// where its records end. A topic that has been deleted has none, and one that was made anew
    /// under its name is another.
    #[must_use]
    pub fn find(&self, broker: &Broker) -> Option<Arc<Partition>> {
        let image = broker.metadata.image();
        let topic_id = image.topic(&self.topic)?.id();
        let hosted = || broker.replicas.hosting(&topic_id, self.partition).ok();
        if self.is_there(&image) { hosted() } else { None }
    }

    /// Whether there is such a partition of the topic that was meant.
    #[must_use]
    pub fn is_there(&self, image: &MetadataImage) -> bool {
        image.topic(&self.topic).is_some_and(|topic| {
            let is_of_it = self.topic_id == Uuid::ZERO || self.topic_id == topic.id();
            is_of_it && topic.partition(self.partition).is_some()
        })
    }
}

impl Lag {
    /// How far behind a group is that will go on at `next`. Costs nothing.
    #[must_use]
    pub fn of(partition: &Partition, next: Offset, isolation: Isolation) -> Self {
        let offsets = partition.reader().offsets();
        let end = match isolation {
            Isolation::ReadUncommitted => offsets.high_watermark,
            Isolation::ReadCommitted => partition.last_stable_offset(),
        };
        Self { end, next: next.max(offsets.log_start_offset), isolation }
    }

    /// The same of a partition that another broker leads, which has told where its records begin
    /// and end.
    #[must_use]
    pub fn told((start, end): (Offset, Offset), next: Offset, isolation: Isolation) -> Self {
        Self { end, next: next.max(start), isolation }
    }

    /// Offsets that are left; never negative.
    #[must_use]
    pub fn offsets(&self) -> i64 {
        self.end.0.saturating_sub(self.next.0).max(0)
    }

    /// How long the first of the records that are left has been there by its timestamp; zero where
    /// none is left, nothing where it has no timestamp. May block.
    ///
    /// # Errors
    /// When the log cannot be read there.
    pub fn age(
        &self,
        partition: &Partition,
        now: Timestamp,
    ) -> Result<Option<Duration>, ReadError> {
        let reader = partition.reader();
        let is_hidden = |batch: &Batch<'_>| {
            self.isolation == Isolation::ReadCommitted && is_aborted(reader, batch)
        };
        let Some(first) = reader.first_record_from(self.next, self.end, is_hidden)? else {
            return Ok(Some(Duration::ZERO));
        };
        if first.timestamp == Timestamp::NONE {
            return Ok(None);
        }
        // Producers' clocks may be ahead of ours.
        let age_ms = u64::try_from(now.0.saturating_sub(first.timestamp.0)).unwrap_or(0);
        Ok(Some(Duration::from_millis(age_ms)))
    }
}

/// Whether a batch belongs to an aborted transaction.
fn is_aborted(reader: &LogReader, batch: &Batch<'_>) -> bool {
    let at = batch.base_offset();
    batch.attributes().is_transactional()
        && reader.aborted_transactions(at, batch.next_offset()).iter().any(|aborted| {
            aborted.producer_id == batch.producer_id()
                && aborted.first_offset <= at
                && at <= aborted.last_offset
        })
}
