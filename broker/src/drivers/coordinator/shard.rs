//! One coordinator: its machine, its partition, and those who wait for it.
//!
//! The lock is held while the machine decides and its records are copied into the log. The
//! partition's own lock is taken inside of it, never the other way round.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::coordinator::{
    Append, Machine, OnFailure, Output, Outputs, Producer, Replayed, Ticket,
};
use milena_cluster::time::{Instant, Now};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Sequence};
use milena_protocol::record::{BatchBuilder, BatchOptions};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::clock::WallClock;
use crate::handlers::error::{coordinator_code, produce_code};
use crate::metadata::Published;
use crate::replicas::partition::{Acknowledgement, NotAcknowledged, Partition, Placed};

/// Gets done what a kind of coordinator wants done besides appends and answers. It must not wait.
pub type Effects<M> = Arc<dyn Fn(&Arc<Shard<M>>, <M as Machine>::Effect) + Send + Sync>;

type Reply<A> = oneshot::Sender<Result<A, ErrorCode>>;

/// One coordinator.
pub struct Shard<M: Machine> {
    partition: Arc<Partition>,
    /// The leader epoch that it was read in.
    epoch: LeaderEpoch,
    state: Mutex<State<M>>,
    /// Something is due earlier than it was, or the coordinator is over.
    changed: Notify,
    /// The coordinator is over: what waits for a commit is of no use any more.
    fallen: Notify,
    surroundings: Surroundings<M>,
    clock: WallClock,
}

/// What all coordinators of a kind have in common.
pub(super) struct Surroundings<M: Machine> {
    /// The metadata image.
    pub metadata: Arc<Published>,
    /// Gets effects done.
    pub effects: Effects<M>,
    /// How long an answer may wait for its records to be committed.
    pub commit_timeout: Duration,
    /// The machines' instant 0.
    pub started_at: tokio::time::Instant,
}

struct State<M: Machine> {
    machine: M,
    waiting: BTreeMap<Ticket, Reply<M::Answer>>,
    next_ticket: u64,
    /// What acknowledges what it appended: answers tell of nothing that is not committed.
    appended: Acknowledgement,
    /// When the timer looks next.
    looks_at: Option<Instant>,
    /// It is dropped, and must not be asked any more.
    is_over: bool,
}

/// What is let go once everything before it is committed.
enum Release<M: Machine> {
    Answer(Reply<M::Answer>, Result<M::Answer, ErrorCode>),
    Effect(M::Effect),
}

impl<M: Machine> Shard<M> {
    /// A coordinator whose partition has been replayed into its machine in this leader epoch.
    pub(super) fn begin(
        partition: Arc<Partition>,
        epoch: LeaderEpoch,
        machine: M,
        surroundings: Surroundings<M>,
    ) -> Arc<Self> {
        let end = partition.reader().offsets().log_end_offset;
        let shard = Arc::new(Self {
            partition,
            epoch,
            state: Mutex::new(State {
                machine,
                waiting: BTreeMap::new(),
                next_ticket: 0,
                appended: Acknowledgement { end, must_flush: false },
                looks_at: None,
                is_over: false,
            }),
            changed: Notify::new(),
            fallen: Notify::new(),
            surroundings,
            clock: WallClock,
        });
        shard.run(|machine, now, outputs| machine.loaded(now, outputs));
        tokio::spawn(keep_time(Arc::clone(&shard)));
        shard
    }

