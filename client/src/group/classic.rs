//! A member of a classic group, as a machine: members join, their leader assigns, and everybody
//! learns its share with SyncGroup.
//!
//! ```text
//! outside ── join ──► joined ── leader: counts, assigns ──► sync ──► in, beats
//!    ▲                                                               │
//!    └──────── a rebalance, a new subscription, a fence ─────────────┘
//! ```
//!
//! An *eager* member gives up everything before it joins again. A *cooperative* one, which knows no
//! other assignor than `cooperative-sticky`, reads on, gives up what its new share does not hold,
//! and joins once more so that others get it (KIP-429).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::api::ApiKey;
use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use milena_protocol::api::leave_group::{LeaveGroupMember, LeaveGroupRequest};
use milena_protocol::api::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use milena_protocol::error_code::ErrorCode;
use tokio::time::Instant;

use super::assignor::{self, Candidates, Shares};
use super::embedded;
use super::options::{ClassicAssignor, GroupOptions, Subscription};
use super::step::{Input, Notice, Output, Question, Reply, Standing};
use crate::backoff::Backoff;
use crate::consumer::Key;
use crate::error::{ClientError, Refused};

/// What members of this kind have in common.
const PROTOCOL_TYPE: &str = "consumer";
/// How often a leader looks whether its topics have more partitions.
const METADATA_AGE: Duration = Duration::from_secs(300);

/// A member of a classic group.
#[derive(Debug)]
pub struct ClassicMember {
    options: GroupOptions,
    rack: Option<String>,
    topics: BTreeSet<Arc<str>>,
    member_id: String,
    /// −1 while it is no member.
    generation: i32,
    /// How the generation's members share, by name.
    protocol: String,
    phase: Phase,
    /// What it reads, also while it gives it up.
    owned: BTreeSet<Key>,
    releasing: Option<(u64, BTreeSet<Key>)>,
    notices: u64,
    /// It has to join again as soon as it is in.
    is_outdated: bool,
    asked: Option<Asked>,
    leading: Option<Leading>,
    due_at: Instant,
    polled_at: Instant,
    backoff: Backoff,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Outside,
    /// It waits for how many partitions there are, to assign them.
    Assigning,
    /// It is to learn its share; the leader says all shares with that.
    Joined(Shares),
    In,
    /// It left because the application does not poll, and comes back when it does.
    Away,
    /// The application leaves.
    Leaving,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Join,
    Sync,
    Beat,
    Leave,
}

/// What a leader knows of its group.
#[derive(Debug)]
struct Leading {
    assignor: ClassicAssignor,
    members: Candidates,
    counts: BTreeMap<Arc<str>, usize>,
    count_at: Instant,
    is_counting: bool,
}

impl ClassicMember {
    /// A member that wants to join.
    ///
    /// # Errors
    /// When it wants what the classic protocol does not have.
    pub fn new(
        options: GroupOptions,
        rack: &str,
        wanted: Subscription,
        now: Instant,
    ) -> Result<Self, ClientError> {
        let why = |why: &str| ClientError::Unwritable { api: ApiKey::JoinGroup, why: why.into() };
        let Subscription::Topics(topics) = wanted else {
            return Err(why("only members of the consumer protocol subscribe by an expression"));
        };
        if options.classic_assignors.is_empty() {
            return Err(why("a member of the classic protocol needs an assignor"));
        }
        Ok(Self {
            options,
            rack: (!rack.is_empty()).then(|| rack.to_owned()),
            topics,
            member_id: String::new(),
            generation: -1,
            protocol: String::new(),
            phase: Phase::Outside,
            owned: BTreeSet::new(),
            releasing: None,
            notices: 0,
            is_outdated: false,
            asked: None,
            leading: None,
            due_at: now,
            polled_at: now,
            backoff: Backoff::default(),
        })
    }

    /// When time alone changes something.
    pub fn deadline(&self) -> Option<Instant> {
        if matches!(self.phase, Phase::Away | Phase::Leaving | Phase::Over) {
            return None;
        }
        let absent_at = self.polled_at + self.options.max_poll_interval;
        let due_at = match (&self.asked, &self.phase) {
            (Some(_), _) | (None, Phase::Assigning) => None,
            _ => Some(self.due_at),
        };
        let leading = self.leading.as_ref().filter(|leading| !leading.is_counting);
        let count_at = leading.map(|leading| leading.count_at);
        [due_at, count_at].into_iter().flatten().chain([absent_at]).min()
    }

