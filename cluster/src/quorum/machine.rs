//! One member of the metadata quorum: its state, and the transitions between its roles.
//!
//! The road of an input begins in `step`; elections, replication, snapshots and changes of voters
//! have a file each. What the driver owes the machine:
//!
//! - It executes the outputs in their order, all of them, before the next input.
//! - It reports [`Flushed`](super::input::Input::Flushed) only for what is on stable storage, with
//!   the generation that held when the sync began.
//! - It delivers a message once or never; late, doubled and reordered ones are harmless.

use std::marker::PhantomData;
use std::time::Duration;

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use super::batch::{Append, Content, Control};
use super::follower::{Follower, Following, Observer, Pursuit, Seeking};
use super::input::{Envelope, Output};
use super::leader::Leader;
use super::log::{Outline, RestoredLog};
use super::message::{CorrelationId, Message, Request, Response, ResponseBody, SnapshotId};
use super::roles::{Resigned, Role, Unattached};
use super::rules::{Kraft, Rules};
use super::state::QuorumState;
use super::timing::{Dice, Timing};
use super::voters::{DYNAMIC_VOTERS, Endpoint, Membership, Voter, VoterHistory, VoterSet};
use crate::time::{Instant, Now};

/// What a restarted member finds on its disk and in its configuration.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Itself.
    pub me: Voter,
    /// The cluster's id.
    pub cluster_id: String,
    /// A number that no other member has, and another one after every start.
    pub seed: u64,
    /// How long what may take.
    pub timing: Timing,
    /// The persisted quorum state.
    pub state: QuorumState,
    /// Its log.
    pub log: RestoredLog,
    /// Level and voters below the log: those of its snapshot, else the configured ones.
    pub base: Membership,
    /// The control records in the log, each with its offset, in order.
    pub control: Vec<(Offset, Control)>,
    /// How many bootstrap servers can be asked for the leader.
    pub bootstrap_count: usize,
}

/// A member under the rules of KRaft.
pub type Quorum = Machine<Kraft>;

/// A member of the quorum.
#[derive(Clone, Debug)]
pub struct Machine<R> {
    pub(super) me: Voter,
    pub(super) timing: Timing,
    pub(super) dice: Dice,
    pub(super) state: QuorumState,
    pub(super) log: Outline,
    pub(super) voters: VoterHistory,
    pub(super) high_watermark: Option<Offset>,
    pub(super) role: Role,
    pub(super) bootstrap_count: usize,
    pub(super) update_voter_at: Instant,
    installing: Option<SnapshotId>,
    next_correlation: u64,
    rules: PhantomData<R>,
}

impl<R: Rules> Machine<R> {
    /// A member as it finds itself after a start: whatever it was, it leads nothing now.
    #[must_use]
    pub fn restore(restored: Restored, now: Now) -> Self {
        let log = Outline::restore(restored.log);
        let mut voters = VoterHistory::new(restored.base);
        for (offset, control) in restored.control {
            match control {
                Control::KraftVersion(version) => voters.set_version(offset, version),
                Control::Voters(set) => voters.set_voters(offset, set),
            }
        }
        let mut state = restored.state;
        let known = log.last_epoch().max(LeaderEpoch(0));
        if known > state.leader_epoch {
            state = QuorumState { leader_epoch: known, ..QuorumState::default() };
        }
        let mut dice = Dice::new(restored.seed, &restored.cluster_id);
        let next_correlation = dice.roll() >> 1;
        let mut machine = Self {
            me: restored.me,
            timing: restored.timing,
            dice,
            state,
            // What a snapshot holds was committed.
            high_watermark: log.snapshot().map(|snapshot| snapshot.end_offset),
            log,
            voters,
            role: Role::default(),
            bootstrap_count: restored.bootstrap_count,
            update_voter_at: now.instant,
            installing: None,
            next_correlation,
            rules: PhantomData,
        };
        machine.role = machine.first_role(now);
        machine.check_invariants();
        machine
    }

    fn first_role(&mut self, now: Now) -> Role {
        let election_deadline = self.election_deadline(now);
        let leader = self.state.leader_id;
        let seeking = Some(Seeking::from(now.instant));
        if !self.stands() {
            Role::Observer(Observer::seeking(now.instant))
        } else if self.voters().is_only(&self.me.key) {
            // Nobody has to be waited for.
            Role::Unattached(Unattached::waiting(now.instant))
        } else if leader == self.me.key.id {
            Role::Resigned(Resigned { election_deadline, unheard: Default::default(), seeking })
        } else if self.voters().voter(leader).is_some() {
            let following = Following::new(leader, Vec::new(), now.instant);
            Role::Follower(Follower::new(following, self.fetch_deadline(now)))
        } else {
            Role::Unattached(Unattached { election_deadline, seeking })
        }
    }

