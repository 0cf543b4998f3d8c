//! Histories that a correct log would show: producers, transactions, readers that begin anew,
//! outcomes that nobody learned.
//!
//! The checker must find nothing in them, however long they are.

use crate::random::Random;

use super::operation::{
    Action, Instant, Key, Offset, Operation, Outcome, Process, Record, Send, Step, Value,
};

const KEYS: u32 = 6;
const WRITERS: u32 = 4;
const READERS: u32 = 3;
/// A transactional client.
const TRANSACTIONS: Process = Process(WRITERS);
/// The first process that reads; those that begin anew get later numbers.
const FIRST_READER: u32 = WRITERS + 1;
/// As much as one poll gives.
const MAX_POLL: usize = 50;
/// How far before the end somebody begins anew.
const BEHIND: usize = 500;

/// A correct history of so many operations, and of the final read.
#[must_use]
pub fn history(seed: u64, operations: usize) -> Vec<Operation> {
    let mut world = World {
        random: Random::of(seed),
        logs: vec![Vec::new(); KEYS as usize],
        next_value: 0,
        history: Vec::with_capacity(operations + 100),
        readers: (0..READERS).map(|at| Reader::new(Process(FIRST_READER + at))).collect(),
        next_process: FIRST_READER + READERS,
    };
    while world.history.len() < operations {
        match world.random.below(20) {
            0 => world.transaction(),
            1..4 => world.poll(),
            4 if world.random.once_in(50) => world.begin_anew(),
            _ => world.send(),
        }
    }
    world.read_to_the_end();
    world.history
}

struct World {
    random: Random,
    /// Values by offset; none where there is a control record or an aborted one.
    logs: Vec<Vec<Option<Value>>>,
    next_value: u64,
    history: Vec<Operation>,
    readers: Vec<Reader>,
    next_process: u32,
}

struct Reader {
    process: Process,
    positions: Vec<usize>,
}

impl Reader {
    fn new(process: Process) -> Self {
        Self { process, positions: vec![0; KEYS as usize] }
    }
}

impl World {
    fn add(&mut self, process: Process, outcome: Outcome, action: Action) {
        let at = self.history.len() as u64 * 1_000;
        let (invoked, completed) = (Instant(at), Some(Instant(at + 500)));
        self.history.push(Operation { process, invoked, completed, outcome, action });
    }

    fn append(&mut self, is_visible: bool) -> Send {
        let value = Value(self.next_value);
        self.next_value += 1;
        let key = self.random.position(KEYS as usize);
        let log = &mut self.logs[key];
        log.push(is_visible.then_some(value));
        let offset = i64::try_from(log.len() - 1).unwrap_or(i64::MAX);
        Send { key: Key(u32::try_from(key).unwrap_or(0)), value, offset: Some(Offset(offset)) }
    }

    fn send(&mut self) {
        let process = Process(u32::try_from(self.random.below(u64::from(WRITERS))).unwrap_or(0));
        let (outcome, is_there) = match self.random.below(100) {
            0 => (Outcome::Fail, false),
            1 => (Outcome::Info, false),
            2 => (Outcome::Info, true),
            _ => (Outcome::Ok, true),
        };
        let mut send = self.append(is_there);
        if outcome != Outcome::Ok {
            send.offset = None;
        }
        self.add(process, outcome, Action::Send(send));
    }

    fn transaction(&mut self) {
        let (outcome, is_there) = match self.random.below(10) {
            0 => (Outcome::Fail, false),
            1 => (Outcome::Info, true),
            2 => (Outcome::Info, false),
            _ => (Outcome::Ok, true),
        };
        let count = 1 + self.random.below(4);
        let sends: Vec<Send> = (0..count).map(|_| self.append(is_there)).collect();
        for send in &sends {
            // The marker; markers of keys that were written to twice do no harm.
            self.logs[send.key.0 as usize].push(None);
        }
        let steps = sends.into_iter().map(Step::Send).collect();
        self.add(TRANSACTIONS, outcome, Action::Transaction(steps));
    }

    fn poll(&mut self) {
        let reader = self.random.position(self.readers.len());
        self.poll_with(reader);
    }

    fn poll_with(&mut self, reader: usize) -> usize {
        let mut records = Vec::new();
        let reader = &mut self.readers[reader];
        for (key, log) in (0..).zip(&self.logs) {
            let position = &mut reader.positions[key as usize];
            for (offset, value) in log.iter().enumerate().skip(*position).take(MAX_POLL) {
                *position = offset + 1;
                let offset = Offset(i64::try_from(offset).unwrap_or(i64::MAX));
                records.extend(value.map(|value| Record(Key(key), offset, value)));
            }
        }
        let (process, count) = (reader.process, records.len());
        self.add(process, Outcome::Ok, Action::Poll(records));
        count
    }

    fn begin_anew(&mut self) {
        let reader = self.random.position(self.readers.len());
        self.readers[reader] = Reader::new(Process(self.next_process));
        for (position, log) in self.readers[reader].positions.iter_mut().zip(&self.logs) {
            *position = log.len().saturating_sub(BEHIND);
        }
        let process = self.readers[reader].process;
        self.next_process += 1;
        self.add(process, Outcome::Ok, Action::Assign((0..KEYS).map(Key).collect()));
    }

    fn read_to_the_end(&mut self) {
        self.readers.push(Reader::new(Process(self.next_process)));
        let reader = self.readers.len() - 1;
        let is_behind = |world: &Self| {
            let ends = world.logs.iter().map(Vec::len);
            ends.zip(&world.readers[reader].positions).any(|(end, position)| end != *position)
        };
        while is_behind(self) {
            self.poll_with(reader);
        }
    }
}
