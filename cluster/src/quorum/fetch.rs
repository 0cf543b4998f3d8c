//! Replication: the leader answers fetches and commits what a majority holds; everybody else
//! fetches, cuts what diverges and takes over what comes (KIP-595).

use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use super::batch::Batch;
use super::follower::{Exchange, Follower, Following, Observer, Pending, Pursuit};
use super::input::{Envelope, Output};
use super::leader::{Leader, Waiting};
use super::log::{EpochEnd, Position};
use super::machine::{Caller, Machine};
use super::message::{
    BeginQuorumEpochRequest, CorrelationId, Description, FetchRequest, Fetched, Message,
    ReplicaDescription, Request, Response, ResponseBody,
};
use super::roles::Role;
use super::rules::Rules;
use crate::time::{Instant, Now};

impl<R: Rules> Machine<R> {
    /// A replica asks for what comes next.
    pub(super) fn on_fetch(
        &mut self,
        now: Now,
        caller: Caller,
        request: FetchRequest,
        outputs: &mut Vec<Output>,
    ) {
        let refused = ResponseBody::Fetch(Fetched::Nothing);
        if let Err(error) = self.check_leader(request.epoch) {
            self.answer(caller, error, refused, outputs);
            return;
        }
        let position = self.log.position::<R>(request.fetch_offset, request.last_epoch);
        let end_offset = (position == Position::Prefix).then_some(request.fetch_offset);
        let log_end = self.log.end();
        if let Role::Leader(leader) = &mut self.role {
            leader.fetched(request.replica, end_offset, log_end, now);
        }
        let body = match position {
            Position::Prefix => return self.serve(now, caller, request, outputs),
            Position::Diverging(EpochEnd { epoch, end_offset }) => {
                ResponseBody::Fetch(Fetched::Diverging { epoch, end_offset })
            }
            Position::Snapshot(snapshot) => ResponseBody::Fetch(Fetched::Snapshot(snapshot)),
            Position::Invalid => {
                self.answer(caller, ErrorCode::INVALID_REQUEST, refused, outputs);
                return;
            }
        };
        self.answer(caller, ErrorCode::NONE, body, outputs);
    }

    /// Lets the fetch wait; what is new for it goes out at the end of this step.
    fn serve(
        &mut self,
        now: Now,
        caller: Caller,
        request: FetchRequest,
        outputs: &mut Vec<Output>,
    ) {
        let nothing = ResponseBody::Fetch(Fetched::Nothing);
        let waiting = Waiting {
            answer: caller.envelope(self.response(ErrorCode::NONE, nothing)),
            fetch_offset: request.fetch_offset,
            high_watermark: request.high_watermark,
            deadline: now.instant.plus(request.max_wait.min(self.timing.fetch_max_wait)),
            max_bytes: request.max_bytes.min(self.timing.fetch_max_bytes),
        };
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if let Some(earlier) = leader.wait(request.replica, waiting) {
            // A replica has one fetch under way; it gave up on this one.
            self.send_batches(earlier, outputs);
        }
    }

    /// What was asked is asked again, after a rest.
    pub(super) fn unanswered(&mut self, now: Now, node: NodeId, correlation: CorrelationId) {
        let again_at = now.instant.plus(self.timing.retry_backoff);
        if let Some(tally) = self.tally_mut() {
            return tally.repeat(node, correlation, again_at);
        }
        if let Some(seeking) = self.role.seeking_mut() {
            if seeking.awaited == Some((node, correlation)) {
                seeking.awaited = None;
                seeking.ask_at = seeking.ask_at.min(again_at);
            }
        } else if let Some(following) = self.following_mut()
            && following.leader == node
            && following.awaited() == Some(correlation)
        {
            following.back_off(again_at);
        }
    }

    /// The leader's process has ended. Nothing is decided by that but when to look for another one:
    /// a vote is still a majority's to give.
    pub(super) fn leader_gone(&mut self, now: Now, node: NodeId) {
        let retry = self.retry_deadline(now);
        match &mut self.role {
            Role::Follower(follower) if follower.following.leader == node => {
                follower.fetch_deadline = follower.fetch_deadline.min(retry);
                // It would refuse the trial of another voter that has noticed first.
                follower.has_fetched = false;
            }
            Role::Observer(observer)
                if observer.following().is_some_and(|it| it.leader == node) =>
            {
                observer.fetch_deadline = now.instant;
            }
            _ => {}
        }
    }

