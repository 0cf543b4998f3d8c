//! What became of a record. The records of a batch share one outcome, until it is cut in two.

use std::sync::{Arc, OnceLock};

use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};
use tokio::sync::Notify;

use crate::error::ClientError;

/// A record that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its place; −1 where the broker does not tell (`acks=0`).
    pub offset: Offset,
    /// When the broker appended it; −1 where the record's own time holds.
    pub log_append_time: Timestamp,
}

/// A record under way.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(super) outcome: Arc<Outcome>,
    pub(super) index: i32,
}

impl Delivery {
    /// Waits until the record is acknowledged or given up.
    ///
    /// # Errors
    /// When it was given up. After a timeout or a lost connection it may have been written all the
    /// same.
    pub async fn wait(self) -> Result<Delivered, ClientError> {
        let (mut outcome, mut index) = (self.outcome, self.index);
        let first = loop {
            match outcome.word().await {
                Word::Settled(result) => break result?,
                Word::Halved { at, halves: [first, _] } if index < at => outcome = first,
                Word::Halved { at, halves: [_, second] } => {
                    (outcome, index) = (second, index - at);
                }
            }
        };
        // A broker that tells no offset tells none for any record of the batch.
        let offset = match first.offset {
            Offset::NONE => Offset::NONE,
            base => base.plus(i64::from(index)),
        };
        Ok(Delivered { offset, ..first })
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    word: OnceLock<Word>,
    said: Notify,
}

#[derive(Clone, Debug)]
enum Word {
    Settled(Result<Delivered, ClientError>),
    /// It goes on as two: the records before `at` and those from there on.
    Halved {
        at: i32,
        halves: [Arc<Outcome>; 2],
    },
}

impl Outcome {
    /// Says it; the first word counts.
    pub fn settle(&self, result: Result<Delivered, ClientError>) {
        self.say(Word::Settled(result));
    }

    /// Says that the batch goes on as two, cut before a record.
    pub fn halve(&self, at: i32) -> [Arc<Self>; 2] {
        let halves = <[Arc<Self>; 2]>::default();
        self.say(Word::Halved { at, halves: halves.clone() });
        halves
    }

    /// Waits until all of its records are acknowledged or given up.
    pub async fn over(self: Arc<Self>) {
        let mut open = vec![self];
        while let Some(outcome) = open.pop() {
            if let Word::Halved { halves, .. } = outcome.word().await {
                open.extend(halves);
            }
        }
    }

    fn say(&self, word: Word) {
        let _ = self.word.set(word);
        self.said.notify_waiters();
    }

    async fn word(&self) -> Word {
        loop {
            // Made before the look, so that a word between the look and the wait is not missed.
            let said = self.said.notified();
            if let Some(word) = self.word.get() {
                return word.clone();
            }
            said.await;
        }
    }
}