    /// One step; what it wants done is put behind the other outputs.
    pub fn step(&mut self, now: Instant, input: Input, outputs: &mut Vec<Output>) {
        match input {
            Input::Answered(reply) => self.answered(now, reply, outputs),
            Input::Unanswered => self.unanswered(now),
            Input::Counted(counts) => self.counted(now, counts, outputs),
            Input::Released(number) => self.released(now, number),
            Input::Polled => {
                self.polled_at = now;
                if self.phase == Phase::Away {
                    self.phase = Phase::Outside;
                    self.due_at = now;
                }
            }
            Input::Subscribed(Subscription::Topics(topics)) => {
                self.is_outdated |= self.topics != topics;
                self.topics = topics;
            }
            Input::Subscribed(Subscription::Pattern(_)) => {
                let why = "only members of the consumer protocol subscribe by an expression";
                let (api, why) = (ApiKey::JoinGroup, why.to_owned());
                self.fail(ClientError::Unwritable { api, why }, outputs);
            }
            Input::Leave => {
                self.phase = Phase::Leaving;
                // A join is held until the others have joined, who may wait for this one to go.
                if self.asked.take_if(|asked| *asked == Asked::Join).is_some() {
                    outputs.push(Output::HangUp);
                }
            }
            Input::Woke | Input::Named(_) => {}
        }
        self.go_away_if_absent(now, outputs);
        if self.is_outdated && self.phase == Phase::In {
            self.join_again(now, outputs);
        }
        self.count_if_due(now, outputs);
        self.ask(now, outputs);
    }

    fn answered(&mut self, now: Instant, reply: Reply, outputs: &mut Vec<Output>) {
        let asked = self.asked.take();
        let is_out = matches!(self.phase, Phase::Away | Phase::Leaving | Phase::Over);
        match (asked, reply) {
            (Some(Asked::Join), Reply::Join(answer)) => {
                // Also for who leaves meanwhile: it must know who it is to say so.
                if !answer.member_id.is_empty() {
                    self.member_id = answer.member_id.to_string();
                }
                if !is_out {
                    self.joined(now, &answer, outputs);
                }
            }
            (Some(Asked::Sync), Reply::Sync(answer)) if !is_out => {
                self.synced(now, &answer, outputs);
            }
            (Some(Asked::Beat), Reply::Beat(answer)) if !is_out => {
                self.due_at = now + self.options.heartbeat_interval;
                match answer.error_code {
                    ErrorCode::NONE => self.backoff.reset(),
                    // Who joins anyway knows it already.
                    ErrorCode::REBALANCE_IN_PROGRESS if self.phase == Phase::Outside => {}
                    ErrorCode::REBALANCE_IN_PROGRESS => self.join_again(now, outputs),
                    code => self.refused(now, code, "heartbeat", outputs),
                }
            }
            (Some(Asked::Leave), _) => {
                self.forget_myself(outputs);
                if self.phase == Phase::Leaving {
                    self.phase = Phase::Over;
                }
            }
            _ => {}
        }
    }

    /// The coordinator may have heard the question or not.
    fn unanswered(&mut self, now: Instant) {
        match self.asked.take() {
            // Nobody waits for a coordinator that is not there: the session will end.
            Some(Asked::Leave) => self.member_id.clear(),
            // The generation may have gone on without it.
            Some(Asked::Sync) => self.phase = Phase::Outside,
            Some(Asked::Join | Asked::Beat) | None => {}
        }
        self.due_at = now + self.backoff.next();
    }

    fn joined(&mut self, now: Instant, answer: &JoinGroupResponse, outputs: &mut Vec<Output>) {
        match answer.error_code {
            ErrorCode::NONE => {}
            // The id is known now; it joins with it.
            ErrorCode::MEMBER_ID_REQUIRED => return self.due_at = now,
            code => return self.refused(now, code, "joining", outputs),
        }
        self.backoff.reset();
        self.generation = answer.generation_id;
        self.protocol = answer.protocol_name.as_deref().unwrap_or_default().to_owned();
        outputs.push(Output::Stand(self.standing()));
        self.leading = None;
        self.phase = Phase::Joined(Shares::new());
        self.due_at = now;
        if *answer.leader != *self.member_id || answer.skip_assignment {
            return;
        }
        let mut known = self.options.classic_assignors.iter();
        let known = known.find(|known| known.name() == self.protocol);
        let Some(assignor) = known.copied() else {
            return self.refused(now, ErrorCode::INCONSISTENT_GROUP_PROTOCOL, "joining", outputs);
        };
        let members = answer.members.iter().map(|member| {
            let mut candidate = embedded::read_subscription(&member.metadata);
            candidate.instance_id = member.group_instance_id.as_ref().map(ToString::to_string);
            (member.member_id.to_string(), candidate)
        });
        let (members, counts) = (members.collect(), BTreeMap::new());
        self.phase = Phase::Assigning;
        let leading = Leading { assignor, members, counts, count_at: now, is_counting: false };
        self.leading = Some(leading);
    }

