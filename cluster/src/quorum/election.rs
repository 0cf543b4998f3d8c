//! Elections: standing, voting, beginning and ending an epoch (KIP-595, KIP-996).
//!
//! A voter that misses its leader first asks whether it would be elected; only a majority of yes
//! lets it raise the epoch, so a member that was cut off disturbs nobody when it comes back.

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId};

use super::follower::{Follower, Following, Observer};
use super::input::Output;
use super::machine::{Caller, Machine};
use super::message::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, Request, Response, ResponseBody, VoteRequest,
};
use super::roles::{Prospective, Resigned, Role, Tally, Unattached};
use super::rules::Rules;
use super::state::QuorumState;
use crate::time::Now;

impl<R: Rules> Machine<R> {
    /// The election deadline passed: it asks whether it would be elected.
    pub(super) fn stand(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if self.epoch() == LeaderEpoch(i32::MAX) {
            // There is no epoch to elect a leader for.
            self.role = Role::default();
            return;
        }
        let tally = self.tally(now);
        self.role = Role::Prospective(std::mem::take(&mut self.role).stand(tally));
        self.canvass(now, outputs);
    }

    fn tally(&self, now: Now) -> Tally {
        let me = self.me.key.id;
        let others = self.voters().ids().filter(|id| *id != me);
        let deadline = now.instant.plus(self.timing.election_timeout);
        Tally::new(self.is_voter().then_some(me), others, now.instant, deadline)
    }

    /// Asks who has not answered, and concludes where that is possible.
    pub(super) fn canvass(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let (due, pre_vote) = match &self.role {
            Role::Prospective(prospective) => (prospective.tally.due(now.instant), true),
            Role::Candidate(candidate) => (candidate.tally.due(now.instant), false),
            _ => return,
        };
        let (last_epoch, end_offset) = self.log.log_end();
        for id in due {
            let Some(voter) = self.voters().voter(id).map(|voter| voter.key) else {
                continue;
            };
            let request = VoteRequest {
                voter,
                candidate: self.me.key,
                epoch: self.epoch(),
                last_epoch,
                end_offset,
                pre_vote,
            };
            let correlation = self.send(id, Request::Vote(request), outputs);
            let repeat_at = now.instant.plus(self.timing.request_timeout);
            if let Some(tally) = self.tally_mut() {
                tally.ask(id, correlation, repeat_at);
            }
        }
        self.conclude_election(now, outputs);
    }

    pub(super) fn tally_mut(&mut self) -> Option<&mut Tally> {
        match &mut self.role {
            Role::Prospective(prospective) => Some(&mut prospective.tally),
            Role::Candidate(candidate) => Some(&mut candidate.tally),
            _ => None,
        }
    }

    fn conclude_election(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let voters = self.voters().len();
        let Some(tally) = self.tally_mut() else {
            return;
        };
        let is_won = tally.granted_count() >= R::majority(voters);
        let is_lost = tally.refused_count() > voters.saturating_sub(R::majority(voters))
            || tally.deadline <= now.instant;
        if !is_won && !is_lost {
            return;
        }
        match std::mem::take(&mut self.role) {
            Role::Prospective(prospective) if is_won => self.run(now, prospective, outputs),
            Role::Candidate(candidate) if is_won => {
                self.lead(now, &candidate.granting(), outputs);
            }
            _ => self.lose(now),
        }
    }

    /// Raises the epoch and votes for itself, durably, before it asks anybody.
    fn run(&mut self, now: Now, prospective: Prospective, outputs: &mut Vec<Output>) {
        let me = self.me.key;
        let state = QuorumState {
            leader_id: NodeId::NONE,
            leader_epoch: LeaderEpoch(self.epoch().0.saturating_add(1)),
            voted_id: me.id,
            voted_directory_id: me.directory_id,
        };
        self.persist(state, outputs);
        self.role = Role::Candidate(prospective.run(self.tally(now)));
        self.canvass(now, outputs);
    }

    /// Not elected: back to the leader that it knows, who may be there for others, or wait.
    fn lose(&mut self, now: Now) {
        let leader = self.state.leader_id;
        self.role = if leader.0 >= 0 && leader != self.me.key.id {
            let following = Following::new(leader, Vec::new(), now.instant);
            Role::Follower(Follower::new(following, self.fetch_deadline(now)))
        } else {
            Role::Unattached(Unattached::waiting(self.retry_deadline(now)))
        };
    }

