//! Who may begin a transaction in a partition: the coordinator is asked outside of the partition's
//! lock, and what it says holds until the next marker of the producer (KIP-890).
//!
//! Without that, a batch that was on its way while its transaction ended would open it again, and
//! nobody would ever end it.

use std::collections::BTreeMap;

use milena_protocol::ids::ProducerId;

/// Producers that may be waiting for a coordinator's answer at a time; the one that has waited
/// longest has to ask anew.
const MAX_PRODUCERS: usize = 10_000;

/// What an answer of the coordinator is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard(u64);

/// The guards of one partition.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    by_producer: BTreeMap<ProducerId, Guard>,
    next: u64,
}

impl Verifications {
    /// A guard for a producer; those who ask at the same time share one.
    pub(super) fn begin(&mut self, id: ProducerId) -> Guard {
        if let Some(guard) = self.by_producer.get(&id) {
            return *guard;
        }
        if self.by_producer.len() >= MAX_PRODUCERS {
            let oldest = self.by_producer.iter().min_by_key(|(_, guard)| guard.0);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.by_producer.remove(&oldest);
            }
        }
        let guard = Guard(self.next);
        self.next += 1;
        self.by_producer.insert(id, guard);
        guard
    }

    /// Whether an answer that was asked for under a guard still counts.
    pub(super) fn holds(&self, id: ProducerId, guard: Option<Guard>) -> bool {
        guard.is_some() && self.by_producer.get(&id).copied() == guard
    }

    /// Nothing that was asked for counts any more.
    pub(super) fn end(&mut self, id: ProducerId) {
        self.by_producer.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch could open a transaction again that has just ended.
    #[test]
    fn what_was_said_before_a_marker_does_not_hold_after_it() {
        let (id, other) = (ProducerId(1), ProducerId(2));
        let mut verifications = Verifications::default();
        let guard = Some(verifications.begin(id));
        assert_eq!(Some(verifications.begin(id)), guard);
        assert!(verifications.holds(id, guard));
        assert!(!verifications.holds(other, guard) && !verifications.holds(id, None));
        verifications.end(id);
        assert!(!verifications.holds(id, guard));
        let next = Some(verifications.begin(id));
        assert!(verifications.holds(id, next) && !verifications.holds(id, guard));
    }
}
