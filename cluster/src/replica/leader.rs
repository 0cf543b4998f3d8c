//! A partition's leader as a stepped machine: when it may append, what counts as acknowledged, and
//! whom it wants in sync. It leads in one leader epoch; the next one is another leader.
//!
//! | invariant | |
//! | --- | --- |
//! | the high watermark is over everyone that the controller may count as in sync | those that it does, as far as is known, and those of every proposal that may be accepted yet (KIP-497, fact R1) |
//! | it moves only while enough are in sync | `min.insync.replicas` of the committed ISR, for any acks (P3, P4, KIP-966), and it never falls |
//! | one proposal is under way at a time | and it names the epochs that it was made on (R4, KIP-903) |
//! | who joins has everything that may be acknowledged | up to the high watermark, and to where this epoch began (R2); and it has fetched since it was let go |
//! | fetches count in their epoch and incarnation | the same offset is another record in another epoch, and what an earlier incarnation had may be lost |

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset};

use super::progress::{Fetch, FetchRefused, Progress};
use super::proposal::{Decided, Proposal, ProposalId, Proposals};
use super::read_replica::ReadReplica;
use super::rules::{Kafka, Rules};
use super::standing::{Peer, Standing};
use crate::configs;
use crate::time::Instant;

/// What a broker knows when it begins to lead.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Itself.
    pub node: NodeId,
    /// The partition, of which it is the leader.
    pub standing: Standing,
    /// Where its log ends, all of it on storage that counts. The epoch begins here.
    pub log_end_offset: Offset,
    /// What it knew as acknowledged before, within its log.
    pub high_watermark: Offset,
    /// What the topic's configuration says.
    pub settings: Settings,
}

/// What a topic's and a broker's configuration say to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `min.insync.replicas`.
    pub min_insync_replicas: usize,
    /// `replica.lag.time.max.ms`.
    pub max_lag: Duration,
}

/// What happens to a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Its own log ends here now, on storage that counts.
    Appended(Offset),
    /// A follower fetched, and its log up to there is the leader's. What
    /// [`Leader::admit_fetch`] refuses is not counted.
    Fetched(Fetch),
    /// The metadata has something new of the partition or of its brokers.
    Learned(Standing),
    /// The configuration changed.
    Configured(Settings),
    /// The controller answered a proposal, or no answer is to be expected: a code then, such as
    /// REQUEST_TIMED_OUT or NETWORK_EXCEPTION.
    Answered {
        /// Which one.
        proposal: ProposalId,
        /// What it says.
        answer: Result<Decided, ErrorCode>,
    },
    /// Time goes by: the [deadline](Leader::deadline) has come, or any other time.
    Tick,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send AlterPartition to the controller, once, and give the answer or its loss back.
    Propose(Proposal),
    /// Everything below is acknowledged.
    AdvanceHighWatermark(Offset),
}

/// The leader of a partition.
#[derive(Clone, Debug)]
pub struct Leader<R = Kafka> {
    node: NodeId,
    /// As committed: by an answer of the controller, or by the metadata.
    standing: Standing,
    settings: Settings,
    epoch_start: Offset,
    log_end_offset: Offset,
    high_watermark: Offset,
    followers: BTreeMap<NodeId, Progress>,
    proposals: Proposals,
    stepped_at: Instant,
    rules: PhantomData<R>,
}

impl<R: Rules> Leader<R> {
    /// Begins to lead; what to do first is among the outputs.
    #[must_use]
    pub fn begin(begin: Begin, now: Instant, outputs: &mut Vec<Output>) -> Self {
        let Begin { node, standing, log_end_offset, high_watermark, settings } = begin;
        let followers = standing.replicas.iter().filter(|id| **id != node).map(|id| {
            let in_sync_at = standing.isr.contains(id).then_some(now);
            (*id, Progress::unknown(in_sync_at))
        });
        let mut leader = Self {
            node,
            settings,
            epoch_start: log_end_offset,
            log_end_offset,
            high_watermark: high_watermark.min(log_end_offset),
            followers: followers.collect(),
            proposals: Proposals::default(),
            standing,
            stepped_at: now,
            rules: PhantomData,
        };
        leader.step(now, Input::Tick, outputs);
        leader
    }