    /// A candidate asks for a vote, or whether it would get one.
    pub(super) fn on_vote(
        &mut self,
        now: Now,
        caller: Caller,
        request: VoteRequest,
        outputs: &mut Vec<Output>,
    ) {
        let refused = ResponseBody::Vote { granted: false };
        if !request.voter.matches(&self.me.key) {
            self.answer(caller, ErrorCode::INVALID_VOTER_KEY, refused, outputs);
            return;
        }
        if request.epoch < self.epoch() {
            self.answer(caller, ErrorCode::FENCED_LEADER_EPOCH, refused, outputs);
            return;
        }
        if request.epoch > self.epoch() {
            self.enter_epoch(now, request.epoch, None, outputs);
        }
        let granted = self.grants(&request);
        if granted && !request.pre_vote {
            self.vote(now, &request, outputs);
        }
        self.answer(caller, ErrorCode::NONE, ResponseBody::Vote { granted }, outputs);
    }

    fn grants(&self, request: &VoteRequest) -> bool {
        let candidate = (request.last_epoch, request.end_offset);
        if !R::is_up_to_date(candidate, self.log.log_end()) {
            return false;
        }
        let is_free = self.state.leader_id.0 < 0
            && (self.state.voted_id.0 < 0 || self.has_voted_for(request));
        match &self.role {
            Role::Leader(_) => false,
            // Whoever hears of the leader takes no part in a trial against it.
            Role::Follower(follower) => request.pre_vote && !follower.has_fetched,
            Role::Observer(observer) if observer.following().is_some() => false,
            Role::Candidate(_) | Role::Resigned(_) => request.pre_vote,
            Role::Unattached(_) | Role::Prospective(_) | Role::Observer(_) => {
                request.pre_vote || is_free
            }
        }
    }

    fn has_voted_for(&self, request: &VoteRequest) -> bool {
        self.state.voted_id == request.candidate.id
            && self.state.voted_directory_id == request.candidate.directory_id
    }

    /// Gives its vote, durably, before the answer.
    fn vote(&mut self, now: Now, request: &VoteRequest, outputs: &mut Vec<Output>) {
        let state = QuorumState {
            voted_id: request.candidate.id,
            voted_directory_id: request.candidate.directory_id,
            ..self.state.clone()
        };
        self.persist(state, outputs);
        if self.stands() {
            let election_deadline = self.election_deadline(now);
            self.role = Role::Unattached(Unattached::waiting(election_deadline));
        }
    }

    /// A voter answered.
    pub(super) fn on_vote_answer(
        &mut self,
        now: Now,
        caller: Caller,
        granted: bool,
        response: Response,
        outputs: &mut Vec<Output>,
    ) {
        let awaited = self.tally_mut().and_then(|tally| tally.awaited(caller.peer));
        if !awaited.is_some_and(|awaited| R::is_answer(awaited, caller.correlation)) {
            return;
        }
        if self.learn(now, &response, outputs) {
            return;
        }
        // Whoever still heard of the leader may have lost it a moment later. A trial binds nobody,
        // so it is asked again; a vote was given to another, and is not given twice.
        let is_trial = matches!(self.role, Role::Prospective(_));
        let again_at = is_trial.then(|| now.instant.plus(self.timing.trial_rest()));
        if let Some(tally) = self.tally_mut() {
            let is_granted = granted && response.error == ErrorCode::NONE;
            tally.answer(caller.peer, is_granted, again_at);
        }
        self.conclude_election(now, outputs);
    }

    /// A leader makes itself known.
    pub(super) fn on_begin(
        &mut self,
        now: Now,
        caller: Caller,
        request: BeginQuorumEpochRequest,
        outputs: &mut Vec<Output>,
    ) {
        let error = if request.epoch < self.epoch() {
            ErrorCode::FENCED_LEADER_EPOCH
        } else if !request.voter.matches(&self.me.key) || request.leader == self.me.key.id {
            ErrorCode::INVALID_VOTER_KEY
        } else if request.leader.0 < 0 {
            ErrorCode::INVALID_REQUEST
        } else {
            self.follow(now, request, outputs)
        };
        self.answer(caller, error, ResponseBody::BeginQuorumEpoch, outputs);
    }

