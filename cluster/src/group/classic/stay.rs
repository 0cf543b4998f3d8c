//! Heartbeats, leaving, and what happens to members that are not heard of.

use milena_protocol::api::heartbeat::HeartbeatRequest;
use milena_protocol::api::leave_group::{LeaveGroupMember, LeaveGroupMemberResponse};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::group::{Group, Outputs, State};
use super::member::Member;
use crate::group::settings::Settings;
use crate::time::{Instant, Now};

/// Whose offsets are committed, as the request says.
#[derive(Clone, Copy, Debug)]
pub struct Committer<'a> {
    /// The member; empty for one that is in no group.
    pub member_id: &'a Text,
    /// The name of a static member.
    pub instance_id: Option<&'a Text>,
    /// Its generation; −1 for one that is in no group.
    pub generation: i32,
    /// Whether the offsets belong to a transaction.
    pub in_transaction: bool,
}

impl Group {
    /// Notes that a member lives, and says whether it shall join again.
    pub fn heartbeat(&mut self, now: Now, request: &HeartbeatRequest) -> ErrorCode {
        match self.try_heartbeat(now, request) {
            Ok(()) => ErrorCode::NONE,
            Err(code) => code,
        }
    }

    fn try_heartbeat(&mut self, now: Now, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        self.note_alive(now, &request.member_id);
        match self.state {
            State::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            State::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Lets members go.
    pub fn leave(
        &mut self,
        now: Now,
        leaving: &[LeaveGroupMember],
        settings: &Settings,
        outputs: &mut Outputs,
    ) -> Vec<LeaveGroupMemberResponse> {
        let count = self.members.len();
        let answers = leaving
            .iter()
            .map(|leaving| LeaveGroupMemberResponse {
                member_id: leaving.member_id.clone(),
                group_instance_id: leaving.group_instance_id.clone(),
                error_code: self.leave_one(leaving, outputs).err().unwrap_or(ErrorCode::NONE),
            })
            .collect();
        self.rebalance_without(self.members.len() < count, now, settings, outputs);
        answers
    }

    fn leave_one(
        &mut self,
        leaving: &LeaveGroupMember,
        outputs: &mut Outputs,
    ) -> Result<(), ErrorCode> {
        let named = leaving.group_instance_id.as_ref();
        let id = match (named, leaving.member_id.is_empty()) {
            // An operator removes a static member by its name.
            (Some(name), true) => {
                self.instances.get(name).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?.clone()
            }
            _ => leaving.member_id.clone(),
        };
        if self.pending.remove(&id).is_some() {
            return Ok(());
        }
        self.check_member(&id, named)?;
        self.remove(&id, ErrorCode::UNKNOWN_MEMBER_ID, outputs);
        Ok(())
    }

    /// The others share anew if one of them is gone, or begin without someone who never came.
    fn rebalance_without(
        &mut self,
        has_lost: bool,
        now: Now,
        settings: &Settings,
        outputs: &mut Outputs,
    ) {
        if has_lost && self.state != State::Empty {
            self.prepare(now, settings, outputs);
        }
        self.complete_if_joined(now, outputs);
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now, settings: &Settings, outputs: &mut Outputs) {
        if self.look_at.is_none_or(|at| at > now.instant) {
            return;
        }
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        self.pending.retain(|_, until| *until > now.instant);
        let gone = self.members.iter().filter(|(_, member)| is_due(member.gone_at()));
        let gone: Vec<Text> = gone.map(|(id, _)| id.clone()).collect();
        for id in &gone {
            self.remove(id, ErrorCode::UNKNOWN_MEMBER_ID, outputs);
        }
        self.rebalance_without(!gone.is_empty(), now, settings, outputs);
        if is_due(self.join_ends_at) {
            self.join_time_is_over(now, settings, outputs);
        }
        if is_due(self.sync_ends_at) {
            self.sync_time_is_over(now, settings, outputs);
        }
        self.look_at = self.next_look();
    }

    fn next_look(&self) -> Option<Instant> {
        let sessions = self.members.values().filter_map(Member::gone_at);
        let pending = self.pending.values().copied();
        let phases = [self.join_ends_at, self.sync_ends_at].into_iter().flatten();
        sessions.chain(pending).chain(phases).min()
    }

    /// Whether offsets may be committed, and notes that the member lives.
    ///
    /// # Errors
    /// Why not.
    pub fn admit_commit(&mut self, now: Now, by: Committer<'_>) -> Result<(), ErrorCode> {
        let speaks_for_nobody =
            by.generation < 0 && by.member_id.is_empty() && by.instance_id.is_none();
        if by.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if speaks_for_nobody {
            // A transaction of an old client does not say for whom it commits.
            return if by.in_transaction { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) };
        }
        self.check_member(by.member_id, by.instance_id)?;
        if by.generation != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if self.state == State::CompletingRebalance && !by.in_transaction {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        self.note_alive(now, by.member_id);
        Ok(())
    }
}
