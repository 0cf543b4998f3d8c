//! What members of the classic protocol ask of a consumer group (fact N14).

use std::sync::Arc;

use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::join_group::JoinGroupRequest;
use milena_protocol::api::leave_group::{LeaveGroupMember, LeaveGroupMemberResponse};
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::coordinator::{Coordinator, Outputs};
use super::request::{Answer, Caller};
use super::{classic, consumer};
use crate::coordinator::{OnFailure, Output, Ticket};
use crate::time::Now;

impl Coordinator {
    /// Takes a member of the classic protocol into a consumer group. Nobody waits there.
    pub(super) fn join_consumers(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: &Caller,
        request: &JoinGroupRequest,
        outputs: &mut Outputs,
    ) {
        let id = &request.group_id;
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let topics = Arc::clone(&self.topics);
        let decide = |group: &mut consumer::Group| {
            group.join_classic(now, caller, request, &topics, &settings)
        };
        let Some(decision) = self.with_consumer(id, decide) else { return };
        // It may take the place of the last member of the new protocol.
        self.conclude(now, id, decision.records, OnFailure::Refuse, outputs);
        let answer = match decision.answer {
            Ok(answer) => Answer::Join(answer),
            Err(refused) => classic::refused_join(refused.code, request.member_id.clone()),
        };
        outputs.push(Output::Answer(ticket, answer));
    }

    /// The part of a member of the classic protocol; none where this is no consumer group.
    pub(super) fn sync_with_consumers(
        &mut self,
        now: Now,
        request: &SyncGroupRequest,
    ) -> Option<SyncGroupResponse> {
        let id = &request.group_id;
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let topics = Arc::clone(&self.topics);
        let sync =
            self.with_consumer(id, |group| group.sync_classic(now, request, &topics, &settings))?;
        let refused = |error_code| SyncGroupResponse { error_code, ..Default::default() };
        Some(sync.unwrap_or_else(refused))
    }

    /// Notes that a member of the classic protocol lives; none where this is no consumer group.
    pub(super) fn heartbeat_among_consumers(
        &mut self,
        now: Now,
        request: &HeartbeatRequest,
    ) -> Option<ErrorCode> {
        let id = &request.group_id;
        let settings = self.settings.of_consumer_group(id, &self.topics);
        self.with_consumer(id, |group| group.heartbeat_classic(now, request, &settings))
    }

    /// Lets members of the classic protocol go; none where this is no consumer group.
    pub(super) fn leave_consumers(
        &mut self,
        now: Now,
        id: &Text,
        leaving: &[LeaveGroupMember],
        outputs: &mut Outputs,
    ) -> Option<Vec<LeaveGroupMemberResponse>> {
        let settings = self.settings.of_consumer_group(id, &self.topics);
        let topics = Arc::clone(&self.topics);
        let leave =
            |group: &mut consumer::Group| group.leave_classic(now, leaving, &topics, &settings);
        let (records, answers) = self.with_consumer(id, leave)?;
        self.conclude(now, id, records, OnFailure::Refuse, outputs);
        Some(answers)
    }
}