    /// Answers fetches for which there is something new, or whose time is over.
    pub(super) fn answer_waiting(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let (log_end, high_watermark) = (self.log.end(), self.high_watermark);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        for waiting in leader.ready(log_end, high_watermark, now.instant) {
            self.send_batches(waiting, outputs);
        }
    }

    fn send_batches(&self, waiting: Waiting, outputs: &mut Vec<Output>) {
        let batches = Fetched::Batches { high_watermark: self.high_watermark, batches: Vec::new() };
        let response = self.response(ErrorCode::NONE, ResponseBody::Fetch(batches));
        let envelope = Envelope { message: Message::Response(response), ..waiting.answer };
        let (from, end) = (waiting.fetch_offset, self.log.end());
        // A snapshot may have taken the place of what was waited for.
        if from < end && from >= self.log.start() {
            outputs.push(Output::SendBatches(envelope, from, end, waiting.max_bytes));
        } else {
            outputs.push(Output::Send(envelope));
        }
    }

    /// Commits what the rules allow: a leader what a majority of the voters has on stable storage,
    /// everybody else what the leader says, as far as it is on stable storage here.
    pub(super) fn advance_high_watermark(&mut self, outputs: &mut Vec<Output>) {
        let flushed = self.log.flushed();
        let end_offset = match &self.role {
            Role::Leader(leader) => {
                let end = leader.majority_end::<R>(self.voters.voters(), flushed);
                let is_own = R::may_commit(end, leader.epoch_start_offset);
                is_own.then_some(end)
            }
            Role::Follower(follower) => follower.following.high_watermark,
            Role::Observer(observer) => {
                observer.following().and_then(|following| following.high_watermark)
            }
            _ => None,
        };
        // A leader that lags behind its followers on its own disk applies when that has caught up.
        let committed = end_offset.map(|end| end.min(flushed));
        if committed > self.high_watermark
            && let Some(high_watermark) = committed
        {
            self.high_watermark = committed;
            outputs.push(Output::Commit(high_watermark));
        }
    }

    /// A leader's tick: it makes itself known to who does not fetch, and steps down where nobody
    /// does.
    pub(super) fn lead_on(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let span = self.timing.leadership();
        let interval = self.timing.fetch_timeout / 2;
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        if leader
            .quorum_deadline::<R>(self.voters.voters(), span)
            .is_some_and(|deadline| deadline <= now.instant)
        {
            self.resign(now, outputs);
            return;
        }
        leader.forget_observers(now.instant);
        if leader.tell_at > now.instant {
            return;
        }
        leader.tell_at = now.instant.plus(interval);
        let since = Instant(now.instant.0.saturating_sub(Instant(0).plus(interval).0));
        for voter in leader.silent_voters(since) {
            let request = BeginQuorumEpochRequest {
                voter,
                leader: self.me.key.id,
                epoch: self.epoch(),
                endpoints: self.me.endpoints.clone(),
            };
            let correlation = self.send(voter.id, Request::BeginQuorumEpoch(request), outputs);
            self.tell(voter.id, correlation);
        }
    }

    fn tell(&mut self, voter: NodeId, correlation: CorrelationId) {
        if let Role::Leader(leader) = &mut self.role {
            leader.told.insert(voter, correlation);
        }
    }

    /// A tick of who does not lead: what was not answered is given up, a leader that is silent for
    /// too long is lost.
    pub(super) fn follow_on(&mut self, now: Now, outputs: &mut Vec<Output>) {
        match &mut self.role {
            Role::Follower(follower) if follower.fetch_deadline <= now.instant => {
                self.stand(now, outputs);
            }
            Role::Follower(follower) => follower.following.give_up(now.instant),
            Role::Observer(observer) if observer.fetch_deadline <= now.instant => {
                *observer = Observer::seeking(now.instant);
            }
            Role::Observer(observer) => {
                if let Pursuit::Following(following) = &mut observer.pursuit {
                    following.give_up(now.instant);
                }
            }
            _ => {}
        }
    }

