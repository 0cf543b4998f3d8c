//! A record to be written.

use std::sync::Arc;

use bytes::Bytes;
use milena_protocol::ids::{PartitionIndex, Timestamp};

/// A record to be written.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition; without one the key decides, and without a key the producer does.
    pub partition: Option<PartitionIndex>,
    /// When it happened; now, if it is not said.
    pub timestamp: Option<Timestamp>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; null removes the key from a compacted topic.
    pub value: Option<Bytes>,
    /// The headers, in order; names may repeat.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl NewRecord {
    /// A record without key, value and headers.
    #[must_use]
    pub fn new(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With a value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// For a partition.
    #[must_use]
    pub fn partition(mut self, partition: PartitionIndex) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With a timestamp.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// What it takes at most in a batch, in bytes, before compression.
    pub(crate) fn cost(&self) -> usize {
        // Lengths and deltas are varints of at most 5 and 10 bytes.
        const FIXED: usize = 36;
        let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter().map(|(name, value)| 10 + name.len() + bytes(value));
        FIXED + bytes(&self.key) + bytes(&self.value) + headers.sum::<usize>()
    }
}
