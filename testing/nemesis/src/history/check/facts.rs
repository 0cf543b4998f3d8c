//! What a history says about each key's log: the version order.
//!
//! An operation counts as committed when it succeeded, or when its outcome is unknown and somebody
//! read what it sent. The order of a key is made of all that was read of it and of what committed
//! operations sent with a known offset; offsets of which nothing is known (control records, aborted
//! records) are left out. An *index* is a place in that order.

use std::collections::BTreeMap;

use crate::history::operation::{Key, Offset, Operation, Outcome, Record, Value};

/// A record that somebody sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    /// The record.
    pub value: Value,
    /// Where it was to go.
    pub key: Key,
    /// Where it is said to be.
    pub offset: Option<Offset>,
    /// The operation, as a position in the history.
    pub operation: u32,
}

/// A place of a key's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Where it is in the log.
    pub offset: Offset,
    /// What stands there. Where two values were seen, the smaller.
    pub value: Value,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The value.
    pub value: Value,
    /// The key.
    pub key: Key,
    /// The index in the key's order.
    pub index: u32,
}

/// Two values at one offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: Key,
    /// The offset.
    pub offset: Offset,
    /// The values.
    pub values: (Value, Value),
}

/// All that is known.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The history.
    pub history: &'a [Operation],
    /// Everything sent, by value.
    pub writes: Vec<Write>,
    /// The order of each key.
    pub logs: BTreeMap<Key, Vec<Entry>>,
    /// Where values were seen with another one.
    pub conflicts: Vec<Conflict>,
    places: Vec<Place>,
    /// Values that were read, each once.
    read: Vec<Value>,
    committed: Vec<bool>,
}

impl<'a> Facts<'a> {
    /// Puts a history in order.
    ///
    /// # Panics
    /// With 2³² operations or more.
    #[must_use]
    pub fn of(history: &'a [Operation]) -> Self {
        assert!(u32::try_from(history.len()).is_ok(), "a position fits 32 bits");
        let mut seen: Vec<Record> = history.iter().flat_map(Operation::reads).copied().collect();
        seen.sort_unstable();
        seen.dedup();
        let mut read: Vec<Value> = seen.iter().map(|record| record.2).collect();
        read.sort_unstable();
        read.dedup();
        let writes = writes(history);
        let committed = history.iter().map(|operation| is_committed(operation, &read)).collect();
        let mut facts = Self {
            history,
            writes,
            logs: BTreeMap::new(),
            conflicts: Vec::new(),
            places: Vec::new(),
            read,
            committed,
        };
        facts.put_in_order(seen);
        facts
    }

    fn put_in_order(&mut self, mut records: Vec<Record>) {
        let sent = self.writes.iter().filter_map(|write| {
            let offset = write.offset.filter(|_| self.is_committed(write.operation))?;
            Some(Record(write.key, offset, write.value))
        });
        records.extend(sent);
        records.sort_unstable();
        records.dedup();
        for Record(key, offset, value) in records {
            let log = self.logs.entry(key).or_default();
            match log.last() {
                Some(last) if last.offset == offset => {
                    self.conflicts.push(Conflict { key, offset, values: (last.value, value) });
                }
                _ => log.push(Entry { offset, value }),
            }
        }
        let places = self.logs.iter().flat_map(|(key, log)| {
            (0..).zip(log).map(|(index, entry)| Place { value: entry.value, key: *key, index })
        });
        self.places = places.collect();
        self.places.sort_unstable();
    }

    /// Whether an operation took effect.
    #[must_use]
    pub fn is_committed(&self, operation: u32) -> bool {
        self.committed.get(operation as usize).copied().unwrap_or(false)
    }

    /// An operation by its position.
    #[must_use]
    pub fn operation(&self, position: u32) -> Option<&'a Operation> {
        self.history.get(position as usize)
    }

    /// Whether anybody read the value.
    #[must_use]
    pub fn is_read(&self, value: Value) -> bool {
        self.read.binary_search(&value).is_ok()
    }

    /// Who sent the value.
    #[must_use]
    pub fn writer(&self, value: Value) -> Option<&Write> {
        let at = self.writes.partition_point(|write| write.value < value);
        self.writes.get(at).filter(|write| write.value == value)
    }

    /// Where the value stands, by key and index.
    #[must_use]
    pub fn places(&self, value: Value) -> &[Place] {
        let from = self.places.partition_point(|place| place.value < value);
        let rest = self.places.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|place| place.value == value).count();
        rest.get(..count).unwrap_or_default()
    }

    /// All places, by value.
    #[must_use]
    pub fn all_places(&self) -> &[Place] {
        &self.places
    }

    /// The index of an offset.
    #[must_use]
    pub fn index(&self, key: Key, offset: Offset) -> Option<u32> {
        let log = self.logs.get(&key)?;
        let index = log.binary_search_by_key(&offset, |entry| entry.offset).ok()?;
        u32::try_from(index).ok()
    }

    /// What stands at an index.
    #[must_use]
    pub fn entry(&self, key: Key, index: u32) -> Option<&Entry> {
        self.logs.get(&key)?.get(index as usize)
    }

    /// Positions of operations, process by process and in the order of their invocations.
    #[must_use]
    pub fn in_process_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..).take(self.history.len()).collect();
        order.sort_by_key(|position| {
            self.operation(*position).map(|operation| (operation.process, operation.invoked))
        });
        order
    }
}

fn writes(history: &[Operation]) -> Vec<Write> {
    let of_operation = |(operation, one): (u32, &Operation)| {
        let write = move |send: &crate::history::operation::Send| Write {
            value: send.value,
            key: send.key,
            offset: send.offset,
            operation,
        };
        one.sends().map(write).collect::<Vec<_>>()
    };
    let mut writes: Vec<Write> = (0..).zip(history).flat_map(of_operation).collect();
    writes.sort_unstable();
    writes
}

fn is_committed(operation: &Operation, read: &[Value]) -> bool {
    match operation.outcome {
        Outcome::Ok => true,
        Outcome::Fail => false,
        Outcome::Info => operation.sends().any(|send| read.binary_search(&send.value).is_ok()),
    }
}
