//! Changes of the voters, one at a time (KIP-853).
//!
//! A change is a record of the new set. It counts from the moment it is appended, so two sets that
//! follow each other must share a majority: they differ by one voter, the change before is
//! committed, and so is something of the leader's own epoch.

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Uuid;

use super::batch::Content;
use super::input::Output;
use super::leader::Change;
use super::machine::{Caller, Machine};
use super::message::{
    AddVoterRequest, RemoveVoterRequest, Request, ResponseBody, UpdateVoterRequest,
};
use super::roles::Role;
use super::rules::Rules;
use super::voters::{DYNAMIC_VOTERS, Membership, ReplicaKey, Voter, VoterSet};
use crate::time::Now;

impl<R: Rules> Machine<R> {
    /// Someone wants an observer to vote.
    pub(super) fn on_add_voter(
        &mut self,
        now: Now,
        caller: Caller,
        request: AddVoterRequest,
        outputs: &mut Vec<Output>,
    ) {
        let wanted = self.check_change().and_then(|()| self.check_add(now, &request));
        match wanted {
            Ok(()) => {
                let voters = self.voters().with(request.voter);
                let awaits = request.ack_when_committed;
                self.change_voters(now, caller, voters, ResponseBody::AddVoter, awaits, outputs);
            }
            Err(error) => self.answer(caller, error, ResponseBody::AddVoter, outputs),
        }
    }

    fn check_add(&self, now: Now, request: &AddVoterRequest) -> Result<(), ErrorCode> {
        let voter = &request.voter;
        if self.voters().voter(voter.key.id).is_some() {
            return Err(ErrorCode::DUPLICATE_VOTER);
        }
        let (min, max) = voter.kraft_versions;
        if !(min..=max).contains(&self.kraft_version()) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let span = self.timing.fetch_timeout;
        let is_caught_up = match &self.role {
            Role::Leader(leader) => leader.is_caught_up(&voter.key, now.instant, span),
            _ => false,
        };
        // A voter without the log would only make the majority harder to reach.
        if is_caught_up { Ok(()) } else { Err(ErrorCode::REQUEST_TIMED_OUT) }
    }

    /// Someone wants a voter to vote no more.
    pub(super) fn on_remove_voter(
        &mut self,
        now: Now,
        caller: Caller,
        request: RemoveVoterRequest,
        outputs: &mut Vec<Output>,
    ) {
        let body = ResponseBody::RemoveVoter;
        let wanted = self.check_change().and_then(|()| {
            let is_there = self.voters().contains(&request.voter) && self.voters().len() > 1;
            if is_there { Ok(()) } else { Err(ErrorCode::VOTER_NOT_FOUND) }
        });
        match wanted {
            Ok(()) => {
                let voters = self.voters().without(request.voter.id);
                self.change_voters(now, caller, voters, body, true, outputs);
            }
            Err(error) => self.answer(caller, error, body, outputs),
        }
    }

    /// A voter says where it listens and what it can run at.
    pub(super) fn on_update_voter(
        &mut self,
        now: Now,
        caller: Caller,
        request: UpdateVoterRequest,
        outputs: &mut Vec<Output>,
    ) {
        let body = ResponseBody::UpdateVoter;
        let wanted = self
            .check_leader(request.epoch)
            .and_then(|()| self.check_change())
            .and_then(|()| self.check_update(&request));
        match wanted {
            Ok(true) => {
                let voters = self.voters().with(request.voter);
                self.change_voters(now, caller, voters, body, true, outputs);
            }
            Ok(false) => self.answer(caller, ErrorCode::NONE, body, outputs),
            Err(error) => self.answer(caller, error, body, outputs),
        }
    }

    /// Whether the update says something new.
    fn check_update(&self, request: &UpdateVoterRequest) -> Result<bool, ErrorCode> {
        let (min, max) = request.voter.kraft_versions;
        if !(min..=max).contains(&self.kraft_version()) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let known = self.voters().voter(request.voter.key.id);
        match known.filter(|known| known.key == request.voter.key) {
            Some(known) => Ok(*known != request.voter),
            None => Err(ErrorCode::VOTER_NOT_FOUND),
        }
    }

    /// Whether the voters may be changed now.
    fn check_change(&self) -> Result<(), ErrorCode> {
        let Role::Leader(leader) = &self.role else {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        };
        if self.kraft_version() < DYNAMIC_VOTERS {
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        let is_early = !R::may_change_voters(self.high_watermark, leader.epoch_start_offset);
        let changed_at = self.voters.changed_at();
        if is_early || !R::is_change_committed(self.high_watermark, changed_at) {
            return Err(ErrorCode::REQUEST_TIMED_OUT);
        }
        Ok(())
    }

    /// Puts the voters into the log, which were configured until now: each with the directory that
    /// its fetches name. Level and voters are one batch, so nobody has one without the other.
    pub(super) fn upgrade(&mut self, now: Now, version: i16, outputs: &mut Vec<Output>) {
        let upgraded = self.upgraded(version);
        match upgraded {
            Some(membership) => self.append(now, Content::Membership(membership), outputs),
            None => outputs.push(Output::Reject),
        }
    }

    fn upgraded(&self, kraft_version: i16) -> Option<Membership> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        let is_step = self.kraft_version() < DYNAMIC_VOTERS && kraft_version == DYNAMIC_VOTERS;
        if !is_step || !R::may_change_voters(self.high_watermark, leader.epoch_start_offset) {
            return None;
        }
        let with_directory = |voter: &Voter| {
            let directory_id = leader.directory_of(voter.key.id);
            let key = ReplicaKey { directory_id, ..voter.key };
            (directory_id != Uuid::ZERO).then(|| Voter { key, ..voter.clone() })
        };
        let voters = self.voters().iter().map(with_directory).collect::<Option<VoterSet>>()?;
        Some(Membership { kraft_version, voters })
    }

    fn change_voters(
        &mut self,
        now: Now,
        caller: Caller,
        voters: VoterSet,
        body: ResponseBody,
        awaits_commit: bool,
        outputs: &mut Vec<Output>,
    ) {
        let offset = self.log.end();
        self.append(now, Content::Voters(voters), outputs);
        let answer = caller.envelope(self.response(ErrorCode::NONE, body));
        if !awaits_commit {
            outputs.push(Output::Send(answer.clone()));
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.change = Some(Change { offset, answer: awaits_commit.then_some(answer) });
        }
    }

    /// A change that is committed is answered; a leader that it removed steps down.
    pub(super) fn conclude_change(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let changed_at = self.voters.changed_at();
        let is_voter = self.is_voter();
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let done = leader.change.take_if(|change| self.high_watermark > Some(change.offset));
        if let Some(answer) = done.and_then(|change| change.answer) {
            outputs.push(Output::Send(answer));
        }
        if !is_voter && changed_at.is_none_or(|offset| self.high_watermark > Some(offset)) {
            self.resign(now, outputs);
        }
    }

    /// A voter that listens elsewhere than the log says tells the leader so, until it is there.
    pub(super) fn update_voter(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let known = self.voters().voter(self.me.key.id);
        let is_stale = known.is_some_and(|known| known.key == self.me.key && *known != self.me);
        if !is_stale || self.kraft_version() < DYNAMIC_VOTERS || self.update_voter_at > now.instant
        {
            return;
        }
        let Some(leader) = self.leader().filter(|leader| *leader != self.me.key.id) else {
            return;
        };
        self.update_voter_at = now.instant.plus(self.timing.request_timeout);
        let request = UpdateVoterRequest { epoch: self.epoch(), voter: self.me.clone() };
        self.send(leader, Request::UpdateVoter(request), outputs);
    }
}
