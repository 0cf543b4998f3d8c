//! The metadata quorum: elections, replication by fetching, and what is committed.
//!
//! | in the model | in the code (`cluster/src/quorum`) |
//! | --- | --- |
//! | [`Design`] | `rules::Rules`, and the driver's duty to persist before it sends |
//! | `Action::Stand`, `Vote`, `Lead` | `election` |
//! | `Action::Fetch`, `Serve` | `follower`, `fetch` |
//! | `Election::advance` | `leader`, its high watermark |
//! | `Action::Change` | `membership` |
//!
//! What is left out, and why that is no loss:
//! - **Time, pre-vote, check-quorum, the common coin.** They make elections rarer. Here any voter
//!   stands whenever it likes, which has all runs with them and more.
//! - **The network.** A request is never taken back once it was sent and may arrive at any later
//!   time, any number of times, or never: loss, delay, doubling and reordering at once. The answer
//!   of a fetch arrives with its request or not at all. A later arrival is no other run: a follower
//!   hears an answer only while its epoch and the end of its log are those of its request, and
//!   what a leader has after an offset does not change within an epoch.
//! - **Votes are counted at once**, when there are enough: counting them singly changes nothing.
//! - **Followers' high watermarks.** They are a leader's, late.
//! - **A kill that loses nothing** is a sync and a crash.
//! - **Snapshots, observers.** They hold what is committed already.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use crate::check::Claim;
use crate::log::{Log, Record};

/// The most voters of a scope.
const MAX_VOTERS: usize = 5;
/// The most epochs of a scope.
const MAX_EPOCHS: usize = 6;

const ONE_LEADER: &str = "an epoch has one leader";
const COMPLETE: &str = "a leader has everything committed";
const UNCHANGED: &str = "what is committed does not change";
const DURABLE: &str = "what is committed is on the disks of a majority";
const SOME_COMMIT: &str = "two epochs commit";
const SOME_TRUNCATION: &str = "a follower cuts its log";
const SOME_LOSS: &str = "a crash loses records";
const SOME_CHANGE: &str = "a change of voters commits";

/// The rules, and ways to get one wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// KRaft's.
    Right,
    /// A voter gives its vote to a log that lacks what its own has.
    StaleLogVote,
    /// Half of the voters are a majority.
    HalfMajority,
    /// Records of older epochs commit by being counted (Raft, figure 8).
    OlderEpochCommits,
    /// A crash forgets the vote.
    VoteNotPersisted,
    /// Records count before they are synced.
    UnsyncedCounts,
    /// A leader believes a fetch's position without looking whether it is on its branch.
    UnvalidatedFetch,
    /// The next change of voters begins before the one before it is committed.
    OverlappingChange,
    /// Voters change before the leader's own epoch has committed.
    EarlyChange,
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Voters at first.
    pub voters: u8,
    /// Nodes that may become voters.
    pub others: u8,
    /// Epochs; each is at most one leader's.
    pub epochs: u8,
    /// Records beside the first one of each epoch, which its leader appends.
    pub records: u8,
    /// Crashes.
    pub crashes: u8,
    /// Changes of voters.
    pub changes: u8,
}

/// The quorum under one design, within a scope.
#[derive(Clone, Debug)]
pub struct Election {
    /// The rules.
    pub design: Design,
    /// How much may happen.
    pub scope: Scope,
    /// Steps that every run begins with, where the interesting ones are too many steps away.
    pub opening: Vec<Action>,
}

/// What a node does in its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows, or knows no leader.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
    /// Has led and has crashed: in this epoch it never leads again.
    Resigned,
}

/// A node. What it has on disk is its epoch, its vote and the synced part of its log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    epoch: u8,
    vote: Option<u8>,
    role: Role,
    log: Log,
    synced: u8,
    /// A leader's: how far each node's log goes, for all it knows.
    ends: [u8; MAX_VOTERS],
    /// A leader's: everything below is committed.
    high_watermark: u8,
    /// A leader's: where its epoch begins.
    epoch_start: u8,
}

/// A request; never taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// A candidate, its epoch, and where its log ends.
    Vote {
        /// Who asks.
        from: u8,
        /// For which epoch.
        epoch: u8,
        /// Epoch and end of its log.
        log_end: (u8, u8),
    },
    /// A vote given.
    Granted {
        /// Whose.
        from: u8,
        /// To whom.
        to: u8,
        /// In which epoch.
        epoch: u8,
    },
    /// A follower, and where its log ends.
    Fetch {
        /// Who asks.
        from: u8,
        /// Whom.
        to: u8,
        /// In which epoch.
        epoch: u8,
        /// Epoch and end of its log.
        log_end: (u8, u8),
    },
}