    /// A leader that is to assign does, one that has assigned looks whether it has to again.
    fn counted(
        &mut self,
        now: Instant,
        counts: BTreeMap<Arc<str>, usize>,
        outputs: &mut Vec<Output>,
    ) {
        let Some(leading) = &mut self.leading else { return };
        leading.is_counting = false;
        leading.count_at = now + METADATA_AGE;
        let is_new = leading.counts != counts;
        leading.counts = counts;
        match self.phase {
            Phase::Assigning => {
                let shares = assignor::assign(leading.assignor, &leading.members, &leading.counts);
                self.phase = Phase::Joined(shares);
                self.due_at = now;
            }
            Phase::In if is_new => self.join_again(now, outputs),
            _ => {}
        }
    }

    fn count_if_due(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let may = matches!(self.phase, Phase::Assigning | Phase::In);
        let Some(leading) = self.leading.as_mut().filter(|_| may) else { return };
        if !leading.is_counting && now >= leading.count_at {
            leading.is_counting = true;
            let topics = leading.members.values().flat_map(|member| member.topics.iter().cloned());
            outputs.push(Output::Count(topics.collect()));
        }
    }

    fn synced(&mut self, now: Instant, answer: &SyncGroupResponse, outputs: &mut Vec<Output>) {
        match answer.error_code {
            ErrorCode::NONE => {}
            ErrorCode::REBALANCE_IN_PROGRESS => return self.join_again(now, outputs),
            code => {
                self.phase = Phase::Outside;
                return self.refused(now, code, "learning its share", outputs);
            }
        }
        let share = embedded::read_assignment(&answer.assignment).unwrap_or_default();
        self.phase = Phase::In;
        self.due_at = now + self.options.heartbeat_interval;
        let leaving: BTreeSet<Key> = self.owned.difference(&share).cloned().collect();
        let coming: BTreeSet<Key> = share.difference(&self.owned).cloned().collect();
        self.owned.extend(coming.clone());
        if !coming.is_empty() {
            outputs.push(Output::Tell(Notice::Assigned(coming)));
        }
        if !leaving.is_empty() {
            // Others get it in the next generation.
            self.is_outdated = true;
            self.revoke(leaving, outputs);
        }
    }

    fn revoke(&mut self, keys: BTreeSet<Key>, outputs: &mut Vec<Output>) {
        self.notices += 1;
        self.releasing = Some((self.notices, keys.clone()));
        outputs.push(Output::Tell(Notice::Revoking(self.notices, keys)));
    }

    fn released(&mut self, now: Instant, number: u64) {
        if let Some((_, keys)) = self.releasing.take_if(|releasing| releasing.0 == number) {
            self.owned.retain(|key| !keys.contains(key));
            self.due_at = now;
        }
    }

    /// Whether it reads on while it joins again.
    fn is_cooperative(&self) -> bool {
        self.options.classic_assignors == [ClassicAssignor::CooperativeSticky]
    }

    fn join_again(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        self.phase = Phase::Outside;
        if !self.is_cooperative() && !self.owned.is_empty() && self.releasing.is_none() {
            let keys = self.owned.clone();
            self.revoke(keys, outputs);
        }
        if self.releasing.is_none() {
            self.due_at = now;
        }
    }

