//! A leader's view of the others: how far each is, who waits for something new, and what that
//! means for what is committed.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_protocol::ids::{NodeId, Offset, Timestamp, Uuid};

use super::input::Envelope;
use super::message::{CorrelationId, ReplicaDescription};
use super::rules::Rules;
use super::voters::{ReplicaKey, VoterSet};
use crate::time::{Instant, Now};

/// An observer that has not fetched for this long is forgotten.
const OBSERVER_SESSION: Duration = Duration::from_secs(300);
/// Observers that are remembered at most; one more drops the one that has been silent longest.
const MAX_OBSERVERS: usize = 10_000;

/// The leader of an epoch.
#[derive(Clone, Debug)]
pub struct Leader {
    me: ReplicaKey,
    /// Where the first record of its epoch stands.
    pub epoch_start_offset: Offset,
    began_at: Instant,
    voters: BTreeMap<NodeId, Progress>,
    observers: BTreeMap<ReplicaKey, Progress>,
    waiting: BTreeMap<ReplicaKey, Waiting>,
    /// Who was told of the epoch, and what the answer has to name.
    pub told: BTreeMap<NodeId, CorrelationId>,
    /// When those are told that do not fetch.
    pub tell_at: Instant,
    /// The change of voters that is under way.
    pub change: Option<Change>,
}

/// How far a replica is, as far as it said.
#[derive(Clone, Copy, Debug)]
struct Progress {
    key: ReplicaKey,
    end_offset: Option<Offset>,
    contact: Option<Now>,
    /// Where the leader's log ended at that contact.
    leader_end: Offset,
    caught_up: Option<Now>,
}

/// A fetch that waits for something new.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The answer, made up to the batches.
    pub answer: Envelope,
    /// The first offset wanted.
    pub fetch_offset: Offset,
    /// The high watermark that the replica knows.
    pub high_watermark: Option<Offset>,
    /// When it is answered with nothing.
    pub deadline: Instant,
    /// Bytes to answer at most.
    pub max_bytes: usize,
}

/// A change of voters that is appended and not committed.
#[derive(Clone, Debug)]
pub struct Change {
    /// The offset of its record.
    pub offset: Offset,
    /// The answer to whoever asked for it, if it waits for the commit.
    pub answer: Option<Envelope>,
}

impl Leader {
    /// Begins an epoch.
    #[must_use]
    pub fn new(me: ReplicaKey, voters: &VoterSet, epoch_start_offset: Offset, now: Now) -> Self {
        let mut leader = Self {
            me,
            epoch_start_offset,
            began_at: now.instant,
            voters: BTreeMap::new(),
            observers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            told: BTreeMap::new(),
            tell_at: now.instant,
            change: None,
        };
        leader.set_voters(voters);
        leader
    }

    /// The voters changed: what is known of each replica goes along.
    pub fn set_voters(&mut self, voters: &VoterSet) {
        let before = std::mem::take(&mut self.voters);
        for (id, progress) in before {
            if !voters.contains(&progress.key) && id != self.me.id {
                self.observers.insert(progress.key, progress);
            }
            self.voters.insert(id, progress);
        }
        self.voters.retain(|id, progress| voters.contains(&progress.key) && *id != self.me.id);
        for key in voters.keys().into_iter().filter(|key| key.id != self.me.id) {
            let observer = self.observers.keys().find(|known| known.matches(&key)).copied();
            let known = observer.and_then(|observer| self.observers.remove(&observer));
            self.voters.entry(key.id).or_insert(known.unwrap_or(Progress::unknown(key)));
        }
        self.told.retain(|id, _| voters.voter(*id).is_some());
    }

    /// A replica fetched, so it is there. It holds everything below `end_offset` on stable storage
    /// where that is a place on this leader's branch; else nothing is known.
    pub fn fetched(
        &mut self,
        key: ReplicaKey,
        end_offset: Option<Offset>,
        leader_end: Offset,
        now: Now,
    ) {
        self.told.remove(&key.id);
        let voter = self.voters.get_mut(&key.id).filter(|known| known.key.matches(&key));
        match voter {
            Some(progress) => progress.fetched(key, end_offset, leader_end, now),
            None => {
                let observer = self.observers.entry(key).or_insert(Progress::unknown(key));
                observer.fetched(key, end_offset, leader_end, now);
                self.bound_observers();
            }
        }
    }

    fn bound_observers(&mut self) {
        if self.observers.len() <= MAX_OBSERVERS {
            return;
        }
        let contact = |progress: &Progress| progress.contact.map(|contact| contact.instant);
        let silent = self.observers.values().min_by_key(|progress| contact(progress));
        if let Some(key) = silent.map(|progress| progress.key) {
            self.observers.remove(&key);
        }
    }

    /// The largest end that a majority of the voters holds on stable storage.
    #[must_use]
    pub fn majority_end<R: Rules>(&self, voters: &VoterSet, flushed: Offset) -> Offset {
        let end_of = |id: NodeId| {
            if id == self.me.id {
                return flushed;
            }
            self.voters.get(&id).and_then(|known| known.end_offset).unwrap_or(Offset::ZERO)
        };
        let mut ends: Vec<Offset> = voters.ids().map(end_of).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let place = R::majority(ends.len()).saturating_sub(1);
        ends.get(place).copied().unwrap_or(Offset::ZERO)
    }