/// All nodes, all messages, and what has been said to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    nodes: Vec<Node>,
    messages: BTreeSet<Message>,
    /// The longest log that was ever committed, and in which epoch.
    committed: Log,
    committed_in: u8,
    /// Two leaders have committed logs of which neither continues the other.
    is_contradicted: bool,
    /// Who led each epoch, one bit each.
    leaders: [u8; MAX_EPOCHS],
    has_truncated: bool,
    has_lost: bool,
    records: u8,
    crashes: u8,
    changes: u8,
}

/// A step of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It stands for election.
    Stand(u8),
    /// It receives a candidate's request.
    Vote(u8, Message),
    /// It has the votes that it needs.
    Lead(u8),
    /// It syncs its log.
    Sync(u8),
    /// It fetches from a node that leads.
    Fetch(u8, u8),
    /// A leader receives a fetch; whether its answer arrives.
    Serve(Message, bool),
    /// A leader appends.
    Append(u8),
    /// A leader appends another set of voters, one bit each.
    Change(u8, u8),
    /// It crashes and loses what it has not synced.
    Crash(u8),
}

impl Election {
    fn majority(&self, voters: u8) -> u32 {
        match self.design {
            Design::HalfMajority => voters.count_ones().div_ceil(2),
            _ => voters.count_ones() / 2 + 1,
        }
    }

    /// The voters that a log names last, whether or not that is committed.
    fn voters(&self, log: &Log) -> u8 {
        let named = log.records().iter().rev().find(|record| record.value > 1);
        named.map_or((1 << self.scope.voters) - 1, |record| record.value >> 1)
    }

    /// Where a leader's log names other voters last.
    fn changed_at(log: &Log) -> Option<u8> {
        log.records().iter().rposition(|record| record.value > 1).map(|at| at as u8)
    }

    fn may_change(&self, node: &Node) -> bool {
        let has_committed = node.high_watermark > node.epoch_start;
        let is_settled = Self::changed_at(&node.log).is_none_or(|at| node.high_watermark > at);
        (has_committed || self.design == Design::EarlyChange)
            && (is_settled || self.design == Design::OverlappingChange)
    }

    /// A leader commits what a majority holds, once a record of its own epoch is among that.
    fn advance(&self, state: &mut State, leader: usize) {
        let node = &mut state.nodes[leader];
        let counts_unsynced = self.design == Design::UnsyncedCounts;
        node.ends[leader] = if counts_unsynced { node.log.end_offset() } else { node.synced };
        let voters = self.voters(&node.log);
        let holds = |end: u8| {
            let holders =
                (0..MAX_VOTERS).filter(|id| voters >> id & 1 == 1 && node.ends[*id] >= end);
            holders.count() as u32 >= self.majority(voters)
        };
        let end = (0..=node.log.end_offset()).rev().find(|end| holds(*end)).unwrap_or(0);
        let may_commit = end > node.epoch_start || self.design == Design::OlderEpochCommits;
        if end <= node.high_watermark || !may_commit {
            return;
        }
        node.high_watermark = end;
        let (prefix, epoch) = (node.log.prefix(end), node.epoch);
        if prefix.starts_with(&state.committed) {
            state.committed_in = epoch.max(state.committed_in);
            state.committed = prefix;
        } else if !state.committed.starts_with(&prefix) {
            state.is_contradicted = true;
        }
    }

    fn vote(&self, node: &mut Node, id: u8, request: Message) -> Option<Message> {
        let Message::Vote { from, epoch, log_end } = request else { return None };
        if epoch < node.epoch {
            return None;
        }
        node.adopt(epoch);
        let own_end = (node.log.last_epoch(), node.log.end_offset());
        let is_up_to_date = log_end >= own_end || self.design == Design::StaleLogVote;
        let is_free = node.role == Role::Follower && node.vote.is_none_or(|vote| vote == from);
        if !is_free || !is_up_to_date {
            return None;
        }
        node.vote = Some(from);
        Some(Message::Granted { from: id, to: from, epoch })
    }