    /// Takes an input and says what has to be done.
    pub fn step(&mut self, now: Instant, input: Input, outputs: &mut Vec<Output>) {
        let is_append = matches!(input, Input::Appended(_));
        self.stepped_at = self.stepped_at.max(now);
        match input {
            Input::Appended(end) => self.log_end_offset = self.log_end_offset.max(end),
            Input::Fetched(fetch) => self.fetched(now, &fetch),
            Input::Learned(standing) => self.learn(standing),
            Input::Configured(settings) => self.settings = settings,
            Input::Answered { proposal, answer } => self.answered(now, proposal, answer),
            Input::Tick => {}
        }
        // Before the high watermark moves: who is proposed counts from now on.
        if !is_append {
            self.propose(now, outputs);
        }
        self.advance(now, outputs);
        self.check_invariants();
    }

    /// When something may have to be done though nothing happens; the driver steps with
    /// [`Input::Tick`] then.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let behind = self
            .followers
            .iter()
            .filter(|(_, it)| it.end_offset.is_none_or(|end| end < self.log_end_offset));
        let lag_ends = behind.filter_map(|(id, it)| {
            let out_at = it.caught_up_at?.plus(self.settings.max_lag + Duration::from_millis(1));
            let is_due = match self.is_in_sync(*id) {
                true => self.proposals.may_begin(out_at.max(self.stepped_at)),
                // The high watermark waits for it no longer then.
                false => out_at > self.stepped_at,
            };
            is_due.then_some(out_at)
        });
        lag_ends.chain(self.proposals.retry_at()).min()
    }

    /// Decides whether an append may begin.
    ///
    /// # Errors
    /// NOT_ENOUGH_REPLICAS where acks asks for all replicas and too few are in sync.
    pub fn admit(&self, acks: i16) -> Result<(), ErrorCode> {
        if acks == -1 && !self.has_enough() {
            return Err(ErrorCode::NOT_ENOUGH_REPLICAS);
        }
        Ok(())
    }

    /// What acks=all is told of an append that ends here: nothing while it is not acknowledged.
    ///
    /// # Errors
    /// NOT_ENOUGH_REPLICAS_AFTER_APPEND where it is acknowledged and too few are in sync by now
    /// (fact P3).
    #[must_use]
    pub fn acknowledgement(&self, end: Offset) -> Option<Result<(), ErrorCode>> {
        (self.high_watermark >= end).then(|| {
            let code = ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND;
            if self.has_enough() { Ok(()) } else { Err(code) }
        })
    }

    /// Decides whether a follower's fetch may be answered with records and be counted.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH where it is of another epoch (KIP-320);
    /// UNKNOWN_LEADER_EPOCH where the follower is no replica as far as is known here, so that it
    /// asks again; NOT_LEADER_OR_FOLLOWER where the follower has registered anew since (KIP-903).
    pub fn admit_fetch(&self, fetch: &Fetch) -> Result<(), FetchRefused> {
        let own = self.standing.leader_epoch;
        if !R::is_of_epoch(fetch.leader_epoch, own) {
            return Err(match fetch.leader_epoch < own {
                true => ErrorCode::FENCED_LEADER_EPOCH,
                false => ErrorCode::UNKNOWN_LEADER_EPOCH,
            });
        }
        let Some(progress) = self.followers.get(&fetch.follower) else {
            return Err(ErrorCode::UNKNOWN_LEADER_EPOCH);
        };
        let registered = self.peer(fetch.follower).map(|peer| peer.epoch);
        if !R::is_current(fetch.broker_epoch, registered.max(progress.broker_epoch)) {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        Ok(())
    }

    fn fetched(&mut self, now: Instant, fetch: &Fetch) {
        if self.admit_fetch(fetch).is_err() {
            return;
        }
        if let Some(progress) = self.followers.get_mut(&fetch.follower) {
            progress.note(fetch, now);
        }
    }

    /// What is of another leader epoch is for another leader, and what is of an earlier partition
    /// epoch was overtaken by an answer of the controller.
    fn learn(&mut self, learned: Standing) {
        if learned.leader_epoch != self.standing.leader_epoch {
            return;
        }
        if learned.peers != self.standing.peers {
            self.proposals.learn();
        }
        for (id, peer) in &learned.peers {
            if let Some(progress) = self.followers.get_mut(id) {
                progress.registered(peer.epoch);
            }
        }
        if learned.partition_epoch > self.standing.partition_epoch {
            self.followers.retain(|id, _| learned.replicas.contains(id));
            for id in learned.replicas.iter().filter(|id| **id != self.node) {
                self.followers.entry(*id).or_default();
            }
            self.proposals.end();
            let before = std::mem::replace(&mut self.standing, learned);
            self.note_let_go(&before.isr);
        } else {
            self.standing.peers = learned.peers;
        }
    }

    fn answered(&mut self, now: Instant, id: ProposalId, answer: Result<Decided, ErrorCode>) {
        if id.leader_epoch != self.standing.leader_epoch {
            return;
        }
        let is_awaited = self.proposals.is_awaited(id.attempt);
        match answer {
            Ok(decided) if decided.leader_epoch != id.leader_epoch => {
                self.fail(now, is_awaited, ErrorCode::FENCED_LEADER_EPOCH);
            }
            Ok(decided) if decided.partition_epoch > self.standing.partition_epoch => {
                self.standing.partition_epoch = decided.partition_epoch;
                let before = std::mem::replace(&mut self.standing.isr, decided.isr);
                self.note_let_go(&before);
                self.standing.is_recovering = decided.is_recovering;
                self.proposals.end();
            }
            // Apache Kafka's controller begins no epoch for a proposal that changes nothing. Its
            // word that nothing is changed has to do.
            Ok(decided) if decided.partition_epoch == self.standing.partition_epoch => {
                if is_awaited {
                    self.proposals.end();
                }
            }
            Ok(_) => self.fail(now, is_awaited, ErrorCode::INVALID_UPDATE_VERSION),
            Err(code) => self.fail(now, is_awaited, code),
        }
    }

    /// Whoever is in sync no longer joins again by a fetch: what it has may still be enough, and it
    /// would be let go and taken back as fast as the controller answers.
    fn note_let_go(&mut self, before: &[NodeId]) {
        for id in before.iter().filter(|id| !self.standing.isr.contains(id)) {
            if let Some(progress) = self.followers.get_mut(id) {
                progress.let_go();
            }
        }
    }

    fn fail(&mut self, now: Instant, is_awaited: bool, code: ErrorCode) {
        if !is_awaited {
            return;
        }
        self.proposals.fail(code, now);
        if !R::keeps_refused() {
            self.proposals.end();
        }
    }

    /// Proposes who shall be in sync, where that is not who is; and, where nobody else is wanted,
    /// those that are, for the sake of a later partition epoch: without one it is not known that a
    /// proposal before is not accepted yet.
    fn propose(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if !self.proposals.may_begin(now) {
            return;
        }
        let wanted = self.wanted(now);
        let is_same = wanted == self.standing.isr;
        if is_same && !self.proposals.is_open() && !self.standing.is_recovering {
            self.proposals.rest();
            return;
        }
        let attempt = self.proposals.begin(&wanted, &self.standing.isr);
        let isr = wanted.into_iter().map(|id| (id, self.incarnation(id))).collect();
        let leader_epoch = self.standing.leader_epoch;
        outputs.push(Output::Propose(Proposal {
            id: ProposalId { leader_epoch, attempt },
            partition_epoch: self.standing.partition_epoch,
            isr,
            // There is nothing to recover: the log is what it is.
            is_recovering: false,
        }));
    }

    /// Who shall be in sync: those in sync that do not lag, and those that may join.
    fn wanted(&self, now: Instant) -> Vec<NodeId> {
        let has_joined = |id: &NodeId| !self.is_in_sync(*id) && self.may_join(*id, now);
        let stay = self.standing.isr.iter().copied().filter(|id| !self.lags(*id, now));
        stay.chain(self.followers.keys().copied().filter(has_joined)).collect()
    }

    fn lags(&self, id: NodeId, now: Instant) -> bool {
        let (end, max_lag) = (self.log_end_offset, self.settings.max_lag);
        self.followers.get(&id).is_some_and(|it| !it.is_caught_up(end, now, max_lag))
    }

    fn may_join(&self, id: NodeId, now: Instant) -> bool {
        let Some(progress) = self.followers.get(&id) else { return false };
        let has_enough = progress
            .end_offset
            .is_some_and(|end| R::may_join(end, self.high_watermark, self.epoch_start));
        has_enough
            && progress.has_fetched_since
            && progress.is_fetching(now, self.settings.max_lag)
            && self.is_eligible(id, now)
    }

    /// Whether the controller would let it join, as far as is known: it is active, and is the
    /// incarnation that fetches.
    fn is_eligible(&self, id: NodeId, now: Instant) -> bool {
        let fetches = self.followers.get(&id).and_then(|progress| progress.broker_epoch);
        let is_same = |peer: &Peer| fetches.is_none_or(|epoch| epoch == peer.epoch);
        self.proposals.may_join(now)
            && self.peer(id).is_some_and(|peer| peer.is_active && is_same(peer))
    }

    fn advance(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if !self.has_enough() {
            return;
        }
        let mut end = self.log_end_offset;
        for (id, progress) in &self.followers {
            if self.is_counted(*id) || self.is_about_to_join(*id, progress, now) {
                end = end.min(progress.end_offset.unwrap_or(Offset::ZERO));
            }
        }
        if end > self.high_watermark {
            self.high_watermark = end;
            outputs.push(Output::AdvanceHighWatermark(end));
        }
    }

    /// Whether the controller may take it for in sync.
    fn is_counted(&self, id: NodeId) -> bool {
        let is_committed = self.is_in_sync(id);
        R::is_counted(is_committed, self.proposals.has(id, is_committed))
    }

    /// Whether it would join if the high watermark did not run away from it.
    fn is_about_to_join(&self, id: NodeId, progress: &Progress, now: Instant) -> bool {
        progress.is_caught_up(self.log_end_offset, now, self.settings.max_lag)
            && self.is_eligible(id, now)
    }

    fn is_in_sync(&self, id: NodeId) -> bool {
        self.standing.isr.contains(&id)
    }

    fn has_enough(&self) -> bool {
        R::is_enough(self.standing.isr.len(), self.min_in_sync())
    }

    fn peer(&self, id: NodeId) -> Option<&Peer> {
        self.standing.peers.get(&id)
    }

    /// The registration of a replica: its own for the leader, for a follower what it fetched under.
    fn incarnation(&self, id: NodeId) -> Option<BrokerEpoch> {
        match self.followers.get(&id) {
            Some(progress) => progress.broker_epoch,
            None => self.peer(id).map(|peer| peer.epoch),
        }
    }

    /// What holds after every step.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self) {
        assert!(self.high_watermark <= self.log_end_offset, "acknowledged beyond the log");
        assert!(self.epoch_start <= self.log_end_offset, "an epoch that begins behind the log");
        assert!(self.is_in_sync(self.node), "a leader is in sync with itself");
        assert!(!self.followers.contains_key(&self.node), "a leader does not follow itself");
    }
}

