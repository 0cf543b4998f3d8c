//! A classic group: its state, its members, and how a generation begins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use milena_protocol::api::join_group::{JoinGroupRequestProtocol, JoinGroupResponse};
use milena_protocol::api::sync_group::SyncGroupResponse;
use milena_protocol::codec::Text;
use milena_protocol::consumer_protocol::ConsumerProtocolSubscription;
use milena_protocol::coordinator_record::offset::{GroupMetadataMember, GroupMetadataValue};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Timestamp;
use milena_protocol::message::Message;

use super::member::Member;
use super::said::Said;
use crate::coordinator::{Append, OnFailure, Output, Ticket};
use crate::group::record;
use crate::group::request::Answer;
use crate::group::settings::Settings;
use crate::time::{Instant, Now};

/// The type of protocol whose subscriptions the broker can read.
pub(super) const CONSUMER: &str = "consumer";

/// Outputs of a group.
pub type Outputs = Vec<Output<Answer, std::convert::Infallible>>;

/// Where a group stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has no members.
    #[default]
    Empty,
    /// Members join the next generation.
    PreparingRebalance,
    /// They have joined; the leader assigns.
    CompletingRebalance,
    /// Everyone has a part.
    Stable,
}

impl State {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// The first rebalance of an empty group, which waits for more members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Initial {
    /// Nobody waits beyond this.
    pub latest_at: Instant,
    /// Someone came since the wait was last prolonged.
    pub someone_came: bool,
}

/// A classic group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub(super) id: Text,
    pub(super) state: State,
    /// When it came into its state.
    pub(super) since: Timestamp,
    pub(super) protocol_type: Option<Text>,
    pub(super) protocol: Option<Text>,
    pub(super) generation: i32,
    pub(super) leader: Option<Text>,
    pub(super) members: BTreeMap<Text, Member>,
    /// What they say of themselves, together.
    pub(super) said: Said,
    /// The members that have names, by name.
    pub(super) instances: BTreeMap<Text, Text>,
    /// Ids that were handed out, and until when they may be used to join.
    pub(super) pending: BTreeMap<Text, Instant>,
    /// When the members are counted that have joined.
    pub(super) join_ends_at: Option<Instant>,
    pub(super) initial: Option<Initial>,
    /// When members go that have not asked for their part.
    pub(super) sync_ends_at: Option<Instant>,
    /// The topics that its members subscribe to, where the broker can read that.
    pub(super) subscribed: Option<BTreeSet<Text>>,
    /// Whether the log has a record of it.
    pub(super) is_recorded: bool,
    /// Nothing is due before.
    pub(super) look_at: Option<Instant>,
}

impl Group {
    /// A group without members.
    #[must_use]
    pub fn new(id: Text, now: Timestamp) -> Self {
        Self { id, since: now, ..Self::default() }
    }

    /// The group that a record describes. Its sessions begin with [`Group::loaded`].
    #[must_use]
    pub fn restore(id: Text, stored: GroupMetadataValue) -> Self {
        let protocol = stored.protocol.filter(|protocol| !protocol.is_empty());
        let state = match (stored.members.is_empty(), &stored.leader) {
            (true, _) => State::Empty,
            // The generation had begun and was not assigned: members must join the next.
            (false, None) => State::PreparingRebalance,
            (false, Some(_)) => State::Stable,
        };
        let mut group = Self {
            id,
            state,
            since: stored.current_state_timestamp,
            protocol_type: Some(stored.protocol_type).filter(|kind| !kind.is_empty()),
            protocol: protocol.clone(),
            generation: stored.generation,
            leader: stored.leader,
            is_recorded: true,
            ..Self::default()
        };
        for stored in stored.members {
            let name = protocol.clone().unwrap_or_default();
            let rebalance_timeout = match stored.rebalance_timeout {
                unknown if unknown < 0 => stored.session_timeout,
                known => known,
            };
            let member = Member {
                instance_id: stored.group_instance_id,
                client_id: stored.client_id,
                client_host: stored.client_host,
                session_timeout: millis(stored.session_timeout),
                rebalance_timeout: millis(rebalance_timeout),
                protocols: vec![JoinGroupRequestProtocol { name, metadata: stored.subscription }],
                assignment: stored.assignment,
                joining: None,
                syncing: None,
                is_new: false,
                expires_at: Instant::default(),
            };
            group.insert(stored.member_id, member);
        }
        group.subscribed = group.read_subscriptions();
        group
    }

