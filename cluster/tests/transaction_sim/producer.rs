//! Producers: what they ask next, and what they make of the answers.

use milena_cluster::coordinator::Producer;
use milena_protocol::error_code::ErrorCode;

use crate::partition::Uid;
use crate::simulation::rng::Rng;

/// What a producer does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Asks for an epoch, going on as somebody or not.
    Init(Option<Producer>),
    /// Adds a partition, and writes to it after that.
    Add(i32),
    Write(i32),
    /// Ends its transaction.
    End(bool),
    /// Nothing more.
    Rest,
}

/// A producer.
#[derive(Clone, Debug)]
pub struct Client {
    /// Which transactional id it is of.
    pub id: usize,
    /// Whether it speaks version 2.
    pub is_v2: bool,
    pub producer: Option<Producer>,
    /// What it waits for the answer of, and the number of that attempt.
    pub act: Act,
    pub attempt: u64,
    /// Its transaction, and the partitions still to come.
    pub uid: Uid,
    partitions: Vec<i32>,
    /// It was killed, and answers nothing.
    pub is_dead: bool,
    /// It begins no further transaction.
    pub is_last: bool,
}

impl Client {
    pub fn new(id: usize, is_v2: bool) -> Self {
        Self {
            id,
            is_v2,
            producer: None,
            act: Act::Init(None),
            attempt: 0,
            uid: 0,
            partitions: Vec::new(),
            is_dead: false,
            is_last: false,
        }
    }

    /// Begins a transaction, if it is to.
    pub fn begin(&mut self, rng: &mut Rng, uid: Uid, partition_count: usize) {
        if self.is_last {
            self.act = Act::Rest;
            return;
        }
        self.uid = uid;
        let count = partition_count as u64;
        self.partitions = (0..rng.within(1, count + 1)).map(|_| rng.below(count) as i32).collect();
        if self.is_v2 && rng.chance(100) {
            self.partitions.clear();
        }
        self.proceed(rng);
    }

    /// The next partition, or the end.
    pub fn proceed(&mut self, rng: &mut Rng) {
        self.act = match self.partitions.pop() {
            Some(partition) => Act::Add(partition),
            // Nothing was added: there is nothing to commit.
            None => Act::End(rng.chance(600) && self.has_written()),
        };
    }

    fn has_written(&self) -> bool {
        matches!(self.act, Act::Write(_))
    }

    /// What is done about a refusal; true to ask the same again.
    pub fn refused(&mut self, code: ErrorCode, rng: &mut Rng) -> bool {
        if code.is_retriable() {
            return true;
        }
        let own = self.producer.filter(|_| rng.chance(500));
        // An epoch that was refused as one's own is lost for good.
        let own = if matches!(self.act, Act::Init(_)) { None } else { own };
        self.act = if self.is_last { Act::Rest } else { Act::Init(own) };
        false
    }
}