    fn refused(&mut self, now: Instant, code: ErrorCode, what: &str, outputs: &mut Vec<Output>) {
        self.due_at = now + self.backoff.next();
        match code {
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                outputs.push(Output::Seek);
            }
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.forget_myself(outputs);
                self.phase = Phase::Outside;
            }
            ErrorCode::ILLEGAL_GENERATION => {
                let member_id = std::mem::take(&mut self.member_id);
                self.forget_myself(outputs);
                self.member_id = member_id;
                self.phase = Phase::Outside;
            }
            ErrorCode::REBALANCE_IN_PROGRESS => {}
            code if code.is_retriable() => {}
            code => {
                let refused = Refused { code, message: None };
                let error = refused.of(format!("{what} in group {}", self.options.group));
                self.fail(error, outputs);
            }
        }
    }

    fn fail(&mut self, error: ClientError, outputs: &mut Vec<Output>) {
        self.forget_myself(outputs);
        self.phase = Phase::Over;
        outputs.push(Output::Tell(Notice::Failed(error)));
    }

    /// It is no member any more: what it reads is lost.
    fn forget_myself(&mut self, outputs: &mut Vec<Output>) {
        self.member_id.clear();
        self.generation = -1;
        self.releasing = None;
        self.leading = None;
        outputs.push(Output::Stand(Standing::default()));
        let lost = std::mem::take(&mut self.owned);
        if !lost.is_empty() {
            outputs.push(Output::Tell(Notice::Lost(lost)));
        }
    }

    /// A member whose application hangs leaves, so that others read on.
    fn go_away_if_absent(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let is_out = matches!(self.phase, Phase::Away | Phase::Leaving | Phase::Over);
        if !is_out && now >= self.polled_at + self.options.max_poll_interval {
            let member_id = std::mem::take(&mut self.member_id);
            self.forget_myself(outputs);
            self.member_id = member_id;
            self.phase = Phase::Away;
        }
    }

    fn standing(&self) -> Standing {
        Standing { member_id: self.member_id.clone(), epoch: self.generation }
    }

    /// Asks what is due, unless something is under way.
    fn ask(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if self.phase == Phase::Over {
            return outputs.push(Output::End);
        }
        if self.asked.is_some() {
            return;
        }
        let is_due = now >= self.due_at;
        let question = match &self.phase {
            Phase::Outside if is_due && self.releasing.is_none() => {
                self.is_outdated = false;
                self.join()
            }
            Phase::Outside | Phase::In if is_due && self.generation >= 0 => self.beat(),
            Phase::Joined(shares) if is_due => self.sync(shares),
            // A static member's share is kept for it until its session is over.
            Phase::Away | Phase::Leaving
                if !self.member_id.is_empty() && self.options.instance_id.is_none() =>
            {
                self.leave()
            }
            Phase::Leaving => {
                self.phase = Phase::Over;
                return outputs.push(Output::End);
            }
            _ => return,
        };
        self.asked = Some(match question {
            Question::Join(_) | Question::Report(_) => Asked::Join,
            Question::Sync(_) => Asked::Sync,
            Question::Beat(_) => Asked::Beat,
            Question::Leave(_) => Asked::Leave,
        });
        outputs.push(Output::Ask(question));
    }

    fn join(&self) -> Question {
        let rack = self.rack.as_deref();
        // It says of when the claims are. Where there are none it would only make a static member
        // that comes back look like one that wants something else.
        let generation = if self.owned.is_empty() { -1 } else { self.generation };
        let metadata = embedded::write_subscription(&self.topics, &self.owned, generation, rack);
        let protocol = |assignor: &ClassicAssignor| JoinGroupRequestProtocol {
            name: assignor.name().into(),
            metadata: metadata.clone(),
        };
        Question::Join(JoinGroupRequest {
            group_id: self.options.group.as_str().into(),
            session_timeout_ms: milliseconds(self.options.session_timeout),
            rebalance_timeout_ms: milliseconds(self.options.max_poll_interval),
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.options.instance_id.as_deref().map(Into::into),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: self.options.classic_assignors.iter().map(protocol).collect(),
            reason: None,
        })
    }

    fn sync(&self, shares: &Shares) -> Question {
        let assignment = |(id, share): (&String, &BTreeSet<Key>)| SyncGroupRequestAssignment {
            member_id: id.as_str().into(),
            assignment: embedded::write_assignment(share),
        };
        Question::Sync(SyncGroupRequest {
            group_id: self.options.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.options.instance_id.as_deref().map(Into::into),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: Some(self.protocol.as_str().into()),
            assignments: shares.iter().map(assignment).collect(),
        })
    }

    fn beat(&self) -> Question {
        Question::Beat(HeartbeatRequest {
            group_id: self.options.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.options.instance_id.as_deref().map(Into::into),
        })
    }

    fn leave(&self) -> Question {
        let member_id = self.member_id.as_str();
        Question::Leave(LeaveGroupRequest {
            group_id: self.options.group.as_str().into(),
            member_id: member_id.into(),
            members: vec![LeaveGroupMember {
                member_id: member_id.into(),
                reason: Some("the consumer is done".into()),
                ..Default::default()
            }],
        })
    }
}

fn milliseconds(span: Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
