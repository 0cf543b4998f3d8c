//! Whether a log should be compacted, how far it may be, and which segments become one.
//!
//! ```text
//!   log start            first dirty          first uncleanable      log end
//!       |------ clean --------|------ cleanable ------|--------------|
//! ```
//!
//! Bounds lie between segments. Nothing is compacted from the active segment on, at or above the
//! last stable offset, in segments with records younger than `min.compaction.lag.ms`, or in
//! segments that are not in their final form on the medium.

use std::ops::Range;

use milena_protocol::ids::{Offset, Timestamp};

use crate::config::LogConfig;

/// What is known of a sealed segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentFacts {
    pub(super) base_offset: Offset,
    pub(super) bytes: u64,
    /// In its final form, and on the medium.
    pub(super) is_settled: bool,
    /// Timestamp of its first batch; only where `max.compaction.lag.ms` asks.
    pub(super) first_timestamp: Option<Timestamp>,
    /// Its largest timestamp; only where `min.compaction.lag.ms` asks.
    pub(super) largest_timestamp: Option<Timestamp>,
}

/// What is known of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogFacts<'f> {
    /// The sealed segments.
    pub(super) sealed: &'f [SegmentFacts],
    /// Base offset of the active segment.
    pub(super) active_base: Offset,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) last_stable: Offset,
    /// As the checkpoint says.
    pub(super) first_dirty: Option<Offset>,
}

/// How much a log needs to be compacted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// Everything below has been compacted.
    pub first_dirty_offset: Offset,
    /// Nothing from here on may be compacted now.
    pub first_uncleanable_offset: Offset,
    /// Bytes of segments that hold something below the first dirty offset.
    pub clean_bytes: u64,
    /// Bytes of segments to be compacted for the first time.
    pub cleanable_bytes: u64,
    /// A record waits for longer than `max.compaction.lag.ms`.
    pub is_overdue: bool,
    /// The ratio is above `min.cleanable.dirty.ratio`.
    pub is_dirty_enough: bool,
}

impl Assessment {
    /// Which part of the bytes was never compacted.
    #[must_use]
    pub fn dirty_ratio(&self) -> f64 {
        let total = self.clean_bytes + self.cleanable_bytes;
        if total == 0 { 0.0 } else { self.cleanable_bytes as f64 / total as f64 }
    }

    /// Whether the log's settings ask for a pass now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.cleanable_bytes > 0 && (self.is_overdue || self.is_dirty_enough)
    }
}

/// Assesses a log.
pub(super) fn assess(facts: &LogFacts<'_>, config: &LogConfig, now: Timestamp) -> Assessment {
    let first_dirty_offset = first_dirty(facts);
    let ends = facts.sealed.iter().skip(1).map(|next| next.base_offset).chain([facts.active_base]);
    let clean_count = ends.take_while(|end| *end <= first_dirty_offset).count();
    let dirty = facts.sealed.get(clean_count..).unwrap_or_default();
    let newest = now.0.saturating_sub(config.min_compaction_lag_ms.max(0));
    let is_held_back = |index: usize, segment: &SegmentFacts| {
        let end = dirty.get(index + 1).map_or(facts.active_base, |next| next.base_offset);
        let is_young = segment.largest_timestamp.is_some_and(|largest| largest.0 > newest);
        !segment.is_settled || end > facts.last_stable || is_young
    };
    let count = dirty
        .iter()
        .enumerate()
        .position(|(index, segment)| is_held_back(index, segment))
        .unwrap_or(dirty.len());
    let held_back = dirty.get(count).map_or(facts.active_base, |segment| segment.base_offset);
    let first_uncleanable_offset = held_back.max(first_dirty_offset);
    let cleanable_bytes = dirty.iter().take(count).map(|segment| segment.bytes).sum();
    let is_clean = |segment: &&SegmentFacts| segment.base_offset < first_dirty_offset;
    let clean_bytes = facts.sealed.iter().filter(is_clean).map(|segment| segment.bytes).sum();
    let must_be_clean_before = now.0.saturating_sub(config.max_compaction_lag_ms.max(0));
    let is_overdue = dirty
        .iter()
        .filter_map(|segment| segment.first_timestamp)
        .any(|first| first.0 > 0 && first.0 < must_be_clean_before);
    let mut assessment = Assessment {
        first_dirty_offset,
        first_uncleanable_offset,
        clean_bytes,
        cleanable_bytes,
        is_overdue,
        is_dirty_enough: false,
    };
    assessment.is_dirty_enough = assessment.dirty_ratio() > config.min_cleanable_dirty_ratio;
    assessment
}

/// Where compaction goes on. A checkpoint that does not fit the log says nothing.
fn first_dirty(facts: &LogFacts<'_>) -> Offset {
    let is_within = |offset: &Offset| (facts.log_start..=facts.log_end).contains(offset);
    facts.first_dirty.filter(is_within).unwrap_or(facts.log_start)
}

/// The sizes of a segment that is to be compacted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) base_offset: Offset,
    /// The base offset of the next one.
    pub(super) end_offset: Offset,
    pub(super) log_bytes: u64,
    pub(super) index_bytes: u64,
}

