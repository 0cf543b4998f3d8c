//! A partition as a follower has it: what it asks, and what it does with the answer.

use std::time::Duration;

use milena_cluster::replica::follower::{self, Answer, EpochEnd};
use milena_cluster::time::Instant;
use milena_protocol::api::fetch::FetchPartitionResponse;
use milena_protocol::record::Batch;

use super::super::role::{Ask, NextAsk, position};
use super::*;
use crate::blocking;

/// What is left to do once an answer is taken, without the partition's lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct After {
    /// Everything below has to be on stable storage before the next fetch says that it is here.
    pub sync_to: Option<Offset>,
    /// The log begins here now.
    pub start_at: Option<Offset>,
    /// It cannot go on in this leader epoch.
    pub failed: Option<ErrorCode>,
}

/// Batches that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    base_offset: Offset,
    end_offset: Offset,
    last_epoch: LeaderEpoch,
}

/// Where batches begin and end; a batch that is cut at the end does not count.
fn span(mut records: &[u8]) -> Option<Span> {
    let mut span: Option<Span> = None;
    while let Ok((batch, rest)) = Batch::parse(records) {
        span = Some(Span {
            base_offset: span.map_or(batch.base_offset(), |span| span.base_offset),
            end_offset: batch.next_offset(),
            last_epoch: batch.leader_epoch(),
        });
        records = rest;
    }
    span
}

fn answer(answered: &FetchPartitionResponse, records: &[u8], asked: &Ask) -> Answer {
    if !answered.error_code.is_none() {
        let (code, log_start_offset) = (answered.error_code, answered.log_start_offset);
        return Answer::Error { code, log_start_offset };
    }
    let diverging = &answered.diverging_epoch;
    if diverging.end_offset != Offset::NONE {
        let (epoch, end_offset) = (diverging.epoch, diverging.end_offset);
        return Answer::Diverging(EpochEnd { epoch, end_offset });
    }
    let nothing = Span {
        base_offset: asked.fetch_offset,
        end_offset: asked.fetch_offset,
        last_epoch: LeaderEpoch::NONE,
    };
    let Span { base_offset, end_offset, last_epoch } = span(records).unwrap_or(nothing);
    Answer::Records {
        base_offset,
        end_offset,
        last_epoch,
        high_watermark: answered.high_watermark,
        log_start_offset: answered.log_start_offset,
    }
}

/// Whether taking an answer may take long: a cut rewrites files.
#[must_use]
pub fn is_costly(answered: &FetchPartitionResponse) -> bool {
    !answered.error_code.is_none() || answered.diverging_epoch.end_offset != Offset::NONE
}

impl Partition {
    /// What to ask the leader next.
    #[must_use]
    pub fn next_ask(&self) -> NextAsk {
        let now = self.shared.clock().now();
        let offsets = self.reader.offsets();
        let (next, lag) = match &self.state.lock().role {
            Role::Following(following) => {
                (following.next(now), following.lag(offsets.log_end_offset))
            }
            Role::Leading(_) | Role::Retired => (NextAsk::Never, None),
        };
        match next {
            NextAsk::Now(_) if let Some(at) = self.withheld_until(now, lag) => {
                NextAsk::Withheld { at }
            }
            // The log's start moves without the machine.
            NextAsk::Now(ask) => {
                NextAsk::Now(Ask { log_start_offset: offsets.log_start_offset, ..ask })
            }
            other => other,
        }
    }

    /// The leader cannot be asked: it is tried again after a while, so long at most.
    pub fn rest(&self, longest: Duration) {
        let now = self.shared.clock().now();
        if let Role::Following(following) = &mut self.state.lock().role {
            following.rest(now, longest);
        }
    }

    /// The leader may be there by now.
    pub fn resume(&self) {
        if let Role::Following(following) = &mut self.state.lock().role {
            following.resume();
        }
    }

