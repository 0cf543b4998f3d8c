//! A member of a group, of the classic or the consumer protocol: it joins, is told its partitions,
//! reads on from what is committed for them, and commits; at times it leaves, or ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use milena_cluster::coordinator::{partition_for, record};
use milena_cluster::group::{Answer, Caller, Request};
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum;
use milena_cluster::replica;
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatTopicPartitions,
};
use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use milena_protocol::api::leave_group::{LeaveGroupMember, LeaveGroupRequest};
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::api::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use milena_protocol::codec::Text;
use milena_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, PartitionIndex, Uuid};

use super::administrator::topic_id;
use super::{PATIENCE, address, index};
use crate::checks::require;
use crate::host::Key;
use crate::network::Message;
use crate::plan::GROUPS;
use crate::quorum_checks::Violation;
use crate::world::{Event, World};

/// Its kind of client.
pub const KIND: usize = 4;
/// The topic that all groups with members read.
const TOPIC: &str = "t0";
/// Milliseconds between two steps, at most.
const INTERVAL: u64 = 60;
/// Milliseconds that a member of a classic group may be silent, and take to join again.
const SESSION: i32 = 1_200;
const REBALANCE: i32 = 800;
/// Milliseconds that it waits for the others when it joins.
const JOIN_PATIENCE: u64 = 2_000;
/// Milliseconds between two heartbeats.
const HEARTBEAT: u64 = 200;
/// Milliseconds that one which has ended stays away, at most.
const ABSENCE: u64 = 1_500;
/// Members that end, of a thousand at each step.
const MORTALITY: u64 = 4;

/// What is asked.
#[derive(Clone, Debug)]
enum Ask {
    Join,
    Sync,
    Beat,
    Fetch,
    Commit(Key, i64),
}

/// Where it is on its way into a generation of a classic group.
#[derive(Clone, Debug)]
enum Phase {
    Out,
    /// It is in, and knows all others if it leads.
    Joined(Vec<Text>),
    Settled,
}

#[derive(Clone, Debug)]
struct Waiting {
    attempt: u64,
    until: u64,
    asked_at: u64,
    ask: Ask,
    /// What was committed of its partitions when it asked.
    committed: BTreeMap<Key, i64>,
}

/// A member.
#[derive(Debug)]
pub struct Member {
    group: Text,
    is_classic: bool,
    id: Text,
    /// The generation, or the member epoch.
    epoch: i32,
    phase: Phase,
    /// Its partitions, and up to where it knows them to be committed.
    owned: BTreeMap<Key, Option<i64>>,
    /// Whether the next heartbeat says everything, or what it owns.
    says_all: bool,
    has_news: bool,
    attempts: u64,
    waiting: Option<Waiting>,
    beats_at: u64,
    away_until: u64,
}

impl Member {
    /// One that has not joined.
    pub fn new(group: usize, is_classic: bool) -> Self {
        Self {
            group: format!("members-{group}").as_str().into(),
            is_classic,
            id: Text::default(),
            epoch: 0,
            phase: Phase::Out,
            owned: BTreeMap::new(),
            says_all: true,
            has_news: false,
            attempts: 0,
            waiting: None,
            beats_at: 0,
            away_until: 0,
        }
    }

    /// Its group.
    pub fn group(&self) -> &Text {
        &self.group
    }

    /// Its partitions; none while it is not settled.
    pub fn owned(&self) -> Option<impl Iterator<Item = Key>> {
        let is_in = matches!(self.phase, Phase::Settled) && self.epoch > 0;
        is_in.then(|| self.owned.keys().copied())
    }

    /// The generation of its group, where it has one.
    pub fn generation(&self) -> Option<i32> {
        self.is_classic.then_some(self.epoch)
    }

    fn lose_all(&mut self) {
        self.owned.clear();
        self.phase = Phase::Out;
        self.says_all = true;
        self.beats_at = 0;
        if !self.is_classic {
            self.epoch = 0;
        }
    }

    fn own(&mut self, told: &BTreeSet<Key>) {
        let before = self.owned.len();
        self.owned.retain(|key, _| told.contains(key));
        self.has_news = self.owned.len() != before || told.len() != before;
        for key in told {
            self.owned.entry(*key).or_default();
        }
    }