/// What there is to see.
impl<R: Rules> Leader<R> {
    /// The node that leads.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The epoch that it leads in.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.standing.leader_epoch
    }

    /// Everything below is acknowledged.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Where this epoch begins. Below it there may be records that are acknowledged and not yet
    /// known to be: who asks for the latest offset meanwhile is told to wait (KIP-207).
    #[must_use]
    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    /// The partition, as committed as far as is known.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Everyone that the high watermark waits for: the controller may take each for in sync.
    #[must_use]
    pub fn maximal_isr(&self) -> Vec<NodeId> {
        let counted = |id: &&NodeId| **id == self.node || self.is_counted(**id);
        self.standing.replicas.iter().filter(counted).copied().collect()
    }

    /// Whether a follower is in sync, or proposed to be: what is acknowledged waits for it.
    #[must_use]
    pub fn is_waited_for(&self, follower: NodeId) -> bool {
        self.is_counted(follower)
    }

    /// The followers, in sync or not.
    pub fn followers(&self) -> impl Iterator<Item = (NodeId, &Progress)> {
        self.followers.iter().map(|(id, progress)| (*id, progress))
    }

    /// How many have to be in sync; never more than there are.
    #[must_use]
    pub fn min_in_sync(&self) -> usize {
        configs::min_in_sync(self.settings.min_insync_replicas, self.standing.replicas.len())
    }

    /// The followers that a consumer could read this offset from, for
    /// [`rack_aware`](super::read_replica::rack_aware): in sync, and they have it.
    #[must_use]
    pub fn read_replicas(&self, fetch_offset: Offset) -> Vec<ReadReplica> {
        let has = |progress: &Progress, end: Offset| {
            end >= fetch_offset && progress.log_start_offset <= fetch_offset
        };
        let in_sync = self.followers.iter().filter(|(id, _)| self.is_in_sync(**id));
        let found = in_sync.filter_map(|(id, progress)| {
            let end_offset = progress.end_offset.filter(|end| has(progress, *end))?;
            let rack = self.peer(*id).and_then(|peer| peer.rack.clone());
            Some(ReadReplica { node: *id, rack, end_offset, caught_up_at: progress.caught_up_at })
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests;
