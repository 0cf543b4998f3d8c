//! A member of a consumer group (KIP-848), as a machine: it reports to the coordinator, which says
//! what the member shall own, and gets there step by step.
//!
//! ```text
//! joining ── report 0 ──► member ── fenced: what it owns is lost ──► joining
//!                          │   ▲ every interval, and at once when something changed
//!                          └───┘
//! ```
//!
//! One question is under way at a time. What the target does not hold any more is given up first;
//! what is new is taken then, and both are told with one report: the coordinator puts nothing into
//! a target that another member still has. A part of a report is left out while the coordinator
//! knows it; after a question without an answer everything is told again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatAssignment, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, ConsumerGroupHeartbeatTopicPartitions,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{PartitionIndex, Uuid};
use tokio::time::Instant;

use super::options::{GroupOptions, Subscription};
use super::step::{Input, Notice, Output, Question, Reply, Standing};
use crate::backoff::Backoff;
use crate::consumer::Key;
use crate::error::Refused;

/// The epoch of a member that joins.
const JOINING: i32 = 0;
/// The epoch of a member that leaves.
const LEAVING: i32 = -1;
/// The epoch of a static member that leaves for a while.
const RESTING: i32 = -2;
/// No member asks more often, whatever the coordinator says.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// A partition as the coordinator names it.
type Place = (Uuid, PartitionIndex);

/// A member of a consumer group.
#[derive(Debug)]
pub struct Member {
    options: GroupOptions,
    rack: Option<String>,
    subscription: Subscription,
    member_id: String,
    epoch: i32,
    state: State,
    /// What it shall own.
    target: BTreeSet<Place>,
    /// What it owns, also while it gives it up.
    owned: BTreeSet<Place>,
    names: BTreeMap<Uuid, Arc<str>>,
    is_naming: bool,
    /// What the application was told to give up, and under which number.
    releasing: Option<(u64, BTreeSet<Place>)>,
    notices: u64,
    asked: Option<Asked>,
    /// What the coordinator knows; nothing after a question without an answer.
    known: Known,
    due_at: Instant,
    polled_at: Instant,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Joining,
    Member,
    /// It left because the application does not poll, and comes back when it does.
    Away,
    /// The application leaves.
    Leaving,
    Over,
}

#[derive(Debug)]
enum Asked {
    /// A report, with what it said of what is owned and wanted.
    Report(BTreeSet<Place>, Subscription),
    Leave,
}

#[derive(Debug, Default)]
struct Known {
    is_known: bool,
    owned: BTreeSet<Place>,
    subscription: Option<Subscription>,
}

impl Member {
    /// A member that wants to join. The id is its own, and no other's.
    pub fn new(
        options: GroupOptions,
        rack: &str,
        subscription: Subscription,
        member_id: String,
        now: Instant,
    ) -> Self {
        Self {
            options,
            rack: (!rack.is_empty()).then(|| rack.to_owned()),
            subscription,
            member_id,
            epoch: JOINING,
            state: State::Joining,
            target: BTreeSet::new(),
            owned: BTreeSet::new(),
            names: BTreeMap::new(),
            is_naming: false,
            releasing: None,
            notices: 0,
            asked: None,
            known: Known::default(),
            due_at: now,
            polled_at: now,
            backoff: Backoff::default(),
        }
    }

    /// When time alone changes something.
    pub fn deadline(&self) -> Option<Instant> {
        let absent_at = self.polled_at + self.options.max_poll_interval;
        match self.state {
            State::Joining | State::Member if self.asked.is_some() => Some(absent_at),
            State::Joining | State::Member => Some(absent_at.min(self.due_at)),
            State::Away | State::Leaving | State::Over => None,
        }
    }

    /// One step; what it wants done is put behind the other outputs.
    pub fn step(&mut self, now: Instant, input: Input, outputs: &mut Vec<Output>) {
        match input {
            Input::Answered(Reply::Report(answer)) => self.answered(now, &answer, outputs),
            Input::Unanswered => self.unanswered(now),
            Input::Named(names) => {
                self.is_naming = false;
                self.names.extend(names);
                self.reconcile(now, outputs);
            }
            Input::Released(number) => self.released(now, number, outputs),
            Input::Polled => {
                self.polled_at = now;
                if self.state == State::Away {
                    self.state = State::Joining;
                    self.due_at = now;
                }
            }
            Input::Subscribed(subscription) => {
                self.subscription = subscription;
                self.due_at = now;
            }
            Input::Leave => self.state = State::Leaving,
            Input::Woke | Input::Answered(_) | Input::Counted(_) => {}
        }
        self.go_away_if_absent(now, outputs);
        self.ask(now, outputs);
    }

