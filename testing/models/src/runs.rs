//! Which designs are explored, and how far.

use crate::check::{Report, check};
use crate::consensus::{self, Coin, Consensus};
use crate::election::{Action, Design, Election, Message, Scope};
use crate::replication::{self, Replication};
use crate::transaction::{self, Transactions};

/// How far the right designs are explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// In seconds, by `cargo test`.
    Small,
    /// In minutes, by `cargo xtask models`.
    Large,
}

/// Runs everything, and hands out each report as it comes.
pub fn run(size: Size, threads: usize, mut each: impl FnMut(Report)) {
    for election in elections(size).into_iter().chain(wrong_elections()) {
        each(check(election, threads));
    }
    for replication in replications(size).into_iter().chain(wrong_replications()) {
        each(check(replication, threads));
    }
    for consensus in consensuses(size).into_iter().chain(wrong_consensuses()) {
        each(check(consensus, threads));
    }
    for transactions in transactions(size).into_iter().chain(wrong_transactions()) {
        each(check(transactions, threads));
    }
}

/// Elections under the right rules.
#[must_use]
pub fn elections(size: Size) -> Vec<Election> {
    let three = Scope { voters: 3, others: 0, epochs: 2, records: 0, crashes: 0, changes: 0 };
    let changing = Scope { epochs: 1, crashes: 1, changes: 1, ..three };
    let right = |scope, opening| Election { design: Design::Right, scope, opening };
    let mut runs = vec![right(three, Vec::new()), right(changing, Vec::new())];
    if size == Size::Large {
        runs.push(right(Scope { crashes: 1, ..three }, Vec::new()));
        runs.push(right(Scope { records: 1, ..three }, Vec::new()));
        runs.push(right(Scope { epochs: 4, crashes: 0, ..three }, figure_8()));
        runs.push(right(Scope { crashes: 0, changes: 1, ..three }, Vec::new()));
    }
    runs
}

/// Elections under wrong rules, each at a scope in which it shows.
#[must_use]
pub fn wrong_elections() -> Vec<Election> {
    let three = Scope { voters: 3, others: 0, epochs: 2, records: 0, crashes: 0, changes: 0 };
    let five = Scope { voters: 4, others: 1, epochs: 3, changes: 2, ..three };
    let wrong = |design, scope| Election { design, scope, opening: Vec::new() };
    vec![
        wrong(Design::StaleLogVote, three),
        wrong(Design::HalfMajority, Scope { voters: 2, epochs: 1, ..three }),
        Election {
            opening: figure_8(),
            ..wrong(Design::OlderEpochCommits, Scope { epochs: 4, ..three })
        },
        wrong(Design::VoteNotPersisted, Scope { epochs: 1, crashes: 1, ..three }),
        wrong(Design::UnsyncedCounts, Scope { crashes: 1, ..three }),
        wrong(Design::UnvalidatedFetch, Scope { epochs: 3, ..three }),
        wrong(Design::OverlappingChange, Scope { changes: 2, ..three }),
        Election { opening: two_changes_at_once(), ..wrong(Design::EarlyChange, five) },
    ]
}

/// Raft's figure 8 up to (b): node 0 leads epoch 1 and node 1 epoch 2, each with a record that
/// nobody else has.
fn figure_8() -> Vec<Action> {
    let first = Message::Vote { from: 0, epoch: 1, log_end: (0, 0) };
    let second = Message::Vote { from: 1, epoch: 2, log_end: (0, 0) };
    vec![
        Action::Stand(0),
        Action::Vote(1, first),
        Action::Lead(0),
        Action::Sync(0),
        Action::Stand(1),
        Action::Vote(2, second),
        Action::Lead(1),
        Action::Sync(1),
        Action::Vote(0, second),
    ]
}

/// Of the voters 0 to 3, node 0 leads epoch 1 and adds voter 4, which only that one has; node 1
/// leads epoch 2 and removes voter 0, which only itself knows (Ongaro, 2015).
fn two_changes_at_once() -> Vec<Action> {
    let first = Message::Vote { from: 0, epoch: 1, log_end: (0, 0) };
    let second = Message::Vote { from: 1, epoch: 2, log_end: (0, 0) };
    let fetch = |log_end| Action::Serve(Message::Fetch { from: 4, to: 0, epoch: 1, log_end }, true);
    vec![
        Action::Stand(0),
        Action::Vote(1, first),
        Action::Vote(2, first),
        Action::Lead(0),
        Action::Change(0, 0b1_1111),
        Action::Sync(0),
        Action::Fetch(4, 0),
        fetch((0, 0)),
        Action::Sync(4),
        Action::Fetch(4, 0),
        fetch((1, 1)),
        Action::Sync(4),
        Action::Stand(1),
        Action::Vote(2, second),
        Action::Vote(3, second),
        Action::Lead(1),
        Action::Change(1, 0b0_1110),
        Action::Sync(1),
        Action::Vote(0, second),
    ]
}

/// Replication under the right rules.
#[must_use]
pub fn replications(size: Size) -> Vec<Replication> {
    let right =
        |scope| Replication { design: replication::Design::Right, scope, opening: Vec::new() };
    let two = two_replicas();
    let durable = replication::Scope { min_insync: 1, is_durable: true, ..two };
    let three = replication::Scope { replicas: 3, records: 1, ..two };
    let mut runs = vec![
        right(replication::Scope { min_insync: 1, epochs: 2, changes: 3, crashes: 0, ..two }),
        right(two),
        right(replication::Scope { epochs: 2, changes: 2, crashes: 2, ..durable }),
        right(replication::Scope { epochs: 2, changes: 3, crashes: 0, ..three }),
    ];
    if size == Size::Large {
        runs.extend([
            right(replication::Scope { changes: 5, ..two }),
            right(replication::Scope { epochs: 3, changes: 3, crashes: 2, ..durable }),
            right(replication::Scope { epochs: 2, changes: 3, crashes: 1, ..three }),
        ]);
    }
    runs
}

