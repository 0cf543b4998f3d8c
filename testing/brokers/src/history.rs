//! What clients did and were told, and what happened meanwhile: the transcript of a run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A partition of the topic.
pub type Partition = i32;

/// A record, by who wrote it and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written {
    /// Who wrote it.
    pub writer: usize,
    /// Its number, in the order of writing.
    pub number: u64,
}

impl Written {
    /// The value on the wire.
    #[must_use]
    pub fn value(self) -> String {
        format!("{}:{}", self.writer, self.number)
    }

    /// What a value says; none of one that nobody wrote.
    #[must_use]
    pub fn of(value: &[u8]) -> Option<Self> {
        let (writer, number) = std::str::from_utf8(value).ok()?.split_once(':')?;
        Some(Self { writer: writer.parse().ok()?, number: number.parse().ok()? })
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// What was sent, acknowledged or not.
    pub sent: BTreeMap<Written, Partition>,
    /// What was acknowledged, and where it is.
    pub acknowledged: Vec<(Written, Partition, i64)>,
    /// What a reader was handed, in its order: reader, partition, offset, value.
    pub read: Vec<(usize, Partition, i64, Vec<u8>)>,
    /// Everything that happened.
    pub transcript: Vec<String>,
    /// How long it took, in virtual time.
    pub ended_at: Duration,
}

/// The same for everybody who adds to it; all run on one thread.
#[derive(Clone, Debug, Default)]
pub struct History(Rc<RefCell<Seen>>);

impl History {
    /// Something happened now, within the simulation or at this time of it.
    pub fn note(&self, at: Option<Duration>, what: impl std::fmt::Display) {
        let at = at.or_else(turmoil::sim_elapsed).unwrap_or_default();
        self.0.borrow_mut().transcript.push(format!("{:>7} {what}", at.as_millis()));
    }

    /// A record is on its way.
    pub fn sent(&self, written: Written, partition: Partition) {
        self.0.borrow_mut().sent.insert(written, partition);
    }

    /// A record was acknowledged.
    pub fn acknowledged(&self, written: Written, partition: Partition, offset: i64) {
        self.note(None, format_args!("acknowledged {} at {partition}/{offset}", written.value()));
        self.0.borrow_mut().acknowledged.push((written, partition, offset));
    }

    /// A record was handed to a reader.
    pub fn read(&self, reader: usize, partition: Partition, offset: i64, value: Vec<u8>) {
        let shown = String::from_utf8_lossy(&value).into_owned();
        self.note(None, format_args!("reader {reader} gets {shown} at {partition}/{offset}"));
        self.0.borrow_mut().read.push((reader, partition, offset, value));
    }

    /// Everything.
    #[must_use]
    pub fn into_seen(self) -> Seen {
        self.0.take()
    }
}