    fn answered(
        &mut self,
        now: Instant,
        answer: &ConsumerGroupHeartbeatResponse,
        outputs: &mut Vec<Output>,
    ) {
        let (owned, subscription) = match self.asked.take() {
            Some(Asked::Report(owned, subscription)) => (owned, subscription),
            Some(Asked::Leave) => return self.left(outputs),
            None => return,
        };
        let is_in = matches!(self.state, State::Joining | State::Member);
        if !answer.error_code.is_none() {
            if is_in {
                self.refused(now, answer, outputs);
            } else {
                self.epoch = JOINING;
            }
            return;
        }
        // Also for who leaves meanwhile: it must know who it is to say so.
        self.epoch = answer.member_epoch;
        if let Some(member_id) = answer.member_id.as_ref().filter(|id| !id.is_empty()) {
            self.member_id = member_id.to_string();
        }
        if !is_in {
            return;
        }
        self.backoff.reset();
        self.known = Known { is_known: true, owned, subscription: Some(subscription) };
        self.state = State::Member;
        let interval = u64::try_from(answer.heartbeat_interval_ms).unwrap_or_default();
        self.due_at = now + Duration::from_millis(interval).max(SHORTEST_INTERVAL);
        outputs.push(Output::Stand(self.standing()));
        if let Some(assignment) = &answer.assignment {
            self.target = places(assignment);
        }
        self.reconcile(now, outputs);
    }

    fn standing(&self) -> Standing {
        Standing { member_id: self.member_id.clone(), epoch: self.epoch }
    }

    /// The coordinator may know what it was told or not.
    fn unanswered(&mut self, now: Instant) {
        if matches!(self.asked.take(), Some(Asked::Leave)) {
            // Nobody waits for a coordinator that is not there: the session will end.
            self.epoch = JOINING;
        }
        self.known = Known::default();
        self.due_at = now + self.backoff.next();
    }

