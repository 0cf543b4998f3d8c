//! Which designs are explored, and how far.

use crate::election::{Action, Design, Election, Message, Scope};

/// How far the right designs are explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// In seconds, by `cargo test`.
    Small,
    /// In minutes, by `cargo xtask models`.
    Large,
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
