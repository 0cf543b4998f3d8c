//! All batches of a segment, from a position on: read a window at a time, so that pages come from
//! the disk in order and a page that cannot be read is an error and not a fault; each checked
//! before it is shown.

use milena_protocol::ids::Offset;
use milena_protocol::record::batch::Batch;

use super::budget::CompactionBudget;
use crate::environment::Environment;
use crate::error::CompactError;
use crate::segment::Segment;

/// How far a pass has to go before it asks whether it may go on.
pub(super) struct Reins<'p> {
    /// Told how many bytes were moved; whether to go on. May rest.
    pub(super) pace: &'p mut dyn FnMut(u64) -> bool,
    pub(super) step_bytes: usize,
    /// Bytes that were read.
    pub(super) read_bytes: u64,
}

impl<'p> Reins<'p> {
    pub(super) fn new(budget: &CompactionBudget, pace: &'p mut dyn FnMut(u64) -> bool) -> Self {
        Self { pace, step_bytes: budget.step_bytes(), read_bytes: 0 }
    }

    pub(super) fn moved(&mut self, bytes: usize) -> Result<(), CompactError> {
        if (self.pace)(bytes as u64) { Ok(()) } else { Err(CompactError::Stopped) }
    }
}

/// One batch on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'b> {
    pub(super) batch: Batch<'b>,
    /// Nothing follows it in the segment.
    pub(super) is_last: bool,
    /// Where it stands.
    pub(super) place: Place,
}

/// A place in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) segment: Offset,
    pub(super) position: usize,
}

impl Place {
    /// Something is wrong here.
    pub(super) fn damaged(self) -> CompactError {
        CompactError::Damaged { segment: self.segment, position: self.position as u64 }
    }
}

/// Shows the batches of a segment from a position on, until one is wrong or the visitor says stop.
pub(super) fn walk(
    environment: &Environment,
    segment: &Segment,
    from: usize,
    reins: &mut Reins<'_>,
    mut visit: impl FnMut(Step<'_>, &mut Reins<'_>) -> Result<bool, CompactError>,
) -> Result<(), CompactError> {
    let Some(map) = segment.map(environment)? else { return Ok(()) };
    let limit = segment.limit(&map);
    let (mut position, mut present) = (from, from);
    while position < limit {
        let place = Place { segment: segment.base_offset, position };
        let damage = || place.damaged();
        if position >= present {
            let end = position.saturating_add(reins.step_bytes).min(limit);
            map.fault_in(position..end).map_err(|_| damage())?;
            present = end;
            reins.read_bytes += (end - position) as u64;
            reins.moved(end - position)?;
        }
        let batch = segment.batch_at(&map, position, limit).map_err(|_| damage())?;
        let batch = batch.ok_or_else(damage)?;
        let end = position + batch.total_bytes();
        if end > present {
            map.fault_in(present..end).map_err(|_| damage())?;
            reins.read_bytes += (end - present) as u64;
            reins.moved(end - present)?;
            present = end;
        }
        batch.verify_crc().map_err(|_| damage())?;
        let step = Step { batch, is_last: end == limit, place };
        if !visit(step, reins)? {
            break;
        }
        position = end;
    }
    Ok(())
}
