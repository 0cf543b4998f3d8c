//! The coordinator of the groups in one partition of `__consumer_offsets`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use milena_protocol::api::heartbeat::HeartbeatResponse;
use milena_protocol::api::join_group::JoinGroupRequest;
use milena_protocol::api::leave_group::{
    LeaveGroupMember, LeaveGroupMemberResponse, LeaveGroupRequest, LeaveGroupResponse,
};
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use milena_protocol::codec::Text;
use milena_protocol::coordinator_record::offset::GroupMetadataValue;
use milena_protocol::error_code::ErrorCode;

use super::held::{Group, Groups};
use super::offsets::Offsets;
use super::record::{self, Content};
use super::request::{Answer, Caller, Request};
use super::settings::Settings;
use super::{classic, consumer};
use crate::coordinator::{Append, Machine, OnFailure, Output, Producer, Replayed, Ticket};
use crate::metadata::image::MetadataImage;
use crate::time::{Instant, Now};

/// How many protocols a member may name. Clients name a few.
const MAX_PROTOCOLS: usize = 1_000;

/// From this version on a SyncGroup names the protocol of its generation (KIP-559).
const NAMES_PROTOCOL: i16 = 5;

pub(super) type Outputs = Vec<Output<Answer, Infallible>>;

/// The coordinator of the groups in one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) settings: Arc<Settings>,
    pub(super) groups: Groups,
    pub(super) offsets: Offsets,
    /// The topics that consumer groups can read, as they were when last heard of.
    pub(super) topics: Arc<MetadataImage>,
    /// When offsets expire next; none until everything is loaded.
    expires_at: Option<Instant>,
}