    fn beat(&self) -> Request {
        let (group_id, member_id) = (self.group.clone(), self.id.clone());
        if self.is_classic {
            let generation_id = self.epoch;
            return Request::Heartbeat(HeartbeatRequest {
                group_id,
                generation_id,
                member_id,
                group_instance_id: None,
            });
        }
        let mut request = ConsumerGroupHeartbeatRequest {
            group_id,
            member_id,
            member_epoch: self.epoch,
            ..Default::default()
        };
        if self.says_all {
            request.rebalance_timeout_ms = REBALANCE;
            request.subscribed_topic_names = Some(vec![TOPIC.into()]);
        }
        if self.says_all || self.has_news {
            request.topic_partitions = Some(by_topic(self.owned.keys()));
        }
        Request::ConsumerHeartbeat(Caller { version: 1, ..Default::default() }, request)
    }

    fn join(&self, fresh: u64) -> Request {
        let subscription =
            ConsumerProtocolSubscription { topics: vec![TOPIC.into()], ..Default::default() };
        let metadata = record::value(1, &subscription).unwrap_or_default();
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: SESSION,
            rebalance_timeout_ms: REBALANCE,
            member_id: self.id.clone(),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata }],
            ..Default::default()
        };
        let fresh_id = Uuid::from_u128(u128::from(fresh));
        Request::Join(Caller { version: 5, fresh_id, ..Default::default() }, request)
    }

    /// Asks for its part, and says everyone's if it leads.
    fn sync(&self, image: &MetadataImage) -> Request {
        let members: &[Text] = if let Phase::Joined(ids) = &self.phase { ids } else { &[] };
        let count = image.topic(TOPIC).map_or(0, |topic| topic.partitions().len());
        let part = |(place, id): (usize, &Text)| {
            let mine = (0..count).filter(|at| at % members.len() == place);
            let partitions = mine.map(|at| PartitionIndex(at as i32)).collect();
            let topic = TOPIC.into();
            let assignment = ConsumerProtocolAssignment {
                assigned_partitions: vec![ConsumerProtocolAssignmentTopicPartition {
                    topic,
                    partitions,
                }],
                ..Default::default()
            };
            let assignment = record::value(1, &assignment).unwrap_or_default();
            SyncGroupRequestAssignment { member_id: id.clone(), assignment }
        };
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.epoch,
            member_id: self.id.clone(),
            assignments: members.iter().enumerate().map(part).collect(),
            ..Default::default()
        };
        Request::Sync(Caller { version: 3, ..Default::default() }, request)
    }

    fn fetch(&self) -> Request {
        let partition_indexes = self.owned.keys().map(|key| key.1).collect();
        let topic = OffsetFetchRequestTopics {
            name: TOPIC.into(),
            topic_id: topic_id(0),
            partition_indexes,
        };
        let mut request = OffsetFetchRequestGroup {
            group_id: self.group.clone(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        if !self.is_classic {
            request.member_id = Some(self.id.clone());
            request.member_epoch = self.epoch;
        }
        Request::Fetch(request, true)
    }

    fn commit(&self, key: Key, offset: i64) -> Request {
        let partition = OffsetCommitRequestPartition {
            partition_index: key.1,
            committed_offset: Offset(offset),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: TOPIC.into(),
            topic_id: key.0,
            partitions: vec![partition],
        };
        let request = OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: self.epoch,
            member_id: self.id.clone(),
            topics: vec![topic],
            ..Default::default()
        };
        Request::Commit(Caller { version: 9, ..Default::default() }, request)
    }

    fn leave(&self) -> Request {
        if self.is_classic {
            let member = LeaveGroupMember { member_id: self.id.clone(), ..Default::default() };
            return Request::Leave(LeaveGroupRequest {
                group_id: self.group.clone(),
                members: vec![member],
                ..Default::default()
            });
        }
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            member_epoch: -1,
            ..Default::default()
        };
        Request::ConsumerHeartbeat(Caller { version: 1, ..Default::default() }, request)
    }
}

