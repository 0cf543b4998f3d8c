//! The metadata quorum: KRaft (KIP-595) as a stepped machine.
//!
//! `step(now, input, outputs)` and `deadline()`; no clock, no disk, no network. The driver executes
//! the outputs in their order, so "persist, then append" is a fact of the list. Offsets count
//! records. An offset is committed when a majority of the voters has it on stable storage and the
//! leader's own epoch has begun below it (Q3). This machine has one voter, itself: it elects itself
//! at its first tick, and its flush is the majority.

use bytes::Bytes;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};

use super::state::QuorumState;

/// A voter: a node, and the directory that holds its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voter {
    /// The node.
    pub id: NodeId,
    /// Its directory.
    pub directory_id: Uuid,
}

/// What happens to the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time went by.
    Tick,
    /// The controller wants these record values appended, as one atomic batch.
    Propose(Vec<Bytes>),
    /// The log is on stable storage up to here.
    Flushed(Offset),
}

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Replace the quorum state, durably, before anything that follows.
    PersistQuorumState(QuorumState),
    /// This member leads the epoch that begins at the offset.
    BecomeLeader {
        /// The epoch.
        epoch: LeaderEpoch,
        /// Where its first record stands.
        start_offset: Offset,
    },
    /// Append to the log.
    Append(Append),
    /// Everything below is committed.
    Commit(Offset),
    /// A proposal came to a member that does not lead.
    Reject,
}

/// A batch to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The epoch that it belongs to.
    pub epoch: LeaderEpoch,
    /// The time that it is stamped with.
    pub timestamp: Timestamp,
    /// What it holds.
    pub content: Content,
}

/// What a batch of the metadata log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The control record that begins an epoch.
    LeaderChange {
        /// The leader.
        leader: Voter,
        /// All voters.
        voters: Vec<Voter>,
    },
    /// Record values of the controller.
    Records(Vec<Bytes>),
}

impl Append {
    /// The offset after its last record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        match &self.content {
            Content::LeaderChange { .. } => self.base_offset.plus(1),
            Content::Records(values) => self.base_offset.plus(values.len() as i64),
        }
    }
}

/// What a restarted member finds on its disk.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Itself.
    pub me: Voter,
    /// The persisted quorum state.
    pub state: QuorumState,
    /// Where its log ends.
    pub log_end_offset: Offset,
    /// The epoch of the last record in it.
    pub last_epoch: LeaderEpoch,
}

/// One member of the quorum.
#[derive(Clone, Debug)]
pub struct Quorum {
    me: Voter,
    log_end_offset: Offset,
    flushed_offset: Offset,
    high_watermark: Option<Offset>,
    role: Role,
}

/// What a member is in its epoch.
#[derive(Clone, Debug)]
enum Role {
    Unattached { epoch: LeaderEpoch },
    Leader { epoch: LeaderEpoch, epoch_start_offset: Offset },
}

impl Quorum {
    /// A member as it finds itself after a start: whatever it was, it leads nothing now.
    #[must_use]
    pub fn restore(restored: Restored) -> Self {
        let epoch = restored.state.leader_epoch.max(restored.last_epoch).max(LeaderEpoch(0));
        Self {
            me: restored.me,
            log_end_offset: restored.log_end_offset,
            flushed_offset: restored.log_end_offset,
            high_watermark: None,
            role: Role::Unattached { epoch },
        }
    }

