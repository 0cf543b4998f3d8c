//! A partition's follower as a stepped machine: it fetches, cuts what its leader does not have, and
//! takes over what comes.
//!
//! | invariant | |
//! | --- | --- |
//! | it cuts by epoch and end offset | never to a high watermark, which lags and would take acknowledged records along (KIP-101, KIP-279) |
//! | it takes batches at the end of its log only | and of no epoch above its leader's |
//! | it hears answers of its own epoch only | those of another leader are of another log |
//! | its high watermark is the leader's, as far as its own log reaches | and never falls |

use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

/// An epoch and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch; −1 where there is none so low.
    pub epoch: LeaderEpoch,
    /// The offset after its last record.
    pub end_offset: Offset,
}

/// Whom a follower follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The leader.
    pub leader: NodeId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
}

/// Where a follower's log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// Where it begins.
    pub start_offset: Offset,
    /// Where it ends.
    pub end_offset: Offset,
    /// The epoch of its last record; −1 of an empty log.
    pub last_epoch: LeaderEpoch,
    /// Everything below is acknowledged, as far as it knew when it stopped.
    pub high_watermark: Offset,
}

/// What happens to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The controller names a leader, or the same one in a new epoch.
    Follow(Leadership),
    /// The leader answered the fetch in this epoch.
    Fetched {
        /// The epoch that the fetch was made in.
        epoch: LeaderEpoch,
        /// What it says.
        answer: Answer,
    },
    /// The log was cut, and where it ends now.
    Truncated(LogPosition),
    /// The driver looked up where its own log ends an epoch: the highest one not above it.
    FoundEpoch {
        /// Where the leader ends it.
        leader: EpochEnd,
        /// Where this log ends it.
        own: EpochEnd,
    },
}

/// What a leader answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What comes next.
    Records {
        /// The offset of the first record; that of the fetch where there are none.
        base_offset: Offset,
        /// The offset after the last one.
        end_offset: Offset,
        /// The epoch of the last one; of no use where there are none.
        last_epoch: LeaderEpoch,
        /// The leader's high watermark.
        high_watermark: Offset,
        /// Where the leader's log starts.
        log_start_offset: Offset,
    },
    /// The log leaves the leader's, which ends this epoch here.
    Diverging(EpochEnd),
    /// It went wrong.
    Error {
        /// How.
        code: ErrorCode,
        /// Where the leader's log starts, where it is out of range.
        log_start_offset: Offset,
    },
}

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Fetch from the leader.
    Fetch {
        /// Whom to ask, in which epoch.
        from: Leadership,
        /// The first offset wanted.
        fetch_offset: Offset,
        /// The epoch of the record before it.
        last_epoch: LeaderEpoch,
    },
    /// Append the records of the answer, byte for byte. An empty log begins with the first of them,
    /// be it before its end.
    Append,
    /// Look up where this log ends the highest epoch not above the leader's, and report it.
    FindEpoch(EpochEnd),
    /// Cut the log to end here, and report it.
    Truncate(Offset),
    /// Empty the log and let it begin here, and report it.
    StartAt(Offset),
    /// The high watermark rose.
    AdvanceHighWatermark(Offset),
    /// The log's first readable offset rose.
    AdvanceLogStart(Offset),
    /// The leader is not the leader, or not yet: fetch again after a while.
    BackOff,
    /// This replica cannot go on: an operator has to look.
    Fail(ErrorCode),
}

/// A follower of a partition.
#[derive(Clone, Debug)]
pub struct Follower {
    leadership: Leadership,
    position: LogPosition,
    /// A cut or a lookup is under way, and nothing else counts until it is reported.
    is_cutting: bool,
}

impl Follower {
    /// Begins to follow; what to do first is among the outputs.
    #[must_use]
    pub fn begin(leadership: Leadership, position: LogPosition, outputs: &mut Vec<Output>) -> Self {
        let follower = Self { leadership, position, is_cutting: false };
        follower.fetch(outputs);
        follower
    }