    fn serve(&self, state: &mut State, fetch: Message, is_answered: bool) -> Option<()> {
        let Message::Fetch { from, to, epoch, log_end } = fetch else { return None };
        let (from, to) = (usize::from(from), usize::from(to));
        let leader = &mut state.nodes[to];
        if leader.role != Role::Leader || leader.epoch != epoch {
            return None;
        }
        let is_prefix = leader.log.continues(log_end.0, log_end.1);
        if is_prefix || self.design == Design::UnvalidatedFetch {
            leader.ends[from] = log_end.1.min(leader.log.end_offset());
            self.advance(state, to);
        }
        let log = state.nodes[to].log;
        let follower = &mut state.nodes[from];
        let own_end = (follower.log.last_epoch(), follower.log.end_offset());
        if is_answered && follower.epoch == epoch && own_end == log_end {
            if !is_prefix {
                follower.log.truncate_to_branch(&log);
                follower.synced = follower.synced.min(follower.log.end_offset());
                state.has_truncated = true;
            } else if let Some(record) = log.get(log_end.1) {
                follower.log.append(record);
            }
        }
        Some(())
    }
}

impl Node {
    fn new() -> Self {
        Self {
            epoch: 0,
            vote: None,
            role: Role::Follower,
            log: Log::default(),
            synced: 0,
            ends: [0; MAX_VOTERS],
            high_watermark: 0,
            epoch_start: 0,
        }
    }

    /// Takes over a later epoch, in which it has given no vote.
    fn adopt(&mut self, epoch: u8) {
        if epoch > self.epoch {
            let (log, synced) = (self.log, self.synced);
            *self = Self { epoch, log, synced, ..Self::new() };
        }
    }
}