    /// The epoch it is in.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        match self.role {
            Role::Unattached { epoch } | Role::Leader { epoch, .. } => epoch,
        }
    }

    /// Who leads, as far as it knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        matches!(self.role, Role::Leader { .. }).then_some(self.me.id)
    }

    /// All voters.
    #[must_use]
    pub fn voters(&self) -> Vec<Voter> {
        vec![self.me]
    }

    /// Where its log ends.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Everything below is committed; unknown until the own epoch has committed.
    #[must_use]
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// When it wants the next tick: at once while it leads nothing, for the only voter has nobody
    /// to wait for.
    #[must_use]
    pub fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        matches!(self.role, Role::Unattached { .. }).then_some(now)
    }

    /// Takes an input and says what has to be done.
    pub fn step(&mut self, now: Timestamp, input: Input, outputs: &mut Vec<Output>) {
        match input {
            Input::Tick => self.tick(now, outputs),
            Input::Propose(values) => self.propose(now, values, outputs),
            Input::Flushed(offset) => self.flushed(offset, outputs),
        }
        self.check_invariants();
    }

    /// The only voter votes for itself, and that is a majority.
    fn tick(&mut self, now: Timestamp, outputs: &mut Vec<Output>) {
        let Role::Unattached { epoch } = self.role else {
            return;
        };
        let epoch = LeaderEpoch(epoch.0 + 1);
        outputs.push(Output::PersistQuorumState(QuorumState {
            leader_id: self.me.id,
            leader_epoch: epoch,
            voted_id: self.me.id,
            voted_directory_id: self.me.directory_id,
        }));
        let start_offset = self.log_end_offset;
        self.role = Role::Leader { epoch, epoch_start_offset: start_offset };
        outputs.push(Output::BecomeLeader { epoch, start_offset });
        let content = Content::LeaderChange { leader: self.me, voters: self.voters() };
        self.append(now, epoch, content, outputs);
    }

    fn propose(&mut self, now: Timestamp, values: Vec<Bytes>, outputs: &mut Vec<Output>) {
        match self.role {
            Role::Leader { epoch, .. } if !values.is_empty() => {
                self.append(now, epoch, Content::Records(values), outputs);
            }
            Role::Leader { .. } => {}
            Role::Unattached { .. } => outputs.push(Output::Reject),
        }
    }

    fn append(
        &mut self,
        timestamp: Timestamp,
        epoch: LeaderEpoch,
        content: Content,
        outputs: &mut Vec<Output>,
    ) {
        let append = Append { base_offset: self.log_end_offset, epoch, timestamp, content };
        self.log_end_offset = append.end_offset();
        outputs.push(Output::Append(append));
    }

    fn flushed(&mut self, offset: Offset, outputs: &mut Vec<Output>) {
        self.flushed_offset = self.flushed_offset.max(offset.min(self.log_end_offset));
        let Role::Leader { epoch_start_offset, .. } = self.role else {
            return;
        };
        // One record of the own epoch must be on a majority before anything counts (Q3).
        if self.flushed_offset > epoch_start_offset
            && self.high_watermark < Some(self.flushed_offset)
        {
            self.high_watermark = Some(self.flushed_offset);
            outputs.push(Output::Commit(self.flushed_offset));
        }
    }

    /// What holds after every step.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self) {
        assert!(self.flushed_offset <= self.log_end_offset, "flushed beyond the log");
        if let Some(high_watermark) = self.high_watermark {
            assert!(high_watermark <= self.flushed_offset, "committed what is not flushed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(log_end_offset: i64, epoch: i32) -> Quorum {
        let me = Voter { id: NodeId(1), directory_id: Uuid::from_u128(1000) };
        let state = QuorumState { leader_epoch: LeaderEpoch(epoch), ..Default::default() };
        Quorum::restore(Restored {
            me,
            state,
            log_end_offset: Offset(log_end_offset),
            last_epoch: LeaderEpoch(epoch),
        })
    }

    fn step(quorum: &mut Quorum, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        quorum.step(Timestamp(5), input, &mut outputs);
        outputs
    }

    /// The vote would count before it is durable, or an epoch begin without its first record.
    #[test]
    fn the_only_voter_persists_its_vote_then_leads() {
        let mut quorum = restored(10, 3);
        let outputs = step(&mut quorum, Input::Tick);
        assert!(matches!(&outputs[0], Output::PersistQuorumState(state)
            if state.leader_epoch == LeaderEpoch(4) && state.voted_id == NodeId(1)));
        assert!(matches!(outputs[1], Output::BecomeLeader { epoch: LeaderEpoch(4), .. }));
        assert!(matches!(&outputs[2], Output::Append(append)
            if append.base_offset == Offset(10)
                && matches!(append.content, Content::LeaderChange { .. })));
        assert!(step(&mut quorum, Input::Tick).is_empty());
    }

    /// What is not on stable storage would be answered as done.
    #[test]
    fn nothing_commits_before_it_is_flushed_in_the_own_epoch() {
        let mut quorum = restored(10, 3);
        assert_eq!(step(&mut quorum, Input::Propose(vec![Bytes::new()])), [Output::Reject]);
        step(&mut quorum, Input::Tick);
        assert!(step(&mut quorum, Input::Flushed(Offset(10))).is_empty());
        step(&mut quorum, Input::Propose(vec![Bytes::new(), Bytes::new()]));
        assert_eq!(step(&mut quorum, Input::Flushed(Offset(11))), [Output::Commit(Offset(11))]);
        assert_eq!(step(&mut quorum, Input::Flushed(Offset(99))), [Output::Commit(Offset(13))]);
        assert!(step(&mut quorum, Input::Flushed(Offset(12))).is_empty());
    }
}
