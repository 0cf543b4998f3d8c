//! The steps of producers, partitions and coordinator, and what holds after each.
//!
//! What is left out, and why that is no loss:
//! - **Replication.** A partition and the coordinator's log are logs that lose nothing once it is
//!   committed, which the model of replication is about.
//! - **The network.** A request or answer stays in it for ever and arrives at any time, any number
//!   of times. That is a producer's retries, too.
//! - **Sequences.** One record for each partition and transaction, taken once.
//! - **Time.** An open transaction times out whenever it likes.
//! - **Epochs that run out**, offsets of groups, producers of older versions.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::coordinator::{Coordinator, Status};
use super::partition::{Partition, Transaction};
use crate::check::Claim;

const ATOMIC: &str = "a transaction is committed everywhere or nowhere";
const ASKED: &str = "nothing is committed that its producer did not ask to commit";
const TOLD: &str = "a transaction ends as its producer was told";
const APART: &str = "a transaction has records of one producer's transaction only";
const DECIDED: &str = "every transaction is decided in the end";
const SOME_COMMIT: &str = "two partitions commit a transaction";
const SOME_ABORT: &str = "a record is aborted";
const SOME_TAKE_OVER: &str = "the second producer commits";

/// The rules, and ways to get one wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Design {
    /// Those of version 2.
    Right,
    /// Who takes over from a producer gets its epoch.
    NoBumpOnFence,
    /// The next transaction has the epoch of the one before, as in version 1.
    NoBumpOnEnd,
    /// Markers leave before the decision is committed.
    MarkersBeforeDecision,
    /// A partition does not ask whether a transaction is open.
    NoVerification,
    /// A partition takes a marker of any epoch.
    OlderMarkerAccepted,
    /// Who takes over as coordinator does not go on with the markers.
    MarkersNotResumed,
}

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Producers with the transactional id, one after the other: one or two.
    pub producers: u8,
    /// Transactions of each.
    pub transactions: u8,
    /// Crashes of the coordinator.
    pub crashes: u8,
}

/// A transactional id under one design, within a scope.
#[derive(Clone, Debug)]
pub struct Transactions {
    /// The rules.
    pub design: Design,
    /// How much may happen.
    pub scope: Scope,
}

/// A request or an answer; never taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the fields are what their names say")]
pub enum Message {
    /// Producer to partition: a record.
    Write { producer: u8, transaction: u8, partition: u8, epoch: u8 },
    /// Partition to coordinator: is it in the transaction?
    Verify { partition: u8, epoch: u8, nonce: u8 },
    /// Coordinator to partition: it is.
    Added { partition: u8, epoch: u8, nonce: u8 },
    /// Partition to producer: the record is in the log.
    Appended { producer: u8, transaction: u8, partition: u8 },
    /// Producer to coordinator: commit or abort.
    End { producer: u8, epoch: u8, is_commit: bool },
    /// Coordinator to producer: decided, and the next epoch.
    Ended { producer: u8, epoch: u8, next_epoch: u8, is_commit: bool },
    /// Producer to coordinator: an epoch, please.
    Init { producer: u8 },
    /// Coordinator to producer: its epoch.
    Initialized { producer: u8, epoch: u8 },
    /// Coordinator to partition: the transaction's end.
    Marker { partition: u8, epoch: u8, coordinator_epoch: u8, is_commit: bool },
    /// Partition to coordinator: the marker is in the log.
    Marked { partition: u8, epoch: u8, coordinator_epoch: u8 },
}

/// A producer, which has one transaction at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Producer {
    /// 0 before it has one.
    epoch: u8,
    transaction: u8,
    /// The partitions that it has written to, one bit each.
    written: u8,
    /// What it has asked for in this transaction.
    ending: Option<bool>,
    /// The transactions that it has asked to commit, and those that it was told are, one bit each.
    asked: u8,
    told: u8,
    told_aborted: u8,
}

/// Everybody, all messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    coordinator: Coordinator,
    partitions: [Partition; 2],
    producers: Vec<Producer>,
    messages: BTreeSet<Message>,
    crashes: u8,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A producer writes to a partition.
    Write(u8, u8),
    /// A producer asks to commit or to abort.
    End(u8, bool),
    /// A message arrives.
    Receive(Message),
    /// A record goes into the log, with its clearance.
    Clear(Message, Message),
    /// What the coordinator has appended is committed.
    Commit,
    /// The coordinator aborts a transaction that is open for too long.
    TimeOut,
    /// The coordinator crashes; whether what it appended last is kept.
    Crash(bool),
}

