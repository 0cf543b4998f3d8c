//! How a consumer behaves; the names and defaults are those of Kafka's consumer where it has them.

use std::time::Duration;

use milena_protocol::ids::{Offset, Timestamp};

use crate::offsets::Isolation;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is there.
    Beginning,
    /// Behind the last record.
    End,
    /// So many records before the end.
    BeforeEnd(u64),
    /// At an offset.
    Offset(Offset),
    /// At the first record that is not older.
    Time(Timestamp),
}

/// What to do when the position is not in the log any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// Go on at the first record.
    Beginning,
    /// Go on behind the last record.
    #[default]
    End,
    /// Tell the caller.
    Fail,
}

/// How a consumer behaves.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Which records are handed out.
    pub isolation: Isolation,
    /// What to do when the position is not in the log any more.
    pub reset: Reset,
    /// How long a broker may hold a fetch back to collect more.
    pub max_wait: Duration,
    /// With how many bytes a fetch is answered at once.
    pub min_bytes: i32,
    /// How large an answer may be, in bytes; a batch that is larger comes alone.
    pub max_bytes: i32,
    /// How much of it one partition may take, in bytes.
    pub max_partition_bytes: i32,
    /// How many records one poll hands out at most.
    pub max_poll_records: usize,
    /// What a batch may become when it is decompressed, in bytes.
    pub max_batch_bytes: usize,
    /// Whether checksums are verified.
    pub verify: bool,
    /// Where the consumer stands, so that a replica nearby may answer (KIP-392).
    pub rack: String,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            isolation: Isolation::default(),
            reset: Reset::default(),
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            max_partition_bytes: 1 << 20,
            max_poll_records: usize::MAX,
            max_batch_bytes: 256 << 20,
            verify: true,
            rack: String::new(),
        }
    }
}