    /// Fetches again, once what came is on stable storage.
    pub(super) fn fetch_on(&mut self, now: Now, outputs: &mut Vec<Output>) {
        self.seek(now, outputs);
        self.fetch_piece(now, outputs);
        let is_flushed = self.is_flushed();
        let Some(following) = self.following() else {
            return;
        };
        let is_due = matches!(following.exchange, Exchange::Idle(at) if at <= now.instant);
        if is_due && is_flushed {
            let leader = following.leader;
            let correlation = self.send_fetch(leader, self.timing.fetch_max_wait, outputs);
            let give_up_at = now.instant.plus(self.timing.request_timeout);
            if let Some(following) = self.following_mut() {
                following.exchange = Exchange::Fetching(Pending { correlation, give_up_at });
            }
        }
    }

    /// A fetch says what is on stable storage here, never more: the leader counts it.
    fn send_fetch(
        &mut self,
        to: NodeId,
        max_wait: Duration,
        outputs: &mut Vec<Output>,
    ) -> CorrelationId {
        let fetch_offset = self.log.flushed();
        let request = FetchRequest {
            replica: self.me.key,
            epoch: self.epoch(),
            fetch_offset,
            last_epoch: self.log.epoch_before(fetch_offset),
            high_watermark: self.high_watermark,
            max_wait,
            max_bytes: self.timing.fetch_max_bytes,
        };
        self.send(to, Request::Fetch(request), outputs)
    }

    /// Who has no leader and looks for one asks the next member for it, by a fetch like any other.
    fn seek(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let Some(seeking) = self.role.seeking() else {
            return;
        };
        if seeking.ask_at > now.instant {
            return;
        }
        let me = self.me.key.id;
        let bootstrap = (0..self.bootstrap_count).map(|index| NodeId(-2 - index as i32));
        let others: Vec<NodeId> =
            self.voters().ids().filter(|id| *id != me).chain(bootstrap).collect();
        let asked = others.get(seeking.asked_count % others.len().max(1)).copied();
        let awaited = asked.map(|peer| (peer, self.send_fetch(peer, Duration::ZERO, outputs)));
        let ask_at = now.instant.plus(self.timing.election_timeout / 2);
        if let Some(seeking) = self.role.seeking_mut() {
            seeking.asked_count += 1;
            seeking.awaited = awaited;
            seeking.ask_at = ask_at;
        }
    }

    /// The leader, or one who was asked for it, answered.
    pub(super) fn on_fetch_answer(
        &mut self,
        now: Now,
        caller: Caller,
        response: Response,
        outputs: &mut Vec<Output>,
    ) {
        if let Some(awaited) = self.sought()
            && awaited.0 == caller.peer
            && R::is_answer(awaited.1, caller.correlation)
        {
            self.on_found(now, caller, &response, outputs);
            return;
        }
        let Some(following) = self.following() else {
            return;
        };
        let leader = following.leader;
        let awaited = following.awaited().filter(|_| leader == caller.peer);
        if !awaited.is_some_and(|awaited| R::is_answer(awaited, caller.correlation)) {
            return;
        }
        if self.learn(now, &response, outputs) {
            return;
        }
        if response.error != ErrorCode::NONE || response.epoch != self.epoch() {
            self.on_fetch_refused(now, &response);
            return;
        }
        self.heard_of_leader(now);
        if let Some(following) = self.following_mut() {
            following.back_off(now.instant);
        }
        match response.body {
            ResponseBody::Fetch(Fetched::Batches { high_watermark, batches }) => {
                self.take_over(high_watermark, batches, outputs);
            }
            ResponseBody::Fetch(Fetched::Diverging { epoch, end_offset }) => {
                self.cut(EpochEnd { epoch, end_offset }, outputs);
            }
            ResponseBody::Fetch(Fetched::Snapshot(snapshot)) => self.need(now, snapshot),
            ResponseBody::FetchSnapshot(piece) => self.take_piece(now, piece, outputs),
            _ => {}
        }
    }

    fn sought(&self) -> Option<(NodeId, CorrelationId)> {
        self.role.seeking()?.awaited
    }

    /// The question who leads was answered: by someone who knows the leader, or by the leader.
    fn on_found(
        &mut self,
        now: Now,
        caller: Caller,
        response: &Response,
        outputs: &mut Vec<Output>,
    ) {
        if self.learn(now, response, outputs) {
            return;
        }
        let retry_at = now.instant.plus(self.timing.retry_backoff);
        if let Some(seeking) = self.role.seeking_mut() {
            debug_assert!(seeking.awaited.is_some_and(|(peer, _)| peer == caller.peer));
            seeking.awaited = None;
            seeking.ask_at = seeking.ask_at.min(retry_at);
        }
    }

