//! A partition that the producer writes to: `storage`'s producer state, and the broker's clearance.

use super::model::{Design, Message};

/// A record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    /// The producer's; `transaction` is its count, which only the checks look at.
    Data { producer: u8, transaction: u8, epoch: u8 },
    /// The end of the transaction before it.
    Marker { is_commit: bool },
}

/// Its log, and what it knows of the producer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Partition {
    pub(super) log: Vec<Entry>,
    epoch: u8,
    coordinator_epoch: u8,
    pub(super) is_open: bool,
    /// How many markers there were: a clearance counts until the next one.
    nonce: u8,
}

impl Partition {
    /// A record arrives. It needs a clearance, which is asked for.
    pub(super) fn write(&mut self, design: Design, write: Message) -> Option<Message> {
        let Message::Write { partition, epoch, .. } = write else { return None };
        if epoch < self.epoch {
            return None;
        }
        if design == Design::NoVerification {
            self.append(write);
        }
        Some(Message::Verify { partition, epoch, nonce: self.nonce })
    }

    /// The coordinator has the partition in the transaction, and the record arrived before.
    pub(super) fn cleared(&mut self, added: Message, write: Message) -> Option<Message> {
        let Message::Added { partition, epoch, nonce } = added else { return None };
        let Message::Write { producer, transaction, .. } = write else { return None };
        if epoch < self.epoch || nonce != self.nonce {
            return None;
        }
        self.append(write);
        Some(Message::Appended { producer, transaction, partition })
    }

    /// A record is in the log once, however often it comes.
    fn append(&mut self, write: Message) {
        let Message::Write { producer, transaction, epoch, .. } = write else { return };
        let data = Entry::Data { producer, transaction, epoch };
        if !self.log.contains(&data) {
            self.log.push(data);
            (self.epoch, self.is_open) = (epoch, true);
        }
    }

    /// A marker arrives. Under version 2 its epoch is past the one that it ends; with the same one
    /// it is that of the transaction before, and comes again (KIP-1228).
    pub(super) fn mark(&mut self, design: Design, marker: Message) -> Option<Message> {
        let Message::Marker { partition, epoch, coordinator_epoch, is_commit } = marker else {
            return None;
        };
        let is_later = epoch > self.epoch || epoch == self.epoch && !self.is_open;
        let is_accepted = match design {
            Design::OlderMarkerAccepted => true,
            Design::NoBumpOnEnd => epoch >= self.epoch,
            _ => is_later,
        };
        if coordinator_epoch < self.coordinator_epoch || !is_accepted {
            return None;
        }
        self.coordinator_epoch = coordinator_epoch;
        // One that ends nothing says nothing; to leave it out keeps the model small.
        if self.is_open {
            self.log.push(Entry::Marker { is_commit });
        }
        if epoch > self.epoch || self.is_open {
            self.nonce += 1;
        }
        (self.epoch, self.is_open) = (self.epoch.max(epoch), false);
        Some(Message::Marked { partition, epoch, coordinator_epoch })
    }

    /// What is between two markers: whose records, and how they ended, if they did.
    pub(super) fn transactions(&self) -> Vec<Transaction> {
        let mut transactions = vec![Transaction::default()];
        for entry in &self.log {
            let Some(open) = transactions.last_mut() else { break };
            match entry {
                Entry::Data { producer, transaction, .. } => {
                    open.records.push((*producer, *transaction));
                }
                Entry::Marker { is_commit } => {
                    open.end = Some(*is_commit);
                    transactions.push(Transaction::default());
                }
            }
        }
        transactions
    }
}

/// What a partition has between two markers.
#[derive(Default)]
pub(super) struct Transaction {
    /// Of which producer, in which of its transactions.
    pub(super) records: Vec<(u8, u8)>,
    /// Whether they are committed; none while they are open.
    pub(super) end: Option<bool>,
}