    /// The partition that it coordinates from.
    #[must_use]
    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Whether this broker still leads its partition in the epoch that it was read in. What another
    /// leader wrote since is unknown here.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.partition.is_leading() && self.partition.leader_epoch() == self.epoch
    }

    /// Whether it must not be asked any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// Asks, and returns the answer once it may be told.
    ///
    /// # Errors
    /// NOT_COORDINATOR when the coordinator is over, else why its records could not be kept.
    pub async fn ask(self: &Arc<Self>, request: M::Request) -> Result<M::Answer, ErrorCode> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.is_over {
                return Err(ErrorCode::NOT_COORDINATOR);
            }
            let ticket = Ticket(state.next_ticket);
            state.next_ticket += 1;
            state.waiting.insert(ticket, sender);
            let mut outputs = Vec::new();
            state.machine.see(&self.surroundings.metadata.image_owned());
            state.machine.handle(self.now(), ticket, request, &mut outputs);
            self.execute(&mut state, outputs);
        }
        receiver.await.unwrap_or(Err(ErrorCode::NOT_COORDINATOR))
    }

    /// Decides a producer's transaction in this partition: the marker is appended with `append`,
    /// and the machine learns of it before anything else happens.
    ///
    /// # Errors
    /// NOT_COORDINATOR when the coordinator is over, else what `append` says.
    pub fn decide<E: From<ErrorCode>>(
        self: &Arc<Self>,
        producer: Producer,
        is_commit: bool,
        append: impl FnOnce(&Partition) -> Result<Placed, E>,
    ) -> Result<Placed, E> {
        let mut state = self.state.lock();
        if state.is_over || !self.is_current() {
            return Err(ErrorCode::NOT_COORDINATOR.into());
        }
        let placed = append(&self.partition)?;
        state.appended = placed.acknowledgement;
        state.machine.replay_marker(producer, is_commit);
        Ok(placed)
    }

    /// Ends it: whoever waits is told to ask again.
    pub fn end(&self) {
        self.fall(&mut self.state.lock());
    }

    fn fall(&self, state: &mut State<M>) {
        state.is_over = true;
        // Dropping what they wait on tells them.
        state.waiting.clear();
        self.changed.notify_one();
        self.fallen.notify_waiters();
    }

    /// Returns once it is over.
    async fn ended(&self) {
        let fallen = self.fallen.notified();
        if !self.is_over() {
            fallen.await;
        }
    }

    fn now(&self) -> Now {
        let instant = Instant::default().plus(self.surroundings.started_at.elapsed());
        Now { instant, wall: self.clock.now() }
    }

    fn run(self: &Arc<Self>, step: impl FnOnce(&mut M, Now, &mut Outputs<M>)) {
        let mut state = self.state.lock();
        if state.is_over {
            return;
        }
        let mut outputs = Vec::new();
        state.machine.see(&self.surroundings.metadata.image_owned());
        step(&mut state.machine, self.now(), &mut outputs);
        self.execute(&mut state, outputs);
    }

    /// Executes what the machine said, in its order.
    fn execute(self: &Arc<Self>, state: &mut State<M>, outputs: Outputs<M>) {
        let mut refused = None;
        let mut releases = Vec::new();
        for output in outputs {
            match output {
                Output::Append(append) => match self.append(state, &append) {
                    Ok(()) => {}
                    Err(code) if append.on_failure == OnFailure::Refuse => refused = Some(code),
                    Err(code) => {
                        let partition = &self.partition;
                        tracing::warn!(?partition, %code, "coordinator begins anew");
                        self.fall(state);
                        return;
                    }
                },
                Output::Answer(ticket, answer) => {
                    if let Some(reply) = state.waiting.remove(&ticket) {
                        let answer = refused.map_or(Ok(answer), Err);
                        releases.push(Release::Answer(reply, answer));
                    }
                }
                // What follows from records that are not in the log does not happen.
                Output::Effect(_) if refused.is_some() => {}
                Output::Effect(effect) => releases.push(Release::Effect(effect)),
            }
        }
        self.release(state.appended, releases);
        let due = state.machine.deadline();
        if due.is_some_and(|due| state.looks_at.is_none_or(|at| due < at)) {
            self.changed.notify_one();
        }
    }

    fn append(&self, state: &mut State<M>, append: &Append) -> Result<(), ErrorCode> {
        let now = self.clock.now();
        let mut options = BatchOptions { base_sequence: Sequence::NONE, ..Default::default() };
        if let Some(producer) = append.transaction {
            options.producer_id = producer.id;
            options.producer_epoch = producer.epoch;
            options.is_transactional = true;
        }
        let mut builder = BatchBuilder::new(options);
        for record in &append.records {
            builder.append(now, Some(&record.key), record.value.as_deref(), &[]);
        }
        let batch = builder.build().map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let placed = self.partition.append_as_coordinator(&batch, self.epoch, now);
        let placed = placed.map_err(|error| {
            tracing::debug!(partition = ?self.partition, ?error, "coordinator cannot append");
            coordinator_code(produce_code(&error))
        })?;
        state.appended = placed.acknowledgement;
        for (index, record) in append.records.iter().enumerate() {
            state.machine.replay(Replayed {
                offset: placed.appended.base_offset.plus(index as i64),
                transaction: append.transaction,
                key: &record.key,
                value: record.value.as_deref(),
            });
        }
        Ok(())
    }

    /// Lets go at once what is committed; the rest waits for its turn.
    ///
    /// Whoever asked waits for a bounded time. Effects wait for as long as the disk takes: the
    /// machine goes by records that may be committed after all, and does not say again what follows
    /// from them. One task waits for the effects of a step.
    fn release(self: &Arc<Self>, appended: Acknowledgement, releases: Vec<Release<M>>) {
        if releases.is_empty() {
            return;
        }
        if appended.counts(self.partition.reader().offsets()) {
            releases.into_iter().for_each(|release| self.let_go(release));
            return;
        }
        let shard = Arc::clone(self);
        tokio::spawn(async move {
            let mut committed = pin!(shard.partition.acknowledged(appended));
            let patience = shard.surroundings.commit_timeout;
            let (releases, in_time) = match timeout(patience, committed.as_mut()).await {
                Ok(committed) => (releases, committed),
                Err(_) => {
                    let effects = refuse(releases, ErrorCode::COORDINATOR_NOT_AVAILABLE);
                    if effects.is_empty() {
                        return;
                    }
                    milena_client::select! {
                        committed = committed => (effects, committed),
                        () = shard.ended() => return,
                    }
                }
            };
            match in_time.or_else(counts_all_the_same) {
                Ok(()) => shard.let_go_of_all(releases),
                Err(error) => {
                    tracing::warn!(partition = ?shard.partition, %error, "not committed");
                    refuse(releases, ErrorCode::NOT_COORDINATOR);
                }
            }
        });
    }

    /// Everything before is committed; whoever has taken over from one that is over has found that
    /// in the log and sees to what follows from it.
    fn let_go_of_all(self: &Arc<Self>, releases: Vec<Release<M>>) {
        let state = self.state.lock();
        let counts =
            |release: &Release<M>| !state.is_over || matches!(release, Release::Answer(..));
        releases.into_iter().filter(counts).for_each(|release| self.let_go(release));
    }

    fn let_go(self: &Arc<Self>, release: Release<M>) {
        match release {
            Release::Answer(reply, answer) => {
                // Whoever asked may have gone away.
                let _ = reply.send(answer);
            }
            Release::Effect(effect) => (self.surroundings.effects)(self, effect),
        }
    }
}

