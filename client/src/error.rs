//! What can go wrong for a client.

use std::fmt;
use std::time::Duration;

use milena_protocol::api::ApiKey;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;
use milena_protocol::message::Versions;

/// Why there is no answer, or no use in one.
#[derive(Clone, Debug)]
pub enum ClientError {
    /// An address is not `HOST:PORT`.
    BadAddress {
        /// What was given.
        given: String,
    },
    /// No broker can be reached.
    Unreachable {
        /// Each address with what happened there.
        tried: Vec<(String, String)>,
    },
    /// A connection was lost, or was closed because an earlier request on it got no answer. Whether
    /// the broker carried the request out is not known.
    Disconnected {
        /// The broker.
        address: String,
        /// What happened.
        why: String,
    },
    /// A broker did not answer in time.
    TimedOut {
        /// The broker.
        address: String,
        /// What was asked.
        api: ApiKey,
        /// How long it was waited.
        after: Duration,
    },
    /// Both sides know an API in no common version.
    Unsupported {
        /// The broker.
        address: String,
        /// The API.
        api: ApiKey,
        /// What this client knows.
        ours: Versions,
        /// What the broker serves; `None` if it does not serve the API at all.
        theirs: Option<Versions>,
    },
    /// An answer is not what the protocol says.
    Garbled {
        /// The broker.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// What a broker gave of a partition are no records.
    Unreadable {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionIndex,
        /// Where, and what is wrong.
        why: String,
    },
    /// A request cannot be written in the version that the broker knows.
    Unwritable {
        /// What was to be asked.
        api: ApiKey,
        /// Why not.
        why: String,
    },
    /// The broker said no.
    Refused {
        /// What was wanted.
        what: String,
        /// What it answered.
        refused: Refused,
    },
    /// A topic has no such partition.
    NoSuchPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionIndex,
        /// How many partitions there are.
        count: usize,
    },
    /// Something was waited for in vain.
    GaveUp {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
        /// What happened last.
        last: Option<String>,
    },
    /// A group has no offset for a partition, and the consumer begins nowhere else.
    NoOffset {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionIndex,
    },
    /// Something was called at a time when it makes no sense.
    Misused {
        /// What stands against it.
        what: &'static str,
    },
    /// A record's transaction was aborted before the record was written.
    Aborted,
    /// The producer was closed, or the member has left its group.
    Closed,
}

impl ClientError {
    /// Whether the same may succeed when it is tried again.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Disconnected { .. } | Self::TimedOut { .. } => true,
            Self::Refused { refused, .. } => refused.code.is_retriable(),
            Self::BadAddress { .. }
            | Self::Unsupported { .. }
            | Self::Garbled { .. }
            | Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::NoSuchPartition { .. }
            | Self::GaveUp { .. }
            | Self::NoOffset { .. }
            | Self::Misused { .. }
            | Self::Aborted
            | Self::Closed => false,
        }
    }

    /// Whether a commit was refused because the group has gone on without the member: what it read
    /// comes again to whoever has the partition now, and the member is told by its next poll.
    #[must_use]
    pub fn is_of_the_past(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::UNKNOWN_MEMBER_ID
                    | ErrorCode::FENCED_MEMBER_EPOCH
                    | ErrorCode::STALE_MEMBER_EPOCH
                    | ErrorCode::ILLEGAL_GENERATION
                    | ErrorCode::REBALANCE_IN_PROGRESS
                    | ErrorCode::FENCED_INSTANCE_ID
            )
        )
    }

    /// Whether a transactional producer that is told this can do nothing any more: another one has
    /// taken its place, or it may not be one. Other errors leave it the choice to abort.
    #[must_use]
    pub fn ends_producer(&self) -> bool {
        match self {
            Self::Unsupported { .. } => true,
            Self::Refused { refused, .. } => matches!(
                refused.code,
                ErrorCode::PRODUCER_FENCED
                    | ErrorCode::INVALID_PRODUCER_ID_MAPPING
                    | ErrorCode::INVALID_TXN_STATE
                    | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                    | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
                    | ErrorCode::UNSUPPORTED_VERSION
            ),
            _ => false,
        }
    }

    /// The code of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { refused, .. } => Some(refused.code),
            _ => None,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAddress { given } => {
                write!(f, "{given:?} is no address; write HOST:PORT, as in 127.0.0.1:9092")
            }
            Self::Unreachable { tried } => {
                write!(f, "no broker can be reached")?;
                for (address, why) in tried {
                    write!(f, "; {address}: {why}")?;
                }
                write!(f, "; is a broker running there?")
            }
            Self::Disconnected { address, why } => {
                write!(f, "the connection to {address} is lost: {why}")
            }
            Self::TimedOut { address, api, after } => {
                write!(f, "{address} did not answer {api:?} within {after:?}")
            }
            Self::Unsupported { address, api, theirs: None, .. } => {
                write!(f, "the broker at {address} does not serve {api:?}")
            }
            Self::Unsupported { address, api, ours, theirs: Some(theirs) } => write!(
                f,
                "the broker at {address} serves {api:?} in versions {} to {}, this client knows \
                 {} to {}",
                theirs.min, theirs.max, ours.min, ours.max
            ),
            Self::Garbled { address, why } => {
                write!(f, "what {address} answered is not Kafka's protocol: {why}")
            }
            Self::Unreadable { topic, partition, why } => {
                write!(f, "partition {partition} of topic {topic} cannot be read: {why}")
            }
            Self::Unwritable { api, why } => write!(f, "{api:?} cannot be asked: {why}"),
            Self::Refused { what, refused } => write!(f, "{what}: {refused}"),
            Self::NoSuchPartition { topic, partition, count } => {
                write!(f, "topic {topic} has {count} partitions, there is no partition {partition}")
            }
            Self::GaveUp { what, after, last } => {
                write!(f, "{what} within {after:?}")?;
                last.as_ref().map_or(Ok(()), |last| write!(f, "; last: {last}"))
            }
            Self::NoOffset { group, topic, partition } => {
                write!(f, "group {group} has no offset for partition {partition} of topic {topic}")
            }
            Self::Misused { what } => f.write_str(what),
            Self::Aborted => write!(f, "the transaction was aborted"),
            Self::Closed => write!(f, "it was closed"),
        }
    }
}

impl std::error::Error for ClientError {}

/// A broker's refusal: the protocol's code and, where the API carries them, the broker's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code.
    pub code: ErrorCode,
    /// The broker's words.
    pub message: Option<String>,
}

impl Refused {
    /// A code as a result: `Ok` when it is no error.
    ///
    /// # Errors
    /// When the code is one.
    pub fn check(code: ErrorCode, message: Option<&str>) -> Result<(), Self> {
        if code.is_none() {
            return Ok(());
        }
        let message = message.filter(|message| !message.is_empty()).map(str::to_owned);
        Err(Self { code, message })
    }

    /// This refusal as the answer to what was wanted.
    #[must_use]
    pub fn of(self, what: impl Into<String>) -> ClientError {
        ClientError::Refused { what: what.into(), refused: self }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{message} ({})", self.code),
            None => fmt::Display::fmt(&self.code, f),
        }
    }
}

impl std::error::Error for Refused {}
