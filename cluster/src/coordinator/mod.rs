//! What a coordinator's machine looks like to its driver: groups and transactions alike.
//!
//! A coordinator owns one partition of its own topic. What it must not forget are the records
//! there; what it may forget, such as who waits for an answer and when a session ends, it holds
//! besides. At its beginning everything in the partition is replayed; later the driver appends what
//! the machine says and replays that, so a record changes the machine in one place only.
//!
//! [`Output`]s are executed in their order. An answer is let go once everything that was appended
//! before it is committed. When an append fails that the machine had counted on, the machine is
//! dropped and rebuilt from the log, and everyone who waits is told to ask again.

pub mod record;

use std::sync::Arc;

use bytes::Bytes;
use milena_protocol::ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId};

use crate::metadata::image::MetadataImage;
use crate::time::{Instant, Now};

/// Whoever waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A record of a coordinator's topic: type and key, version and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Bytes,
    /// The value; none takes back what stood under the key.
    pub value: Option<Bytes>,
}

/// Records that are appended together: all of them count, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The records.
    pub records: Vec<Record>,
    /// In whose transaction; none outside of one.
    pub transaction: Option<Producer>,
    /// What a failure does.
    pub on_failure: OnFailure,
}

/// A producer with its incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// What becomes of a machine whose records could not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing has changed: those who would be answered after it get the error instead.
    Refuse,
    /// The machine has moved on already: it is dropped and rebuilt.
    Rebuild,
}

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<A, E> {
    /// Append, then replay.
    Append(Append),
    /// Answer, once everything before is committed.
    Answer(Ticket, A),
    /// Do what only this kind of coordinator wants done, once everything before is committed, and
    /// not at all where it is not. What became of it comes back as a request.
    Effect(E),
}

/// The outputs of one step.
pub type Outputs<M> = Vec<Output<<M as Machine>::Answer, <M as Machine>::Effect>>;

/// A record as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct Replayed<'a> {
    /// Where it stands.
    pub offset: Offset,
    /// In whose transaction, if in one.
    pub transaction: Option<Producer>,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// Which of `count` partitions of the coordinators' topic a group or a transactional id belongs to:
/// the hash of a Java string, made positive as Kafka does.
#[must_use]
pub fn partition_for(key: &str, count: usize) -> PartitionIndex {
    let hash = key
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
    PartitionIndex((hash & i32::MAX) % count)
}

/// A coordinator of one partition.
pub trait Machine: Sized + Send + 'static {
    /// What it is asked.
    type Request: Send + 'static;
    /// What it answers.
    type Answer: Send + 'static;
    /// What it wants done besides appends and answers.
    type Effect: Send + 'static;

    /// The cluster's metadata as it is now: told before everything else but the
    /// replay.
    fn see(&mut self, _metadata: &Arc<MetadataImage>) {}

    /// Takes a request; its answer may come at once, with another request, or with a tick.
    fn handle(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: Self::Request,
        outputs: &mut Outputs<Self>,
    );

    /// Does what is due.
    fn tick(&mut self, now: Now, outputs: &mut Outputs<Self>);

    /// When the next tick is due; none while nothing is.
    fn deadline(&self) -> Option<Instant>;

    /// Takes a record into effect. One that cannot be read, of a later version for example, is
    /// passed over.
    fn replay(&mut self, record: Replayed<'_>);

    /// A producer's transaction is decided in this partition.
    fn replay_marker(&mut self, producer: Producer, is_commit: bool);

    /// Everything that was in the log has been replayed.
    fn loaded(&mut self, now: Now, outputs: &mut Outputs<Self>);

    /// Asserts what always holds.
    fn check_invariants(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kafka's tools would look for a group in another partition. The partitions are those that
    /// `String.hashCode` leads to.
    #[test]
    fn keys_hash_as_javas_strings_do() {
        // −1,906,497,762 without its sign bit, and a negative remainder in languages that have one.
        for (key, partition) in
            [("", 0), ("my-group", 36), ("console-consumer-1", 24), ("payments", 13), ("ü€😀", 35)]
        {
            assert_eq!(partition_for(key, 50), PartitionIndex(partition), "{key}");
        }
    }
}
