//! A coordinator with its log, a clock, and those who ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milena_cluster::coordinator::{Machine, OnFailure, Output, Producer, Record, Replayed, Ticket};
use milena_cluster::group::{Answer, Caller, Coordinator, Request, Settings};
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::time::{Instant, Now};
use milena_protocol::api::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use milena_protocol::api::leave_group::{LeaveGroupMember, LeaveGroupRequest};
use milena_protocol::api::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, Timestamp, Uuid};

use super::bugs::Bug;
use super::topics::Topics;

pub const GROUP: &str = "group";
/// When a run begins.
const BEGIN_MS: u64 = 1_000_000;
pub const SESSION_MS: i32 = 10_000;
pub const REBALANCE_MS: i32 = 30_000;

/// What stands in the coordinator's partition.
#[derive(Clone)]
enum Entry {
    Record(Record, Option<Producer>),
    Marker(Producer, bool),
}

pub struct World {
    pub settings: Arc<Settings>,
    /// The topics that consumer groups can read.
    pub topics: Arc<MetadataImage>,
    coordinator: Coordinator,
    log: Vec<Entry>,
    now_ms: u64,
    next: u64,
    answers: BTreeMap<Ticket, Answer>,
    /// Nothing can be appended.
    appends_fail: bool,
    bug: Bug,
}

impl World {
    /// A coordinator that does not wait for more members than there are.
    pub fn new() -> Self {
        Self::with(Settings { initial_rebalance_delay: Duration::ZERO, ..Settings::default() })
    }

    pub fn with(settings: Settings) -> Self {
        Self::with_topics(settings, &[])
    }

    /// A coordinator in a cluster that has topics, of so many partitions each.
    pub fn with_topics(settings: Settings, topics: &[(&str, i32)]) -> Self {
        let settings = Arc::new(settings);
        let topics = Arc::new(Topics::new(topics).image);
        let coordinator = Coordinator::new(Arc::clone(&settings));
        let mut world = Self {
            settings,
            topics,
            coordinator,
            log: Vec::new(),
            now_ms: BEGIN_MS,
            next: 0,
            answers: BTreeMap::new(),
            appends_fail: false,
            bug: Bug::None,
        };
        world.step(|coordinator, now, outputs| coordinator.loaded(now, outputs));
        world
    }

    /// From here on something goes wrong.
    pub fn plant(&mut self, bug: Bug) {
        self.bug = bug;
    }

    /// Milliseconds since the beginning.
    pub fn elapsed_ms(&self) -> u64 {
        self.now_ms - BEGIN_MS
    }

    pub fn now(&self) -> Now {
        Now { instant: Instant(self.now_ms), wall: Timestamp(self.now_ms as i64) }
    }