    /// Takes the leader's answer to a fetch of this epoch into the log. May block where
    /// [`is_costly`] says so.
    pub fn take(
        &self,
        epoch: LeaderEpoch,
        answered: &FetchPartitionResponse,
        now: Timestamp,
        backoff: Duration,
    ) -> After {
        let records = answered.records.as_ref().map(|records| &records.0[..]).unwrap_or_default();
        let mut state = self.state.lock();
        let end_before = state.log.log_end_offset();
        let high_watermark_before = state.log.high_watermark();
        let steady = self.shared.clock().now();
        let State { log, role: Role::Following(following), .. } = &mut *state else {
            return After::default();
        };
        let (Some(asked), Some(_)) = (following.ask, &following.machine) else {
            return After::default();
        };
        let answer = answer(answered, records, &asked);
        if let Answer::Records { high_watermark, .. } = answer {
            following.leader_high_watermark = Some(high_watermark);
        }
        let rest = (steady, backoff);
        let mut work = Work { log, following, records, now, rest, after: After::default() };
        work.step(follower::Input::Fetched { epoch, answer });
        let mut after = work.after;
        if let Some(code) = after.failed {
            following.failed = Some(code);
        }
        self.look_for_undecided(&mut state);
        self.reached(&mut state);
        let end = state.log.log_end_offset();
        let has_moved = state.log.high_watermark() != high_watermark_before;
        drop(state);
        self.taken(records.len());
        if self.is_durable() && self.flush.flushed_offset() < end {
            after.sync_to = Some(end);
        }
        if end != end_before {
            self.ends.wake();
        }
        if has_moved {
            self.progress.wake();
        }
        after
    }

    /// Begins to put on stable storage what the next fetch says is here.
    pub fn begin_to_settle(self: &Arc<Self>, after: After) {
        if let Some(end) = after.sync_to {
            // Whoever waits begins one anew if it fails, and tells of the failure.
            drop(self.durable.begin(&self.flush, end, || {}));
        }
    }

    /// Returns once the next fetch may say what is here.
    pub async fn settled(self: &Arc<Self>, after: After) {
        if let Some(end) = after.sync_to
            && let Err(error) = self.durable.reach(&self.flush, end, || {}).await
        {
            tracing::error!(partition = ?self, %error, "a follower cannot sync");
            self.fail(ErrorCode::KAFKA_STORAGE_ERROR);
        }
        let Some(start) = after.start_at else { return };
        let handle = self.start.clone();
        let advanced = blocking::spawn(move || handle.advance(start)).await;
        if let Ok(Err(error)) = advanced {
            tracing::warn!(partition = ?self, %error, "a follower cannot move its log's start");
        }
        self.progress.wake();
    }

    fn fail(&self, code: ErrorCode) {
        if let Role::Following(following) = &mut self.state.lock().role {
            following.failed = Some(code);
        }
    }

    /// How many acknowledged offsets of its leader it lacks; nothing where it follows none, or has
    /// not heard of it yet.
    #[must_use]
    pub fn fetch_lag(&self) -> Option<i64> {
        let state = self.state.lock();
        let Role::Following(following) = &state.role else { return None };
        following.lag(state.log.log_end_offset())
    }

    /// Why it does not follow its leader, where it cannot.
    #[must_use]
    pub fn failure(&self) -> Option<ErrorCode> {
        match &self.state.lock().role {
            Role::Following(following) => following.failed,
            Role::Leading(_) | Role::Retired => None,
        }
    }
}

/// What a follower's machine wants done with its log.
struct Work<'a> {
    log: &'a mut Log,
    following: &'a mut Following,
    records: &'a [u8],
    now: Timestamp,
    /// The time, and how long to rest at most.
    rest: (Instant, Duration),
    after: After,
}