    /// The epoch it is in.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.state.leader_epoch
    }

    /// Who leads, as far as it knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(_) => Some(self.me.key.id),
            Role::Follower(follower) => Some(follower.following.leader),
            Role::Observer(observer) => observer.following().map(|following| following.leader),
            _ => None,
        }
    }

    /// What it is in its epoch.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The voters that count.
    #[must_use]
    pub fn voters(&self) -> &VoterSet {
        self.voters.voters()
    }

    /// The level of `kraft.version` that counts.
    #[must_use]
    pub fn kraft_version(&self) -> i16 {
        self.voters.kraft_version()
    }

    /// Level and voters at an end offset, for a snapshot that ends there.
    #[must_use]
    pub fn membership_at(&self, end_offset: Offset) -> Membership {
        self.voters.at(end_offset)
    }

    /// Whether it votes.
    #[must_use]
    pub fn is_voter(&self) -> bool {
        self.voters().contains(&self.me.key)
    }

    /// Whether it stands for election: as a voter, or as one whose removal may not be committed.
    /// The others may need the end of its log until then (Raft thesis, section 4.2.2).
    pub(super) fn stands(&self) -> bool {
        let removed_at = self.voters.changed_at().filter(|at| self.high_watermark <= Some(*at));
        self.is_voter()
            || removed_at.is_some_and(|at| self.voters.at(at).voters.contains(&self.me.key))
    }

    /// The log in outline.
    #[must_use]
    pub fn log(&self) -> &Outline {
        &self.log
    }

    /// Where its log ends.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log.end()
    }

    /// Everything below is committed; unknown until a leader's epoch has committed.
    #[must_use]
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// The quorum state as it was last persisted.
    #[must_use]
    pub fn state(&self) -> &QuorumState {
        &self.state
    }

    /// Where a node listens, as voter or as leader.
    #[must_use]
    pub fn endpoints(&self, id: NodeId) -> &[Endpoint] {
        if id == self.me.key.id {
            return &self.me.endpoints;
        }
        let following = match &self.role {
            Role::Follower(follower) => Some(&follower.following),
            Role::Observer(observer) => observer.following(),
            _ => None,
        };
        let learned = following.filter(|following| following.leader == id);
        match learned.filter(|following| !following.endpoints.is_empty()) {
            Some(following) => &following.endpoints,
            None => self.voters().voter(id).map_or(&[], |voter| &voter.endpoints),
        }
    }

    /// When it wants the next tick; none where only an input can change anything.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let is_flushed = self.is_flushed();
        let earliest = |a: Option<Instant>, b: Option<Instant>| a.into_iter().chain(b).min();
        let sought_at = self.role.seeking().map(|seeking| seeking.ask_at);
        match &self.role {
            Role::Unattached(unattached) => earliest(Some(unattached.election_deadline), sought_at),
            Role::Prospective(prospective) => Some(prospective.tally.next_at()),
            Role::Candidate(candidate) => Some(candidate.tally.next_at()),
            Role::Leader(leader) => {
                let span = self.timing.leadership();
                let quorum = leader.quorum_deadline::<R>(self.voters(), span);
                earliest(leader.next_at(), quorum)
            }
            Role::Follower(follower) => {
                let next = follower.following.next_at(is_flushed);
                earliest(next, Some(follower.fetch_deadline))
            }
            Role::Observer(observer) => Some(observer.next_at(is_flushed)),
            Role::Resigned(resigned) => earliest(Some(resigned.election_deadline), sought_at),
        }
    }

    /// Whether everything in the log is on stable storage.
    pub(super) fn is_flushed(&self) -> bool {
        self.log.flushed() == self.log.end()
    }

    /// When a voter without a leader stands for election: later by its rank, and by chance.
    pub(super) fn election_deadline(&mut self, now: Now) -> Instant {
        let base = self.timing.election_timeout;
        self.ranked(now, base)
    }

    /// When a voter stands again that was not elected, or whose leader is known to be gone.
    pub(super) fn retry_deadline(&mut self, now: Now) -> Instant {
        self.ranked(now, Duration::ZERO)
    }

    fn ranked(&mut self, now: Now, base: Duration) -> Instant {
        if self.voters().is_only(&self.me.key) {
            return now.instant;
        }
        let next = LeaderEpoch(self.epoch().0.saturating_add(1));
        let rank = self.dice.rank(next, self.me.key.id, self.voters.voters());
        let (certain, chance) = R::turn(rank, self.voters().len());
        let slot = self.timing.slot();
        now.instant.plus(base + slot * certain + self.dice.below(slot * chance))
    }

    /// When a follower takes its leader for lost.
    pub(super) fn fetch_deadline(&mut self, now: Now) -> Instant {
        let base = self.timing.fetch_timeout;
        self.ranked(now, base)
    }

    /// Notes a state, durably, where it is another one. Of two in a row the last one counts.
    pub(super) fn persist(&mut self, state: QuorumState, outputs: &mut Vec<Output>) {
        if state == self.state {
            return;
        }
        assert!(state.leader_epoch >= self.state.leader_epoch, "an epoch that went back");
        if let Some(Output::PersistQuorumState(_)) = outputs.last() {
            outputs.pop();
        }
        self.state = state.clone();
        outputs.push(Output::PersistQuorumState(state));
    }

    /// Sends a request; the answer will name what is returned.
    pub(super) fn send(
        &mut self,
        peer: NodeId,
        request: Request,
        outputs: &mut Vec<Output>,
    ) -> CorrelationId {
        let correlation = CorrelationId(self.next_correlation);
        self.next_correlation += 1;
        let message = Message::Request(request);
        outputs.push(Output::Send(Envelope { peer, correlation, message }));
        correlation
    }

    /// An answer, with what this member knows about the leader.
    pub(super) fn response(&self, error: ErrorCode, body: ResponseBody) -> Response {
        let leader = self.leader().unwrap_or(NodeId::NONE);
        Response {
            error,
            epoch: self.epoch(),
            leader,
            leader_endpoints: self.endpoints(leader).to_vec(),
            body,
        }
    }

    /// Answers a request.
    pub(super) fn answer(
        &self,
        caller: Caller,
        error: ErrorCode,
        body: ResponseBody,
        outputs: &mut Vec<Output>,
    ) {
        outputs.push(Output::Send(caller.envelope(self.response(error, body))));
    }

    /// Enters another epoch, or learns who leads this one.
    pub(super) fn enter_epoch(
        &mut self,
        now: Now,
        epoch: LeaderEpoch,
        leader: Option<(NodeId, Vec<Endpoint>)>,
        outputs: &mut Vec<Output>,
    ) {
        let is_new = epoch > self.epoch();
        assert!(is_new || leader.is_some() && epoch == self.epoch(), "an epoch without news");
        let leader_id = leader.as_ref().map(|(id, _)| *id);
        assert!(leader_id != Some(self.me.key.id), "another leads");
        let before = if is_new { QuorumState::default() } else { self.state.clone() };
        let leader_known = leader_id.unwrap_or(NodeId::NONE);
        self.persist(
            QuorumState { leader_id: leader_known, leader_epoch: epoch, ..before },
            outputs,
        );
        let role = std::mem::take(&mut self.role);
        let deadline = match &role {
            // Whoever asks again and again must not keep this voter from standing itself.
            Role::Unattached(unattached) => unattached.election_deadline,
            _ => self.election_deadline(now),
        };
        self.role = match leader {
            Some((id, endpoints)) => {
                let following = Following::new(id, endpoints, now.instant);
                let follower = Follower::new(following, self.fetch_deadline(now));
                if self.stands() {
                    Role::Follower(follower)
                } else {
                    Role::Observer(follower.observe())
                }
            }
            None if self.stands() => {
                let seeking = role.seeking().cloned();
                Role::Unattached(Unattached { election_deadline: deadline, seeking })
            }
            None => Role::Observer(Observer::seeking(now.instant)),
        };
        self.dismiss(role, outputs);
        outputs.push(Output::BecomeFollower { epoch, leader: leader_id });
    }

    /// Leaves a role that is over. A leader's callers learn that it leads no more.
    pub(super) fn dismiss(&self, role: Role, outputs: &mut Vec<Output>) {
        let Role::Leader(leader) = role else {
            return;
        };
        outputs.push(Output::ResignLeader);
        for envelope in leader.into_waiting() {
            let Message::Response(waiting) = envelope.message else {
                continue;
            };
            let refused = self.response(ErrorCode::NOT_LEADER_OR_FOLLOWER, waiting.body);
            outputs
                .push(Output::Send(Envelope { message: Message::Response(refused), ..envelope }));
        }
    }

    /// Becomes the leader of the epoch that it is in: all that it needs is durable before the first
    /// record of the epoch.
    pub(super) fn lead(&mut self, now: Now, granting: &[NodeId], outputs: &mut Vec<Output>) {
        let me = self.me.key;
        self.persist(QuorumState { leader_id: me.id, ..self.state.clone() }, outputs);
        let start_offset = self.log.end();
        let leader = Leader::new(me, self.voters.voters(), start_offset, now);
        self.role = Role::Leader(Box::new(leader));
        outputs.push(Output::BecomeLeader { epoch: self.epoch(), start_offset });
        let kraft_version = self.kraft_version();
        let voters = self.voters().keys();
        let granting =
            voters.iter().filter(|voter| granting.contains(&voter.id)).copied().collect();
        let change = Content::LeaderChange { leader: me, voters, granting, kraft_version };
        self.append(now, change, outputs);
        // Voters that come from outside of the log go into it with the first epoch.
        let is_in_log = self.voters.changed_at().is_some() || self.log.snapshot().is_some();
        if kraft_version >= DYNAMIC_VOTERS && !is_in_log {
            let membership = Membership { kraft_version, voters: self.voters().clone() };
            self.append(now, Content::Membership(membership), outputs);
        }
    }

    /// Appends as the leader.
    pub(super) fn append(&mut self, now: Now, content: Content, outputs: &mut Vec<Output>) {
        let append = Append {
            base_offset: self.log.end(),
            epoch: self.epoch(),
            timestamp: now.wall,
            content,
        };
        self.log.append(append.epoch, append.end_offset());
        for (offset, control) in append.control() {
            self.note_control(offset, control);
        }
        outputs.push(Output::Append(append));
    }

    /// A control record is in the log: it counts at once.
    pub(super) fn note_control(&mut self, offset: Offset, control: Control) {
        match control {
            Control::KraftVersion(version) => self.voters.set_version(offset, version),
            Control::Voters(set) => self.voters.set_voters(offset, set),
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.set_voters(self.voters.voters());
        }
    }

    /// What follows from whether this member votes: voters stand for election, others observe.
    pub(super) fn reconcile_role(&mut self, now: Now) {
        let stands = self.stands();
        let role = std::mem::take(&mut self.role);
        self.role = match role {
            // A leader that was removed goes on until that is committed.
            Role::Leader(_) => role,
            Role::Observer(observer) if stands => match observer.pursuit {
                Pursuit::Following(following) => {
                    Role::Follower(Follower::new(following, self.fetch_deadline(now)))
                }
                Pursuit::Seeking(_) => {
                    let election_deadline = self.election_deadline(now);
                    Role::Unattached(Unattached::waiting(election_deadline))
                }
            },
            Role::Observer(_) => role,
            Role::Follower(follower) if !stands => Role::Observer(follower.observe()),
            _ if !stands => Role::Observer(Observer::seeking(now.instant)),
            _ => role,
        };
    }

    /// The snapshot that the driver is installing, if any.
    pub(super) fn installing(&self) -> Option<SnapshotId> {
        self.installing
    }

    /// From here on nothing but the end of the installation may come.
    pub(super) fn set_installing(&mut self, snapshot: Option<SnapshotId>) {
        self.installing = snapshot;
    }

    /// What holds after every step.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self) {
        self.log.check_invariants();
        if let Some(high_watermark) = self.high_watermark {
            assert!(high_watermark <= self.log.flushed(), "committed what is not flushed");
            assert!(self.log.start() <= high_watermark, "a snapshot of what is not committed");
        }
        assert!(self.log.last_epoch() <= self.epoch(), "a record of an epoch to come");
        let is_me = self.state.leader_id == self.me.key.id;
        match &self.role {
            Role::Leader(_) => assert!(is_me, "it leads without having noted so"),
            Role::Candidate(_) => {
                assert!(self.state.voted_id == self.me.key.id, "a candidate votes for itself");
            }
            Role::Follower(_) | Role::Observer(_) => {
                assert!(self.leader() != Some(self.me.key.id), "nobody follows itself");
            }
            Role::Unattached(_) | Role::Prospective(_) | Role::Resigned(_) => {}
        }
    }
}

/// Who asked, and what they want back with the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) peer: NodeId,
    pub(super) correlation: CorrelationId,
}

impl Caller {
    /// An answer on its way.
    pub(super) fn envelope(self, response: Response) -> Envelope {
        let message = Message::Response(response);
        Envelope { peer: self.peer, correlation: self.correlation, message }
    }
}
