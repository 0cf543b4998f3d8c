//! A topic's configuration as its log wants it.

use std::sync::Arc;
use std::time::Duration;

use milena_cluster::configs::Resolver;
use milena_cluster::replica::{Settings, Throttled};
use milena_protocol::record::Compression;
use milena_storage::{Cleanup, LogCompression, LogConfig, LogTimestamps, RecordValidation};

use super::throttle::Lists;

/// A topic's configuration in force.
#[derive(Clone, Debug)]
pub struct TopicConfig {
    /// For the log.
    pub log: LogConfig,
    /// For the leader.
    pub leader: Settings,
    /// The partitions from which followers are let fetch only so much.
    pub throttled_as_leader: Arc<Throttled>,
    /// The partitions that are fetched only so fast.
    pub throttled_as_follower: Arc<Throttled>,
}

/// Resolves a topic's configuration.
#[must_use]
pub fn resolve(
    resolver: &Resolver<'_>,
    topic: &str,
    record_validation: RecordValidation,
    lists: &Lists,
) -> TopicConfig {
    let number = |name: &str| resolver.topic_number(topic, name);
    let small = |name: &str| u32::try_from(number(name)).unwrap_or(u32::MAX);
    let span = |name: &str| u64::try_from(number(name)).unwrap_or(0);
    let cleanup = resolver.topic_text(topic, "cleanup.policy");
    let has = |policy: &str| cleanup.split(',').any(|word| word.trim() == policy);
    let timestamps = resolver.topic_text(topic, "message.timestamp.type");
    let segment_bytes = match number("internal.segment.bytes") {
        i64::MAX => small("segment.bytes"),
        _ => small("internal.segment.bytes"),
    };
    let log = LogConfig {
        segment_bytes,
        segment_ms: number("segment.ms"),
        segment_jitter_ms: number("segment.jitter.ms"),
        index_interval_bytes: small("index.interval.bytes"),
        segment_index_bytes: small("segment.index.bytes"),
        retention_bytes: number("retention.bytes"),
        retention_ms: number("retention.ms"),
        cleanup: Cleanup { delete: has("delete"), compact: has("compact") },
        min_cleanable_dirty_ratio: resolver
            .topic_text(topic, "min.cleanable.dirty.ratio")
            .trim()
            .parse()
            .unwrap_or(0.5),
        min_compaction_lag_ms: number("min.compaction.lag.ms"),
        max_compaction_lag_ms: number("max.compaction.lag.ms"),
        delete_retention_ms: number("delete.retention.ms"),
        file_delete_delay_ms: span("file.delete.delay.ms"),
        flush_messages: span("flush.messages"),
        flush_ms: span("flush.ms"),
        max_message_bytes: small("max.message.bytes"),
        timestamp_type: if timestamps == "LogAppendTime" {
            LogTimestamps::LogAppendTime
        } else {
            LogTimestamps::CreateTime
        },
        timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
        compression: compression(resolver, topic),
        producer_id_expiration_ms: resolver.broker_number("producer.id.expiration.ms"),
        record_validation,
    };
    let lag_ms = u64::try_from(resolver.broker_number("replica.lag.time.max.ms")).unwrap_or(0);
    let leader = Settings {
        min_insync_replicas: usize::try_from(number("min.insync.replicas")).unwrap_or(1),
        max_lag: Duration::from_millis(lag_ms),
    };
    let throttled = |name: &'static str| {
        lists.read(resolver.node, (topic, name), resolver.topic_text(topic, name))
    };
    TopicConfig {
        log,
        leader,
        throttled_as_leader: throttled("leader.replication.throttled.replicas"),
        throttled_as_follower: throttled("follower.replication.throttled.replicas"),
    }
}

fn compression(resolver: &Resolver<'_>, topic: &str) -> LogCompression {
    let name = resolver.topic_text(topic, "compression.type");
    let Some(codec) = Compression::from_name(&name) else {
        return LogCompression::Producer;
    };
    let level = |name: &str| i32::try_from(resolver.topic_number(topic, name)).ok();
    let level = match codec {
        Compression::Gzip => level("compression.gzip.level").filter(|level| *level != -1),
        Compression::Zstd => level("compression.zstd.level"),
        Compression::Lz4 => level("compression.lz4.level"),
        Compression::None | Compression::Snappy => None,
    };
    LogCompression::Fixed(codec, level)
}
