//! What waits for one partition: its batches in order, its sequences, and what is under way.
//!
//! The order of a partition is kept like this. Batches leave from the front. One that comes back is
//! put where it was, and nothing leaves before everything under way has come back too; then all of
//! it leaves again in order, with the sequences it had, so that the broker knows what it has
//! already. The first batch under an identity goes alone: a broker that never heard of a producer
//! takes any sequence from it, so the second batch would get in where the first was turned away.
//!
//! When a batch that has a sequence is given up for good, the sequences behind it may have a gap
//! for ever: the lane goes on under a new producer id, where sequences begin at 0. A batch that may
//! have been written already must not go that way, or it is written twice. So the lane first
//! resolves what is uncertain: nothing new leaves, and what was sent before leaves again in order,
//! with the sequences it had, until the broker has answered for each. It has the batch, takes it,
//! or misses the sequence before it, which proves that the batch is not in the log.
//!
//! A batch that is larger than the topic allows is cut in two, until it is one record. Its halves
//! stand in its place and share its sequences, so those behind it keep theirs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::record::builder::NewHeader;
use milena_protocol::record::compression::CompressionError;
use milena_protocol::record::{BatchBuilder, BatchOptions};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::delivery::{Delivered, Delivery, Outcome};
use super::options::ProducerOptions;
use super::record::NewRecord;
use crate::backoff::Backoff;
use crate::error::{ClientError, Refused};
use crate::metadata::Topic;

/// A partition.
pub type Key = (Arc<str>, PartitionIndex);

/// Under which name sequences are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
}

/// All partitions that were written to.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: HashMap<Key, Lane>,
    /// Those with something to send, each once, the one that waited longest first.
    active: VecDeque<Key>,
    flushing: usize,
    closed: bool,
}

/// One partition.
#[derive(Debug, Default)]
pub struct Lane {
    queue: VecDeque<Batch>,
    is_active: bool,
    /// What waits for each batch that is queued or under way, by order.
    unsettled: BTreeMap<u64, Arc<Outcome>>,
    under_way: usize,
    /// Records so far: a batch's order is the number of its first record.
    next_order: u64,
    identity: Option<Identity>,
    /// The last identity that was given up here: its sequences have a gap.
    retired: Option<Identity>,
    next_sequence: i32,
    /// The broker has acknowledged a batch under the identity.
    is_known: bool,
    /// A batch came back: nothing leaves before the others have come back as well.
    is_recovering: bool,
    /// A sequence is lost: a new identity is needed once nothing is under way.
    needs_renewal: bool,
    retry_at: Option<Instant>,
    backoff: Backoff,
    /// Why nothing could leave when it was last tried.
    trouble: Option<ClientError>,
    /// Why the first batch was given up since the last transaction.
    lost: Option<ClientError>,
}

/// Records that are written together.
#[derive(Debug)]
pub struct Batch {
    order: u64,
    builder: BatchBuilder,
    sequenced: Option<(Identity, Sequence)>,
    /// It may have been written: an attempt ended without a word of the broker that denies it.
    is_uncertain: bool,
    encoded: Option<Bytes>,
    is_full: bool,
    attempts: u32,
    began: Instant,
    last: Option<ClientError>,
    outcome: Arc<Outcome>,
    memory: Option<OwnedSemaphorePermit>,
}