impl Coordinator {
    /// A coordinator that knows of no group.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            groups: Groups::default(),
            offsets: Offsets::default(),
            topics: Arc::default(),
            expires_at: None,
        }
    }

    /// Does something to a classic group.
    pub(super) fn with_classic<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut classic::Group) -> T,
    ) -> Option<T> {
        self.groups.change(id, |group| match group {
            Group::Classic(group) => Some(change(group)),
            Group::Consumer(_) => None,
        })?
    }

    /// Does something to a consumer group.
    pub(super) fn with_consumer<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut consumer::Group) -> T,
    ) -> Option<T> {
        self.groups.change(id, |group| match group {
            Group::Consumer(group) => Some(change(group)),
            Group::Classic(_) => None,
        })?
    }

    fn join(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: &Caller,
        mut request: JoinGroupRequest,
        outputs: &mut Outputs,
    ) {
        let settings = Arc::clone(&self.settings);
        let group_id = request.group_id.clone();
        if let Err(why) = self.check_join(&request) {
            let refused = classic::refused_join(why, request.member_id);
            outputs.push(Output::Answer(ticket, refused));
            return;
        }
        let mut named = BTreeSet::new();
        request.protocols.retain(|protocol| named.insert(protocol.name.clone()));
        match self.groups.get(&group_id) {
            Some(Group::Classic(_)) => {}
            None => self.begin_classic(now, &group_id),
            Some(Group::Consumer(group)) if !group.is_deserted() => {
                return self.join_consumers(now, ticket, caller, &request, outputs);
            }
            Some(Group::Consumer(group)) => {
                // Nobody is in it: it may change its protocol, whatever the policy.
                let records = group.tombstones();
                self.begin_classic(now, &group_id);
                let (transaction, on_failure) = (None, OnFailure::Rebuild);
                outputs.push(Output::Append(Append { records, transaction, on_failure }));
            }
        }
        self.with_classic(&group_id, |group| {
            group.join(now, ticket, caller, request, &settings, outputs);
        });
    }

    fn check_join(&self, request: &JoinGroupRequest) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        let session_timeout = u128::try_from(request.session_timeout_ms).unwrap_or(0);
        let (min, max) = (self.settings.min_session_timeout, self.settings.max_session_timeout);
        if session_timeout < min.as_millis() || session_timeout > max.as_millis() {
            return Err(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        if request.protocols.len() > MAX_PROTOCOLS {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        match self.groups.get(&request.group_id) {
            // It says itself whom it takes in.
            Some(Group::Consumer(group)) if !group.is_deserted() => Ok(()),
            Some(Group::Classic(_)) => Ok(()),
            _ if !request.member_id.is_empty() => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            _ => Ok(()),
        }
    }

    fn begin_classic(&mut self, now: Now, id: &Text) {
        let id = id.detach();
        self.groups.insert(id.clone(), Group::Classic(classic::Group::new(id, now.wall)));
    }

    fn sync(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: &Caller,
        request: SyncGroupRequest,
        outputs: &mut Outputs,
    ) {
        let group_id = request.group_id.clone();
        let refused =
            |error_code| Answer::Sync(SyncGroupResponse { error_code, ..Default::default() });
        let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
        if caller.version >= NAMES_PROTOCOL && !names_protocol {
            let why = refused(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
            outputs.push(Output::Answer(ticket, why));
            return;
        }
        if group_id.is_empty() {
            let why = refused(ErrorCode::INVALID_GROUP_ID);
            outputs.push(Output::Answer(ticket, why));
            return;
        }
        if let Some(answer) = self.sync_with_consumers(now, &request) {
            outputs.push(Output::Answer(ticket, Answer::Sync(answer)));
            return;
        }
        let settings = Arc::clone(&self.settings);
        let done = self.with_classic(&group_id, |group| {
            group.sync(now, ticket, request, &settings, outputs);
        });
        if done.is_none() {
            let why = refused(ErrorCode::UNKNOWN_MEMBER_ID);
            outputs.push(Output::Answer(ticket, why));
        }
    }

    fn leave(&mut self, now: Now, request: &LeaveGroupRequest, outputs: &mut Outputs) -> Answer {
        if request.group_id.is_empty() {
            let error_code = ErrorCode::INVALID_GROUP_ID;
            return Answer::Leave(LeaveGroupResponse { error_code, ..Default::default() });
        }
        // Before version 3 one member leaves, and its error is that of the request.
        let only = LeaveGroupMember { member_id: request.member_id.clone(), ..Default::default() };
        let is_single = request.members.is_empty();
        let leaving = if is_single { std::slice::from_ref(&only) } else { &request.members };
        let settings = Arc::clone(&self.settings);
        let id = &request.group_id;
        let left = self.with_classic(id, |group| group.leave(now, leaving, &settings, outputs));
        let left = left.or_else(|| self.leave_consumers(now, id, leaving, outputs));
        let unknown = |leaving: &LeaveGroupMember| LeaveGroupMemberResponse {
            member_id: leaving.member_id.clone(),
            group_instance_id: leaving.group_instance_id.clone(),
            error_code: ErrorCode::UNKNOWN_MEMBER_ID,
        };
        let members = left.unwrap_or_else(|| leaving.iter().map(unknown).collect());
        let single = members.first().map(|member| member.error_code).filter(|_| is_single);
        Answer::Leave(LeaveGroupResponse {
            error_code: single.unwrap_or(ErrorCode::NONE),
            members: if is_single { Vec::new() } else { members },
            ..Default::default()
        })
    }

    /// Forgets a group that a request made which was refused.
    fn settle(&mut self, id: &Text) {
        let is_idle = self.groups.get(id).is_some_and(|group| match group {
            Group::Classic(classic) => {
                group.is_deserted() && !group.is_recorded() && classic.look_at().is_none()
            }
            Group::Consumer(_) => !group.is_recorded(),
        });
        if is_idle {
            self.groups.remove(id);
        }
    }

    fn replay_classic(&mut self, id: Text, value: Option<GroupMetadataValue>) {
        let is_classic = matches!(self.groups.get(&id), Some(Group::Classic(_)));
        match value {
            // What the coordinator wrote itself describes what it knows already, and not who waits.
            Some(_) if self.expires_at.is_some() => {}
            Some(value) => {
                let group = classic::Group::restore(id.clone(), value);
                self.groups.insert(id, Group::Classic(group));
            }
            // The group may have become one of the other protocol meanwhile.
            None if is_classic => self.groups.remove(&id),
            None => {}
        }
    }

    fn replay_consumer(&mut self, content: &consumer::Content) {
        let id = content.group_id();
        let is_consumer = matches!(self.groups.get(id), Some(Group::Consumer(_)));
        if !is_consumer {
            if content.is_tombstone() {
                return;
            }
            let id = id.detach();
            self.groups.insert(id.clone(), Group::Consumer(consumer::Group::new(id)));
        }
        let is_left = self.groups.change(id, |group| match group {
            Group::Consumer(group) => {
                group.replay(content);
                group.is_recorded()
            }
            Group::Classic(_) => true,
        });
        if is_left == Some(false) {
            self.groups.remove(id);
        }
    }
}

impl Machine for Coordinator {
    type Request = Request;
    type Answer = Answer;
    type Effect = Infallible;

    fn see(&mut self, metadata: &Arc<MetadataImage>) {
        if metadata.offset() > self.topics.offset() {
            self.topics = Arc::clone(metadata);
        }
    }

    fn handle(&mut self, now: Now, ticket: Ticket, request: Request, outputs: &mut Outputs) {
        let answer = match request {
            Request::Join(caller, request) => {
                let id = request.group_id.clone();
                self.join(now, ticket, &caller, request, outputs);
                return self.settle(&id);
            }
            Request::Sync(caller, request) => {
                return self.sync(now, ticket, &caller, request, outputs);
            }
            Request::Heartbeat(request) => {
                let id = &request.group_id;
                let heard = self.with_classic(id, |group| group.heartbeat(now, &request));
                let heard = heard.or_else(|| self.heartbeat_among_consumers(now, &request));
                let unknown = if id.is_empty() {
                    ErrorCode::INVALID_GROUP_ID
                } else {
                    ErrorCode::UNKNOWN_MEMBER_ID
                };
                let error_code = heard.unwrap_or(unknown);
                Answer::Heartbeat(HeartbeatResponse { error_code, ..Default::default() })
            }
            Request::Leave(request) => self.leave(now, &request, outputs),
            Request::ConsumerHeartbeat(caller, request) => {
                return self.consumer_heartbeat(now, ticket, &caller, &request, outputs);
            }
            Request::ConsumerDescribe(id) => Answer::ConsumerDescribe(self.describe_consumer(id)),
            Request::Commit(caller, request) => {
                return self.commit(now, ticket, &caller, request, outputs);
            }
            Request::CommitInTransaction(request, topic_ids) => {
                return self.commit_in_transaction(now, ticket, request, topic_ids, outputs);
            }
            Request::Fetch(request, waits) => Answer::Fetch(self.fetch(request, waits)),
            Request::DeleteOffsets(request) => {
                return self.delete_offsets(ticket, request, outputs);
            }
            Request::Describe(caller, id) => Answer::Describe(self.describe(&caller, id)),
            Request::List { states, types } => Answer::List(self.list(&states, &types)),
            Request::Progress { behind, max_rows } => {
                Answer::Progress(self.progress(behind.as_ref(), max_rows))
            }
            Request::Delete(id) => return self.delete(ticket, id, outputs),
            Request::TopicsDeleted(topics) => {
                self.forget_topics(&topics, outputs);
                Answer::TopicsDeleted
            }
        };
        outputs.push(Output::Answer(ticket, answer));
    }

    fn tick(&mut self, now: Now, outputs: &mut Outputs) {
        let settings = Arc::clone(&self.settings);
        // Each once: what follows from some of it is in records that are not replayed yet.
        for id in self.groups.due(now.instant) {
            self.with_classic(&id, |group| group.tick(now, &settings, outputs));
            self.tick_consumer(now, &id, outputs);
            self.settle(&id);
        }
        if self.expires_at.is_some_and(|at| at <= now.instant) {
            let interval = self.settings.offsets_retention_check_interval;
            self.expires_at = Some(now.instant.plus(interval));
            self.expire(now, outputs);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.groups.next_due_at();
        due.into_iter().chain(self.expires_at).min()
    }

    fn replay(&mut self, record: Replayed<'_>) {
        match record::read(record.key, record.value) {
            Some(Content::Offset(key, value)) => self.offsets.replay(&record, key, value),
            Some(Content::Group(key, value)) => self.replay_classic(key.group, value),
            None => {
                if let Some(content) = consumer::Content::read(record.key, record.value) {
                    self.replay_consumer(&content);
                }
            }
        }
    }

    fn replay_marker(&mut self, producer: Producer, is_commit: bool) {
        self.offsets.decide(producer, is_commit);
    }

    fn loaded(&mut self, now: Now, outputs: &mut Outputs) {
        self.expires_at = Some(now.instant.plus(self.settings.offsets_retention_check_interval));
        let ids: Vec<Text> = self.groups.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            let settings = self.settings.of_consumer_group(&id, &self.topics);
            self.groups.change(&id, |group| match group {
                Group::Classic(group) => group.loaded(now),
                Group::Consumer(group) => group.loaded(now, &settings),
            });
            self.downgrade_if_wanted(now, &id, outputs);
        }
        self.forget_gone_topics(outputs);
    }

    fn check_invariants(&self) {
        self.groups.check_invariants();
    }
}