impl Work<'_> {
    /// Takes a step, and the steps that follow from it.
    fn step(&mut self, input: follower::Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let Some(machine) = &mut self.following.machine else { return };
            let mut outputs = Vec::new();
            machine.step(input, &mut outputs);
            for output in outputs {
                match self.execute(&output) {
                    Ok(input) => next = input.or(next),
                    Err(code) => {
                        self.after.failed = code;
                        return;
                    }
                }
            }
        }
    }

    /// Does what the machine says; what it has to be told comes back. An error ends the step, with
    /// the code of what does not go away by itself.
    fn execute(
        &mut self,
        output: &follower::Output,
    ) -> Result<Option<follower::Input>, Option<ErrorCode>> {
        match output {
            follower::Output::Append => self.append()?,
            follower::Output::FindEpoch(leader) => {
                let own = self.end_of(leader.epoch);
                return Ok(Some(follower::Input::FoundEpoch { leader: *leader, own }));
            }
            follower::Output::Truncate(end) => {
                tracing::info!(topic = self.log.topic(), partition = self.log.partition().0, %end,
                    "cut to where the leader's log agrees");
                let cut = self.log.truncate_to(*end, self.now);
                cut.map_err(|error| self.stopped(&error))?;
                return Ok(Some(follower::Input::Truncated(position(self.log))));
            }
            follower::Output::StartAt(start) => {
                tracing::info!(topic = self.log.topic(), partition = self.log.partition().0,
                    %start, "begun anew where the leader's log starts");
                let begun = self.log.truncate_fully_and_start_at(*start, self.now);
                begun.map_err(|error| self.stopped(&error))?;
                return Ok(Some(follower::Input::Truncated(position(self.log))));
            }
            follower::Output::AdvanceHighWatermark(offset) => {
                self.log.update_high_watermark(*offset);
            }
            follower::Output::AdvanceLogStart(offset) => self.after.start_at = Some(*offset),
            follower::Output::BackOff => self.following.rest(self.rest.0, self.rest.1),
            follower::Output::Fail(code) => {
                self.tell(code);
                return Err(Some(*code));
            }
            follower::Output::Fetch { .. } => self.following.note_ask(output, self.log),
        }
        Ok(None)
    }

    /// The highest epoch of this log not above one, and where it ends.
    fn end_of(&self, epoch: LeaderEpoch) -> EpochEnd {
        let known = self.log.reader().end_offset_for_epoch(epoch);
        let newest = || {
            let newest = self.log.latest_epoch().unwrap_or(LeaderEpoch::NONE);
            (newest, self.log.log_end_offset())
        };
        let (epoch, end_offset) = known.unwrap_or_else(newest);
        EpochEnd { epoch, end_offset }
    }

    fn append(&mut self) -> Result<(), Option<ErrorCode>> {
        let (start, end) = (self.log.log_start_offset(), self.log.log_end_offset());
        let first = Batch::parse(self.records).map_or(end, |(batch, _)| batch.base_offset());
        if start == end && first < end {
            // The leader's log starts within this batch.
            let begun = self.log.truncate_fully_and_start_at(first, self.now);
            begun.map_err(|error| self.stopped(&error))?;
        }
        match self.log.append_as_follower(self.records, self.now) {
            Ok(_) => Ok(()),
            // Bytes that were damaged on the way: what came before them is in the log.
            Err(AppendError::Corrupt { reason }) => {
                tracing::warn!(
                    topic = self.log.topic(),
                    partition = self.log.partition().0,
                    reason,
                    "a leader's answer is damaged; it is asked again"
                );
                self.begin_again();
                Err(None)
            }
            Err(AppendError::Storage(error)) => Err(self.stopped(&error)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Asks anew from where the log ends, after a rest.
    fn begin_again(&mut self) {
        if let Some(machine) = &self.following.machine {
            let troubles = self.following.troubles;
            *self.following = Following::begin(self.log, machine.leadership());
            self.following.troubles = troubles;
        }
        self.following.rest(self.rest.0, self.rest.1);
    }

    /// What the disk refused. Want of room goes away by itself, and nothing was changed.
    fn stopped(&mut self, error: &StorageError) -> Option<ErrorCode> {
        if !matches!(error, StorageError::Full | StorageError::Exhausted { .. }) {
            return self.failed(error);
        }
        tracing::warn!(topic = self.log.topic(), partition = self.log.partition().0, %error,
            "a follower waits until there is room");
        self.begin_again();
        None
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Option<ErrorCode> {
        self.tell(error);
        Some(ErrorCode::KAFKA_STORAGE_ERROR)
    }

    fn tell(&self, why: &dyn std::fmt::Display) {
        tracing::error!(topic = self.log.topic(), partition = self.log.partition().0, %why,
            "a follower cannot go on");
    }
}