    fn refused(
        &mut self,
        now: Instant,
        answer: &ConsumerGroupHeartbeatResponse,
        outputs: &mut Vec<Output>,
    ) {
        let code = answer.error_code;
        self.known = Known::default();
        self.due_at = now + self.backoff.next();
        match code {
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                outputs.push(Output::Seek);
            }
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::FENCED_MEMBER_EPOCH => {
                self.state = State::Joining;
                self.lose_all(outputs);
            }
            code if code.is_retriable() => {}
            _ => {
                self.lose_all(outputs);
                self.state = State::Over;
                let message = answer.error_message.as_ref().map(ToString::to_string);
                let what = format!("membership in group {}", self.options.group);
                let failed = Refused { code, message }.of(what);
                outputs.push(Output::Tell(Notice::Failed(failed)));
            }
        }
    }

    /// What it owned is not its own any more: it begins anew.
    fn lose_all(&mut self, outputs: &mut Vec<Output>) {
        let lost = self.keys(&self.owned);
        self.epoch = JOINING;
        self.owned.clear();
        self.target.clear();
        self.releasing = None;
        self.known = Known::default();
        outputs.push(Output::Stand(Standing::default()));
        if !lost.is_empty() {
            outputs.push(Output::Tell(Notice::Lost(lost)));
        }
    }

    /// Takes the next step from what is owned to what shall be.
    fn reconcile(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if self.state != State::Member || self.releasing.is_some() {
            return;
        }
        let unnamed = self.target.iter().map(|place| place.0);
        let unnamed: BTreeSet<Uuid> = unnamed.filter(|id| !self.names.contains_key(id)).collect();
        if !unnamed.is_empty() && !self.is_naming {
            self.is_naming = true;
            outputs.push(Output::Name(unnamed));
        }
        let leaving: BTreeSet<Place> = self.owned.difference(&self.target).copied().collect();
        if !leaving.is_empty() {
            self.notices += 1;
            let keys = self.keys(&leaving);
            self.releasing = Some((self.notices, leaving));
            outputs.push(Output::Tell(Notice::Revoking(self.notices, keys)));
            return;
        }
        let coming = self.target.difference(&self.owned).copied();
        let coming: BTreeSet<Place> =
            coming.filter(|place| self.names.contains_key(&place.0)).collect();
        if !coming.is_empty() {
            let keys = self.keys(&coming);
            self.owned.extend(coming);
            outputs.push(Output::Tell(Notice::Assigned(keys)));
        }
        if self.owned != self.known.owned {
            self.due_at = now;
        }
    }

    fn released(&mut self, now: Instant, number: u64, outputs: &mut Vec<Output>) {
        let Some((_, places)) = self.releasing.take_if(|releasing| releasing.0 == number) else {
            return;
        };
        self.owned.retain(|place| !places.contains(place));
        self.reconcile(now, outputs);
    }

    /// A member whose application hangs leaves, so that others read on.
    fn go_away_if_absent(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let is_in = matches!(self.state, State::Joining | State::Member);
        if is_in && now >= self.polled_at + self.options.max_poll_interval {
            let epoch = self.epoch;
            self.lose_all(outputs);
            self.epoch = epoch;
            self.state = State::Away;
        }
    }

    fn left(&mut self, outputs: &mut Vec<Output>) {
        self.epoch = JOINING;
        if self.state == State::Leaving {
            self.state = State::Over;
        }
        outputs.push(Output::Stand(Standing::default()));
    }

    /// Asks what is due, unless something is under way.
    fn ask(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if self.state == State::Over {
            self.asked = None;
            outputs.push(Output::End);
            return;
        }
        if self.asked.is_some() {
            return;
        }
        match self.state {
            State::Joining | State::Member if now >= self.due_at => {
                let request = self.report();
                self.asked = Some(Asked::Report(self.owned.clone(), self.subscription.clone()));
                outputs.push(Output::Ask(Question::Report(request)));
            }
            State::Away | State::Leaving if self.epoch > 0 => {
                self.asked = Some(Asked::Leave);
                outputs.push(Output::Ask(Question::Report(self.farewell())));
            }
            State::Leaving => {
                self.state = State::Over;
                outputs.push(Output::End);
            }
            State::Joining | State::Member | State::Away | State::Over => {}
        }
    }

    fn report(&self) -> ConsumerGroupHeartbeatRequest {
        let is_full = self.epoch == JOINING || !self.known.is_known;
        let mut request = self.request(self.epoch);
        if is_full {
            let timeout = self.options.max_poll_interval.as_millis();
            request.rebalance_timeout_ms = i32::try_from(timeout).unwrap_or(i32::MAX);
            request.rack_id = self.rack.as_deref().map(Into::into);
            request.server_assignor = self.options.server_assignor.as_deref().map(Into::into);
        }
        if is_full || self.owned != self.known.owned {
            request.topic_partitions = Some(told(&self.owned));
        }
        let before = self.known.subscription.as_ref();
        if is_full || before != Some(&self.subscription) {
            match &self.subscription {
                Subscription::Topics(topics) => {
                    let names = topics.iter().map(|name| (**name).into());
                    request.subscribed_topic_names = Some(names.collect());
                    // One that was told before is taken back by an empty one.
                    let had_pattern = matches!(before, Some(Subscription::Pattern(_)));
                    request.subscribed_topic_regex = had_pattern.then(|| "".into());
                }
                Subscription::Pattern(pattern) => {
                    request.subscribed_topic_names = Some(Vec::new());
                    request.subscribed_topic_regex = Some((**pattern).into());
                }
            }
        }
        request
    }

    fn farewell(&self) -> ConsumerGroupHeartbeatRequest {
        let is_static = self.options.instance_id.is_some();
        self.request(if is_static { RESTING } else { LEAVING })
    }

    fn request(&self, member_epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: self.options.group.as_str().into(),
            member_id: self.member_id.as_str().into(),
            member_epoch,
            instance_id: self.options.instance_id.as_deref().map(Into::into),
            ..Default::default()
        }
    }

    fn keys(&self, places: &BTreeSet<Place>) -> BTreeSet<Key> {
        let key = |place: &Place| Some((Arc::clone(self.names.get(&place.0)?), place.1));
        places.iter().filter_map(key).collect()
    }
}

fn places(assignment: &ConsumerGroupHeartbeatAssignment) -> BTreeSet<Place> {
    let topics = assignment.topic_partitions.iter();
    topics
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)))
        .collect()
}

fn told(owned: &BTreeSet<Place>) -> Vec<ConsumerGroupHeartbeatTopicPartitions> {
    let mut topics: Vec<ConsumerGroupHeartbeatTopicPartitions> = Vec::new();
    for (topic_id, partition) in owned {
        match topics.last_mut().filter(|topic| topic.topic_id == *topic_id) {
            Some(topic) => topic.partitions.push(*partition),
            None => topics.push(ConsumerGroupHeartbeatTopicPartitions {
                topic_id: *topic_id,
                partitions: vec![*partition],
            }),
        }
    }
    topics
}

#[cfg(test)]
mod tests;