/// Replication under wrong rules, each at a scope in which it shows.
#[must_use]
pub fn wrong_replications() -> Vec<Replication> {
    use replication::{Design, Scope};
    let two = Scope { records: 1, ..two_replicas() };
    let single = Scope { min_insync: 1, crashes: 0, ..two };
    let wrong = |design, scope| Replication { design, scope, opening: Vec::new() };
    vec![
        wrong(Design::TruncateToHighWatermark, Scope { crashes: 1, ..single }),
        wrong(Design::NoEpochStart, Scope { changes: 5, ..two }),
        wrong(Design::JoinWithoutBrokerEpoch, Scope { changes: 5, ..two }),
        wrong(Design::SmallerIsrCounts, single),
        wrong(Design::AcknowledgeBelowMinInsync, two),
        Replication {
            opening: truncated_and_back(),
            ..wrong(
                Design::OldEpochCounts,
                Scope { replicas: 3, records: 2, epochs: 4, changes: 8, ..single },
            )
        },
        wrong(Design::OldIncarnationCounts, two),
        wrong(Design::RefusedProposalForgotten, single),
        wrong(Design::LossyRestartKept, two),
        wrong(Design::NoEligibleLeaders, two),
    ]
}

fn two_replicas() -> replication::Scope {
    replication::Scope {
        replicas: 2,
        min_insync: 2,
        records: 2,
        epochs: 3,
        changes: 4,
        crashes: 1,
        is_durable: false,
    }
}

/// Replica 1 has fetched what leader 0 appended; leader 2 had nothing of it, so 0 has cut it, and
/// leads again in epoch 3 when replica 1 still follows epoch 1.
fn truncated_and_back() -> Vec<replication::Action> {
    use replication::{Action, Message};
    let fetch = |from, to, epoch, log_end| {
        let broker_epoch = 1;
        Action::Serve(Message::Fetch { from, to, broker_epoch, epoch, log_end }, true)
    };
    let join = Message::Alter {
        from: 2,
        leader_epoch: 2,
        partition_epoch: 3,
        isr: 0b101,
        broker_epochs: [1, 0, 0],
    };
    vec![
        Action::Append(0),
        Action::Fetch(1),
        fetch(1, 0, 1, (0, 0)),
        Action::Fetch(1),
        Action::Fence(1),
        Action::Fence(0),
        Action::Unfence(0),
        Action::Learn(2),
        Action::Learn(0),
        Action::Fetch(0),
        fetch(0, 2, 2, (1, 1)),
        Action::Fetch(0),
        fetch(0, 2, 2, (0, 0)),
        Action::Propose(2, 0),
        Action::Alter(join),
        Action::Fence(2),
        Action::Learn(0),
    ]
}

/// Transactions under the right rules.
#[must_use]
pub fn transactions(size: Size) -> Vec<Transactions> {
    let right = |(producers, transactions, crashes)| Transactions {
        design: transaction::Design::Right,
        scope: transaction::Scope { producers, transactions, crashes },
    };
    let scopes: &[_] = match size {
        Size::Small => &[(1, 1, 1), (1, 2, 0), (2, 1, 0)],
        Size::Large => &[(1, 1, 2), (1, 2, 1), (2, 1, 1)],
    };
    scopes.iter().copied().map(right).collect()
}

/// Transactions under wrong rules, each at a scope in which it shows.
#[must_use]
pub fn wrong_transactions() -> Vec<Transactions> {
    use transaction::{Design, Scope};
    let wrong = |design, (producers, transactions, crashes)| Transactions {
        design,
        scope: Scope { producers, transactions, crashes },
    };
    vec![
        wrong(Design::NoBumpOnFence, (2, 1, 0)),
        wrong(Design::NoBumpOnEnd, (1, 2, 0)),
        wrong(Design::MarkersBeforeDecision, (1, 1, 1)),
        wrong(Design::NoVerification, (1, 1, 0)),
        wrong(Design::OlderMarkerAccepted, (1, 2, 0)),
        wrong(Design::MarkersNotResumed, (1, 1, 1)),
    ]
}

/// Ben-Or's consensus under the right rules.
#[must_use]
pub fn consensuses(size: Size) -> Vec<Consensus> {
    let rounds = if size == Size::Small { 2 } else { 3 };
    let right = |coin| Consensus {
        design: consensus::Design::Right,
        coin,
        scope: consensus::Scope { rounds, ..three_voters() },
    };
    vec![right(Coin::Local), right(Coin::Common)]
}

/// Ben-Or's consensus under wrong rules.
#[must_use]
pub fn wrong_consensuses() -> Vec<Consensus> {
    use consensus::Design;
    let wrong = |design| Consensus { design, coin: Coin::Local, scope: three_voters() };
    [Design::OneProposalDecides, Design::ProposalIgnored, Design::HalfProposes].map(wrong).to_vec()
}

fn three_voters() -> consensus::Scope {
    consensus::Scope { voters: 3, faults: 1, rounds: 2 }
}
