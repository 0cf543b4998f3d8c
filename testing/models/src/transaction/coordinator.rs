//! The coordinator of the transactional id: what it decides is one record at a time, which a crash
//! keeps or loses whole.

use super::model::{Design, Message};

/// Where a transaction stands: `cluster::transaction::State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Status {
    Empty,
    Ongoing,
    Prepare(bool),
    Complete(bool),
}

/// A record of `__transaction_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Known {
    /// The epoch of the producer that may go on.
    pub(super) epoch: u8,
    pub(super) status: Status,
    /// One bit each.
    pub(super) partitions: u8,
    /// Whether the epoch was raised to fence, so that its producer is not to have it.
    pub(super) is_fenced: bool,
}

/// What it has in its log, and what it has in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Coordinator {
    /// Of the partition of `__transaction_state`.
    pub(super) epoch: u8,
    pub(super) known: Known,
    /// A record that is not committed yet, and what is answered once it is.
    pub(super) pending: Option<(Known, Option<Message>)>,
    /// Which partitions have yet to say that they have the marker of this coordinator.
    remaining: u8,
}

impl Coordinator {
    pub(super) fn new() -> Self {
        let known = Known { epoch: 1, status: Status::Empty, partitions: 0, is_fenced: false };
        Self { epoch: 1, known, pending: None, remaining: 0 }
    }

    /// Decides a request, or does not while it has to wait; some are answered at once.
    pub(super) fn decide(&mut self, design: Design, request: Message) -> Option<Message> {
        if self.pending.is_some() {
            return None;
        }
        match request {
            Message::Verify { partition, epoch, nonce } => {
                self.add(partition, epoch, Message::Added { partition, epoch, nonce })
            }
            Message::End { producer, epoch, is_commit } => {
                self.end(design, producer, epoch, is_commit)
            }
            Message::Init { producer } => self.initialize(design, producer),
            Message::Marked { partition, epoch, coordinator_epoch } => {
                if epoch == self.known.epoch && coordinator_epoch == self.epoch {
                    self.remaining &= !(1 << partition);
                    self.complete();
                }
                None
            }
            _ => None,
        }
    }

    /// `add_partitions::decide`: the holder of the epoch only, and not while it is being decided.
    fn add(&mut self, partition: u8, epoch: u8, answer: Message) -> Option<Message> {
        let known = self.known;
        if epoch != known.epoch || matches!(known.status, Status::Prepare(_)) {
            return None;
        }
        let before = if known.status == Status::Ongoing { known.partitions } else { 0 };
        let partitions = before | 1 << partition;
        if partitions == before {
            return Some(answer);
        }
        let known = Known { status: Status::Ongoing, partitions, is_fenced: false, ..known };
        self.pending = Some((known, Some(answer)));
        None
    }

    /// `end_transaction::decide`: each end raises the epoch; who asks again is told again.
    fn end(&mut self, design: Design, producer: u8, epoch: u8, is_commit: bool) -> Option<Message> {
        let known = self.known;
        let raised = epoch + u8::from(design != Design::NoBumpOnEnd);
        let answer = Message::Ended { producer, epoch, next_epoch: raised, is_commit };
        let decided = match known.status {
            Status::Prepare(decided) | Status::Complete(decided) => Some(decided),
            Status::Empty | Status::Ongoing => None,
        };
        if known.epoch == raised && decided == Some(is_commit) && !known.is_fenced {
            return Some(answer);
        }
        // Without partitions there is nothing to commit; an abort keeps late records out.
        let may_end = known.status == Status::Ongoing
            || !is_commit && !matches!(known.status, Status::Prepare(_));
        if known.epoch != epoch || !may_end {
            return None;
        }
        let is_open = known.status == Status::Ongoing;
        let partitions = if is_open { known.partitions } else { 0 };
        let status = Status::Prepare(is_commit);
        let ended = Known { epoch: raised, status, partitions, is_fenced: false };
        self.pending = Some((ended, Some(answer)));
        None
    }

    /// `init_producer_id::decide`: aborts what is open, and then gives the next epoch.
    fn initialize(&mut self, design: Design, producer: u8) -> Option<Message> {
        match self.known.status {
            Status::Ongoing => self.fence(),
            Status::Prepare(_) => {}
            Status::Empty | Status::Complete(_) => {
                let epoch = self.known.epoch + u8::from(design != Design::NoBumpOnFence);
                let status = Status::Empty;
                let known = Known { epoch, status, partitions: 0, is_fenced: false };
                self.pending = Some((known, Some(Message::Initialized { producer, epoch })));
            }
        }
        None
    }

    /// Aborts an open transaction, whose producer has an older epoch from then on.
    pub(super) fn fence(&mut self) {
        let (epoch, status) = (self.known.epoch + 1, Status::Prepare(false));
        self.pending = Some((Known { epoch, status, is_fenced: true, ..self.known }, None));
    }

    /// The record is committed.
    pub(super) fn commit(&mut self, mut send: impl FnMut(Message)) {
        let Some((known, answer)) = self.pending.take() else { return };
        self.known = known;
        answer.into_iter().for_each(&mut send);
        self.mark(known, send);
        self.remaining = known.partitions;
        self.complete();
    }

    /// Sends the markers of a decision.
    pub(super) fn mark(&self, known: Known, send: impl FnMut(Message)) {
        let Status::Prepare(is_commit) = known.status else { return };
        let (epoch, coordinator_epoch) = (known.epoch, self.epoch);
        let partitions = (0..2).filter(|at| known.partitions >> at & 1 == 1);
        let marker = |partition| Message::Marker { partition, epoch, coordinator_epoch, is_commit };
        partitions.map(marker).for_each(send);
    }

    fn complete(&mut self) {
        if let (Status::Prepare(is_commit), 0) = (self.known.status, self.remaining) {
            let status = Status::Complete(is_commit);
            self.pending = Some((Known { status, partitions: 0, ..self.known }, None));
        }
    }

    /// Another node takes over; a decision that it finds is carried out anew.
    pub(super) fn reload(&mut self, design: Design, send: impl FnMut(Message)) {
        let known = self.known;
        *self = Self { epoch: self.epoch + 1, known, pending: None, remaining: known.partitions };
        if design != Design::MarkersNotResumed {
            self.mark(known, send);
            self.complete();
        }
    }
}