/// Too few in sync by now a producer is told of (fact P3). What is committed is committed all the
/// same: a machine that goes by it would wait in vain for what follows.
fn counts_all_the_same(why: NotAcknowledged) -> Result<(), NotAcknowledged> {
    match why {
        NotAcknowledged::Refused(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND) => Ok(()),
        why => Err(why),
    }
}

/// Tells those who wait that it came to nothing; returns the rest.
fn refuse<M: Machine>(releases: Vec<Release<M>>, code: ErrorCode) -> Vec<Release<M>> {
    let mut effects = Vec::new();
    for release in releases {
        match release {
            Release::Answer(reply, _) => {
                // Whoever asked may have gone away.
                let _ = reply.send(Err(code));
            }
            effect @ Release::Effect(_) => effects.push(effect),
        }
    }
    effects
}

/// Lets the machine do what is due, until it is over.
async fn keep_time<M: Machine>(shard: Arc<Shard<M>>) {
    loop {
        let looks_at = {
            let mut state = shard.state.lock();
            if state.is_over {
                return;
            }
            state.looks_at = state.machine.deadline();
            state.looks_at
        };
        match looks_at {
            None => shard.changed.notified().await,
            Some(at) => {
                let at = shard.surroundings.started_at + Duration::from_millis(at.0);
                milena_client::select! {
                    () = tokio::time::sleep_until(at) => {
                        shard.run(|machine, now, outputs| machine.tick(now, outputs));
                    }
                    () = shard.changed.notified() => {}
                }
            }
        }
    }
}

impl<M: Machine> fmt::Debug for Shard<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shard({:?})", self.partition)
    }
}

#[cfg(test)]
pub(super) mod tests;
