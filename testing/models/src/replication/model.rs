//! The steps of replicas and controller, and what holds after each.
//!
//! What is left out, and why that is no loss:
//! - **Time.** A session lapses, and a follower lags, whenever it likes.
//! - **The network.** As in the election: a request stays in it for ever, and a fetch's answer
//!   arrives with it or not at all.
//! - **The metadata log.** A broker learns what it says now at any time, and may miss what it said.
//! - **Syncs in the background.** A power cut keeps as much of a log as it likes.
//! - **acks=1 and the log's start.** They promise nothing that is checked here.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::controller::{Controller, Rules, has};
use super::replica::Replica;
use crate::check::Claim;
use crate::log::{Log, Record};

const KEPT: &str = "a leader has everything acknowledged";
const SHOWN: &str = "what a consumer has seen stays";
const AGREE: &str = "logs agree below their high watermarks";
const COVERED: &str = "the leader counts everyone that the controller may elect";
const ELECTABLE: &str = "everyone who may be elected has everything acknowledged";
const SOME_EPOCHS: &str = "two epochs acknowledge";
const SOME_RETURN: &str = "a replica that lost records is in sync again";
const SOME_ELIGIBLE: &str = "a replica is eligible that is not in sync";

/// The rules, and ways to get one wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// Those of the design.
    Right,
    /// A follower cuts its log to its high watermark, instead of where epochs part.
    TruncateToHighWatermark,
    /// A follower joins the ISR before it has what came before the leader's epoch.
    NoEpochStart,
    /// The controller does not ask which incarnation of a broker joins.
    JoinWithoutBrokerEpoch,
    /// The high watermark is over those that are in sync before and after a proposed change.
    SmallerIsrCounts,
    /// Records are acknowledged by fewer replicas than `min.insync.replicas`.
    AcknowledgeBelowMinInsync,
    /// A leader counts the fetch of a follower of an older epoch.
    OldEpochCounts,
    /// A leader counts the fetch of a follower that has restarted and fetched since.
    OldIncarnationCounts,
    /// A leader whose proposal is refused takes it back, though another copy of it was accepted.
    RefusedProposalForgotten,
    /// A broker whose kernel went away keeps its place.
    LossyRestartKept,
    /// The last replica in sync stays so, and nobody else is eligible.
    NoEligibleLeaders,
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Replicas, two or three.
    pub replicas: u8,
    /// `min.insync.replicas`.
    pub min_insync: u8,
    /// Records that are produced.
    pub records: u8,
    /// Leader epochs.
    pub epochs: u8,
    /// Partition epochs.
    pub changes: u8,
    /// Crashes.
    pub crashes: u8,
    /// Records are synced before they count, so power may go everywhere at once. Else it goes at
    /// fewer than `min.insync.replicas` replicas that have not caught up since.
    pub is_durable: bool,
}

/// The partition under one design, within a scope.
#[derive(Clone, Debug)]
pub struct Replication {
    /// The rules.
    pub design: Design,
    /// How much may happen.
    pub scope: Scope,
    /// Steps that every run begins with, where the interesting ones are too many steps away.
    pub opening: Vec<Action>,
}

/// A request; never taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// A follower, and where its log ends.
    Fetch {
        /// Who asks.
        from: u8,
        /// Whom.
        to: u8,
        /// Which incarnation asks.
        broker_epoch: u8,
        /// In which leader epoch.
        epoch: u8,
        /// Epoch and end of its log.
        log_end: (u8, u8),
    },
    /// A leader's proposal of who is in sync.
    Alter {
        /// Who proposes.
        from: u8,
        /// The epoch that it leads.
        leader_epoch: u8,
        /// The partition's epoch that it knows.
        partition_epoch: u8,
        /// Who is to be in sync, one bit each.
        isr: u8,
        /// Which incarnation of each; 0 is not known.
        broker_epochs: [u8; 3],
    },
}