    /// When this leader has to step down unless more voters fetch: once no majority has done so
    /// for the given span. None where it is a majority alone.
    #[must_use]
    pub fn quorum_deadline<R: Rules>(&self, voters: &VoterSet, span: Duration) -> Option<Instant> {
        let own = usize::from(voters.contains(&self.me));
        let needed = R::majority(voters.len()).saturating_sub(own);
        let place = needed.checked_sub(1)?;
        let contact = |known: &Progress| {
            known.contact.map_or(self.began_at, |at| at.instant.max(self.began_at))
        };
        let mut contacts: Vec<Instant> = self.voters.values().map(contact).collect();
        contacts.sort_unstable_by(|a, b| b.cmp(a));
        contacts.get(place).map(|at| at.plus(span))
    }

    /// The directory of a voter, as its fetches name it.
    #[must_use]
    pub fn directory_of(&self, id: NodeId) -> Uuid {
        if id == self.me.id {
            return self.me.directory_id;
        }
        self.voters.get(&id).map_or(Uuid::ZERO, |known| known.key.directory_id)
    }

    /// Voters that have not been in touch since an instant.
    #[must_use]
    pub fn silent_voters(&self, since: Instant) -> Vec<ReplicaKey> {
        let is_silent = |known: &&Progress| known.contact.is_none_or(|at| at.instant < since);
        self.voters.values().filter(is_silent).map(|known| known.key).collect()
    }

    /// The other voters, the one that is furthest first.
    #[must_use]
    pub fn successors(&self) -> Vec<ReplicaKey> {
        let mut known: Vec<&Progress> = self.voters.values().collect();
        known.sort_by_key(|known| std::cmp::Reverse(known.end_offset));
        known.into_iter().map(|known| known.key).collect()
    }

    /// Whether a replica had everything within a span.
    #[must_use]
    pub fn is_caught_up(&self, key: &ReplicaKey, now: Instant, span: Duration) -> bool {
        let caught_up = self.observers.get(key).and_then(|known| known.caught_up);
        caught_up.is_some_and(|at| now.since(at.instant) <= span)
    }

    /// Lets a fetch wait; returns the one of the same replica that waited before.
    pub fn wait(&mut self, key: ReplicaKey, waiting: Waiting) -> Option<Waiting> {
        self.waiting.insert(key, waiting)
    }

    /// Fetches that wait no more: there is something new for them, or it is their time.
    pub fn ready(
        &mut self,
        log_end: Offset,
        high_watermark: Option<Offset>,
        now: Instant,
    ) -> Vec<Waiting> {
        let is_ready = |waiting: &Waiting| {
            waiting.fetch_offset < log_end
                || waiting.high_watermark < high_watermark
                || waiting.deadline <= now
        };
        let ready = self.waiting.iter().filter(|(_, waiting)| is_ready(waiting));
        let keys: Vec<ReplicaKey> = ready.map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.waiting.remove(key)).collect()
    }

    /// All who wait for an answer, since this leader leads no more.
    #[must_use]
    pub fn into_waiting(self) -> Vec<Envelope> {
        let fetches = self.waiting.into_values().map(|waiting| waiting.answer);
        fetches.chain(self.change.and_then(|change| change.answer)).collect()
    }

    /// Forgets observers that have been gone for long.
    pub fn forget_observers(&mut self, now: Instant) {
        self.observers.retain(|_, known| {
            known.contact.is_some_and(|at| now.since(at.instant) < OBSERVER_SESSION)
        });
    }

    /// When something has to be done beside the quorum's deadline.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let waiting = self.waiting.values().map(|waiting| waiting.deadline).min();
        let tell = (!self.voters.is_empty()).then_some(self.tell_at);
        waiting.into_iter().chain(tell).min()
    }

    /// How far the voters and the observers are. A voter that never fetched is shown with what is
    /// known: its key.
    #[must_use]
    pub fn describe(
        &self,
        own: ReplicaDescription,
        is_voter: bool,
    ) -> (Vec<ReplicaDescription>, Vec<ReplicaDescription>) {
        let mut voters: Vec<_> = self.voters.values().map(Progress::describe).collect();
        let mut observers: Vec<_> = self.observers.values().map(Progress::describe).collect();
        if is_voter { &mut voters } else { &mut observers }.push(own);
        voters.sort_by_key(|replica| replica.key);
        (voters, observers)
    }
}

impl Progress {
    fn unknown(key: ReplicaKey) -> Self {
        Self { key, end_offset: None, contact: None, leader_end: Offset::ZERO, caught_up: None }
    }

    fn fetched(
        &mut self,
        key: ReplicaKey,
        end_offset: Option<Offset>,
        leader_end: Offset,
        now: Now,
    ) {
        self.key = key;
        if let Some(end_offset) = end_offset {
            if end_offset >= leader_end {
                self.caught_up = Some(now);
            } else if end_offset >= self.leader_end && self.contact.is_some() {
                // It has everything that there was at its last fetch.
                self.caught_up = self.contact;
            }
        }
        self.end_offset = end_offset.or(self.end_offset);
        self.contact = Some(now);
        self.leader_end = leader_end;
    }

    fn describe(&self) -> ReplicaDescription {
        let wall = |at: Option<Now>| at.map_or(Timestamp::NONE, |at| at.wall);
        ReplicaDescription {
            key: self.key,
            log_end_offset: self.end_offset.unwrap_or(Offset::NONE),
            last_fetch_at: wall(self.contact),
            last_caught_up_at: wall(self.caught_up),
        }
    }
}