    /// The coordinator has just begun: everyone gets a whole session.
    pub fn loaded(&mut self, now: Now) {
        let ids: Vec<Text> = self.members.keys().cloned().collect();
        ids.iter().for_each(|id| self.note_alive(now, id));
        if self.state == State::PreparingRebalance {
            let ends_at = now.instant.plus(self.rebalance_timeout());
            self.join_ends_at = Some(ends_at);
            self.remind(ends_at);
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When it came into its state.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The type of its protocol.
    #[must_use]
    pub fn protocol_type(&self) -> Option<&Text> {
        self.protocol_type.as_ref()
    }

    /// Whether the log has a record of it.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// Whether anyone is in it, or about to come.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.state == State::Empty && self.members.is_empty() && self.pending.is_empty()
    }

    /// Whether it has members, whatever they wait for.
    #[must_use]
    pub fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// How many members it has.
    #[must_use]
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Whether its members consume, so that the broker knows what they subscribe to.
    #[must_use]
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a member reads the topic; none where the broker cannot know.
    #[must_use]
    pub fn subscribes(&self, topic: &str) -> Option<bool> {
        Some(self.subscribed.as_ref()?.contains(topic))
    }

    /// Nothing is due before.
    #[must_use]
    pub fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// A member, if whoever asks may speak for it.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID where another has taken the name since.
    pub(super) fn check_member(
        &self,
        id: &Text,
        instance_id: Option<&Text>,
    ) -> Result<&Member, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let owner = self.instances.get(instance_id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if owner != id {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
        }
        self.members.get(id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)
    }

    pub(super) fn is_leader(&self, id: &Text) -> bool {
        self.leader.as_ref() == Some(id)
    }

    pub(super) fn enter(&mut self, state: State, now: Now) {
        self.state = state;
        self.since = now.wall;
    }

    /// Makes sure that the group is looked at then.
    pub(super) fn remind(&mut self, at: Instant) {
        self.look_at = Some(self.look_at.map_or(at, |known| known.min(at)));
    }

    /// A member lives: its session begins anew.
    pub(super) fn note_alive(&mut self, now: Now, id: &Text) {
        if let Some(member) = self.members.get_mut(id) {
            let at = now.instant.plus(member.session_timeout);
            member.expires_at = at;
            self.remind(at);
        }
    }

    pub(super) fn insert(&mut self, id: Text, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.instances.insert(instance_id.clone(), id.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.put(id, member);
    }

    /// Puts a member under its id, where none is.
    pub(super) fn put(&mut self, id: Text, member: Member) {
        self.said.add(&member);
        let there = self.members.insert(id, member);
        assert!(there.is_none(), "an id stands for one member");
    }

    /// Takes a member from under its id.
    pub(super) fn take(&mut self, id: &Text) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.said.remove(&member);
        Some(member)
    }

    /// Takes a member out; what it waits for is answered with an error.
    pub(super) fn remove(&mut self, id: &Text, why: ErrorCode, outputs: &mut Outputs) {
        let Some(member) = self.take(id) else {
            return;
        };
        if let Some(instance_id) = &member.instance_id
            && self.instances.get(instance_id) == Some(id)
        {
            self.instances.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = None;
        }
        refuse_waiting(&member, id, why, outputs);
    }

    /// Whether everyone that is known waits for the next generation.
    pub(super) fn has_everyone_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// How long its slowest member may take.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// Whether someone with these protocols could be a member.
    pub(super) fn accepts(
        &self,
        protocol_type: &str,
        protocols: &[JoinGroupRequestProtocol],
    ) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.is_common(&protocol.name))
    }

    /// Whether everyone could use a protocol.
    fn is_common(&self, protocol: &str) -> bool {
        self.said.supporters(protocol) == self.members.len()
    }

    /// Whether the group can be written with assignments of so many bytes.
    pub(super) fn fits(&self, assigned_bytes: usize, settings: &Settings) -> bool {
        self.said.bytes() + assigned_bytes <= settings.max_group_bytes
    }

    /// The protocol that most members like best among those that all could use.
    pub(super) fn elect_protocol(&self) -> Option<Text> {
        let mut votes: BTreeMap<&Text, usize> = BTreeMap::new();
        for member in self.members.values() {
            let liked = member.protocols.iter().find(|protocol| self.is_common(&protocol.name));
            *votes.entry(&liked?.name).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
    }

    /// The topics in the members' subscriptions; none where they cannot be read.
    pub(super) fn read_subscriptions(&self) -> Option<BTreeSet<Text>> {
        if !self.is_of_consumers() {
            return None;
        }
        let protocol = self.protocol.clone().unwrap_or_default();
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription(&member.metadata(&protocol))?.topics.iter().map(detached));
        }
        Some(topics)
    }

    /// What the log shall remember, with the assignments that are given.
    pub(super) fn stored(&self, assigned: impl Fn(&Text, &Member) -> Bytes) -> GroupMetadataValue {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| GroupMetadataMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: to_millis(member.rebalance_timeout),
            session_timeout: to_millis(member.session_timeout),
            subscription: member.metadata(&protocol),
            assignment: assigned(id, member),
        });
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.since,
            members: members.collect(),
        }
    }

    /// Writes down that a generation has begun, with its members and without leader and parts:
    /// otherwise its number could be given out again after the coordinator's end, and what was
    /// assigned in one be taken for the other.
    pub(super) fn record_generation(&mut self, outputs: &mut Outputs) {
        let stored = GroupMetadataValue { leader: None, ..self.stored(|_, _| Bytes::new()) };
        // Those who wait have been told.
        let _ = self.record(&stored, outputs);
    }

    /// Writes the group down. The group has moved on already: where it cannot be written, whoever
    /// waits is refused what nobody would remember.
    ///
    /// # Errors
    /// UNKNOWN_SERVER_ERROR where a field is longer than a record can say. Whoever joins is
    /// refused before that, so it does not happen; it must not end the process if it does.
    pub(super) fn record(
        &mut self,
        stored: &GroupMetadataValue,
        outputs: &mut Outputs,
    ) -> Result<(), ErrorCode> {
        let Ok(record) = record::group(&self.id, Some(stored)) else {
            self.refuse_all(ErrorCode::UNKNOWN_SERVER_ERROR, outputs);
            return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
        };
        self.is_recorded = true;
        outputs.push(Output::Append(Append {
            records: vec![record],
            transaction: None,
            on_failure: OnFailure::Rebuild,
        }));
        Ok(())
    }

    /// Answers everyone who waits with an error.
    pub(super) fn refuse_all(&mut self, why: ErrorCode, outputs: &mut Outputs) {
        for (id, member) in &mut self.members {
            refuse_waiting(member, id, why, outputs);
            (member.joining, member.syncing) = (None, None);
        }
    }

    /// Asserts what always holds.
    ///
    /// # Panics
    /// When it does not.
    pub fn check_invariants(&self) {
        match self.state {
            State::Empty => assert!(self.members.is_empty(), "an empty group has members"),
            State::Stable | State::CompletingRebalance => {
                assert!(!self.members.is_empty(), "a group without members is empty");
                assert!(self.protocol.is_some(), "a generation has a protocol");
            }
            State::PreparingRebalance => {}
        }
        let mut said = Said::default();
        self.members.values().for_each(|member| said.add(member));
        assert_eq!(self.said, said, "what members say is counted");
        for (instance_id, id) in &self.instances {
            let named = self.members.get(id).and_then(|member| member.instance_id.as_ref());
            assert_eq!(named, Some(instance_id), "a name leads to its member");
        }
        for (id, member) in &self.members {
            let is_joining = member.joining.is_some();
            let may_join = self.state == State::PreparingRebalance;
            assert!(!is_joining || may_join, "{id} waits for a generation that has begun");
            let may_sync = self.state == State::CompletingRebalance;
            assert!(member.syncing.is_none() || may_sync, "{id} waits for a part it could have");
        }
    }
}

