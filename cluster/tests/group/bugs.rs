//! Bugs planted on purpose: what the checks are worth shows in whether they find them.
//!
//! Each makes the coordinator's surroundings do one thing badly. None is in the machine.

use milena_cluster::coordinator::Record;
use milena_cluster::coordinator::record::read_value;
use milena_protocol::coordinator_record::offset::GroupMetadataValue;
use milena_protocol::error_code::ErrorCode;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bug {
    /// Nothing.
    #[default]
    None,
    /// That a generation has begun is not written down.
    GenerationNotRecorded,
    /// A coordinator that dies had answered for a record that it had not written.
    UnwrittenCounts,
    /// A member of an older generation is told that all is well.
    NoGenerationFence,
    /// Nobody is told that the next generation gathers.
    NobodyIsTold,
    /// A member that was thrown out is told that all is well.
    NobodyIsThrownOut,
}

impl Bug {
    /// Whether a record is lost that should be written.
    pub fn loses(self, record: &Record) -> bool {
        let begins = |value: &GroupMetadataValue| {
            value.leader.is_none() && !value.members.is_empty() && value.generation > 0
        };
        let stored = record.value.as_deref().and_then(read_value::<GroupMetadataValue>);
        self == Self::GenerationNotRecorded && stored.as_ref().is_some_and(begins)
    }

    /// What a member is told instead of an error.
    pub fn told(self, code: ErrorCode) -> ErrorCode {
        let is_hidden = match self {
            Self::NoGenerationFence => code == ErrorCode::ILLEGAL_GENERATION,
            Self::NobodyIsTold => code == ErrorCode::REBALANCE_IN_PROGRESS,
            Self::NobodyIsThrownOut => code == ErrorCode::UNKNOWN_MEMBER_ID,
            Self::None | Self::GenerationNotRecorded | Self::UnwrittenCounts => false,
        };
        if is_hidden { ErrorCode::NONE } else { code }
    }
}
