//! What is known of one transactional id, and how it changes: each change gives the next value and
//! leaves the one before as it is.

use std::collections::BTreeSet;

use milena_protocol::codec::Text;
use milena_protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId, Timestamp};

use super::rules::Rules;
use super::state::State;
use crate::coordinator::Producer;

/// The last epoch; no client is given it, so that every producer can be fenced.
pub(super) const LAST_EPOCH: ProducerEpoch = ProducerEpoch(i16::MAX);
/// The level of `transaction.version` from which on every end of a transaction raises the epoch.
pub(super) const RAISES_EPOCH: i16 = 2;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Text,
    /// The partition.
    pub partition: PartitionIndex,
}

/// What is known of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The producer that holds it.
    pub producer: Producer,
    /// The epoch before, while its holder may ask again what became of it. It is in no record, so
    /// that a retry across a change of the coordinator is refused: Kafka's behaviour.
    pub last_epoch: ProducerEpoch,
    /// The producer id as of the record before.
    pub previous_producer_id: ProducerId,
    /// The producer id after the markers are written, where the epochs are used up.
    pub next_producer_id: ProducerId,
    /// Milliseconds after which an open transaction is aborted.
    pub timeout_ms: i32,
    /// Where it stands.
    pub state: State,
    /// The partitions in the transaction.
    pub partitions: BTreeSet<TopicPartition>,
    /// When the transaction began; −1 none.
    pub started_at: Timestamp,
    /// When this last changed.
    pub updated_at: Timestamp,
    /// The transaction version of the client that made the last change.
    pub client_version: i16,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) is_commit: bool,
    /// The version that says whether the epoch is raised.
    pub(super) version: i16,
    /// For the time after, where the epochs are used up.
    pub(super) next_producer_id: ProducerId,
}

impl Transaction {
    /// A transactional id that was unknown, with a producer id that nobody had.
    pub(super) fn first(producer_id: ProducerId, timeout_ms: i32, now: Timestamp) -> Self {
        Self {
            producer: Producer { id: producer_id, epoch: ProducerEpoch(0) },
            last_epoch: ProducerEpoch::NONE,
            previous_producer_id: producer_id,
            next_producer_id: ProducerId::NONE,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            started_at: Timestamp::NONE,
            updated_at: now,
            client_version: 0,
        }
    }

    /// Who may go on with it: while the markers are written, the one that it is told of already.
    #[must_use]
    pub fn holder(&self) -> Producer {
        if self.next_producer_id == ProducerId::NONE {
            return self.producer;
        }
        Producer { id: self.next_producer_id, epoch: ProducerEpoch(0) }
    }

    /// Whether no epoch is left to give: the last one is kept for fencing (fact T3).
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        is_exhausted(self.producer.epoch)
    }

    fn to(&self, state: State, now: Timestamp) -> Self {
        Self {
            previous_producer_id: self.producer.id,
            next_producer_id: ProducerId::NONE,
            state,
            updated_at: now,
            ..self.clone()
        }
    }

    /// Its producer begins anew.
    pub(super) fn taken(
        &self,
        producer: Producer,
        last_epoch: ProducerEpoch,
        timeout_ms: i32,
        now: Timestamp,
    ) -> Self {
        Self {
            producer,
            last_epoch,
            timeout_ms,
            partitions: BTreeSet::new(),
            started_at: Timestamp::NONE,
            ..self.to(State::Empty, now)
        }
    }

    /// Partitions come into the transaction.
    pub(super) fn with_partitions(
        &self,
        added: BTreeSet<TopicPartition>,
        client_version: i16,
        now: Timestamp,
    ) -> Self {
        let mut next = self.to(State::Ongoing, now);
        if self.state.is_idle() {
            next.started_at = now;
        }
        next.partitions.extend(added);
        next.client_version = client_version;
        next
    }

    /// Its producer decides.
    pub(super) fn ended<R: Rules>(&self, end: End, now: Timestamp) -> Self {
        let mut next = self.to(State::prepare(end.is_commit), now);
        if end.version >= RAISES_EPOCH {
            next.producer.epoch = R::ended(self.producer.epoch);
            next.last_epoch = self.producer.epoch;
        }
        // A transaction that was never begun begins with its end.
        if self.state.is_idle() {
            next.started_at = now;
        }
        next.next_producer_id = end.next_producer_id;
        next.client_version = end.version;
        next
    }

    /// It is aborted over its producer's head, which is fenced by that.
    pub(super) fn fenced<R: Rules>(&self, version: i16, now: Timestamp) -> Self {
        let mut next = self.to(State::PrepareAbort, now);
        next.producer.epoch = R::fenced(self.producer.epoch);
        next.last_epoch = self.producer.epoch;
        next.client_version = if version >= RAISES_EPOCH { version } else { 0 };
        next
    }

    /// Every partition knows of the decision; none where there is none.
    pub(super) fn completed(&self, now: Timestamp) -> Option<Self> {
        let is_commit = self.state.decision()?;
        Some(Self {
            producer: self.holder(),
            partitions: BTreeSet::new(),
            ..self.to(State::complete(is_commit), now)
        })
    }
}

/// Whether an epoch is the last that a client may have, or beyond.
pub(super) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch.0 >= LAST_EPOCH.0 - 1
}