/// What a consumer says in its protocol.
pub(super) fn subscription(metadata: &Bytes) -> Option<ConsumerProtocolSubscription> {
    let (version, rest) = crate::coordinator::record::split(metadata)?;
    // Later versions only add to the end.
    let version = version.clamp(0, ConsumerProtocolSubscription::VERSIONS.max);
    let mut reader = milena_protocol::codec::Reader::new(rest);
    ConsumerProtocolSubscription::read(&mut reader, version).ok()
}

fn detached(text: &Text) -> Text {
    text.detach()
}

/// Answers what a member waits for with an error.
pub(super) fn refuse_waiting(member: &Member, id: &Text, why: ErrorCode, outputs: &mut Outputs) {
    if let Some(ticket) = member.joining {
        outputs.push(Output::Answer(ticket, refused_join(why, id.clone())));
    }
    if let Some(ticket) = member.syncing {
        outputs.push(Output::Answer(ticket, refused_sync(why)));
    }
}

/// An answer to a JoinGroup that comes to nothing.
pub(crate) fn refused_join(why: ErrorCode, member_id: Text) -> Answer {
    Answer::Join(JoinGroupResponse { error_code: why, member_id, ..Default::default() })
}

/// An answer to a SyncGroup that comes to nothing.
pub(super) fn refused_sync(why: ErrorCode) -> Answer {
    Answer::Sync(SyncGroupResponse { error_code: why, ..Default::default() })
}

/// Answers one who waits.
pub(super) fn answer(ticket: Ticket, answer: Answer, outputs: &mut Outputs) {
    outputs.push(Output::Answer(ticket, answer));
}

pub(super) fn millis(count: i32) -> Duration {
    Duration::from_millis(u64::try_from(count).unwrap_or(0))
}

fn to_millis(span: Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}