/// Puts neighbours together that fit into one segment by what they hold now.
pub(super) fn group(sizes: &[Size], config: &LogConfig) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut log_bytes, mut index_bytes, mut base) = (0, 0, Offset::ZERO);
    for (index, size) in sizes.iter().enumerate() {
        let fits = log_bytes + size.log_bytes <= u64::from(config.segment_bytes)
            && index_bytes + size.index_bytes <= u64::from(config.segment_index_bytes)
            && size.end_offset.0 - 1 - base.0 <= i64::from(i32::MAX);
        match groups.last_mut() {
            Some(group) if fits => group.end = index + 1,
            _ => {
                groups.push(index..index + 1);
                (log_bytes, index_bytes, base) = (0, 0, size.base_offset);
            }
        }
        log_bytes += size.log_bytes;
        index_bytes += size.index_bytes;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cleanup;

    fn segment(base: i64, bytes: u64) -> SegmentFacts {
        SegmentFacts {
            base_offset: Offset(base),
            bytes,
            is_settled: true,
            first_timestamp: None,
            largest_timestamp: None,
        }
    }

    fn facts(sealed: &[SegmentFacts], first_dirty: Option<i64>) -> LogFacts<'_> {
        LogFacts {
            sealed,
            active_base: Offset(400),
            log_start: Offset(100),
            log_end: Offset(450),
            last_stable: Offset(450),
            first_dirty: first_dirty.map(Offset),
        }
    }

    fn config() -> LogConfig {
        let cleanup = Cleanup { delete: false, compact: true };
        LogConfig { cleanup, ..LogConfig::default() }
    }

    const NOW: Timestamp = Timestamp(1_000_000);

    fn sealed() -> [SegmentFacts; 3] {
        [segment(100, 10), segment(200, 20), segment(300, 30)]
    }

    fn range(assessment: &Assessment) -> (i64, i64) {
        (assessment.first_dirty_offset.0, assessment.first_uncleanable_offset.0)
    }

    /// Undecided, unsynced, young or unwritten records would be compacted.
    #[test]
    fn nothing_is_compacted_before_its_time() {
        let all = sealed();
        assert_eq!(range(&assess(&facts(&all, None), &config(), NOW)), (100, 400));
        let stable = LogFacts { last_stable: Offset(399), ..facts(&all, None) };
        assert_eq!(range(&assess(&stable, &config(), NOW)), (100, 300));
        let mut unsettled = sealed();
        unsettled[1].is_settled = false;
        assert_eq!(range(&assess(&facts(&unsettled, None), &config(), NOW)), (100, 200));
        let mut young = sealed();
        young[1].largest_timestamp = Some(Timestamp(NOW.0 - 499));
        let lag = LogConfig { min_compaction_lag_ms: 500, ..config() };
        assert_eq!(range(&assess(&facts(&young, None), &lag, NOW)), (100, 200));
        young[1].largest_timestamp = Some(Timestamp(NOW.0 - 500));
        assert_eq!(range(&assess(&facts(&young, None), &lag, NOW)), (100, 400));
    }

    /// A checkpoint of another log's, or of before a truncation, would leave records for ever.
    #[test]
    fn a_checkpoint_that_does_not_fit_means_the_log_start() {
        let all = sealed();
        for (first_dirty, expected) in [(99, 100), (451, 100), (250, 250), (400, 400)] {
            let assessment = assess(&facts(&all, Some(first_dirty)), &config(), NOW);
            assert_eq!(assessment.first_dirty_offset, Offset(expected));
        }
        assert_eq!(assess(&facts(&all, Some(430)), &config(), NOW).cleanable_bytes, 0);
    }

    /// Logs would be compacted too often, or never.
    #[test]
    fn a_log_is_due_by_ratio_or_by_age() {
        let all = sealed();
        let half = assess(&facts(&all, Some(300)), &config(), NOW);
        assert_eq!((half.clean_bytes, half.cleanable_bytes), (30, 30));
        assert!(!half.is_due(), "the ratio must be passed");
        let more = LogConfig { min_cleanable_dirty_ratio: 0.49, ..config() };
        assert!(assess(&facts(&all, Some(300)), &more, NOW).is_due());
        let mut old = sealed();
        old[2].first_timestamp = Some(Timestamp(NOW.0 - 1001));
        let lag = LogConfig { max_compaction_lag_ms: 1000, ..config() };
        assert!(assess(&facts(&old, Some(300)), &lag, NOW).is_due());
        old[2].first_timestamp = Some(Timestamp(NOW.0 - 1000));
        assert!(!assess(&facts(&old, Some(300)), &lag, NOW).is_due());
        assert!(!assess(&facts(&[], None), &lag, NOW).is_due());
    }

    /// A new segment would be larger than a segment may be, or small ones would pile up.
    #[test]
    fn neighbours_are_put_together_while_they_fit() {
        let size = |base, end, log_bytes, index_bytes| Size {
            base_offset: Offset(base),
            end_offset: Offset(end),
            log_bytes,
            index_bytes,
        };
        let config = LogConfig { segment_bytes: 100, segment_index_bytes: 10, ..config() };
        let far = 1 << 31;
        let groups = group(
            &[
                size(0, 10, 500, 1),
                size(10, 20, 60, 1),
                size(20, 30, 40, 1),
                size(30, 40, 1, 9),
                size(40, 50, 1, 2),
                size(50, far + 40, 0, 1),
                size(far + 40, far + 41, 0, 1),
            ],
            &config,
        );
        assert_eq!(groups, [0..1, 1..3, 3..4, 4..6, 6..7]);
        assert!(group(&[], &config).is_empty());
    }
}