/// The lanes, which a panic elsewhere cannot leave half changed.
pub fn lock(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lanes {
    /// Puts a record behind the others of its partition. Says too whether the sender should look.
    ///
    /// # Errors
    /// When the producer was closed.
    pub fn append(
        &mut self,
        topic: &Topic,
        partition: PartitionIndex,
        record: &NewRecord,
        memory: OwnedSemaphorePermit,
        options: &ProducerOptions,
    ) -> Result<(Delivery, bool), ClientError> {
        if self.closed {
            return Err(ClientError::Closed);
        }
        let key = (Arc::clone(&topic.name), partition);
        let lane = self.lanes.entry(key.clone()).or_default();
        if !lane.is_active {
            lane.is_active = true;
            self.active.push_back(key);
        }
        Ok(lane.append(record, memory, options))
    }

    /// From here on batches do not linger. What is waited for is returned.
    pub fn begin_flush(&mut self) -> Vec<Arc<Outcome>> {
        self.flushing += 1;
        self.lanes.values().flat_map(|lane| lane.unsettled.values().cloned()).collect()
    }

    /// A flush is over, or nobody waits for it any more.
    pub fn end_flush(&mut self) {
        self.flushing = self.flushing.saturating_sub(1);
    }

    /// Whether somebody waits for what is here to be sent.
    pub fn is_flushing(&self) -> bool {
        self.flushing > 0
    }

    /// Something stands in the way of some lanes. Where waiting does not help, what they hold is
    /// given up.
    pub fn hinder(&mut self, error: &ClientError, is_meant: impl Fn(&Key, &Lane) -> bool) {
        for (key, lane) in &mut self.lanes {
            if is_meant(key, lane) {
                lane.hinder(error);
            }
        }
    }

    /// What was lost first since the last transaction, if something was.
    pub fn loss(&self) -> Option<ClientError> {
        self.lanes.values().find_map(|lane| lane.lost.clone())
    }

    /// Gives up all that is queued; what is under way comes back by itself.
    pub fn give_up_queued(&mut self, error: &ClientError) {
        for lane in self.lanes.values_mut() {
            lane.give_up_queued(error);
        }
    }

    /// A transaction is over: nothing is queued or under way, and nothing of it counts any more.
    /// With a new identity sequences begin at 0.
    pub fn begin_anew(&mut self, is_renamed: bool) {
        for lane in self.lanes.values_mut() {
            lane.lost = None;
            if is_renamed {
                (lane.identity, lane.retired) = (None, None);
                lane.needs_renewal = false;
            }
        }
    }

    /// Forgets everything: what waits fails.
    pub fn abandon(&mut self) {
        self.closed = true;
        self.lanes.clear();
        self.active.clear();
    }

    /// The lane of a partition that something is under way for.
    pub fn lane(&mut self, key: &Key) -> Option<&mut Lane> {
        self.lanes.get_mut(key)
    }

    /// Puts a lane among those with something to send.
    pub fn activate(&mut self, key: Key) {
        if let Some(lane) = self.lanes.get_mut(&key)
            && !std::mem::replace(&mut lane.is_active, true)
        {
            self.active.push_back(key);
        }
    }

    /// The topics that were written to.
    pub fn topics(&self) -> impl Iterator<Item = Arc<str>> {
        self.lanes.keys().map(|key| Arc::clone(&key.0))
    }

    /// Shows every lane with something to send once, the one that waited longest first, and returns
    /// when to come again. `visit` may take one batch from each.
    pub fn visit(
        &mut self,
        now: Instant,
        options: &ProducerOptions,
        mut visit: impl FnMut(&Key, &mut Lane),
    ) -> Option<Instant> {
        let linger = !self.is_flushing();
        let mut again: Option<Instant> = None;
        for _ in 0..self.active.len() {
            let Some(key) = self.active.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.expire(now, options);
            if lane.is_ready(now, linger, options) {
                visit(&key, lane);
            }
            lane.is_active = !lane.queue.is_empty();
            if lane.is_active {
                let next = lane.next_look(now, options);
                again = Some(again.map_or(next, |again| again.min(next)));
                self.active.push_back(key);
            }
        }
        again
    }
}

impl Lane {
    fn append(
        &mut self,
        record: &NewRecord,
        memory: OwnedSemaphorePermit,
        options: &ProducerOptions,
    ) -> (Delivery, bool) {
        let cost = record.cost();
        let fits = self.queue.back().is_some_and(|batch| {
            !batch.is_full && batch.builder.uncompressed_bytes() + cost <= options.batch_bytes
        });
        if !fits {
            self.begin_batch(options);
        }
        let Some(batch) = self.queue.back_mut() else { unreachable!("a batch was just begun") };
        let index = batch.append(record, memory);
        self.next_order += 1;
        batch.is_full = batch.builder.uncompressed_bytes() >= options.batch_bytes;
        let wake = !fits || batch.is_full;
        (Delivery { outcome: Arc::clone(&batch.outcome), index }, wake)
    }

    fn begin_batch(&mut self, options: &ProducerOptions) {
        if let Some(last) = self.queue.back_mut() {
            last.is_full = true;
        }
        let order = self.next_order;
        let outcome = Arc::new(Outcome::default());
        self.unsettled.insert(order, Arc::clone(&outcome));
        self.queue.push_back(Batch {
            order,
            builder: BatchBuilder::new(BatchOptions {
                compression: options.compression,
                compression_level: options.compression_level,
                is_transactional: options.transactional_id.is_some(),
                ..BatchOptions::default()
            }),
            sequenced: None,
            is_uncertain: false,
            encoded: None,
            is_full: false,
            attempts: 0,
            began: Instant::now(),
            last: None,
            outcome,
            memory: None,
        });
    }

    /// Gives up what waited too long.
    fn expire(&mut self, now: Instant, options: &ProducerOptions) {
        let limit = options.delivery_timeout;
        while self.queue.front().is_some_and(|batch| now >= batch.began + limit) {
            let Some(batch) = self.queue.pop_front() else { break };
            let last = self.trouble.as_ref().or(batch.last.as_ref()).map(ToString::to_string);
            let what = "a record was not acknowledged".to_owned();
            self.give_up(batch, ClientError::GaveUp { what, after: limit, last });
        }
        self.renew();
    }

    /// Remembers why nothing leaves; an error that waiting does not heal ends all that is queued.
    pub fn hinder(&mut self, error: &ClientError) {
        if error.is_retriable() {
            self.trouble = Some(error.clone());
            return;
        }
        self.give_up_queued(error);
    }

    fn give_up_queued(&mut self, error: &ClientError) {
        while let Some(batch) = self.queue.pop_front() {
            self.give_up(batch, error.clone());
        }
        self.renew();
    }

    /// Whether it is known why nothing leaves.
    pub fn is_hindered(&self) -> bool {
        self.trouble.is_some()
    }

    fn is_ready(&self, now: Instant, linger: bool, options: &ProducerOptions) -> bool {
        let Some(front) = self.queue.front() else {
            return false;
        };
        // Before a renewal leaves only what has to be resolved.
        let must_wait = (self.needs_renewal && front.sequenced.is_none())
            || (self.is_recovering && self.under_way > 0)
            || self.under_way >= self.width(options)
            || self.retry_at.is_some_and(|at| now < at);
        let is_due = front.attempts > 0
            || front.is_full
            || self.queue.len() > 1
            || !linger
            || now >= front.began + options.linger;
        !must_wait && is_due
    }

    /// Batches that may be under way at once.
    fn width(&self, options: &ProducerOptions) -> usize {
        let is_first = self.identity.is_some() && !self.is_known;
        if is_first { 1 } else { options.lane_width() }
    }

    /// When time alone changes something.
    fn next_look(&self, now: Instant, options: &ProducerOptions) -> Instant {
        let Some(front) = self.queue.front() else {
            return now + options.delivery_timeout;
        };
        let expires = front.began + options.delivery_timeout;
        let lingered = front.began + options.linger;
        let times = [Some(lingered), self.retry_at].into_iter().flatten();
        times.filter(|at| *at > now).fold(expires, Instant::min)
    }

    /// The identity that the next batch is sent under: the lane's own, else the one offered, unless
    /// it is the one that was given up here.
    pub fn identity(&self, offered: Option<Identity>) -> Option<Identity> {
        self.identity.or(offered.filter(|offered| self.retired != Some(*offered)))
    }

    /// How large the next batch is at most, in bytes.
    pub fn next_bytes(&self) -> usize {
        self.queue.front().map_or(0, |batch| batch.builder.uncompressed_bytes())
    }

    /// Takes the next batch to send it; `identity` gives it its sequence if it has none.
    pub fn take(&mut self, identity: Option<Identity>) -> Option<Batch> {
        let mut batch = self.queue.pop_front()?;
        batch.is_full = true;
        batch.attempts += 1;
        if let (Some(identity), None) = (identity, batch.sequenced) {
            if self.identity != Some(identity) {
                self.identity = Some(identity);
                self.is_known = false;
                self.next_sequence = 0;
            }
            let sequence = Sequence(self.next_sequence);
            self.next_sequence = sequence.plus(batch.builder.record_count()).0;
            batch.sequenced = Some((identity, sequence));
        }
        self.under_way += 1;
        self.trouble = None;
        self.is_recovering = false;
        self.retry_at = None;
        Some(batch)
    }

    /// A batch was acknowledged.
    pub fn acknowledged(&mut self, batch: Batch, delivered: Delivered) {
        self.came_back();
        self.backoff.reset();
        self.is_known |=
            batch.sequenced.is_some_and(|(identity, _)| self.identity == Some(identity));
        self.unsettled.remove(&batch.order);
        batch.outcome.settle(Ok(delivered));
        self.renew();
    }

    /// A batch was not acknowledged: it waits for another attempt, or is given up. Says whether it
    /// will be tried again.
    pub fn failed(&mut self, mut batch: Batch, error: ClientError, now: Instant) -> bool {
        self.came_back();
        batch.is_uncertain = leaves_uncertain(&error, batch.is_uncertain);
        // A broker that misses a sequence does so because an earlier batch has not arrived.
        let is_behind = error.code() == Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
            && (self.needs_renewal || self.unsettled.keys().any(|order| *order < batch.order));
        let is_too_large = error.code() == Some(ErrorCode::MESSAGE_TOO_LARGE);
        if is_too_large && self.halve(&mut batch, &error) {
            return true;
        }
        let again = error.is_retriable() || is_behind;
        if again {
            self.is_recovering = true;
            if !is_behind {
                self.retry_at = Some(now + self.backoff.next_after(&error));
            }
            batch.last = Some(error);
            self.put_back(batch);
        } else {
            self.give_up(batch, error);
        }
        self.renew();
        again
    }

    /// Puts a batch where it was.
    fn put_back(&mut self, batch: Batch) {
        let place = self.queue.partition_point(|queued| queued.order < batch.order);
        self.queue.insert(place, batch);
    }

    /// Puts two halves in the place of a batch that is too large; not where it is one record.
    fn halve(&mut self, batch: &mut Batch, error: &ClientError) -> bool {
        let Some([first, second]) = batch.builder.halves() else {
            return false;
        };
        let at = first.record_count();
        let share = batch.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) / 2;
        let memory = [batch.memory.as_mut().and_then(|all| all.split(share)), batch.memory.take()];
        self.unsettled.remove(&batch.order);
        let parts = [(0, first), (at, second)].into_iter().zip(batch.outcome.halve(at)).zip(memory);
        for (((skipped, builder), outcome), memory) in parts {
            let order = batch.order + u64::from(skipped.unsigned_abs());
            self.unsettled.insert(order, Arc::clone(&outcome));
            self.put_back(Batch {
                order,
                builder,
                sequenced: batch.sequenced.map(|(identity, first)| (identity, first.plus(skipped))),
                is_uncertain: batch.is_uncertain,
                encoded: None,
                is_full: true,
                attempts: batch.attempts,
                began: batch.began,
                last: Some(error.clone()),
                outcome,
                memory,
            });
        }
        // What is under way behind it misses its sequences.
        self.is_recovering = true;
        true
    }

    /// Whether its partition should be looked at again by the sender.
    pub fn has_more(&self) -> bool {
        !self.queue.is_empty()
    }

    fn came_back(&mut self) {
        debug_assert!(self.under_way > 0, "nothing comes back that was not sent");
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn give_up(&mut self, batch: Batch, error: ClientError) {
        self.needs_renewal |= batch.sequenced.is_some();
        // What is under way behind it comes back before anything leaves.
        self.is_recovering |= self.needs_renewal;
        self.unsettled.remove(&batch.order);
        self.lost.get_or_insert_with(|| error.clone());
        batch.outcome.settle(Err(error));
    }

    /// Begins a new count of sequences where one was lost, nothing is under way, and nothing that
    /// waits may have been written under the old count.
    fn renew(&mut self) {
        let is_open = |batch: &Batch| batch.sequenced.is_some() && batch.is_uncertain;
        if !self.needs_renewal || self.under_way > 0 || self.queue.iter().any(is_open) {
            return;
        }
        self.needs_renewal = false;
        self.retired = self.identity.take().or(self.retired);
        for batch in &mut self.queue {
            batch.sequenced = None;
            batch.encoded = None;
        }
    }
}

impl Batch {
    fn append(&mut self, record: &NewRecord, memory: OwnedSemaphorePermit) -> i32 {
        let index = self.builder.record_count();
        let headers: Vec<NewHeader<'_>> =
            record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let timestamp = record.timestamp.unwrap_or_else(now);
        self.builder.append(timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
        match &mut self.memory {
            Some(held) => held.merge(memory),
            held => *held = Some(memory),
        }
        index
    }

    /// Its bytes, the same at every attempt under one identity.
    pub fn encode(&mut self) -> Result<Bytes, CompressionError> {
        if let Some(encoded) = &self.encoded {
            return Ok(encoded.clone());
        }
        let none = Identity { producer_id: ProducerId::NONE, producer_epoch: ProducerEpoch::NONE };
        let (identity, sequence) = self.sequenced.unwrap_or((none, Sequence::NONE));
        self.builder.set_producer(identity.producer_id, identity.producer_epoch, sequence);
        let encoded = self.builder.build()?;
        self.encoded = Some(encoded.clone());
        Ok(encoded)
    }

    /// What a broker's code means for the batch: no error where it has the records.
    pub fn judge(&self, code: ErrorCode, message: Option<&str>) -> Result<(), Refused> {
        // The batch is older than those the broker remembers, so it was written.
        if code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER && self.sequenced.is_some() {
            return Ok(());
        }
        Refused::check(code, message)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // The first word counts: this is heard only where nothing was said.
        self.outcome.settle(Err(ClientError::Closed));
    }
}

/// Whether a batch may have been written after an attempt ended like this.
fn leaves_uncertain(error: &ClientError, before: bool) -> bool {
    match error.code() {
        // Told only of a batch that is not in the log, whatever became of earlier attempts.
        Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) => false,
        // Refused before anything is written, which says nothing of earlier attempts.
        Some(
            ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::MESSAGE_TOO_LARGE,
        ) => before,
        // A lost connection, a timeout, replicas that did not follow: nobody knows.
        _ => true,
    }
}

fn now() -> Timestamp {
    #[cfg(feature = "simulation")]
    if let Some(since) = turmoil::since_epoch() {
        return Timestamp(since.as_millis() as i64);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_millis() as i64))
}

#[cfg(test)]
mod tests;
