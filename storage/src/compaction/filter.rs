//! What is left of one batch.
//!
//! | of a batch | stays |
//! |---|---|
//! | of an aborted transaction | nothing |
//! | of records | each that is the last of its key, or behind what is known; a tombstone until its horizon has passed |
//! | a marker | until nothing of its transaction is left and its horizon has passed |
//!
//! A batch that first keeps a tombstone, or a marker whose transaction is gone, is given its
//! horizon: now and `delete.retention.ms` (KIP-534). A batch of which nothing is left stays without
//! records where someone needs it: for the last sequence or epoch of a producer, or for where the
//! segment ends.

use std::collections::HashMap;

use milena_protocol::ids::{Offset, ProducerId, Timestamp};
use milena_protocol::record::batch::Batch;
use milena_protocol::record::compression::{Compression, CompressionError, decompress};
use milena_protocol::record::rebuild::{self, Kept};
use milena_protocol::record::record::Records;

use super::offsets::{KeyHash, OffsetMap};
use super::transactions::Transactions;
use crate::index::AbortedTransaction;
use crate::producers::LastTrace;

/// Records that decompress to more than this are not looked into: they stay as they are, and
/// replace nothing. That costs space and loses nothing.
pub(super) const PLAIN_LIMIT_BYTES: usize = 32 << 20;

/// Memory that is used again from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    plain: Vec<u8>,
    outlines: Vec<Outline>,
    kept: Vec<bool>,
    records: Vec<u8>,
    batch: Vec<u8>,
}

/// The batch cannot be read, though its checksum matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// By what batches are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'r> {
    pub(super) offsets: &'r OffsetMap,
    pub(super) last_traces: &'r HashMap<ProducerId, LastTrace>,
    pub(super) now: Timestamp,
    pub(super) delete_retention_ms: i64,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate<'s> {
    /// It stays as it is.
    Stays,
    /// This takes its place.
    Becomes(&'s [u8]),
    /// It goes.
    Goes,
}

/// What was decided about a batch, and the aborted transaction whose marker it is, if something of
/// that was there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict<'s> {
    pub(super) fate: Fate<'s>,
    pub(super) aborts: Option<AbortedTransaction>,
}

