//! An operation of a client: what it asked for, when, and what came of it.
//!
//! A history is a sequence of operations in any order. The operations of one process are ordered by
//! the instants of their invocations, and no two of them share one. A *key* is one partition; a
//! *value* is sent at most once in a history.

use serde::{Deserialize, Serialize};

/// One partition of the topic under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub u32);

/// What a record says. It names the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Value(pub u64);

/// A place in a key's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

/// One client from its making to its end: a thing that does one operation after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Process(pub u32);

/// Nanoseconds since the history began.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Instant(pub u64);

/// What is known of an operation's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It took effect.
    Ok,
    /// It surely had no effect: refused, or aborted with success.
    Fail,
    /// It may have had an effect, also later than its completion.
    Info,
}

/// A record that was sent, and where it went if the broker told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// The partition.
    pub key: Key,
    /// The record.
    pub value: Value,
    /// Where it is said to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
}

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record(pub Key, pub Offset, pub Value);

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A record was sent.
    Send(Send),
    /// Records were read.
    Poll(Vec<Record>),
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To append one record.
    Send(Send),
    /// To read on.
    Poll(Vec<Record>),
    /// All of it or nothing.
    Transaction(Vec<Step>),
    /// From now on to read these keys, wherever that begins for keys that were not held before.
    Assign(Vec<Key>),
    /// From now on to read what a group gives it; what it holds may change at any time.
    Subscribe(Vec<Key>),
    /// To go on reading these keys elsewhere. A client that goes back after an aborted transaction
    /// says so by this.
    Seek(Vec<Key>),
}

/// An operation, as it was when the history ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Who did it.
    pub process: Process,
    /// When it was asked for.
    pub invoked: Instant,
    /// When an answer came; none came otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<Instant>,
    /// What came of it.
    pub outcome: Outcome,
    /// What it was.
    pub action: Action,
}

impl Operation {
    /// The records that it sent.
    pub fn sends(&self) -> impl Iterator<Item = &Send> {
        let (single, steps) = match &self.action {
            Action::Send(send) => (Some(send), &[][..]),
            Action::Transaction(steps) => (None, steps.as_slice()),
            _ => (None, &[][..]),
        };
        single.into_iter().chain(steps.iter().filter_map(|step| match step {
            Step::Send(send) => Some(send),
            Step::Poll(_) => None,
        }))
    }

    /// The records that it read, in the order in which it got them.
    pub fn reads(&self) -> impl Iterator<Item = &Record> {
        let (single, steps) = match &self.action {
            Action::Poll(records) => (records.as_slice(), &[][..]),
            Action::Transaction(steps) => (&[][..], steps.as_slice()),
            _ => (&[][..], &[][..]),
        };
        single.iter().chain(steps.iter().flat_map(|step| match step {
            Step::Poll(records) => records.as_slice(),
            Step::Send(_) => &[],
        }))
    }
}
