//! What can be wrong with a history.

use serde::{Deserialize, Serialize};

/// A kind of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anomaly {
    /// One offset of a key was seen with two values.
    InconsistentOffsets,
    /// One value stands at two offsets.
    Duplicate,
    /// A value was read that nobody sent to that key.
    Phantom,
    /// An acknowledged value was read by nobody, though a later one of its key was.
    LostWrite,
    /// An acknowledged value was read by nobody, and it is behind everything that was read.
    Unseen,
    /// A value was read whose operation failed or was aborted (G1a).
    AbortedRead,
    /// A transaction read what it had itself sent and not yet committed.
    PrecommittedRead,
    /// Two polls of a process, one after the other, left known values out.
    PollSkip,
    /// A process went back without being told to.
    NonmonotonicPoll,
    /// A poll left known values out between two that it gave.
    InternalPollSkip,
    /// A poll gave a later value before an earlier one.
    InternalNonmonotonicPoll,
    /// What a process sent later stands before what it sent earlier.
    NonmonotonicSend,
    /// The same within a transaction.
    InternalNonmonotonicSend,
    /// Values of others stand between those of a transaction. Kafka allows that.
    InternalSendSkip,
    /// Transactions wrote one after the other in a circle (G0). Kafka allows that, since records of
    /// open transactions interleave.
    WriteCycle,
    /// Information went in a circle from writers to readers (G1c).
    ReadCycle,
    /// A circle of writes after writes and reads after writes. Kafka allows that for the same
    /// reason as a [`Anomaly::WriteCycle`].
    MixedCycle,
}

impl Anomaly {
    /// Whether no broker may show it; the others are told as figures.
    #[must_use]
    pub fn is_violation(self) -> bool {
        !matches!(self, Self::InternalSendSkip | Self::WriteCycle | Self::MixedCycle)
    }

    /// Its name in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InconsistentOffsets => "inconsistent offsets",
            Self::Duplicate => "duplicates",
            Self::Phantom => "phantoms",
            Self::LostWrite => "lost writes",
            Self::Unseen => "unseen writes",
            Self::AbortedRead => "aborted reads (G1a)",
            Self::PrecommittedRead => "precommitted reads",
            Self::PollSkip => "poll skips",
            Self::NonmonotonicPoll => "non-monotonic polls",
            Self::InternalPollSkip => "internal poll skips",
            Self::InternalNonmonotonicPoll => "internal non-monotonic polls",
            Self::NonmonotonicSend => "non-monotonic sends",
            Self::InternalNonmonotonicSend => "internal non-monotonic sends",
            Self::InternalSendSkip => "internal send skips",
            Self::WriteCycle => "write cycles (G0)",
            Self::ReadCycle => "read cycles (G1c)",
            Self::MixedCycle => "mixed cycles",
        }
    }
}