/// Controller, replicas, messages, and what has been acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    controller: Controller,
    replicas: Vec<Replica>,
    messages: BTreeSet<Message>,
    /// Everything that was ever below a leader's high watermark, and the last epoch of these.
    acknowledged: Log,
    acknowledged_in: u8,
    /// Two leaders have acknowledged different records at one offset.
    is_contradicted: bool,
    /// Whose power went, and who has not been in sync since.
    lost: u8,
    has_returned: bool,
    records: u8,
    crashes: u8,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A leader appends a record.
    Append(u8),
    /// A replica syncs its log.
    Sync(u8),
    /// A follower fetches.
    Fetch(u8),
    /// A leader receives a fetch; whether its answer arrives.
    Serve(Message, bool),
    /// A leader proposes that a follower leave or join the ISR.
    Propose(u8, u8),
    /// The controller receives a proposal.
    Alter(Message),
    /// A broker learns what the controller has decided.
    Learn(u8),
    /// A broker's session lapses.
    Fence(u8),
    /// A process is killed.
    Kill(u8),
    /// Power goes, and a log is left with so many records.
    PowerCut(u8, u8),
    /// A broker starts and registers.
    Start(u8),
    /// A broker is no longer fenced.
    Unfence(u8),
}

impl Replication {
    fn rules(&self) -> Rules {
        Rules { design: self.design, scope: self.scope }
    }

    fn advance(&self, state: &mut State, leader: u8) {
        let replica = &mut state.replicas[usize::from(leader)];
        let before = replica.high_watermark;
        replica.advance(self.rules(), leader);
        if replica.high_watermark == before {
            return;
        }
        let prefix = replica.log.prefix(replica.high_watermark);
        if prefix.starts_with(&state.acknowledged) {
            state.acknowledged = prefix;
            state.acknowledged_in = state.acknowledged_in.max(replica.epoch);
        } else if !state.acknowledged.starts_with(&prefix) {
            state.is_contradicted = true;
        }
    }

    fn serve(&self, state: &mut State, fetch: Message, is_answered: bool) -> Option<()> {
        let Message::Fetch { from, to, broker_epoch, epoch, log_end } = fetch else { return None };
        let leader = &mut state.replicas[usize::from(to)];
        let counts_old = self.design == Design::OldEpochCounts && epoch < leader.epoch;
        if leader.leads.is_none() || !(leader.epoch == epoch || counts_old) {
            return None;
        }
        let is_prefix = leader.log.continues(log_end.0, log_end.1);
        if is_prefix || counts_old {
            leader.note(self.rules(), from, log_end.1, broker_epoch);
            self.advance(state, to);
        }
        let leader = &state.replicas[usize::from(to)];
        let (log, high_watermark) = (leader.log, leader.high_watermark);
        let is_waiting = state.controller.broker_epochs[usize::from(from)] == broker_epoch;
        let follower = &mut state.replicas[usize::from(from)];
        let is_waiting = is_waiting && follower.is_up && follower.leads.is_none();
        if !is_answered || !is_waiting || follower.epoch != epoch || follower.log_end() != log_end {
            return Some(());
        }
        if is_prefix {
            log.get(log_end.1).into_iter().for_each(|record| follower.log.append(record));
            let known = high_watermark.min(follower.log.end_offset());
            follower.high_watermark = follower.high_watermark.max(known);
        } else {
            let mut cut = follower.log;
            cut.truncate_to_branch(&log);
            follower.truncate(cut.end_offset());
        }
        Some(())
    }

    fn alter(&self, state: &mut State, proposal: Message) -> Option<()> {
        if state.controller.alter(self.rules(), proposal) {
            state.has_returned |= state.lost & state.controller.isr != 0;
            state.lost &= !state.controller.isr;
            return Some(());
        }
        let forgets = self.design == Design::RefusedProposalForgotten;
        let Message::Alter { from, isr, .. } = proposal else { return None };
        let leads = state.replicas[usize::from(from)].leads.as_mut().filter(|_| forgets)?;
        leads.proposed.take_if(|proposed| *proposed == isr)?;
        self.advance(state, from);
        Some(())
    }

