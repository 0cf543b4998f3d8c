//! What the coordinator of groups is configured with.

use std::time::Duration;

use super::consumer;
use crate::metadata::image::{ConfigResource, MetadataImage};

const HEARTBEAT_INTERVAL: &str = "consumer.heartbeat.interval.ms";
/// A quarter of a segment of the groups' topic.
const DEFAULT_MAX_GROUP_BYTES: usize = 25 << 20;

/// What the coordinator of groups is configured with; the fields are called what the keys are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.max.size`.
    pub max_size: usize,
    /// What the members of a group may say of themselves and be assigned, in bytes of its records:
    /// all of them are written in one batch, and a batch fits into a segment.
    pub max_group_bytes: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// What consumer groups have that say nothing themselves.
    pub consumer: consumer::Settings,
}

impl Settings {
    /// What a consumer group is configured with, what it says itself included.
    #[must_use]
    pub fn of_consumer_group(&self, id: &str, image: &MetadataImage) -> consumer::Settings {
        let entry = |key: &str| image.config_entry(ConfigResource::GROUP, id, key);
        let span = |key: &str, default: Duration| {
            entry(key)
                .and_then(|text| text.trim().parse().ok())
                .map_or(default, Duration::from_millis)
        };
        let basis = &self.consumer;
        consumer::Settings {
            session_timeout: span("consumer.session.timeout.ms", basis.session_timeout),
            heartbeat_interval: span(HEARTBEAT_INTERVAL, basis.heartbeat_interval),
            is_heartbeat_interval_set: basis.is_heartbeat_interval_set
                || entry(HEARTBEAT_INTERVAL).is_some(),
            assignment_interval: span("consumer.assignment.interval.ms", basis.assignment_interval),
            ..basis.clone()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::from_secs(3),
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(1800),
            max_size: i32::MAX as usize,
            max_group_bytes: DEFAULT_MAX_GROUP_BYTES,
            offsets_retention: Duration::from_secs(7 * 24 * 3600),
            offsets_retention_check_interval: Duration::from_secs(600),
            offset_metadata_max_bytes: 4096,
            consumer: consumer::Settings::default(),
        }
    }
}
