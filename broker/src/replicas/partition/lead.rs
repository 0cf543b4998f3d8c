//! A partition as its leader has it: appends, what acknowledges them, and the followers' fetches.

use milena_cluster::replica::read_replica::ReadReplica;
use milena_cluster::replica::{Decided, Fetch, ProposalId};
use milena_cluster::time::Instant;

use super::super::progress::Waiting;
use super::*;

/// A partition as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeadView {
    /// How many replicas have to be in sync for acks=all.
    pub min_in_sync: usize,
    /// How many offsets each follower is behind.
    pub lags: Vec<(NodeId, i64)>,
}

impl Partition {
    /// Appends one batch of a client.
    ///
    /// # Errors
    /// When the role or the log refuses it; nothing is stored then.
    pub fn append_as_leader(
        &self,
        batch: &[u8],
        acks: i16,
        now: Timestamp,
    ) -> Result<Placed, ProduceError> {
        self.append(batch, acks, now, Origin::Client, Bound::Free)
    }

    /// Appends one batch of the records of a coordinator of this broker, which has read what was
    /// written before this leader epoch, and knows all that was since.
    ///
    /// # Errors
    /// When the role or the log refuses it; nothing is stored then.
    pub fn append_as_coordinator(
        &self,
        batch: &[u8],
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Placed, ProduceError> {
        self.append(batch, ALL_REPLICAS, now, Origin::Coordinator, Bound::Within(epoch))
    }

    /// Whether the transaction coordinator has to be asked before a producer writes here in its
    /// transaction: not where it has one open. The guard is to be given with the append.
    #[must_use]
    pub fn begin_verification(&self, producer: Producer) -> Option<Guard> {
        let mut state = self.state.lock();
        if state.log.has_open_transaction(producer.id, producer.epoch) {
            return None;
        }
        Some(state.verifications.begin(producer))
    }

    /// Whether what was asked for under a guard still counts.
    #[must_use]
    pub fn is_verified(&self, producer: Producer, guard: Guard) -> bool {
        self.state.lock().verifications.holds(producer, Some(guard))
    }

    /// Appends one batch of a client in its transaction, which is open here, or of which the
    /// coordinator said so under a guard.
    ///
    /// # Errors
    /// INVALID_TXN_STATE when the transaction ended after the coordinator was asked,
    /// OUT_OF_ORDER_SEQUENCE_NUMBER when an unknown producer has to begin at 0, else as
    /// [`Partition::append_as_leader`].
    pub fn append_in_transaction(
        &self,
        batch: &[u8],
        acks: i16,
        now: Timestamp,
        (producer, start): (Producer, Start),
        guard: Option<Guard>,
    ) -> Result<Placed, ProduceError> {
        self.append(batch, acks, now, Origin::Client, Bound::Inside(producer, start, guard))
    }

    /// Appends the marker that ends a producer's transaction here, open or not.
    ///
    /// # Errors
    /// As [`Partition::append_as_coordinator`].
    pub fn append_marker(&self, marker: Marker, now: Timestamp) -> Result<Placed, ProduceError> {
        let Marker { producer, coordinator_epoch, .. } = marker;
        let control = if marker.is_commit { ControlType::Commit } else { ControlType::Abort };
        let batch =
            end_transaction_marker(control, producer.id, producer.epoch, coordinator_epoch.0, now)
                .map_err(|_| ProduceError::Refused(ErrorCode::UNKNOWN_SERVER_ERROR))?;
        let origin = if marker.is_raised { Origin::RaisedMarker } else { Origin::Coordinator };
        self.append(&batch, ALL_REPLICAS, now, origin, Bound::Ends(producer))
    }

    fn append(
        &self,
        batch: &[u8],
        acks: i16,
        now: Timestamp,
        origin: Origin,
        bound: Bound,
    ) -> Result<Placed, ProduceError> {
        // Without the lock: looking at a batch takes longer than copying it.
        let admitted = self.reader.admit(batch, origin, now);
        let mut state = self.state.lock();
        let State { log, role, verifications, .. } = &mut *state;
        let Role::Leading(Leading { machine, .. }) = role else {
            return Err(ProduceError::Refused(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        };
        if let Bound::Within(epoch) = bound
            && epoch != machine.leader_epoch()
        {
            // Somebody else may have led and written in between.
            return Err(ProduceError::Refused(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        }
        machine.admit(acks).map_err(ProduceError::Refused)?;
        let admitted = admitted.map_err(ProduceError::Append)?;
        if let Bound::Inside(producer, start, guard) = bound
            && !log.has_open_transaction(producer.id, producer.epoch)
        {
            if !verifications.holds(producer, guard) {
                return Err(ProduceError::Refused(ErrorCode::INVALID_TXN_STATE));
            }
            let found = admitted.base_sequence();
            if start == Start::AtZero && found > Sequence(0) && !log.knows_producer(producer.id) {
                let (producer_id, last) = (producer.id, Sequence::NONE);
                let gap = AppendError::OutOfOrderSequence { producer_id, last, found };
                return Err(ProduceError::Append(gap));
            }
        }
        let context = AppendContext { leader_epoch: machine.leader_epoch(), now, origin };
        let appended = log.append_admitted(admitted, context).map_err(ProduceError::Append)?;
        match bound {
            Bound::Free | Bound::Within(_) => {}
            Bound::Inside(producer, ..) => verifications.opened(producer),
            Bound::Ends(producer) => verifications.marked(producer, origin == Origin::RaisedMarker),
        }
        self.look_for_undecided(&mut state);
        let end = appended.last_offset.plus(1);
        let must_flush = self.is_durable();
        let has_moved = !appended.duplicate && !must_flush && {
            let (steady, end) = (self.shared.clock().now(), state.log.log_end_offset());
            self.step(&mut state, steady, Input::Appended(end))
        };
        drop(state);
        if has_moved {
            Progress::wake_all([&self.ends, &self.progress]);
        } else {
            self.ends.wake();
        }
        let records = (appended.last_offset.0 - appended.base_offset.0 + 1).unsigned_abs();
        Ok(Placed { appended, records, acknowledgement: Acknowledgement { end, must_flush } })
    }

    /// Returns once what was appended counts: at once where it does already, and without a sync
    /// then, else once it is on stable storage where it has to be, and the high watermark has
    /// passed it.
    ///
    /// # Errors
    /// When the disk failed; NOT_LEADER_OR_FOLLOWER when this broker does not lead any more, and
    /// NOT_ENOUGH_REPLICAS_AFTER_APPEND when too few replicas are in sync by now (fact P3).
    pub async fn acknowledged(
        self: &Arc<Self>,
        acknowledgement: Acknowledgement,
    ) -> Result<(), NotAcknowledged> {
        if acknowledgement.counts(self.reader.offsets()) {
            return Ok(());
        }
        let Acknowledgement { end, must_flush } = acknowledgement;
        if must_flush || self.is_durable() {
            let partition = Arc::clone(self);
            self.durable.reach(&self.flush, end, move || partition.synced()).await?;
            // Someone else may have synced it: the flusher that looks at all logs does not tell.
            if self.reader.offsets().high_watermark < end {
                self.synced();
            }
        }
        let verdict = {
            let mut state = self.state.lock();
            let State { role, waits, .. } = &mut *state;
            let Role::Leading(Leading { machine, .. }) = role else {
                return Err(NotAcknowledged::Refused(ErrorCode::NOT_LEADER_OR_FOLLOWER));
            };
            match machine.acknowledgement(end) {
                Some(verdict) => return verdict.map_err(NotAcknowledged::Refused),
                None => waits.join(end),
            }
        };
        let verdict = verdict.await.unwrap_or(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        verdict.map_err(NotAcknowledged::Refused)
    }

    /// Has everything below `end` synced, so that it counts even if nobody waits for it.
    pub fn begin_sync(self: &Arc<Self>, end: Offset) {
        let partition = Arc::clone(self);
        let begun = self.durable.begin(&self.flush, end, move || {
            partition.synced();
        });
        // Whoever waits begins one anew if it fails, and tells of the failure.
        drop(begun);
    }

    /// What is on stable storage now counts.
    fn synced(&self) {
        let flushed = self.flush.flushed_offset();
        let mut state = self.state.lock();
        let counted = flushed.min(state.log.log_end_offset());
        let now = self.shared.clock().now();
        let has_moved = self.step(&mut state, now, Input::Appended(counted));
        drop(state);
        if has_moved {
            self.progress.wake();
        }
    }

    /// Counts a follower's fetch, whose log up to there is this one.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH where the fetch is of
    /// another leader, another epoch, or an incarnation of its broker that is gone.
    pub fn fetched_by(&self, fetch: Fetch) -> Result<(), ErrorCode> {
        let now = self.shared.clock().now();
        let mut state = self.state.lock();
        let Role::Leading(Leading { machine, .. }) = &state.role else {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        };
        machine.admit_fetch(&fetch)?;
        let starts_later = machine.followers().any(|(id, known)| {
            id == fetch.follower && known.log_start_offset < fetch.log_start_offset
        });
        let has_moved = self.step(&mut state, now, Input::Fetched(fetch));
        drop(state);
        if has_moved || starts_later {
            self.progress.wake();
        }
        Ok(())
    }

    /// The lowest offset that the log of any replica which is there begins with.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER where this broker does not lead.
    pub fn low_watermark(&self) -> Result<Offset, ErrorCode> {
        let state = self.state.lock();
        let Role::Leading(Leading { machine, .. }) = &state.role else {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        };
        let peers = &machine.standing().peers;
        let is_there = |id: &NodeId| peers.get(id).is_some_and(|peer| peer.is_active);
        let live = machine.followers().filter(|(id, _)| is_there(id));
        let starts = live.map(|(_, progress)| progress.log_start_offset);
        Ok(starts.fold(state.log.log_start_offset(), Offset::min))
    }

    /// Returns once no replica that is there has anything below an offset, and where its log
    /// begins that begins first (fact G7).
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER where this broker does not lead any more.
    pub async fn deleted_everywhere(&self, offset: Offset) -> Result<Offset, ErrorCode> {
        let low = self.low_watermark()?;
        if low >= offset {
            return Ok(low);
        }
        let waiting = Waiting::on(std::iter::once(&self.progress));
        loop {
            let low = self.low_watermark()?;
            if low >= offset {
                return Ok(low);
            }
            waiting.moved().await;
        }
    }

    /// Where a consumer in a rack had better read this offset, if not here (KIP-392).
    #[must_use]
    pub fn preferred_replica(
        &self,
        fetch_offset: Offset,
        choose: impl FnOnce(&[ReadReplica]) -> Option<NodeId>,
    ) -> Option<NodeId> {
        let state = self.state.lock();
        let Role::Leading(Leading { machine, .. }) = &state.role else { return None };
        let replicas = machine.read_replicas(fetch_offset);
        drop(state);
        choose(&replicas)
    }

    /// The controller answered a proposal, or no answer is to be expected.
    pub fn answered(&self, proposal: ProposalId, answer: Result<Decided, ErrorCode>) {
        self.take_time(Input::Answered { proposal, answer });
    }

    /// Time goes by; answers when it matters next.
    pub fn tick(&self) -> Option<Instant> {
        self.take_time(Input::Tick)
    }

    fn take_time(&self, input: Input) -> Option<Instant> {
        let now = self.shared.clock().now();
        let mut state = self.state.lock();
        let has_moved = self.step(&mut state, now, input);
        let deadline = match &state.role {
            Role::Leading(leading) => leading.machine.deadline(),
            _ => None,
        };
        drop(state);
        if has_moved {
            self.progress.wake();
        }
        deadline
    }

    /// The partition as its leader sees it; nothing where this broker does not lead it.
    #[must_use]
    pub fn lead_view(&self) -> Option<LeadView> {
        let state = self.state.lock();
        let Role::Leading(Leading { machine, .. }) = &state.role else { return None };
        let end = state.log.log_end_offset();
        let lag = |offset: Offset| end.0.saturating_sub(offset.0).max(0);
        let lags = machine.followers().map(|(id, progress)| {
            (id, lag(progress.end_offset.unwrap_or(state.log.log_start_offset())))
        });
        Some(LeadView { min_in_sync: machine.min_in_sync(), lags: lags.collect() })
    }

    /// Lets the leader take a step, where this is one, and does what it says. Answers whether the
    /// high watermark has moved.
    pub(super) fn step(&self, state: &mut State, now: Instant, input: Input) -> bool {
        let Role::Leading(leading) = &mut state.role else { return false };
        let mut outputs = std::mem::take(&mut leading.outputs);
        let before = leading.machine.standing().isr.len();
        leading.machine.step(now, input, &mut outputs);
        let after = leading.machine.standing().isr.len();
        if before != after {
            tracing::info!(partition = ?self, before, after, "replicas in sync");
            self.shared.count_isr_change(before, after);
        }
        let has_moved = self.execute(state, &mut outputs);
        if let Role::Leading(leading) = &mut state.role {
            leading.outputs = outputs;
        }
        has_moved
    }

    pub(super) fn execute(&self, state: &mut State, outputs: &mut Vec<Output>) -> bool {
        let mut has_moved = false;
        for output in outputs.drain(..) {
            match output {
                Output::Propose(proposal) => self.shared.propose(Proposed {
                    topic_id: self.topic_id(),
                    index: self.index(),
                    proposal,
                }),
                Output::AdvanceHighWatermark(high_watermark) => {
                    state.log.update_high_watermark(high_watermark);
                    has_moved = true;
                }
            }
        }
        if has_moved {
            self.reached(state);
        }
        has_moved
    }
}