    fn step(&mut self, step: impl FnOnce(&mut Coordinator, Now, &mut Outputs)) {
        let (mut outputs, now) = (Vec::new(), self.now());
        self.coordinator.see(&self.topics);
        step(&mut self.coordinator, now, &mut outputs);
        let mut is_refused = false;
        for output in outputs {
            match output {
                Output::Append(append) if self.appends_fail => {
                    if append.on_failure == OnFailure::Rebuild {
                        self.appends_fail = false;
                        return self.crash();
                    }
                    is_refused = true;
                }
                // The driver answers with the error.
                Output::Answer(..) if is_refused => {}
                Output::Append(append) => {
                    for record in append.records {
                        let offset = Offset(self.log.len() as i64);
                        replay(&mut self.coordinator, offset, &record, append.transaction);
                        if !self.bug.loses(&record) {
                            self.log.push(Entry::Record(record, append.transaction));
                        }
                    }
                }
                Output::Answer(ticket, answer) => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "one answer each");
                }
                Output::Effect(effect) => match effect {},
            }
        }
        self.coordinator.check_invariants();
    }

    /// Asks, and does not wait.
    pub fn send(&mut self, request: Request) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.step(|coordinator, now, outputs| coordinator.handle(now, ticket, request, outputs));
        ticket
    }

    /// The answer, if there is one.
    pub fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.answers.remove(&ticket)
    }

    /// Asks what is answered at once.
    pub fn ask(&mut self, request: Request) -> Answer {
        let ticket = self.send(request);
        self.answer(ticket).expect("an answer at once")
    }

    /// Asks while nothing can be appended: nobody is told of what is not written, and where the
    /// coordinator had counted on it, it is rebuilt.
    pub fn ask_in_vain(&mut self, request: Request) -> Option<Answer> {
        self.appends_fail = true;
        let ticket = self.send(request);
        self.appends_fail = false;
        self.answer(ticket)
    }

    /// Lets time pass while nothing can be appended.
    pub fn pass_in_vain(&mut self, ms: u64) {
        self.appends_fail = true;
        self.pass(ms);
        self.appends_fail = false;
    }

    /// Lets time pass, and what is due happen when it is.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(at) = self.coordinator.deadline().filter(|at| at.0 <= end) {
            self.now_ms = self.now_ms.max(at.0);
            let fails = self.appends_fail;
            self.step(|coordinator, now, outputs| coordinator.tick(now, outputs));
            let next = self.coordinator.deadline();
            // One that has just been rebuilt may have something to do at once.
            let is_rebuilt = fails && !self.appends_fail;
            assert!(
                is_rebuilt || next.is_none_or(|next| next > at),
                "what is done is not due any more"
            );
        }
        self.now_ms = end;
    }

    /// The coordinator is gone, and another begins from what was written down.
    pub fn crash(&mut self) {
        if self.bug == Bug::UnwrittenCounts {
            self.log.pop();
        }
        self.coordinator = Coordinator::new(Arc::clone(&self.settings));
        for (index, entry) in self.log.iter().enumerate() {
            match entry {
                Entry::Record(record, transaction) => {
                    let offset = Offset(index as i64);
                    replay(&mut self.coordinator, offset, record, *transaction);
                }
                Entry::Marker(producer, is_commit) => {
                    self.coordinator.replay_marker(*producer, *is_commit);
                }
            }
        }
        self.step(|coordinator, now, outputs| coordinator.loaded(now, outputs));
    }

    /// A transaction ends.
    pub fn decide(&mut self, producer: Producer, is_commit: bool) {
        self.log.push(Entry::Marker(producer, is_commit));
        self.coordinator.replay_marker(producer, is_commit);
    }

    /// How many records were written.
    pub fn written(&self) -> usize {
        self.log.len()
    }

    // What members ask.

    pub fn send_join(&mut self, member: &Joiner) -> Ticket {
        self.next += 1;
        let caller = Caller {
            client_id: member.client_id.as_str().into(),
            host: "/127.0.0.1".into(),
            version: member.version,
            fresh_id: Uuid::from_u128(u128::from(self.next)),
        };
        let protocol = |name: &String| JoinGroupRequestProtocol {
            name: name.as_str().into(),
            metadata: member.metadata.clone(),
        };
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: member.id.as_str().into(),
            group_instance_id: member.instance_id.map(Into::into),
            protocol_type: member.protocol_type.into(),
            protocols: member.protocols.iter().map(protocol).collect(),
            reason: None,
        };
        self.send(Request::Join(caller, request))
    }

    pub fn joined(&mut self, ticket: Ticket) -> Option<JoinGroupResponse> {
        match self.answer(ticket)? {
            Answer::Join(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    pub fn send_sync(&mut self, id: &str, generation: i32, parts: &[(&str, &str)]) -> Ticket {
        let parts = parts.iter().map(|(id, part)| (*id, Bytes::copy_from_slice(part.as_bytes())));
        self.send_parts(id, generation, parts.collect())
    }

    /// Asks for a member's part, and says everyone's if it leads.
    pub fn send_parts(&mut self, id: &str, generation: i32, parts: Vec<(&str, Bytes)>) -> Ticket {
        let part = |(id, assignment): (&str, Bytes)| SyncGroupRequestAssignment {
            member_id: id.into(),
            assignment,
        };
        let request = SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: id.into(),
            assignments: parts.into_iter().map(part).collect(),
            ..Default::default()
        };
        self.send(Request::Sync(Caller::default(), request))
    }

    pub fn synced(&mut self, ticket: Ticket) -> Option<SyncGroupResponse> {
        match self.answer(ticket)? {
            Answer::Sync(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    pub fn heartbeat(&mut self, id: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: id.into(),
            group_instance_id: None,
        };
        match self.ask(Request::Heartbeat(request)) {
            Answer::Heartbeat(response) => self.bug.told(response.error_code),
            other => panic!("{other:?}"),
        }
    }

    pub fn leave(&mut self, id: &str) -> ErrorCode {
        let leaving = LeaveGroupMember { member_id: id.into(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: GROUP.into(),
            members: vec![leaving],
            ..Default::default()
        };
        match self.ask(Request::Leave(request)) {
            Answer::Leave(response) => response.members[0].error_code,
            other => panic!("{other:?}"),
        }
    }

    /// A heartbeat of a member of a consumer group.
    pub fn beat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let request = self.beating(request);
        match self.ask(request) {
            Answer::ConsumerHeartbeat(response) => response,
            other => panic!("{other:?}"),
        }
    }

    pub fn beating(&self, request: ConsumerGroupHeartbeatRequest) -> Request {
        let caller = Caller { client_id: "client".into(), version: 1, ..Default::default() };
        Request::ConsumerHeartbeat(caller, request)
    }

    /// A stable group of so many members, the leader first.
    pub fn stable(&mut self, count: usize) -> (Vec<Joiner>, i32) {
        self.stable_with(count, |_, id| format!("of {id}").into())
    }

    /// A stable group in which each member has the part that is made for its place and id.
    pub fn stable_with(
        &mut self,
        count: usize,
        part: impl Fn(usize, &str) -> Bytes,
    ) -> (Vec<Joiner>, i32) {
        let mut members: Vec<Joiner> = (0..count).map(|_| Joiner::new()).collect();
        for member in &mut members {
            let ticket = self.send_join(member);
            let told = self.joined(ticket).unwrap();
            assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
            member.id = told.member_id.to_string();
        }
        let tickets: Vec<Ticket> = members.iter().map(|member| self.send_join(member)).collect();
        let answers: Vec<JoinGroupResponse> =
            tickets.into_iter().map(|ticket| self.joined(ticket).unwrap()).collect();
        let generation = answers[0].generation_id;
        let leader = answers[0].leader.to_string();
        members.sort_by_key(|member| member.id != leader);
        let part = |(place, member): (usize, &Joiner)| (member.id.clone(), part(place, &member.id));
        let parts: Vec<(String, Bytes)> = members.iter().enumerate().map(part).collect();
        for member in members.iter().rev() {
            let parts = parts.iter().map(|(id, part)| (id.as_str(), part.clone()));
            let ticket = self.send_parts(&member.id, generation, parts.collect());
            let is_leader = member.id == leader;
            assert_eq!(self.answers.contains_key(&ticket), is_leader, "the leader assigns");
            self.answer(ticket);
        }
        self.answers.clear();
        (members, generation)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

type Outputs = Vec<Output<Answer, std::convert::Infallible>>;

fn replay(coordinator: &mut Coordinator, offset: Offset, record: &Record, of: Option<Producer>) {
    coordinator.replay(Replayed {
        offset,
        transaction: of,
        key: &record.key,
        value: record.value.as_deref(),
    });
}

/// Someone who joins.
#[derive(Clone, Debug)]
pub struct Joiner {
    pub id: String,
    pub client_id: String,
    pub instance_id: Option<&'static str>,
    /// The protocols that it could use; it says the same in each.
    pub protocols: Vec<String>,
    pub metadata: Bytes,
    pub version: i16,
    pub protocol_type: &'static str,
}

impl Joiner {
    pub fn new() -> Self {
        Self {
            id: String::new(),
            client_id: "client".into(),
            instance_id: None,
            protocols: vec!["range".into()],
            metadata: reads(&["topic"]),
            version: 9,
            protocol_type: "consumer",
        }
    }

    pub fn named(instance_id: &'static str) -> Self {
        Self { instance_id: Some(instance_id), ..Self::new() }
    }
}

impl Default for Joiner {
    fn default() -> Self {
        Self::new()
    }
}

/// What a consumer says of the topics that it reads.
pub fn reads(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}
