//! What a log offers to whoever compacts it. The partition's lock is not needed for any of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_protocol::ids::{Offset, PartitionIndex, Timestamp, Uuid};

use super::budget::CompactionBudget;
use super::pass::{Compacted, Pass};
use super::plan::{self, Assessment, LogFacts, SegmentFacts};
use super::walk::Reins;
use crate::config::LogConfig;
use crate::error::{CompactError, ReadError};
use crate::segment::Segment;
use crate::state::{LogState, Segments};

/// A handle to compact one log with. Cheap to clone; blocks, so use it where blocking is allowed.
#[derive(Clone, Debug)]
pub struct Compaction {
    state: Arc<LogState>,
}

impl Compaction {
    pub(crate) fn new(state: Arc<LogState>) -> Self {
        Self { state }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.state.topic
    }

    /// The topic's id.
    #[must_use]
    pub fn topic_id(&self) -> Uuid {
        self.state.topic_id
    }

    /// The partition's number.
    #[must_use]
    pub fn partition(&self) -> PartitionIndex {
        self.state.partition
    }

    /// How much the log needs to be compacted; `None` if it is not a compacted one.
    ///
    /// # Errors
    /// When a segment cannot be read, or the log is gone.
    pub fn assess(&self, now: Timestamp) -> Result<Option<Assessment>, CompactError> {
        Ok(self.assess_now(now)?.map(|(assessment, _)| assessment))
    }

    fn assess_now(
        &self,
        now: Timestamp,
    ) -> Result<Option<(Assessment, Arc<LogConfig>)>, CompactError> {
        let state = &*self.state;
        state.check()?;
        // The high watermark first: a transaction that begins below it is known by then.
        let high_watermark = state.high_watermark();
        let (config, open_from, segments) = {
            let tail = state.tail.lock();
            let open_from = tail.producers.first_open_offset();
            (Arc::clone(&tail.config), open_from, state.segments.load_full())
        };
        if !config.cleanup.compact {
            return Ok(None);
        }
        let marks = state.environment.ledger.marks(&state.topic, state.partition);
        let active_base = segments.last().map_or(Offset::ZERO, |active| active.base_offset);
        let first_dirty = marks.first_dirty.unwrap_or(state.log_start());
        let sealed = self.facts(&segments, first_dirty, &config)?;
        let facts = LogFacts {
            sealed: &sealed,
            active_base,
            log_start: state.log_start(),
            log_end: state.log_end(),
            last_stable: open_from.map_or(high_watermark, |open| open.min(high_watermark)),
            first_dirty: marks.first_dirty,
        };
        Ok(Some((plan::assess(&facts, &config, now), config)))
    }

    fn facts(
        &self,
        segments: &Segments,
        first_dirty: Offset,
        config: &LogConfig,
    ) -> Result<Vec<SegmentFacts>, CompactError> {
        let state = &*self.state;
        let synced = state.recovery_point();
        let mut facts = Vec::with_capacity(segments.len());
        for pair in segments.windows(2) {
            let [segment, next] = pair else { continue };
            let is_dirty = next.base_offset > first_dirty;
            let largest_timestamp = match is_dirty && config.min_compaction_lag_ms > 0 {
                true => Some(segment.largest(&state.environment).map_err(damaged)?.timestamp),
                false => None,
            };
            let first_timestamp = match is_dirty && config.max_compaction_lag_ms < i64::MAX {
                true => first_timestamp(state, segment)?,
                false => None,
            };
            facts.push(SegmentFacts {
                base_offset: segment.base_offset,
                bytes: segment.size(),
                is_settled: segment.finished.load(Ordering::Acquire) && next.base_offset <= synced,
                first_timestamp,
                largest_timestamp,
            });
        }
        Ok(facts)
    }

    /// Begins a new segment if the first record of the active one is older than
    /// `max.compaction.lag.ms`: what nothing is appended to would never be compacted. Whether it
    /// did.
    ///
    /// # Errors
    /// When the disk refuses; the log goes on with its old segment.
    pub fn roll_if_overdue(&self, now: Timestamp) -> Result<bool, CompactError> {
        let state = &*self.state;
        state.check()?;
        let mut tail = state.tail.lock();
        let active = state.active();
        let config = Arc::clone(&tail.config);
        if !config.cleanup.compact || active.size() == 0 {
            return Ok(false);
        }
        let first = state.first_timestamp(&mut tail, &active)?;
        let age = now.0.saturating_sub(first.0);
        if first.0 < 0 || age <= config.max_compaction_lag_ms.max(0) {
            return Ok(false);
        }
        state.roll(&mut tail, state.log_end(), now)?;
        Ok(true)
    }

    /// Compacts as much of the log as the budget allows in one pass, whether or not its settings
    /// ask for it. `None` if there is nothing to do, or somebody is at it.
    ///
    /// `pace` is told how many bytes were moved and may rest; it says whether to go on.
    ///
    /// # Errors
    /// See [`CompactError`]; what was compacted before stays so, the rest is as it was.
    pub fn compact(
        &self,
        budget: &CompactionBudget,
        now: Timestamp,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Compacted>, CompactError> {
        let Some(_alone) = self.state.compacting.try_lock() else { return Ok(None) };
        let Some((assessment, config)) = self.assess_now(now)? else { return Ok(None) };
        if assessment.cleanable_bytes == 0 {
            return Ok(None);
        }
        let reins = Reins::new(budget, pace);
        let result = Pass::new(&self.state, config, assessment, now, reins).run(budget);
        // What is wrong with a log that is gone is nobody's concern.
        self.state.check()?;
        result.map(Some)
    }
}

/// The timestamp that a segment's age counts from.
fn first_timestamp(state: &LogState, segment: &Segment) -> Result<Option<Timestamp>, CompactError> {
    let Some(map) = segment.map(&state.environment)? else { return Ok(None) };
    let batch = segment.batch_at(&map, 0, segment.limit(&map)).map_err(damaged)?;
    Ok(batch.map(|batch| batch.max_timestamp()))
}

fn damaged(error: ReadError) -> CompactError {
    match error {
        ReadError::Storage(error) => error.into(),
        ReadError::Corrupt { segment, position } => CompactError::Damaged { segment, position },
        ReadError::OutOfRange { offset, .. } => {
            CompactError::Damaged { segment: offset, position: 0 }
        }
    }
}
