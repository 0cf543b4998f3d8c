//! The rules on which the safety of transactions rests, each in a line or two.
//!
//! [`Kafka`] takes them as they are. The simulator overrides one at a time to plant a bug, and must
//! find it; nothing of that is in the machine that ships.

use milena_protocol::ids::ProducerEpoch;

use super::attempt::Attempt;

/// The rules of transactions.
pub trait Rules: 'static {
    /// The epoch after a producer was fenced: one that it does not have. The last one stays where
    /// it is, for no client is ever given it.
    #[must_use]
    fn fenced(epoch: ProducerEpoch) -> ProducerEpoch {
        ProducerEpoch(epoch.0.saturating_add(1))
    }

    /// The epoch after a producer has ended a transaction under version 2 (KIP-890): what is still
    /// on its way from the old transaction cannot get into the next.
    #[must_use]
    fn ended(epoch: ProducerEpoch) -> ProducerEpoch {
        ProducerEpoch(epoch.0.saturating_add(1))
    }

    /// Whether the holder of the epoch before may ask again what it became: only where that holder
    /// asked for it, since another producer has it otherwise (KIP-360).
    #[must_use]
    fn may_ask_again(names_its_epoch: bool) -> bool {
        names_its_epoch
    }

    /// Whether a report is about the markers that are being written, and not about those of a
    /// transaction before, which had the same epoch under version 1, nor about an attempt before,
    /// while the one after it is on its way.
    #[must_use]
    fn is_report_of(awaited: Attempt, reported: Attempt) -> bool {
        awaited == reported
    }

    /// Whether a transaction is complete while so many of its partitions have no marker.
    #[must_use]
    fn is_complete(without_marker: usize) -> bool {
        without_marker == 0
    }

    /// Whether markers are written again by whoever takes over before all were in.
    #[must_use]
    fn resumes() -> bool {
        true
    }
}

/// The rules as they are.
#[derive(Clone, Copy, Debug)]
pub enum Kafka {}

impl Rules for Kafka {}
