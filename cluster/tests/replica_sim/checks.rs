//! What must hold whatever happens, one checker per property.

use std::collections::BTreeMap;

use milena_protocol::ids::{LeaderEpoch, NodeId};

use crate::log::{Log, Record};

/// What was broken.
pub type Violation = String;

/// Fails with a text unless a condition holds.
pub fn ensure(holds: bool, violation: impl FnOnce() -> Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation()) }
}

/// The checkers of a run.
#[derive(Debug)]
pub struct Checks {
    leaders: BTreeMap<LeaderEpoch, (NodeId, u64)>,
    /// Everything that was ever below a leader's high watermark: it was shown, and what acks=all
    /// waited for is in it.
    pub shown: Vec<Record>,
    /// The last epoch that added to it.
    shown_in: LeaderEpoch,
    /// An unclean leader began this epoch: what leaders before it say counts no more.
    unclean: LeaderEpoch,
    promises: bool,
    /// Records lost in unclean elections, all of them told.
    pub told_losses: usize,
}

impl Checks {
    pub fn new(promises: bool) -> Self {
        Self {
            leaders: BTreeMap::new(),
            shown: Vec::new(),
            shown_in: LeaderEpoch::NONE,
            unclean: LeaderEpoch::NONE,
            promises,
            told_losses: 0,
        }
    }

    /// A leader begins: the only one of its epoch, with everything that was shown. One that was
    /// elected unclean may lack some, where nothing else was promised.
    pub fn leads(
        &mut self,
        (id, run): (NodeId, u64),
        epoch: LeaderEpoch,
        is_recovering: bool,
        log: &Log,
    ) -> Result<(), Violation> {
        let leader = *self.leaders.entry(epoch).or_insert((id, run));
        ensure(leader == (id, run), || format!("{leader:?} and {:?} lead {epoch}", (id, run)))?;
        if is_recovering {
            ensure(!self.promises, || format!("{id} is elected unclean, in epoch {epoch}"))?;
            self.unclean = self.unclean.max(epoch);
            let common = log.common(&self.shown);
            self.told_losses += self.shown.len() - common;
            self.shown.truncate(common);
            self.shown_in = self.shown_in.min(epoch);
            return Ok(());
        }
        self.has_all(id, epoch, log)
    }

    /// A leader of the last epochs has everything that was shown.
    pub fn has_all(&self, id: NodeId, epoch: LeaderEpoch, log: &Log) -> Result<(), Violation> {
        let is_old = epoch < self.shown_in || epoch < self.unclean;
        ensure(is_old || log.starts_with(&self.shown), || {
            let lacks = log.common(&self.shown);
            format!("{id} leads epoch {epoch} without what was acknowledged at {lacks}")
        })
    }

    /// A leader's high watermark moved: what is below was shown by no other leader otherwise.
    pub fn acknowledges(
        &mut self,
        id: NodeId,
        epoch: LeaderEpoch,
        log: &Log,
        high_watermark: usize,
    ) -> Result<(), Violation> {
        if epoch < self.unclean {
            return Ok(());
        }
        let below = &log.records[..high_watermark];
        let common = log.common(&self.shown).min(high_watermark);
        ensure(common == high_watermark.min(self.shown.len()), || {
            format!("{id} acknowledges another record at {common}, in epoch {epoch}")
        })?;
        if below.len() > self.shown.len() {
            self.shown = below.to_vec();
            self.shown_in = self.shown_in.max(epoch);
        }
        Ok(())
    }

    /// A follower shows what is below its high watermark (KIP-392): nothing that a leader did not.
    pub fn follower_shows(&self, id: NodeId, shown: &[Record]) -> Result<(), Violation> {
        ensure(self.had_unclean() || self.shown.starts_with(shown), || {
            format!("{id} follows and shows what no leader has acknowledged")
        })
    }

    /// A follower cuts its log.
    pub fn cuts(&self, id: NodeId, end: usize, high_watermark: usize) -> Result<(), Violation> {
        ensure(self.had_unclean() || end >= high_watermark, || {
            format!("{id} cuts its log to {end}, below its high watermark {high_watermark}")
        })
    }

    /// Whoever the controller may elect has everything.
    pub fn may_lead(&self, id: NodeId, log: &Log) -> Result<(), Violation> {
        ensure(log.starts_with(&self.shown), || {
            let lacks = log.common(&self.shown);
            format!("{id} may be elected without what was acknowledged at {lacks}")
        })
    }

    fn had_unclean(&self) -> bool {
        self.unclean > LeaderEpoch::NONE
    }
}