impl Transactions {
    fn receive(&self, state: &mut State, message: Message) -> Option<()> {
        match message {
            Message::Write { partition, .. } => {
                let partition = &mut state.partitions[usize::from(partition)];
                state.messages.insert(partition.write(self.design, message)?);
            }
            Message::Marker { partition, .. } => {
                let partition = &mut state.partitions[usize::from(partition)];
                state.messages.insert(partition.mark(self.design, message)?);
            }
            Message::Ended { producer, epoch, next_epoch, is_commit } => {
                let producer = &mut state.producers[usize::from(producer)];
                producer.ending.take_if(|_| producer.epoch == epoch)?;
                let bit = 1 << producer.transaction;
                producer.told |= bit * u8::from(is_commit);
                producer.told_aborted |= bit * u8::from(!is_commit);
                (producer.epoch, producer.written) = (next_epoch, 0);
                producer.transaction += 1;
            }
            Message::Initialized { producer, epoch } => {
                let producer = &mut state.producers[usize::from(producer)];
                (producer.epoch == 0).then(|| producer.epoch = epoch)?;
            }
            _ => {
                let answer = state.coordinator.decide(self.design, message);
                state.messages.extend(answer);
                if self.design == Design::MarkersBeforeDecision
                    && let Some((known, _)) = state.coordinator.pending
                {
                    let send = |message| _ = state.messages.insert(message);
                    state.coordinator.mark(known, send);
                }
            }
        }
        Some(())
    }

    fn step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Write(id, partition) => {
                let producer = &mut state.producers[usize::from(id)];
                producer.written |= 1 << partition;
                let (transaction, epoch) = (producer.transaction, producer.epoch);
                let write = Message::Write { producer: id, transaction, partition, epoch };
                state.messages.insert(write);
            }
            Action::End(id, is_commit) => {
                let producer = &mut state.producers[usize::from(id)];
                producer.ending = Some(is_commit);
                producer.asked |= u8::from(is_commit) << producer.transaction;
                let epoch = producer.epoch;
                state.messages.insert(Message::End { producer: id, epoch, is_commit });
            }
            Action::Receive(message) => self.receive(state, message)?,
            Action::Clear(added, write) => {
                let Message::Added { partition, .. } = added else { return None };
                let partition = &mut state.partitions[usize::from(partition)];
                state.messages.insert(partition.cleared(added, write)?);
            }
            Action::Commit => {
                let send = |message| _ = state.messages.insert(message);
                state.coordinator.commit(send);
            }
            Action::TimeOut => state.coordinator.fence(),
            Action::Crash(is_kept) => {
                state.crashes += 1;
                if is_kept {
                    state.coordinator.known = state.coordinator.pending.as_ref()?.0;
                }
                let send = |message| _ = state.messages.insert(message);
                state.coordinator.reload(self.design, send);
            }
        }
        Some(())
    }

    /// Each producer's transaction that a partition has records of, and how it ended there.
    fn ends(state: &State) -> impl Iterator<Item = ((u8, u8), bool)> {
        let all = state.partitions.iter().flat_map(Partition::transactions);
        all.flat_map(|Transaction { records, end }| {
            records.into_iter().filter_map(move |record| end.map(|end| (record, end)))
        })
    }

    fn is_committed_by(state: &State, producer: u8) -> bool {
        Self::ends(state).any(|((at, _), is_commit)| at == producer && is_commit)
    }
}