impl Scratch {
    /// The records of a batch as plain bytes; `None` if they are too many to look into.
    pub(super) fn plain<'p>(
        plain: &'p mut Vec<u8>,
        batch: &Batch<'p>,
    ) -> Result<Option<&'p [u8]>, Unreadable> {
        match batch.attributes().codec().ok_or(Unreadable)? {
            Compression::None => Ok(Some(batch.records_bytes())),
            codec => match decompress(codec, batch.records_bytes(), PLAIN_LIMIT_BYTES, plain) {
                Ok(()) => Ok(Some(plain)),
                Err(CompressionError::TooLarge { .. }) => Ok(None),
                Err(CompressionError::Corrupt(_)) => Err(Unreadable),
            },
        }
    }

    /// Puts the last offset of each key of a batch into the map; whether there was room. Where
    /// there was none the map ends before the record that did not fit.
    pub(super) fn learn(
        &mut self,
        batch: &Batch<'_>,
        from: Offset,
        offsets: &mut OffsetMap,
    ) -> Result<bool, Unreadable> {
        let Some(plain) = Self::plain(&mut self.plain, batch)? else { return Ok(true) };
        outline(batch, plain, offsets, &mut self.outlines)?;
        for record in &self.outlines {
            if let Some(key) = record.key
                && record.offset >= from
                && !offsets.put(key, record.offset)
            {
                offsets.set_end(record.offset);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Decides about a batch. `ends_segment` says that the new segment ends with it.
    pub(super) fn judge(
        &mut self,
        batch: &Batch<'_>,
        transactions: &mut Transactions,
        rules: &Rules<'_>,
        ends_segment: bool,
    ) -> Result<Verdict<'_>, Unreadable> {
        let must_leave_trace = ends_segment || is_last_trace(batch, rules);
        if !batch.attributes().is_control() {
            let is_aborted = transactions.records(batch);
            let fate = if is_aborted || batch.record_count() == 0 {
                self.without_records(batch, must_leave_trace)
            } else {
                self.keep_last_records(batch, rules, must_leave_trace)?
            };
            return Ok(Verdict { fate, aborts: None });
        }
        let marker = transactions.marker(batch);
        let horizon = delete_horizon(batch);
        let has_passed = horizon.is_some_and(|horizon| horizon <= rules.now);
        let fate = if batch.record_count() == 0 || (marker.may_go && has_passed) {
            self.without_records(batch, must_leave_trace)
        } else if marker.may_go && horizon.is_none() {
            self.begin_horizon(batch, rules)?
        } else {
            Fate::Stays
        };
        Ok(Verdict { fate, aborts: marker.aborts })
    }

    fn without_records(&mut self, batch: &Batch<'_>, must_leave_trace: bool) -> Fate<'_> {
        if !must_leave_trace {
            return Fate::Goes;
        }
        rebuild::empty(batch, &mut self.batch);
        if self.batch == batch.bytes() { Fate::Stays } else { Fate::Becomes(&self.batch) }
    }

    /// A marker as it is, but for the horizon.
    fn begin_horizon(
        &mut self,
        batch: &Batch<'_>,
        rules: &Rules<'_>,
    ) -> Result<Fate<'_>, Unreadable> {
        self.kept.clear();
        self.kept.resize(usize::try_from(batch.record_count()).unwrap_or(0), true);
        let kept = Kept { records: &self.kept, delete_horizon: Some(new_horizon(rules)) };
        let plain = batch.records_bytes();
        rebuild::rebuild(batch, plain, kept, &mut self.records, &mut self.batch)
            .map_err(|_| Unreadable)?;
        Ok(Fate::Becomes(&self.batch))
    }

    fn keep_last_records(
        &mut self,
        batch: &Batch<'_>,
        rules: &Rules<'_>,
        must_leave_trace: bool,
    ) -> Result<Fate<'_>, Unreadable> {
        let Some(plain) = Self::plain(&mut self.plain, batch)? else { return Ok(Fate::Stays) };
        let horizon = delete_horizon(batch);
        let keeps_tombstones = horizon.is_none_or(|horizon| rules.now < horizon);
        outline(batch, plain, rules.offsets, &mut self.outlines)?;
        self.kept.clear();
        let (mut count, mut has_tombstones) = (0, false);
        for record in &self.outlines {
            let stays = record.stays(rules.offsets, keeps_tombstones);
            has_tombstones |= stays && !record.has_value;
            count += usize::from(stays);
            self.kept.push(stays);
        }
        let needs_horizon = has_tombstones && horizon.is_none();
        if count == 0 {
            return Ok(self.without_records(batch, must_leave_trace));
        }
        if count == self.kept.len() && !needs_horizon {
            return Ok(Fate::Stays);
        }
        let delete_horizon = if needs_horizon { Some(new_horizon(rules)) } else { horizon };
        let kept = Kept { records: &self.kept, delete_horizon };
        rebuild::rebuild(batch, plain, kept, &mut self.records, &mut self.batch)
            .map_err(|_| Unreadable)?;
        Ok(Fate::Becomes(&self.batch))
    }
}

/// What has to be known of a record.
#[derive(Clone, Copy, Debug)]
struct Outline {
    key: Option<KeyHash>,
    offset: Offset,
    has_value: bool,
}

/// Outlines a batch's records. All of them before the map is asked about the first: the map is
/// larger than the caches, and so the processor waits for several entries at a time.
fn outline(
    batch: &Batch<'_>,
    plain: &[u8],
    offsets: &OffsetMap,
    outlines: &mut Vec<Outline>,
) -> Result<(), Unreadable> {
    outlines.clear();
    let mut records = Records::new(plain, batch.record_count());
    for record in &mut records {
        let record = record.map_err(|_| Unreadable)?;
        outlines.push(Outline {
            key: record.key.map(|key| offsets.hash(key)),
            offset: batch.base_offset().plus(i64::from(record.offset_delta)),
            has_value: record.value.is_some(),
        });
    }
    if records.has_rest() { Err(Unreadable) } else { Ok(()) }
}

impl Outline {
    fn stays(&self, offsets: &OffsetMap, keeps_tombstones: bool) -> bool {
        if self.offset >= offsets.end() {
            return true;
        }
        // A log may have been made a compacted one after records without keys were written to it.
        let Some(key) = self.key else { return false };
        (self.has_value || keeps_tombstones)
            && offsets.get(key).is_none_or(|last| self.offset >= last)
    }
}

fn is_last_trace(batch: &Batch<'_>, rules: &Rules<'_>) -> bool {
    match rules.last_traces.get(&batch.producer_id()) {
        Some(LastTrace::Data { last_offset }) => batch.last_offset() == *last_offset,
        Some(LastTrace::Marker { epoch }) => {
            batch.attributes().is_control() && batch.producer_epoch() == *epoch
        }
        None => false,
    }
}

fn delete_horizon(batch: &Batch<'_>) -> Option<Timestamp> {
    batch.attributes().has_delete_horizon().then(|| batch.base_timestamp())
}

fn new_horizon(rules: &Rules<'_>) -> Timestamp {
    Timestamp(rules.now.0.saturating_add(rules.delete_retention_ms.max(0)))
}