    fn step(&self, state: &mut State, action: Action) -> Option<()> {
        let rules = self.rules();
        match action {
            Action::Append(id) => {
                let replica = &mut state.replicas[usize::from(id)];
                state.records += 1;
                replica.log.append(Record { epoch: replica.epoch, value: state.records });
                self.advance(state, id);
            }
            Action::Sync(id) => {
                let replica = &mut state.replicas[usize::from(id)];
                replica.synced = replica.log.end_offset();
                self.advance(state, id);
            }
            Action::Fetch(id) => {
                let replica = &state.replicas[usize::from(id)];
                let (epoch, log_end) = (replica.epoch, replica.log_end());
                let broker_epoch = state.controller.broker_epochs[usize::from(id)];
                let to = replica.leader?;
                let fetch = Message::Fetch { from: id, to, broker_epoch, epoch, log_end };
                state.messages.insert(fetch);
            }
            Action::Serve(fetch, is_answered) => self.serve(state, fetch, is_answered)?,
            Action::Propose(id, follower) => {
                let proposal = state.replicas[usize::from(id)].propose(rules, id, follower)?;
                state.messages.insert(proposal);
                self.advance(state, id);
            }
            Action::Alter(proposal) => self.alter(state, proposal)?,
            Action::Learn(id) => {
                state.replicas[usize::from(id)].learn(rules, id, &state.controller);
                self.advance(state, id);
            }
            Action::Fence(id) => state.controller.fence(rules, id),
            Action::Kill(id) => {
                state.replicas[usize::from(id)].crash(None);
                state.crashes += 1;
            }
            Action::PowerCut(id, kept) => {
                state.replicas[usize::from(id)].crash(Some(kept));
                state.lost |= 1 << id;
                state.crashes += 1;
            }
            Action::Start(id) => {
                let replica = &mut state.replicas[usize::from(id)];
                state.controller.register(rules, id, replica.is_lossy);
                (replica.is_up, replica.is_lossy) = (true, false);
                replica.synced = replica.log.end_offset();
            }
            Action::Unfence(id) => state.controller.unfence(id),
        }
        Some(())
    }
}