impl Model for Transactions {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut producers = vec![Producer::default(); usize::from(self.scope.producers)];
        producers[0].epoch = 1;
        let later = (1..self.scope.producers).map(|producer| Message::Init { producer });
        vec![State {
            coordinator: Coordinator::new(),
            partitions: [Partition::default(), Partition::default()],
            producers,
            messages: later.collect(),
            crashes: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (id, producer) in (0..).zip(&state.producers) {
            let is_busy = producer.ending.is_some();
            if producer.epoch == 0 || is_busy || producer.transaction >= self.scope.transactions {
                continue;
            }
            let unwritten = (0..2).filter(|at| producer.written >> at & 1 == 0);
            actions.extend(unwritten.map(|partition| Action::Write(id, partition)));
            // A producer commits once everything is in the logs; it gives up at any time.
            let is_appended = |partition: u8| {
                let transaction = producer.transaction;
                let appended = Message::Appended { producer: id, transaction, partition };
                producer.written >> partition & 1 == 0 || state.messages.contains(&appended)
            };
            if producer.written != 0 {
                actions.push(Action::End(id, false));
                if (0..2).all(is_appended) {
                    actions.push(Action::End(id, true));
                }
            }
        }
        let is_answer = |message: &Message, id: u8| match message {
            Message::Initialized { producer, .. } => *producer == id,
            _ => false,
        };
        let has_epoch = |id: u8| state.messages.iter().any(|message| is_answer(message, id));
        for message in &state.messages {
            match message {
                // Who has an answer does not ask again.
                Message::Init { producer } if has_epoch(*producer) => {}
                Message::Appended { .. } => {}
                Message::Added { partition, epoch, .. } => {
                    let is_held = |at: &&Message| {
                        matches!(at, Message::Write { partition: to, epoch: of, .. }
                            if to == partition && of == epoch)
                    };
                    let held = state.messages.iter().filter(is_held);
                    actions.extend(held.map(|write| Action::Clear(*message, *write)));
                }
                _ => actions.push(Action::Receive(*message)),
            }
        }
        let coordinator = &state.coordinator;
        if coordinator.pending.is_some() {
            actions.push(Action::Commit);
        } else if coordinator.known.status == Status::Ongoing {
            actions.push(Action::TimeOut);
        }
        if state.crashes < self.scope.crashes {
            actions.extend([Action::Crash(false), Action::Crash(true)]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, action)?;
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always(ATOMIC, |_, state| {
                let ends: BTreeSet<_> = Self::ends(state).collect();
                ends.iter().all(|(transaction, end)| !ends.contains(&(*transaction, !end)))
            }),
            Property::<Self>::always(ASKED, |_, state| {
                Self::ends(state).all(|((producer, transaction), is_commit)| {
                    !is_commit
                        || state.producers[usize::from(producer)].asked >> transaction & 1 == 1
                })
            }),
            Property::<Self>::always(TOLD, |_, state| {
                Self::ends(state).all(|((producer, transaction), is_commit)| {
                    let producer = &state.producers[usize::from(producer)];
                    let opposite = if is_commit { producer.told_aborted } else { producer.told };
                    opposite >> transaction & 1 == 0
                })
            }),
            Property::<Self>::always(APART, |_, state| {
                let all = state.partitions.iter().flat_map(Partition::transactions);
                let is_one = |records: &[_]| records.windows(2).all(|pair| pair[0] == pair[1]);
                all.map(|transaction| transaction.records).all(|records| is_one(&records))
            }),
            // No step is ever undone, so every way ends, and all is well if all ends are.
            Property::<Self>::always(DECIDED, |model, state| {
                let is_open = state.partitions.iter().any(|partition| partition.is_open);
                let is_decided = matches!(state.coordinator.known.status, Status::Prepare(_));
                !(is_open || is_decided) || !model.next_states(state).is_empty()
            }),
            Property::<Self>::sometimes(SOME_COMMIT, |_, state| {
                Self::ends(state).filter(|(_, is_commit)| *is_commit).count() > 1
            }),
            Property::<Self>::sometimes(SOME_ABORT, |_, state| {
                Self::ends(state).any(|(_, is_commit)| !is_commit)
            }),
        ];
        if self.scope.producers > 1 {
            properties.push(Property::<Self>::sometimes(SOME_TAKE_OVER, |_, state| {
                Self::is_committed_by(state, 1)
            }));
        }
        properties
    }
}

impl Claim for Transactions {
    const MODEL: &'static str = "transactions";

    fn design(&self) -> String {
        format!("{:?}", self.design)
    }

    fn scope(&self) -> String {
        let Scope { producers, transactions, crashes } = self.scope;
        format!("{producers} producers, {transactions} transactions each, {crashes} crashes")
    }

    fn refuted_by(&self) -> Option<&'static str> {
        match self.design {
            Design::Right => None,
            Design::NoBumpOnFence | Design::NoBumpOnEnd => Some(APART),
            Design::MarkersBeforeDecision => Some(ATOMIC),
            Design::NoVerification | Design::MarkersNotResumed => Some(DECIDED),
            Design::OlderMarkerAccepted => Some(ASKED),
        }
    }
}