    /// Follows the leader that made itself known, unless it does already.
    fn follow(
        &mut self,
        now: Now,
        request: BeginQuorumEpochRequest,
        outputs: &mut Vec<Output>,
    ) -> ErrorCode {
        if request.epoch == self.epoch() {
            let known = self.state.leader_id;
            if known.0 >= 0 && known != request.leader {
                // There is one leader per epoch; this one is not it.
                return ErrorCode::INVALID_REQUEST;
            }
            if self.leader() == Some(request.leader) {
                return ErrorCode::NONE;
            }
        }
        let leader = Some((request.leader, request.endpoints));
        self.enter_epoch(now, request.epoch, leader, outputs);
        ErrorCode::NONE
    }

    /// A voter knows of this leader, or of a later epoch.
    pub(super) fn on_begin_answer(
        &mut self,
        now: Now,
        caller: Caller,
        response: Response,
        outputs: &mut Vec<Output>,
    ) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let awaited = leader.told.get(&caller.peer).copied();
        if awaited.is_some_and(|awaited| R::is_answer(awaited, caller.correlation)) {
            leader.told.remove(&caller.peer);
            self.learn(now, &response, outputs);
        }
    }

    /// The leader steps down: its successors stand at once, each in its turn.
    pub(super) fn on_end(
        &mut self,
        now: Now,
        caller: Caller,
        request: &EndQuorumEpochRequest,
        outputs: &mut Vec<Output>,
    ) {
        let error = if request.epoch < self.epoch() {
            ErrorCode::FENCED_LEADER_EPOCH
        } else {
            if request.epoch > self.epoch() {
                self.enter_epoch(now, request.epoch, None, outputs);
            }
            self.lose_leader(now, &request.preferred.iter().map(|key| key.id).collect::<Vec<_>>());
            ErrorCode::NONE
        };
        self.answer(caller, error, ResponseBody::EndQuorumEpoch, outputs);
    }

    /// The leader of this epoch is gone for good, for no one leads an epoch twice.
    pub(super) fn lose_leader(&mut self, now: Now, preferred: &[NodeId]) {
        match &self.role {
            Role::Follower(_) | Role::Unattached(_) => {
                let place = preferred.iter().position(|id| *id == self.me.key.id);
                let election_deadline = match place.and_then(|place| u32::try_from(place).ok()) {
                    Some(place) => now.instant.plus(self.timing.slot() * place),
                    None => self.retry_deadline(now),
                };
                self.role = Role::Unattached(Unattached::waiting(election_deadline));
            }
            Role::Observer(_) => self.role = Role::Observer(Observer::seeking(now.instant)),
            _ => {}
        }
    }

    /// Steps down and hands over.
    pub(super) fn resign(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let election_deadline = self.election_deadline(now);
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let preferred = leader.successors();
        let leader = std::mem::take(&mut self.role);
        self.role = Role::Resigned(Resigned {
            election_deadline,
            unheard: Default::default(),
            seeking: None,
        });
        self.dismiss(leader, outputs);
        let mut unheard = std::collections::BTreeMap::new();
        for successor in preferred.clone() {
            let request = EndQuorumEpochRequest {
                leader: self.me.key.id,
                epoch: self.epoch(),
                preferred: preferred.clone(),
            };
            let correlation = self.send(successor.id, Request::EndQuorumEpoch(request), outputs);
            unheard.insert(successor.id, correlation);
        }
        self.role = Role::Resigned(Resigned { election_deadline, unheard, seeking: None });
    }

    /// A voter knows that this leader stepped down.
    pub(super) fn on_end_answer(
        &mut self,
        now: Now,
        caller: Caller,
        response: Response,
        outputs: &mut Vec<Output>,
    ) {
        let Role::Resigned(resigned) = &mut self.role else {
            return;
        };
        let awaited = resigned.unheard.get(&caller.peer).copied();
        if awaited.is_some_and(|awaited| R::is_answer(awaited, caller.correlation)) {
            resigned.unheard.remove(&caller.peer);
            self.learn(now, &response, outputs);
        }
    }
}