impl Model for Replication {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let controller = Controller::new(self.scope.replicas);
        let mut replicas = vec![Replica::new(); usize::from(self.scope.replicas)];
        for (id, replica) in (0..).zip(&mut replicas) {
            replica.learn(self.rules(), id, &controller);
        }
        let calm = State {
            controller,
            replicas,
            messages: BTreeSet::new(),
            acknowledged: Log::default(),
            acknowledged_in: 0,
            is_contradicted: false,
            lost: 0,
            has_returned: false,
            records: 0,
            crashes: 0,
        };
        let step = |state, action: &Action| self.next_state(&state, *action).expect("possible");
        vec![self.opening.iter().fold(calm, step)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let Scope { replicas, min_insync, is_durable, .. } = self.scope;
        for (id, replica) in (0..).zip(&state.replicas) {
            let is_active = has(state.controller.active, id);
            if is_active {
                actions.push(Action::Fence(id));
            }
            if !replica.is_up {
                actions.push(Action::Start(id));
                continue;
            }
            if !is_active {
                actions.push(Action::Unfence(id));
            }
            actions.push(Action::Learn(id));
            if is_durable && replica.synced < replica.log.end_offset() {
                actions.push(Action::Sync(id));
            }
            if replica.leads.is_some() {
                if state.records < self.scope.records && replica.admits(self.rules()) {
                    actions.push(Action::Append(id));
                }
                actions.extend((0..replicas).map(|follower| Action::Propose(id, follower)));
            } else if !is_durable || replica.synced == replica.log.end_offset() {
                actions.push(Action::Fetch(id));
            }
            if state.crashes < self.scope.crashes {
                actions.push(Action::Kill(id));
                let may_lose = (state.lost | 1 << id).count_ones() < u32::from(min_insync);
                if is_durable || may_lose {
                    let kept = replica.synced * u8::from(is_durable)..=replica.log.end_offset();
                    actions.extend(kept.map(|kept| Action::PowerCut(id, kept)));
                }
            }
        }
        for message in &state.messages {
            match message {
                Message::Fetch { .. } => {
                    actions.extend([false, true].map(|answer| Action::Serve(*message, answer)));
                }
                Message::Alter { .. } => actions.push(Action::Alter(*message)),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, action)?;
        (state != *last).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.controller.leader_epoch <= self.scope.epochs
            && state.controller.partition_epoch <= self.scope.changes
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always(KEPT, |_, state| {
                let mut leaders = state.replicas.iter().filter(|replica| replica.leads.is_some());
                leaders.all(|leader| {
                    leader.epoch < state.acknowledged_in
                        || leader.log.starts_with(&state.acknowledged)
                })
            }),
            Property::<Self>::always(SHOWN, |_, state| {
                let is_shown = |at: &Replica| at.log.prefix(at.high_watermark);
                !state.is_contradicted
                    && state.replicas.iter().all(|at| state.acknowledged.starts_with(&is_shown(at)))
            }),
            Property::<Self>::always(AGREE, |_, state| {
                state.replicas.iter().all(|one| {
                    state.replicas.iter().all(|other| {
                        let end = one.high_watermark.min(other.high_watermark);
                        one.log.prefix(end) == other.log.prefix(end)
                    })
                })
            }),
            Property::<Self>::always(COVERED, |_, state| {
                let controller = &state.controller;
                state.replicas.iter().all(|replica| {
                    let known = replica.maximal_isr();
                    replica.epoch != controller.leader_epoch
                        || known.is_none_or(|(isr, _)| controller.isr & !isr == 0)
                })
            }),
            // A power cut that the controller has yet to hear of is the one exception.
            Property::<Self>::always(ELECTABLE, |_, state| {
                let may_lead = state.controller.isr | state.controller.elr;
                (0..).zip(&state.replicas).all(|(id, replica)| {
                    !has(may_lead, id)
                        || replica.is_lossy
                        || replica.log.starts_with(&state.acknowledged)
                })
            }),
        ];
        if self.scope.epochs > 1 && self.scope.records > 1 {
            properties.push(Property::<Self>::sometimes(SOME_EPOCHS, |_, state| {
                let epochs = state.acknowledged.records().iter().map(|record| record.epoch);
                epochs.collect::<BTreeSet<_>>().len() > 1
            }));
        }
        if self.scope.min_insync > 1 {
            properties.push(Property::<Self>::sometimes(SOME_ELIGIBLE, |_, state| {
                state.controller.elr != 0
            }));
            if self.scope.crashes > 0 {
                properties
                    .push(Property::<Self>::sometimes(SOME_RETURN, |_, state| state.has_returned));
            }
        }
        properties
    }
}

impl Claim for Replication {
    const MODEL: &'static str = "replication";

    fn design(&self) -> String {
        format!("{:?}", self.design)
    }

    fn scope(&self) -> String {
        let Scope { replicas, min_insync, records, epochs, changes, crashes, is_durable } =
            self.scope;
        let durable = if is_durable { ", durable" } else { "" };
        format!(
            "{replicas} replicas, min.insync {min_insync}, {records} records, {epochs} epochs, \
             {changes} partition epochs, {crashes} crashes{durable}, {} steps given",
            self.opening.len()
        )
    }

    fn refuted_by(&self) -> Option<&'static str> {
        (self.design != Design::Right).then_some(KEPT)
    }
}