    /// Whom it follows.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership
    }

    /// Everything below is acknowledged.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.position.high_watermark
    }

    /// Takes an input and says what has to be done.
    pub fn step(&mut self, input: Input, outputs: &mut Vec<Output>) {
        match input {
            Input::Follow(leadership) => self.follow(leadership, outputs),
            Input::Fetched { epoch, answer } => {
                // Of another epoch it speaks of another leader's log.
                if epoch == self.leadership.epoch && !self.is_cutting {
                    self.fetched(answer, outputs);
                }
            }
            Input::FoundEpoch { leader, own } => {
                if std::mem::take(&mut self.is_cutting) {
                    self.cut(leader, own, outputs);
                }
            }
            Input::Truncated(position) => {
                if std::mem::take(&mut self.is_cutting) {
                    let high_watermark = self.position.high_watermark.min(position.end_offset);
                    self.position = LogPosition { high_watermark, ..position };
                    self.fetch(outputs);
                }
            }
        }
        self.check_invariants();
    }

    /// An epoch that is not later is an old command.
    fn follow(&mut self, leadership: Leadership, outputs: &mut Vec<Output>) {
        if leadership.epoch <= self.leadership.epoch {
            return;
        }
        self.leadership = leadership;
        if !self.is_cutting {
            self.fetch(outputs);
        }
    }

    fn fetch(&self, outputs: &mut Vec<Output>) {
        outputs.push(Output::Fetch {
            from: self.leadership,
            fetch_offset: self.position.end_offset,
            last_epoch: self.position.last_epoch,
        });
    }

    fn fetched(&mut self, answer: Answer, outputs: &mut Vec<Output>) {
        match answer {
            Answer::Records { .. } => self.take_over(answer, outputs),
            Answer::Diverging(leader) => {
                self.is_cutting = true;
                outputs.push(Output::FindEpoch(leader));
            }
            Answer::Error { code: ErrorCode::OFFSET_OUT_OF_RANGE, log_start_offset } => {
                self.out_of_range(log_start_offset, outputs);
            }
            Answer::Error { code, .. } => {
                // The controller will say who leads; until then the same question is as good.
                outputs.push(if is_passing(code) { Output::BackOff } else { Output::Fail(code) });
            }
        }
    }

    fn take_over(&mut self, answer: Answer, outputs: &mut Vec<Output>) {
        let Answer::Records {
            base_offset,
            end_offset,
            last_epoch,
            high_watermark,
            log_start_offset,
        } = answer
        else {
            return;
        };
        if end_offset > base_offset {
            let epochs = self.position.last_epoch..=self.leadership.epoch;
            let LogPosition { start_offset: start, end_offset: end, .. } = self.position;
            // The leader's log may start within a batch, which a log begins with as a whole.
            let is_first = start == end && base_offset < end && end_offset > end;
            // Offsets may skip, for compaction leaves gaps; they never go back.
            if (base_offset < end && !is_first) || !epochs.contains(&last_epoch) {
                outputs.push(Output::Fail(ErrorCode::CORRUPT_MESSAGE));
                return;
            }
            outputs.push(Output::Append);
            self.position.start_offset = start.min(base_offset);
            self.position.end_offset = end_offset;
            self.position.last_epoch = last_epoch;
        }
        let reached = high_watermark.min(self.position.end_offset);
        if reached > self.position.high_watermark {
            self.position.high_watermark = reached;
            outputs.push(Output::AdvanceHighWatermark(reached));
        }
        let start = log_start_offset.min(self.position.high_watermark);
        if start > self.position.start_offset {
            self.position.start_offset = start;
            outputs.push(Output::AdvanceLogStart(start));
        }
        self.fetch(outputs);
    }

    /// Cuts to where both logs agree, by epochs alone. Where this log knows a lower epoch than the
    /// leader named, everything behind that is the leader's to give anew, and the next answer says
    /// whether more has to go.
    fn cut(&mut self, leader: EpochEnd, own: EpochEnd, outputs: &mut Vec<Output>) {
        let common = if own.epoch == leader.epoch {
            own.end_offset.min(leader.end_offset)
        } else {
            own.end_offset
        };
        let common = common.max(self.position.start_offset);
        if common >= self.position.end_offset {
            // The leader says that the logs differ, and this log cannot say where: ask again.
            outputs.push(Output::BackOff);
            return;
        }
        self.is_cutting = true;
        outputs.push(Output::Truncate(common));
    }

    /// The leader's log begins behind this one's end: everything here is gone there. A log that
    /// reaches further than the leader's is a matter of epochs, and the answer would say so.
    fn out_of_range(&mut self, log_start_offset: Offset, outputs: &mut Vec<Output>) {
        if log_start_offset > self.position.end_offset {
            self.is_cutting = true;
            outputs.push(Output::StartAt(log_start_offset));
        } else {
            outputs.push(Output::BackOff);
        }
    }

    /// What holds after every step.
    ///
    /// # Panics
    /// When it does not: a bug.
    pub fn check_invariants(&self) {
        let position = &self.position;
        assert!(position.start_offset <= position.end_offset, "a log that begins behind its end");
        assert!(position.high_watermark <= position.end_offset, "acknowledged beyond the log");
    }
}

/// Whether an error goes away by itself, or by what the controller says next.
fn is_passing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::REPLICA_NOT_AVAILABLE
            | ErrorCode::KAFKA_STORAGE_ERROR
            | ErrorCode::BROKER_NOT_AVAILABLE
    )
}

#[cfg(test)]
mod tests;
