//! The road of an input: by its kind, then by the role, and at last what follows from both.

use bytes::Bytes;
use milena_protocol::error_code::ErrorCode;

use super::batch::Content;
use super::input::{Envelope, Input, Output};
use super::machine::{Caller, Machine};
use super::message::{Message, Request, Response, ResponseBody};
use super::roles::Role;
use super::rules::Rules;
use crate::time::Now;

impl<R: Rules> Machine<R> {
    /// Takes an input and says what has to be done.
    pub fn step(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        let is_end = matches!(input, Input::SnapshotInstalled(..) | Input::SnapshotDamaged(_));
        assert_eq!(self.installing().is_some(), is_end, "a snapshot is installed without a pause");
        match input {
            Input::Tick => self.tick(now, outputs),
            Input::Receive(envelope) => self.receive(now, envelope, outputs),
            Input::Propose(values) => self.propose(now, values, outputs),
            Input::Flushed(generation, end_offset) => self.log.flush(generation, end_offset),
            Input::SnapshotTaken(snapshot) => self.snapshot_taken(snapshot, outputs),
            Input::SnapshotInstalled(snapshot, membership) => {
                self.snapshot_installed(now, snapshot, membership, outputs);
            }
            Input::SnapshotDamaged(snapshot) => self.snapshot_damaged(now, snapshot),
            Input::UpgradeKraftVersion(version) => self.upgrade(now, version, outputs),
            Input::Resign => self.resign(now, outputs),
            Input::Unanswered(node, correlation) => self.unanswered(now, node, correlation),
            Input::Gone(node) => self.leader_gone(now, node),
        }
        self.settle(now, outputs);
        self.check_invariants();
    }

    fn tick(&mut self, now: Now, outputs: &mut Vec<Output>) {
        match &self.role {
            Role::Unattached(unattached) if unattached.election_deadline <= now.instant => {
                self.stand(now, outputs);
            }
            Role::Resigned(resigned) if resigned.election_deadline <= now.instant => {
                self.stand(now, outputs);
            }
            Role::Prospective(_) | Role::Candidate(_) => self.canvass(now, outputs),
            Role::Leader(_) => self.lead_on(now, outputs),
            Role::Follower(_) | Role::Observer(_) => self.follow_on(now, outputs),
            Role::Unattached(_) | Role::Resigned(_) => {}
        }
    }

    fn receive(&mut self, now: Now, envelope: Envelope, outputs: &mut Vec<Output>) {
        let caller = Caller { peer: envelope.peer, correlation: envelope.correlation };
        match envelope.message {
            Message::Request(request) => self.request(now, caller, request, outputs),
            Message::Response(response) => self.respond(now, caller, response, outputs),
        }
    }

    fn request(&mut self, now: Now, caller: Caller, request: Request, outputs: &mut Vec<Output>) {
        match request {
            Request::Vote(request) => self.on_vote(now, caller, request, outputs),
            Request::BeginQuorumEpoch(request) => self.on_begin(now, caller, request, outputs),
            Request::EndQuorumEpoch(request) => self.on_end(now, caller, &request, outputs),
            Request::Fetch(request) => self.on_fetch(now, caller, request, outputs),
            Request::FetchSnapshot(request) => {
                self.on_fetch_snapshot(now, caller, request, outputs);
            }
            Request::AddVoter(request) => self.on_add_voter(now, caller, request, outputs),
            Request::RemoveVoter(request) => self.on_remove_voter(now, caller, request, outputs),
            Request::UpdateVoter(request) => self.on_update_voter(now, caller, request, outputs),
            Request::DescribeQuorum => self.on_describe(now, caller, outputs),
        }
    }

    /// Only what was asked for is listened to.
    fn respond(&mut self, now: Now, caller: Caller, response: Response, outputs: &mut Vec<Output>) {
        match response.body {
            ResponseBody::Vote { granted } => {
                self.on_vote_answer(now, caller, granted, response, outputs);
            }
            ResponseBody::BeginQuorumEpoch => {
                self.on_begin_answer(now, caller, response, outputs);
            }
            ResponseBody::EndQuorumEpoch => self.on_end_answer(now, caller, response, outputs),
            ResponseBody::Fetch(_) | ResponseBody::FetchSnapshot(_) => {
                self.on_fetch_answer(now, caller, response, outputs);
            }
            // The driver's callers wait for these; this member sends no such request, but for an
            // update of itself, which it repeats until it sees it in the log.
            ResponseBody::AddVoter
            | ResponseBody::RemoveVoter
            | ResponseBody::UpdateVoter
            | ResponseBody::DescribeQuorum(_) => {}
        }
    }

    fn propose(&mut self, now: Now, values: Vec<Bytes>, outputs: &mut Vec<Output>) {
        match &self.role {
            Role::Leader(_) if values.is_empty() => {}
            Role::Leader(_) => self.append(now, Content::Records(values), outputs),
            _ => outputs.push(Output::Reject),
        }
    }

    /// What follows from the input whatever it was.
    fn settle(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if self.installing().is_some() {
            return;
        }
        self.advance_high_watermark(outputs);
        self.conclude_change(now, outputs);
        self.reconcile_role(now);
        self.answer_waiting(now, outputs);
        self.fetch_on(now, outputs);
        self.update_voter(now, outputs);
    }

    /// Takes from an answer what it says about epoch and leader. True where that changed what this
    /// member is: the rest of the answer means nothing then.
    pub(super) fn learn(
        &mut self,
        now: Now,
        response: &Response,
        outputs: &mut Vec<Output>,
    ) -> bool {
        let is_named = response.leader.0 >= 0 && response.leader != self.me.key.id;
        let leader = is_named.then(|| (response.leader, response.leader_endpoints.clone()));
        if response.epoch > self.epoch() {
            self.enter_epoch(now, response.epoch, leader, outputs);
            return true;
        }
        // A voter whose leader fell silent knows whom the others still name, and is not drawn back.
        let is_news = match &self.role {
            Role::Observer(observer) => observer.following().is_none(),
            _ => self.state.leader_id.0 < 0,
        };
        if response.epoch == self.epoch() && leader.is_some() && is_news {
            self.enter_epoch(now, response.epoch, leader, outputs);
            return true;
        }
        false
    }

    /// Whether a request that only a leader answers may go on; else what is wrong.
    pub(super) fn check_leader(
        &self,
        epoch: milena_protocol::ids::LeaderEpoch,
    ) -> Result<(), ErrorCode> {
        if epoch < self.epoch() {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        if epoch > self.epoch() {
            return Err(ErrorCode::UNKNOWN_LEADER_EPOCH);
        }
        match &self.role {
            Role::Leader(_) => Ok(()),
            _ => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        }
    }
}
