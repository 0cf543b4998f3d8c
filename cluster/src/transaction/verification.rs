//! Who may begin a transaction in a partition: the coordinator is asked outside of the partition's
//! lock, and what it says holds until the next marker of the producer (KIP-890).
//!
//! Without that, a batch that was on its way while its transaction ended would open it again, and
//! nobody would ever end it. A marker whose epoch was raised says nothing against the transaction
//! of that epoch: the coordinator may have been asked about it while the marker was on its way.

use std::collections::BTreeMap;

use milena_protocol::ids::{ProducerEpoch, ProducerId};

use crate::coordinator::Producer;

/// Producers that may be waiting for a coordinator's answer at a time; the one that has waited
/// longest has to ask anew.
const MAX_PRODUCERS: usize = 10_000;

/// What an answer of the coordinator is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard(u64);

/// How a producer that the partition does not know begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With any sequence: its state may have expired (fact I4).
    Anywhere,
    /// With sequence 0, as each epoch of a transaction of version 2 does: a later batch that
    /// overtook the first would leave a gap (KIP-890).
    AtZero,
}

/// The guards of one partition.
#[derive(Debug, Default)]
pub struct Verifications {
    by_producer: BTreeMap<ProducerId, (ProducerEpoch, Guard)>,
    next: u64,
}

impl Verifications {
    /// A guard for a producer; those who ask at the same time share one.
    #[must_use]
    pub fn begin(&mut self, producer: Producer) -> Guard {
        let known = self.by_producer.get(&producer.id).copied();
        if let Some((epoch, guard)) = known
            && epoch == producer.epoch
        {
            return guard;
        }
        let guard = Guard(self.next);
        self.next += 1;
        // What is fenced asks in vain.
        if known.is_none_or(|(epoch, _)| epoch < producer.epoch) {
            self.make_room();
            self.by_producer.insert(producer.id, (producer.epoch, guard));
        }
        guard
    }

    fn make_room(&mut self) {
        if self.by_producer.len() < MAX_PRODUCERS {
            return;
        }
        let oldest = self.by_producer.iter().min_by_key(|(_, (_, guard))| guard.0);
        if let Some(oldest) = oldest.map(|(id, _)| *id) {
            self.by_producer.remove(&oldest);
        }
    }

    /// Whether an answer that was asked for under a guard still counts.
    #[must_use]
    pub fn holds(&self, producer: Producer, guard: Option<Guard>) -> bool {
        let known = self.by_producer.get(&producer.id);
        guard.is_some_and(|guard| known == Some(&(producer.epoch, guard)))
    }

    /// The producer has its transaction open: nothing has to be asked any more.
    pub fn opened(&mut self, producer: Producer) {
        if self.by_producer.get(&producer.id).is_some_and(|(epoch, _)| *epoch == producer.epoch) {
            self.by_producer.remove(&producer.id);
        }
    }

    /// A marker ended a transaction: what was asked for before it counts no more, unless it is for
    /// the epoch that the end raised the producer to.
    pub fn marked(&mut self, producer: Producer, is_raised: bool) {
        let ends = |epoch| epoch < producer.epoch || (epoch == producer.epoch && !is_raised);
        if self.by_producer.get(&producer.id).is_some_and(|(epoch, _)| ends(*epoch)) {
            self.by_producer.remove(&producer.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(epoch: i16) -> Producer {
        Producer { id: ProducerId(1), epoch: ProducerEpoch(epoch) }
    }

    /// A batch could open a transaction again that has just ended.
    #[test]
    fn what_was_said_before_a_marker_does_not_hold_after_it() {
        let mut verifications = Verifications::default();
        let guard = Some(verifications.begin(producer(3)));
        assert_eq!(Some(verifications.begin(producer(3))), guard);
        assert!(verifications.holds(producer(3), guard));
        assert!(!verifications.holds(producer(4), guard));
        assert!(!verifications.holds(producer(3), None));
        verifications.marked(producer(3), false);
        assert!(!verifications.holds(producer(3), guard));
        let next = Some(verifications.begin(producer(3)));
        assert!(verifications.holds(producer(3), next) && !verifications.holds(producer(3), guard));
        verifications.opened(producer(3));
        assert!(!verifications.holds(producer(3), next));
    }

    /// The first batch of a transaction would be refused because the one before had just ended.
    #[test]
    fn a_raised_marker_says_nothing_against_the_next_transaction() {
        let mut verifications = Verifications::default();
        let old = Some(verifications.begin(producer(3)));
        let new = Some(verifications.begin(producer(4)));
        assert!(!verifications.holds(producer(3), old));
        verifications.marked(producer(4), true);
        assert!(verifications.holds(producer(4), new));
        let fenced = Some(verifications.begin(producer(3)));
        assert!(!verifications.holds(producer(3), fenced));
        verifications.marked(producer(5), true);
        assert!(!verifications.holds(producer(4), new));
    }
}
