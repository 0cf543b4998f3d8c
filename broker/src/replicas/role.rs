//! What a broker is to a partition: its leader, or who follows it.

use std::time::Duration;

use milena_cluster::replica::follower::{self, Follower, Leadership, LogPosition};
use milena_cluster::replica::{Leader, Output};
use milena_cluster::time::Instant;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};
use milena_storage::Log;

/// What a broker is to a partition.
#[derive(Debug)]
pub(super) enum Role {
    /// It leads.
    Leading(Leading),
    /// It follows, or waits for somebody to follow.
    Following(Following),
    /// It has nothing to do with it any more.
    Retired,
}

/// A leader and what it keeps at hand.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) machine: Leader,
    /// Used anew with every step.
    pub(super) outputs: Vec<Output>,
}

/// A follower and what it does next.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// None while there is no leader.
    pub(super) machine: Option<Follower>,
    /// What to ask the leader for.
    pub(super) ask: Option<Ask>,
    /// Not before then.
    pub(super) paused_until: Option<Instant>,
    /// How often in a row it could not be asked, or was refused.
    pub(super) troubles: u32,
    /// It cannot go on in this leader epoch.
    pub(super) failed: Option<ErrorCode>,
    /// What the leader has acknowledged, as far as it told.
    pub(super) leader_high_watermark: Option<Offset>,
}

/// What a follower asks its leader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whom, in which epoch.
    pub leadership: Leadership,
    /// The first offset wanted.
    pub fetch_offset: Offset,
    /// The epoch of the record before it.
    pub last_epoch: LeaderEpoch,
    /// Where its own log starts.
    pub log_start_offset: Offset,
    /// Everything below is acknowledged as far as it knows.
    pub high_watermark: Offset,
}

/// When a follower asks next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAsk {
    /// Now.
    Now(Ask),
    /// After a while.
    Later {
        /// Not before then.
        at: Instant,
        /// Whether that must not wait for others, who have something under way.
        is_urgent: bool,
    },
    /// Not before a throttle lets it; what others have under way goes on.
    Withheld {
        /// When it may, unless others took what there was.
        at: Instant,
    },
    /// Once the controller says something new.
    Never,
}

/// The first rest after trouble; each one after that is twice as long. A leader often hears of its
/// election a moment after its followers.
const FIRST_REST: Duration = Duration::from_millis(10);

/// Rests that are short, for what is likely to be over soon.
const URGENT_RESTS: u32 = 6;

impl Following {
    /// Begins to follow with a log as it is; waits where there is nobody to follow.
    pub(super) fn begin(log: &Log, leadership: Leadership) -> Self {
        let mut following = Self::default();
        if leadership.leader == NodeId::NONE {
            return following;
        }
        let mut outputs = Vec::new();
        following.machine = Some(Follower::begin(leadership, position(log), &mut outputs));
        for output in outputs {
            following.note_ask(&output, log);
        }
        following
    }

    /// What the machine wants to ask next, if that is what it says.
    pub(super) fn note_ask(&mut self, output: &follower::Output, log: &Log) {
        if let follower::Output::Fetch { from, fetch_offset, last_epoch } = output {
            self.resume();
            self.ask = Some(Ask {
                leadership: *from,
                fetch_offset: *fetch_offset,
                last_epoch: *last_epoch,
                log_start_offset: log.log_start_offset(),
                high_watermark: log.high_watermark(),
            });
        }
    }

    /// Rests for a while, for so long at most.
    pub(super) fn rest(&mut self, now: Instant, longest: Duration) {
        let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(self.troubles));
        self.troubles += 1;
        self.paused_until = Some(now.plus(rest.min(longest)));
    }

    /// Something has changed: it is tried again at once.
    pub(super) fn resume(&mut self) {
        self.paused_until = None;
        self.troubles = 0;
    }

    /// How many acknowledged offsets of its leader a log lacks that ends here; nothing where it has
    /// not heard of it yet.
    pub(super) fn lag(&self, end: Offset) -> Option<i64> {
        Some(self.leader_high_watermark?.0.saturating_sub(end.0).max(0))
    }

    /// What to do now.
    pub(super) fn next(&self, now: Instant) -> NextAsk {
        match (self.failed, self.ask, self.paused_until) {
            (Some(_), ..) | (_, None, _) => NextAsk::Never,
            (_, _, Some(at)) if now < at => {
                NextAsk::Later { at, is_urgent: self.troubles <= URGENT_RESTS }
            }
            (_, Some(ask), _) => NextAsk::Now(ask),
        }
    }
}

/// Where a follower's log stands.
pub(super) fn position(log: &Log) -> LogPosition {
    let (start_offset, end_offset) = (log.log_start_offset(), log.log_end_offset());
    let last_epoch = match end_offset > start_offset {
        true => log.reader().epoch_at(end_offset.plus(-1)),
        false => LeaderEpoch::NONE,
    };
    LogPosition { start_offset, end_offset, last_epoch, high_watermark: log.high_watermark() }
}
