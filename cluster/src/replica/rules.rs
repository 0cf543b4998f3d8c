//! The rules on which the safety of a partition rests at its leader, each in a line or two.
//!
//! [`Kafka`] takes them as they are. The simulator overrides one at a time to plant a bug, and must
//! find it; nothing of that is in the machine that ships.

use milena_protocol::ids::{BrokerEpoch, LeaderEpoch, Offset};

/// The rules of a partition's leader.
pub trait Rules {
    /// Whether the high watermark waits for a replica: where it is in sync as far as the leader
    /// knows, and where it will be once a proposal is accepted (KIP-497).
    #[must_use]
    fn is_counted(is_committed: bool, is_proposed: bool) -> bool {
        is_committed || is_proposed
    }

    /// Whether so many replicas in sync are enough to acknowledge anything (KIP-966).
    #[must_use]
    fn is_enough(in_sync: usize, min_in_sync: usize) -> bool {
        in_sync >= min_in_sync
    }

    /// Whether a log that ends at `end` may join the ISR. A new leader's high watermark lags behind
    /// what was acknowledged before its epoch, where that began does not.
    #[must_use]
    fn may_join(end: Offset, high_watermark: Offset, epoch_start: Offset) -> bool {
        end >= high_watermark && end >= epoch_start
    }

    /// Whether a fetch is of the leader's epoch. In another one the same offset is another record.
    #[must_use]
    fn is_of_epoch(fetch: LeaderEpoch, own: LeaderEpoch) -> bool {
        fetch == own
    }

    /// Whether a fetch is of an incarnation that none is known to have followed; what an earlier
    /// one had may be lost (KIP-903). Brokers before KIP-903 name none.
    #[must_use]
    fn is_current(fetch: Option<BrokerEpoch>, known: Option<BrokerEpoch>) -> bool {
        fetch.is_none() || fetch >= known
    }

    /// Whether who was proposed in vain goes on to count until the partition has a later epoch: a
    /// copy of the proposal may be accepted yet.
    #[must_use]
    fn keeps_refused() -> bool {
        true
    }
}

/// The rules as they are.
#[derive(Clone, Copy, Debug)]
pub enum Kafka {}

impl Rules for Kafka {}
