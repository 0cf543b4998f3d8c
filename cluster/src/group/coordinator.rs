//! The coordinator of the groups in one partition of `__consumer_offsets`.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use milena_protocol::api::heartbeat::HeartbeatResponse;
use milena_protocol::api::join_group::JoinGroupRequest;
use milena_protocol::api::leave_group::{
    LeaveGroupMember, LeaveGroupMemberResponse, LeaveGroupRequest, LeaveGroupResponse,
};
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::classic;
use super::offsets::Offsets;
use super::record::{self, Content};
use super::request::{Answer, Caller, Request};
use super::settings::Settings;
use crate::coordinator::{Machine, Output, Producer, Replayed, Ticket};
use crate::time::{Instant, Now};

pub(super) type Outputs = Vec<Output<Answer, Infallible>>;

/// The coordinator of the groups in one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) settings: Arc<Settings>,
    groups: BTreeMap<Text, classic::Group>,
    pub(super) offsets: Offsets,
    /// When which group has something to do.
    due: BTreeSet<(Instant, Text)>,
    expires_at: Option<Instant>,
}

impl Coordinator {
    /// A coordinator that knows of no group.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            due: BTreeSet::new(),
            expires_at: None,
        }
    }

    /// A classic group.
    pub(super) fn classic(&self, id: &str) -> Option<&classic::Group> {
        self.groups.get(id)
    }

    /// All classic groups.
    pub(super) fn all_classic(&self) -> impl Iterator<Item = (&Text, &classic::Group)> {
        self.groups.iter()
    }

    /// Does something to a group, and notes when it next has something to do itself.
    pub(super) fn with_classic<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut classic::Group) -> T,
    ) -> Option<T> {
        let (key, group) = self
            .groups
            .get_key_value(id)
            .map(|(key, _)| key.clone())
            .and_then(|key| self.groups.get_mut(&key).map(|group| (key, group)))?;
        let before = group.look_at();
        let result = change(group);
        let after = group.look_at();
        if before != after {
            self.due.extend(after.map(|at| (at, key.clone())));
            if let Some(before) = before {
                self.due.remove(&(before, key));
            }
        }
        Some(result)
    }

    fn join(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: &Caller,
        request: JoinGroupRequest,
        outputs: &mut Outputs,
    ) {
        let settings = Arc::clone(&self.settings);
        let group_id = request.group_id.clone();
        if let Err(why) = self.check_join(&request) {
            let refused = classic::refused_join(why, request.member_id);
            outputs.push(Output::Answer(ticket, refused));
            return;
        }
        if !self.groups.contains_key(&group_id) {
            let id = group_id.detach();
            self.groups.insert(id.clone(), classic::Group::new(id, now.wall));
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
        let is_known = self.groups.contains_key(&request.group_id);
        if !is_known && !request.member_id.is_empty() {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        Ok(())
    }

    fn sync(&mut self, now: Now, ticket: Ticket, request: SyncGroupRequest, outputs: &mut Outputs) {
        let group_id = request.group_id.clone();
        let refused =
            |error_code| Answer::Sync(SyncGroupResponse { error_code, ..Default::default() });
        if group_id.is_empty() {
            let why = refused(ErrorCode::INVALID_GROUP_ID);
            outputs.push(Output::Answer(ticket, why));
            return;
        }
        let done = self.with_classic(&group_id, |group| group.sync(now, ticket, request, outputs));
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
        let left = self
            .with_classic(&request.group_id, |group| group.leave(now, leaving, &settings, outputs));
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

    fn settle(&mut self, id: &Text) {
        // A group of which nothing is known and that nobody is in was made by a request that was
        // refused, or has been deleted.
        let is_idle = self.groups.get(id).is_some_and(|group| {
            group.is_deserted() && !group.is_recorded() && group.look_at().is_none()
        });
        if is_idle {
            self.groups.remove(id);
        }
    }

    fn replay_group(
        &mut self,
        id: Text,
        value: Option<milena_protocol::coordinator_record::offset::GroupMetadataValue>,
    ) {
        match value {
            // What the coordinator wrote itself describes what it knows already, and not who waits.
            Some(_) if self.expires_at.is_some() => {}
            Some(value) => {
                self.groups.insert(id.clone(), classic::Group::restore(id, value));
            }
            None => {
                if let Some(group) = self.groups.remove(&id)
                    && let Some(at) = group.look_at()
                {
                    self.due.remove(&(at, id));
                }
            }
        }
    }
}

impl Machine for Coordinator {
    type Request = Request;
    type Answer = Answer;
    type Effect = Infallible;

    fn handle(&mut self, now: Now, ticket: Ticket, request: Request, outputs: &mut Outputs) {
        let answer = match request {
            Request::Join(caller, request) => {
                let id = request.group_id.clone();
                self.join(now, ticket, &caller, request, outputs);
                return self.settle(&id);
            }
            Request::Sync(_, request) => return self.sync(now, ticket, request, outputs),
            Request::Heartbeat(request) => {
                let id = &request.group_id;
                let heard = self.with_classic(id, |group| group.heartbeat(now, &request));
                let unknown = if id.is_empty() {
                    ErrorCode::INVALID_GROUP_ID
                } else {
                    ErrorCode::UNKNOWN_MEMBER_ID
                };
                let error_code = heard.unwrap_or(unknown);
                Answer::Heartbeat(HeartbeatResponse { error_code, ..Default::default() })
            }
            Request::Leave(request) => self.leave(now, &request, outputs),
            Request::Commit(caller, request) => {
                return self.commit(now, ticket, &caller, request, outputs);
            }
            Request::CommitInTransaction(request) => {
                return self.commit_in_transaction(now, ticket, request, outputs);
            }
            Request::Fetch(request, waits) => Answer::Fetch(self.fetch(request, waits)),
            Request::DeleteOffsets(request) => {
                return self.delete_offsets(ticket, request, outputs);
            }
            Request::Describe(caller, id) => Answer::Describe(self.describe(&caller, id)),
            Request::List { states, types } => Answer::List(self.list(&states, &types)),
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
        while let Some((at, id)) = self.due.first().cloned() {
            if at > now.instant {
                break;
            }
            self.due.remove(&(at, id.clone()));
            self.with_classic(&id, |group| group.tick(now, &settings, outputs));
            self.settle(&id);
        }
        if self.expires_at.is_some_and(|at| at <= now.instant) {
            let interval = self.settings.offsets_retention_check_interval;
            self.expires_at = Some(now.instant.plus(interval));
            self.expire(now, outputs);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, _)| *at);
        due.into_iter().chain(self.expires_at).min()
    }

    fn replay(&mut self, record: Replayed<'_>) {
        match record::read(record.key, record.value) {
            Some(Content::Offset(key, value)) => self.offsets.replay(&record, key, value),
            Some(Content::Group(key, value)) => self.replay_group(key.group, value),
            None => {}
        }
    }

    fn replay_marker(&mut self, producer: Producer, is_commit: bool) {
        self.offsets.decide(producer, is_commit);
    }

    fn loaded(&mut self, now: Now, _: &mut Outputs) {
        self.expires_at = Some(now.instant.plus(self.settings.offsets_retention_check_interval));
        let ids: Vec<Text> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with_classic(&id, |group| group.loaded(now));
        }
    }

    fn check_invariants(&self) {
        for (id, group) in &self.groups {
            group.check_invariants();
            if let Some(at) = group.look_at() {
                assert!(self.due.contains(&(at, id.clone())), "{id} would be forgotten");
            }
        }
    }
}