    fn on_fetch_refused(&mut self, now: Now, response: &Response) {
        let is_gone =
            response.error == ErrorCode::NOT_LEADER_OR_FOLLOWER && response.epoch == self.epoch();
        if is_gone {
            // It said so itself, and nobody leads an epoch twice.
            self.lose_leader(now, &[]);
            return;
        }
        let until = now.instant.plus(self.timing.retry_backoff);
        if response.error == ErrorCode::SNAPSHOT_NOT_FOUND
            || response.error == ErrorCode::POSITION_OUT_OF_RANGE
        {
            self.drop_snapshot(until);
        } else if let Some(following) = self.following_mut() {
            following.back_off(until);
        }
    }

    fn heard_of_leader(&mut self, now: Now) {
        let fetch_deadline = self.fetch_deadline(now);
        match &mut self.role {
            Role::Follower(follower) => {
                follower.fetch_deadline = fetch_deadline;
                follower.has_fetched = true;
            }
            Role::Observer(observer) => observer.fetch_deadline = fetch_deadline,
            _ => {}
        }
    }

    pub(super) fn following(&self) -> Option<&Following> {
        match &self.role {
            Role::Follower(Follower { following, .. }) => Some(following),
            Role::Observer(observer) => observer.following(),
            _ => None,
        }
    }

    pub(super) fn following_mut(&mut self) -> Option<&mut Following> {
        match &mut self.role {
            Role::Follower(Follower { following, .. })
            | Role::Observer(Observer { pursuit: Pursuit::Following(following), .. }) => {
                Some(following)
            }
            _ => None,
        }
    }

    /// Takes over what comes next, as long as it does: batch by batch at the end of the log.
    fn take_over(
        &mut self,
        high_watermark: Option<Offset>,
        batches: Vec<Batch>,
        outputs: &mut Vec<Output>,
    ) {
        for batch in batches {
            let is_next = batch.base_offset == self.log.end()
                && batch.end_offset > batch.base_offset
                && (self.log.last_epoch()..=self.epoch()).contains(&batch.epoch);
            if !is_next {
                break;
            }
            self.log.append(batch.epoch, batch.end_offset);
            for (offset, control) in &batch.control {
                self.note_control(*offset, control.clone());
            }
            outputs.push(Output::AppendReplicated(batch));
        }
        // Up to its end this log is the leader's, for the leader found it to be.
        let end = self.log.end();
        if let Some(following) = self.following_mut() {
            following.high_watermark = high_watermark.map(|offset| offset.min(end));
        }
    }

    /// Cuts what the leader does not have. What is committed the leader has: anything else is a bug
    /// that would lose it, and the process stops.
    fn cut(&mut self, leader: EpochEnd, outputs: &mut Vec<Output>) {
        let Some(end_offset) = self.log.divergence(leader) else {
            return;
        };
        assert!(Some(end_offset) >= self.high_watermark, "a cut below the high watermark");
        self.log.truncate(end_offset);
        self.voters.truncate(end_offset);
        outputs.push(Output::Truncate(end_offset, self.log.generation()));
    }

    /// Answers how far everybody is.
    pub(super) fn on_describe(&self, now: Now, caller: Caller, outputs: &mut Vec<Output>) {
        let error = match &self.role {
            Role::Leader(_) => ErrorCode::NONE,
            _ => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        };
        let body = ResponseBody::DescribeQuorum(self.describe(now));
        self.answer(caller, error, body, outputs);
    }

    /// How far everybody is, as the leader knows it; empty elsewhere.
    #[must_use]
    pub fn describe(&self, now: Now) -> Description {
        let Role::Leader(leader) = &self.role else {
            return Description { high_watermark: Offset::NONE, ..Description::default() };
        };
        let own = ReplicaDescription {
            key: self.me.key,
            log_end_offset: self.log.end(),
            last_fetch_at: now.wall,
            last_caught_up_at: now.wall,
        };
        let (voters, observers) = Leader::describe(leader, own, self.is_voter());
        let high_watermark = self.high_watermark.unwrap_or(Offset::NONE);
        Description { high_watermark, voters, observers }
    }

    /// The epoch of the record before an offset, which names a snapshot that ends there.
    #[must_use]
    pub fn epoch_before(&self, end_offset: Offset) -> LeaderEpoch {
        self.log.epoch_before(end_offset)
    }
}