impl Model for Election {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let empty = State {
            nodes: vec![Node::new(); usize::from(self.scope.voters + self.scope.others)],
            messages: BTreeSet::new(),
            committed: Log::default(),
            committed_in: 0,
            is_contradicted: false,
            leaders: [0; MAX_EPOCHS],
            has_truncated: false,
            has_lost: false,
            records: 0,
            crashes: 0,
            changes: 0,
        };
        let step = |state, action: &Action| self.next_state(&state, *action).expect("possible");
        vec![self.opening.iter().fold(empty, step)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let ids = 0..state.nodes.len() as u8;
        for (id, node) in ids.clone().zip(&state.nodes) {
            let voters = self.voters(&node.log);
            let is_leader = node.role == Role::Leader;
            if !is_leader && node.epoch < self.scope.epochs && voters >> id & 1 == 1 {
                actions.push(Action::Stand(id));
            }
            if node.role == Role::Candidate {
                actions.push(Action::Lead(id));
            }
            if node.synced < node.log.end_offset() {
                actions.push(Action::Sync(id));
            }
            if state.crashes < self.scope.crashes {
                actions.push(Action::Crash(id));
            }
            if is_leader && state.records < self.scope.records {
                actions.push(Action::Append(id));
            }
            if is_leader && state.changes < self.scope.changes && self.may_change(node) {
                actions.extend(ids.clone().map(|other| Action::Change(id, voters ^ 1 << other)));
            }
            let others = ids.clone().filter(|other| *other != id);
            actions.extend(others.map(|other| Action::Fetch(id, other)));
        }
        for message in &state.messages {
            match message {
                Message::Vote { from, .. } => {
                    let voters = ids.clone().filter(|id| id != from);
                    actions.extend(voters.map(|id| Action::Vote(id, *message)));
                }
                Message::Fetch { .. } => {
                    actions.extend(
                        [false, true].map(|is_answered| Action::Serve(*message, is_answered)),
                    );
                }
                Message::Granted { .. } => {}
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Stand(id) => {
                let node = &mut state.nodes[usize::from(id)];
                node.adopt(node.epoch + 1);
                (node.vote, node.role) = (Some(id), Role::Candidate);
                let log_end = (node.log.last_epoch(), node.log.end_offset());
                state.messages.insert(Message::Vote { from: id, epoch: node.epoch, log_end });
            }
            Action::Vote(id, request) => {
                let granted = self.vote(&mut state.nodes[usize::from(id)], id, request);
                state.messages.extend(granted);
            }
            Action::Lead(id) => {
                let node = &mut state.nodes[usize::from(id)];
                let (epoch, voters) = (node.epoch, self.voters(&node.log));
                let has_vote = |from: u8| {
                    from == id || state.messages.contains(&Message::Granted { from, to: id, epoch })
                };
                let votes =
                    (0..MAX_VOTERS as u8).filter(|at| voters >> at & 1 == 1 && has_vote(*at));
                if (votes.count() as u32) < self.majority(voters) {
                    return None;
                }
                node.role = Role::Leader;
                node.epoch_start = node.log.end_offset();
                node.log.append(Record { epoch, value: 0 });
                state.leaders[usize::from(epoch)] |= 1 << id;
                self.advance(&mut state, usize::from(id));
            }
            Action::Sync(id) => {
                let node = &mut state.nodes[usize::from(id)];
                node.synced = node.log.end_offset();
                if node.role == Role::Leader {
                    self.advance(&mut state, usize::from(id));
                }
            }
            Action::Fetch(id, leader) => {
                let (to, epoch) =
                    (&last.nodes[usize::from(leader)], last.nodes[usize::from(leader)].epoch);
                let node = &mut state.nodes[usize::from(id)];
                let follows =
                    epoch > node.epoch || epoch == node.epoch && node.role != Role::Leader;
                let is_synced = node.synced == node.log.end_offset();
                let counts_unsynced = self.design == Design::UnsyncedCounts;
                if to.role != Role::Leader || !follows || !(is_synced || counts_unsynced) {
                    return None;
                }
                node.adopt(epoch);
                node.role = Role::Follower;
                let log_end = (node.log.last_epoch(), node.log.end_offset());
                state.messages.insert(Message::Fetch { from: id, to: leader, epoch, log_end });
            }
            Action::Serve(fetch, is_answered) => self.serve(&mut state, fetch, is_answered)?,
            Action::Append(id) => {
                let node = &mut state.nodes[usize::from(id)];
                node.log.append(Record { epoch: node.epoch, value: 1 });
                state.records += 1;
            }
            Action::Change(id, voters) => {
                let node = &mut state.nodes[usize::from(id)];
                node.log.append(Record { epoch: node.epoch, value: voters << 1 });
                state.changes += 1;
            }
            Action::Crash(id) => {
                let node = &mut state.nodes[usize::from(id)];
                state.has_lost |= node.synced < node.log.end_offset();
                let role = match node.role {
                    Role::Leader | Role::Resigned => Role::Resigned,
                    Role::Candidate | Role::Follower => Role::Follower,
                };
                let forgets = self.design == Design::VoteNotPersisted;
                let vote = node.vote.filter(|_| !forgets);
                let (epoch, synced, log) = (node.epoch, node.synced, node.log.prefix(node.synced));
                *node = Node { epoch, vote, role, log, synced, ..Node::new() };
                state.crashes += 1;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always(ONE_LEADER, |_, state| {
                state.leaders.iter().all(|leaders| leaders.count_ones() <= 1)
            }),
            Property::<Self>::always(COMPLETE, |_, state| {
                let mut leaders = state.nodes.iter().filter(|node| node.role == Role::Leader);
                leaders.all(|node| {
                    node.epoch < state.committed_in || node.log.starts_with(&state.committed)
                })
            }),
            Property::<Self>::always(UNCHANGED, |_, state| !state.is_contradicted),
            Property::<Self>::always(DURABLE, |model, state| {
                let holds =
                    |node: &&Node| node.log.prefix(node.synced).starts_with(&state.committed);
                let holders = state.nodes.iter().filter(holds).count();
                model.scope.changes > 0 || holders > usize::from(model.scope.voters / 2)
            }),
        ];
        if self.scope.epochs > 1 {
            properties.push(Property::<Self>::sometimes(SOME_COMMIT, |_, state| {
                let epochs = state.committed.records().iter().map(|record| record.epoch);
                epochs.collect::<BTreeSet<_>>().len() > 1
            }));
        }
        if self.scope.crashes > 0 {
            properties.push(Property::<Self>::sometimes(SOME_LOSS, |_, state| state.has_lost));
        }
        if self.scope.epochs > 2 {
            properties
                .push(Property::<Self>::sometimes(SOME_TRUNCATION, |_, state| state.has_truncated));
        }
        if self.scope.changes > 0 {
            properties.push(Property::<Self>::sometimes(SOME_CHANGE, |_, state| {
                Self::changed_at(&state.committed).is_some()
            }));
        }
        properties
    }
}

impl Claim for Election {
    const MODEL: &'static str = "election";

    fn design(&self) -> String {
        format!("{:?}", self.design)
    }

    fn scope(&self) -> String {
        let Scope { voters, others, epochs, records, crashes, changes } = self.scope;
        format!(
            "{voters} voters, {others} others, {epochs} epochs, {records} more records, \
             {crashes} crashes, {changes} changes of voters, {} steps given",
            self.opening.len()
        )
    }

    fn refuted_by(&self) -> Option<&'static str> {
        match self.design {
            Design::Right => None,
            Design::HalfMajority | Design::VoteNotPersisted => Some(ONE_LEADER),
            Design::StaleLogVote
            | Design::UnsyncedCounts
            | Design::OlderEpochCommits
            | Design::UnvalidatedFetch
            | Design::OverlappingChange
            | Design::EarlyChange => Some(COMPLETE),
        }
    }
}
