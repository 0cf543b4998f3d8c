//! SyncGroup: the leader assigns, everyone takes a part.

use std::collections::BTreeMap;

use bytes::Bytes;
use milena_protocol::api::sync_group::{SyncGroupRequest, SyncGroupResponse};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::group::{Group, Outputs, State, answer, refused_sync};
use crate::coordinator::Ticket;
use crate::group::request::Answer;
use crate::group::settings::Settings;
use crate::time::Now;

impl Group {
    /// Gives a member its part; until the leader has assigned, it waits.
    pub fn sync(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: SyncGroupRequest,
        settings: &Settings,
        outputs: &mut Outputs,
    ) {
        if let Err(why) = self.check_sync(&request) {
            answer(ticket, refused_sync(why), outputs);
            return;
        }
        let id = request.member_id.detach();
        self.note_alive(now, &id);
        let stable = self.state == State::Stable;
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if stable {
            let assignment = member.assignment.clone();
            answer(ticket, Answer::Sync(self.part(assignment)), outputs);
            return;
        }
        if let Some(older) = member.syncing.replace(ticket) {
            answer(older, refused_sync(ErrorCode::REBALANCE_IN_PROGRESS), outputs);
        }
        if self.is_leader(&id) {
            self.assign(now, request, settings, outputs);
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let differs = |said: &Option<Text>, known: &Option<Text>| {
            said.as_ref().is_some_and(|said| Some(said) != known.as_ref())
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        match self.state {
            State::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// The leader has assigned: it is written down, and everyone who waits is told. Where it is too
    /// much to be written, they are told that, and the group shares anew.
    fn assign(
        &mut self,
        now: Now,
        request: SyncGroupRequest,
        settings: &Settings,
        outputs: &mut Outputs,
    ) {
        let to_members =
            request.assignments.iter().filter(|part| self.members.contains_key(&part.member_id));
        if !self.fits(to_members.map(|part| part.assignment.len()).sum(), settings) {
            self.refuse_all(ErrorCode::UNKNOWN_SERVER_ERROR, outputs);
            self.prepare(now, settings, outputs);
            return;
        }
        let mut parts: BTreeMap<Text, Bytes> = request
            .assignments
            .into_iter()
            .map(|part| (part.member_id, Bytes::copy_from_slice(&part.assignment)))
            .collect();
        for (id, member) in &mut self.members {
            member.assignment = parts.remove(id).unwrap_or_default();
        }
        self.sync_ends_at = None;
        self.enter(State::Stable, now);
        let stored = self.stored(|_, member| member.assignment.clone());
        // Where it cannot be written, those who wait have been told.
        let _ = self.record(&stored, outputs);
        let ids: Vec<Text> = self.members.keys().cloned().collect();
        for id in &ids {
            let Some(member) = self.members.get_mut(id) else { continue };
            let (syncing, assignment) = (member.syncing.take(), member.assignment.clone());
            if let Some(ticket) = syncing {
                answer(ticket, Answer::Sync(self.part(assignment)), outputs);
            }
            self.note_alive(now, id);
        }
    }

    fn part(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment,
            ..Default::default()
        }
    }

    /// The time to ask for a part is over: whoever has not asked is gone.
    pub(super) fn sync_time_is_over(
        &mut self,
        now: Now,
        settings: &Settings,
        outputs: &mut Outputs,
    ) {
        self.sync_ends_at = None;
        if self.state != State::CompletingRebalance {
            return;
        }
        let silent = self.members.iter().filter(|(_, member)| member.syncing.is_none());
        let silent: Vec<Text> = silent.map(|(id, _)| id.clone()).collect();
        for id in &silent {
            self.remove(id, ErrorCode::UNKNOWN_MEMBER_ID, outputs);
        }
        if !silent.is_empty() {
            self.prepare(now, settings, outputs);
            self.complete_if_joined(now, outputs);
        }
    }
}
