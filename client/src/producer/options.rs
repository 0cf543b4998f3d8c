//! How a producer behaves; the names and defaults are those of Kafka's producer where it has them.

use std::time::Duration;

use milena_protocol::record::Compression;

/// When a record counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// As soon as it is sent: losses go unseen.
    None,
    /// When the leader has it.
    Leader,
    /// When every in-sync replica has it.
    #[default]
    All,
}

impl Acks {
    /// The number in a produce request.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a producer behaves.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// When a record counts as written.
    pub acks: Acks,
    /// Whether a retry is kept from being written twice. Only with [`Acks::All`].
    pub idempotence: bool,
    /// How batches are compressed.
    pub compression: Compression,
    /// The codec's level.
    pub compression_level: Option<i32>,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// A batch with this many bytes is full.
    pub batch_bytes: usize,
    /// No request is larger, in bytes of batches.
    pub max_request_bytes: usize,
    /// What all records that are not acknowledged may take together, in bytes.
    pub buffer_bytes: usize,
    /// Requests under way to one broker, and for one partition with idempotence; at most five.
    pub max_in_flight: usize,
    /// How long a record is tried before it is given up.
    pub delivery_timeout: Duration,
    /// How long the broker waits for its replicas.
    pub request_timeout: Duration,
    /// Whether brokers may make topics that are missing.
    pub create_topics: bool,
    /// The name under which the producer writes in transactions: it is the same after a restart,
    /// and no other producer's. With it records are written idempotently and acknowledged by all
    /// replicas, whatever is said above.
    pub transactional_id: Option<String>,
    /// How long a transaction may be open before the broker aborts it.
    pub transaction_timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotence: true,
            compression: Compression::None,
            compression_level: None,
            linger: Duration::from_millis(5),
            batch_bytes: 64 * 1024,
            max_request_bytes: 1024 * 1024,
            buffer_bytes: 32 * 1024 * 1024,
            max_in_flight: 5,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            create_topics: true,
            transactional_id: None,
            transaction_timeout: Duration::from_secs(60),
        }
    }
}

impl ProducerOptions {
    /// Whether sequences are used: idempotence makes sense only where acknowledgements come from
    /// all replicas.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.idempotence && self.acks == Acks::All
    }

    /// How many batches of one partition may be under way.
    pub(crate) fn lane_width(&self) -> usize {
        // The broker remembers the last five batches of a producer.
        if self.is_idempotent() { self.max_in_flight.clamp(1, 5) } else { 1 }
    }
}