fn by_topic<'a>(keys: impl Iterator<Item = &'a Key>) -> Vec<ConsumerGroupHeartbeatTopicPartitions> {
    let mut topics: BTreeMap<Uuid, Vec<PartitionIndex>> = BTreeMap::new();
    keys.for_each(|key| topics.entry(key.0).or_default().push(key.1));
    topics
        .into_iter()
        .map(|(topic_id, partitions)| ConsumerGroupHeartbeatTopicPartitions {
            topic_id,
            partitions,
        })
        .collect()
}

/// The part that a member of a classic group was told.
fn part(assignment: &Bytes) -> BTreeSet<Key> {
    let said: Option<ConsumerProtocolAssignment> = record::read_value(assignment);
    let topics = said.map(|said| said.assigned_partitions).unwrap_or_default();
    topics
        .into_iter()
        .flat_map(|topic| topic.partitions)
        .map(|index| (topic_id(0), index))
        .collect()
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A member goes on, or asks again.
    pub fn member_next(&mut self, at: usize) {
        let pause = self.rng.within(1, INTERVAL);
        self.at(pause, Event::GoOn(address(KIND, at)));
        let (now, is_made) = (self.now, self.is_made());
        let ends = !self.is_calm && self.rng.chance(MORTALITY);
        let member = &self.clients.members[at];
        let waits = member.waiting.as_ref().is_some_and(|waiting| waiting.until > now);
        if !is_made || member.away_until > now {
            return;
        }
        if ends {
            return self.end_member(at);
        }
        if waits {
            return;
        }
        let ask = self.next_ask(at);
        self.ask_as_member(at, ask);
    }

    fn next_ask(&mut self, at: usize) -> Ask {
        let (now, is_over) = (self.now, self.is_resting());
        let steps = self.rng.within(1, 3) as i64;
        let member = &mut self.clients.members[at];
        if member.is_classic {
            match &member.phase {
                Phase::Out => return Ask::Join,
                Phase::Joined(_) => return Ask::Sync,
                Phase::Settled => {}
            }
        } else if member.id.is_empty() {
            let serial = self.next_serial();
            let member = &mut self.clients.members[at];
            member.id = format!("member-{at}-{serial}").as_str().into();
            return Ask::Beat;
        }
        let is_in = matches!(member.phase, Phase::Settled);
        if member.beats_at <= now || !is_in || member.owned.is_empty() {
            return Ask::Beat;
        }
        if member.owned.values().any(Option::is_none) {
            return Ask::Fetch;
        }
        let choices: Vec<(Key, i64)> =
            member.owned.iter().filter_map(|(key, it)| Some((*key, (*it)?))).collect();
        let choice = self.rng.pick(&choices).copied().filter(|_| !is_over);
        choice.map_or(Ask::Beat, |(key, committed)| Ask::Commit(key, committed + steps))
    }

    fn ask_as_member(&mut self, at: usize, ask: Ask) {
        let serial = self.next_serial();
        let newest = self.newest.clone();
        let member = &self.clients.members[at];
        let request = match &ask {
            Ask::Join => member.join(serial),
            Ask::Sync => member.sync(&newest),
            Ask::Beat => member.beat(),
            Ask::Fetch => member.fetch(),
            Ask::Commit(key, offset) => member.commit(*key, *offset),
        };
        let (group, keys) = (member.group.clone(), member.owned.keys());
        let groups = &self.checks.groups;
        let committed = keys.map(|key| (*key, groups.committed(&group, *key))).collect();
        if let Ask::Commit(key, offset) = &ask {
            self.checks.groups.asks(&group, *key, *offset);
        }
        let patience = if matches!(ask, Ask::Join | Ask::Sync) { JOIN_PATIENCE } else { PATIENCE };
        let asked_at = self.now;
        let member = &mut self.clients.members[at];
        member.attempts += 1;
        let (attempt, until) = (member.attempts, asked_at + patience);
        member.waiting = Some(Waiting { attempt, until, asked_at, ask, committed });
        // Whatever was said last may not be heard.
        member.says_all = true;
        self.send_as_member(at, attempt, request);
    }

    fn send_as_member(&mut self, at: usize, attempt: u64, request: Request) {
        let group = self.clients.members[at].group.clone();
        let topic = self.newest.topic(GROUPS);
        let key = topic.map(|it| (it.id(), partition_for(&group, it.partitions().len())));
        if let Some(key) = key
            && let Some(leader) = self.known_leader(key)
        {
            let message = Message::AskGroup { key, attempt, request };
            self.send(address(KIND, at), leader, None, message);
        }
    }

    /// One leaves, or just ends; another one comes in its place.
    fn end_member(&mut self, at: usize) {
        let absence = self.rng.within(1, ABSENCE);
        if self.rng.chance(500) {
            self.met("member left");
            let request = self.clients.members[at].leave();
            self.send_as_member(at, 0, request);
        } else {
            self.met("member ended");
        }
        let until = self.now + absence;
        let member = &mut self.clients.members[at];
        member.lose_all();
        (member.epoch, member.id) = (0, Text::default());
        (member.waiting, member.away_until) = (None, until);
    }

    /// A coordinator answers a member.
    pub fn member_told(
        &mut self,
        client: NodeId,
        attempt: u64,
        result: Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        let at = index(client, KIND);
        let member = &mut self.clients.members[at];
        let is_awaited = |waiting: &mut Waiting| waiting.attempt == attempt;
        let Some(waiting) = member.waiting.take_if(is_awaited) else { return Ok(()) };
        match (waiting.ask.clone(), result) {
            (_, Err(_)) => {
                self.met("group refused");
                Ok(())
            }
            (Ask::Join, Ok(Answer::Join(answer))) => {
                self.joined(at, answer);
                Ok(())
            }
            (Ask::Sync, Ok(Answer::Sync(answer))) if answer.error_code.is_none() => {
                self.synced(at, &answer.assignment)
            }
            (Ask::Sync, Ok(Answer::Sync(answer))) => {
                self.lose_place(at, answer.error_code);
                Ok(())
            }
            (Ask::Beat, Ok(Answer::Heartbeat(answer))) => {
                self.clients.members[at].beats_at = self.now + HEARTBEAT;
                self.lose_place(at, answer.error_code);
                Ok(())
            }
            (Ask::Beat, Ok(Answer::ConsumerHeartbeat(answer))) => self.heard(at, &answer),
            (Ask::Fetch, Ok(Answer::Fetch(answer))) => {
                if answer.error_code != ErrorCode::NONE {
                    self.lose_place(at, answer.error_code);
                    return Ok(());
                }
                let found = answer.topics.iter().flat_map(|topic| &topic.partitions);
                let found = found.filter(|it| it.error_code.is_none());
                let found: Vec<(Key, i64)> = found
                    .map(|it| ((topic_id(0), it.partition_index), it.committed_offset.0))
                    .collect();
                self.found(at, &waiting, &found)
            }
            (Ask::Commit(key, offset), Ok(Answer::Commit(topics))) => {
                let mut codes = topics.iter().flat_map(|(_, partitions)| partitions);
                let code = codes.next().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |it| it.1);
                self.committed(at, &waiting, (key, offset), code)
            }
            (ask, Ok(answer)) => Err(format!("{ask:?} is answered with {answer:?}")),
        }
    }

    fn joined(&mut self, at: usize, answer: JoinGroupResponse) {
        let member = &mut self.clients.members[at];
        match answer.error_code {
            ErrorCode::NONE => {
                let ids = answer.members.into_iter().map(|member| member.member_id);
                member.phase = Phase::Joined(ids.collect());
                member.id = answer.member_id;
                member.epoch = answer.generation_id;
                member.owned.clear();
            }
            ErrorCode::MEMBER_ID_REQUIRED => member.id = answer.member_id,
            code => self.lose_place(at, code),
        }
    }

    fn synced(&mut self, at: usize, assignment: &Bytes) -> Result<(), Violation> {
        let (now, told) = (self.now, part(assignment));
        self.met("member settled");
        let member = &mut self.clients.members[at];
        member.phase = Phase::Settled;
        member.beats_at = now + HEARTBEAT;
        member.own(&told);
        let (group, id) = (&member.group, &member.id);
        self.checks.groups.assigned_in(group, member.epoch, id, &told)?;
        self.checks.groups.assigned(group, id, &told, now);
        Ok(())
    }

    /// A member of a consumer group is told what it shall own; it gives up the rest at once.
    fn heard(
        &mut self,
        at: usize,
        answer: &ConsumerGroupHeartbeatResponse,
    ) -> Result<(), Violation> {
        let now = self.now;
        if answer.error_code != ErrorCode::NONE {
            self.lose_place(at, answer.error_code);
            return Ok(());
        }
        let member = &mut self.clients.members[at];
        let is_new = !matches!(member.phase, Phase::Settled);
        member.phase = Phase::Settled;
        member.epoch = answer.member_epoch;
        (member.says_all, member.has_news) = (false, false);
        member.beats_at = now + u64::try_from(answer.heartbeat_interval_ms).unwrap_or(0);
        if let Some(assignment) = &answer.assignment {
            let topics = assignment.topic_partitions.iter();
            let told: BTreeSet<Key> = topics
                .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_id, *index)))
                .collect();
            member.own(&told);
            if member.has_news {
                member.beats_at = now;
            }
            self.checks.groups.assigned(&member.group, &member.id, &told, now);
        }
        if is_new {
            self.met("member settled");
        }
        Ok(())
    }

    fn found(
        &mut self,
        at: usize,
        waiting: &Waiting,
        found: &[(Key, i64)],
    ) -> Result<(), Violation> {
        let member = &mut self.clients.members[at];
        for (key, offset) in found {
            let committed = waiting.committed.get(key).copied().unwrap_or(0);
            self.checks.groups.finds(&member.group, *key, *offset, committed)?;
            if let Some(position) = member.owned.get_mut(key) {
                *position = Some((*offset).max(0));
            }
        }
        self.met("member found");
        Ok(())
    }

    fn committed(
        &mut self,
        at: usize,
        waiting: &Waiting,
        (key, offset): (Key, i64),
        code: ErrorCode,
    ) -> Result<(), Violation> {
        let member = &mut self.clients.members[at];
        if code != ErrorCode::NONE {
            self.met("group refused");
            // A commit says less about its place than a heartbeat does.
            self.clients.members[at].beats_at = 0;
            return Ok(());
        }
        if let Some(position) = member.owned.get_mut(&key) {
            *position = Some(offset);
        }
        let (group, id) = (&member.group, &member.id);
        self.checks.groups.commits(group, key, id, offset, waiting.asked_at)?;
        self.met("member committed");
        Ok(())
    }

    /// What a member does about an error.
    fn lose_place(&mut self, at: usize, code: ErrorCode) {
        let member = &mut self.clients.members[at];
        match code {
            ErrorCode::NONE => {}
            ErrorCode::REBALANCE_IN_PROGRESS => {
                member.phase = Phase::Out;
                self.met("member told to join");
            }
            ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::FENCED_MEMBER_EPOCH
            | ErrorCode::STALE_MEMBER_EPOCH
            | ErrorCode::GROUP_ID_NOT_FOUND => {
                if code == ErrorCode::UNKNOWN_MEMBER_ID && member.is_classic {
                    member.id = Text::default();
                }
                member.lose_all();
                self.met("member lost its place");
            }
            _ => self.met("group refused"),
        }
    }

    /// With the faults over for a while every group is settled, and every partition somebody's.
    pub fn check_members(&self) -> Result<(), Violation> {
        let count = self.newest.topic(TOPIC).map_or(0, |topic| topic.partitions().len());
        let groups: BTreeSet<&Text> = self.clients.members.iter().map(Member::group).collect();
        for group in groups {
            let members = self.clients.members.iter().filter(|member| member.group() == group);
            let generations: BTreeSet<_> =
                members.clone().filter_map(|member| member.generation()).collect();
            require(generations.len() < 2, || {
                format!("after healing {group} has generations {generations:?}")
            })?;
            let mut owned = Vec::new();
            for member in members {
                let own = member.owned().ok_or_else(|| format!("after healing {member:?}"))?;
                owned.extend(own);
            }
            let distinct: BTreeSet<&Key> = owned.iter().collect();
            require(owned.len() == count && distinct.len() == count, || {
                format!("after healing {group} has {owned:?} of {count} partitions")
            })?;
        }
        Ok(())
    }
}
