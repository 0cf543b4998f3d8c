//! What a log is told about itself: the settings of one topic, as values.
//!
//! The defaults are Apache Kafka's. Reading them out of configuration text is not done here.

use milena_protocol::record::compression::Compression;

/// The settings of one log, under Kafka's names.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it would grow beyond this size.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when its records span this many milliseconds.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: how much earlier than `segment_ms` a roll may come, at random.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`: one index entry is made per so many bytes of log.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: a segment is rolled when one of its indexes would outgrow this.
    pub segment_index_bytes: u32,
    /// `retention.bytes`: the size that retention keeps at least. −1 keeps everything.
    pub retention_bytes: i64,
    /// `retention.ms`: the age beyond which segments go. −1 keeps everything.
    pub retention_ms: i64,
    /// `cleanup.policy`.
    pub cleanup: Cleanup,
    /// `min.cleanable.dirty.ratio`: a compacted log is cleaned once more than this part of its
    /// bytes was not cleaned yet.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: records younger than this are not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a record is compacted within this time, whatever the ratio.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long tombstones and transaction markers stay once everything
    /// that they concern is gone.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`: how long a removed file stays under its `.deleted` name.
    pub file_delete_delay_ms: u64,
    /// `flush.messages`: once so many records are unsynced they are synced in the background. `1`
    /// means that an append is acknowledged only when it is on the disk; the caller waits with a
    /// [`FlushHandle`](crate::FlushHandle).
    pub flush_messages: u64,
    /// `flush.ms`: the longest time that records stay unsynced, if shorter than the background
    /// sync's own second.
    pub flush_ms: u64,
    /// `max.message.bytes`: the largest batch, header included.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: LogTimestamps,
    /// `message.timestamp.before.max.ms`: how far a record's timestamp may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a record's timestamp may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// `compression.type` and its level.
    pub compression: LogCompression,
    /// `producer.id.expiration.ms`: a producer silent for longer is forgotten.
    pub producer_id_expiration_ms: i64,
    /// `milena.record.validation`.
    pub record_validation: RecordValidation,
}

impl LogConfig {
    /// How long a segment is written to: a compacted log's records must get out of the active
    /// segment before they have to be compacted.
    pub(crate) fn longest_segment_ms(&self) -> i64 {
        if self.cleanup.compact && self.max_compaction_lag_ms > 0 {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            retention_bytes: -1,
            retention_ms: 7 * 24 * 3600 * 1000,
            cleanup: Cleanup { delete: true, compact: false },
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 3600 * 1000,
            file_delete_delay_ms: 60_000,
            flush_messages: u64::MAX,
            flush_ms: u64::MAX,
            max_message_bytes: 1_048_588,
            timestamp_type: LogTimestamps::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compression: LogCompression::Producer,
            producer_id_expiration_ms: 24 * 3600 * 1000,
            record_validation: RecordValidation::Records,
        }
    }
}

/// `cleanup.policy`: which of the two ways of forgetting apply. Neither means that only
/// DeleteRecords removes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// Old segments are removed by size and by time.
    pub delete: bool,
    /// Only the last record of each key is kept, so records without a key are refused.
    pub compact: bool,
}

/// `message.timestamp.type`: whose clock stamps the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTimestamps {
    /// The producer's.
    CreateTime,
    /// The leader's, at the append.
    LogAppendTime,
}

/// `compression.type`: how batches are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCompression {
    /// As the producer sent them.
    Producer,
    /// Always with this codec, and this level where the codec has levels.
    Fixed(Compression, Option<i32>),
}

/// `milena.record.validation`: how closely a client's batch is looked at before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordValidation {
    /// Every record is walked, as Kafka does.
    Records,
    /// Only the batch header and its checksum.
    Batch,
}
