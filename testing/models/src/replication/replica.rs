//! A replica of the partition on one broker.

use super::controller::{Controller, Rules, Set, has};
use super::model::{Design, Message};
use crate::log::Log;

/// What a broker has of the partition. Only the log outlives a crash, and a power cut takes the
/// end of it that was not synced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    pub(super) is_up: bool,
    /// What the witness says at the next start: another kernel, so pages may be gone.
    pub(super) is_lossy: bool,
    pub(super) log: Log,
    /// Kept only where records are synced before they count.
    pub(super) synced: u8,
    pub(super) high_watermark: u8,
    /// The leader epoch that it knows, and who leads it.
    pub(super) epoch: u8,
    pub(super) leader: Option<u8>,
    pub(super) leads: Option<Leadership>,
}

/// What a leader knows in its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leadership {
    partition_epoch: u8,
    isr: Set,
    /// What it has proposed and has no answer to.
    pub(super) proposed: Option<Set>,
    epoch_start: u8,
    /// How far each follower has fetched, and the broker epoch that it named; 0 is none.
    ends: [u8; 3],
    broker_epochs: [u8; 3],
}

impl Replica {
    pub(super) fn new() -> Self {
        Self {
            is_up: true,
            is_lossy: false,
            log: Log::default(),
            synced: 0,
            high_watermark: 0,
            epoch: 0,
            leader: None,
            leads: None,
        }
    }

    /// The end of the log as far as it counts.
    pub(super) fn end(&self, rules: Rules) -> u8 {
        if rules.scope.is_durable { self.synced } else { self.log.end_offset() }
    }

    pub(super) fn log_end(&self) -> (u8, u8) {
        (self.log.last_epoch(), self.log.end_offset())
    }

    /// Takes over what the metadata log says now; what it said in between it may miss.
    pub(super) fn learn(&mut self, rules: Rules, id: u8, image: &Controller) {
        let is_new = image.leader_epoch > self.epoch;
        (self.epoch, self.leader) = (image.leader_epoch, image.leader);
        if image.leader != Some(id) {
            self.leads = None;
            if is_new && rules.design == Design::TruncateToHighWatermark {
                self.truncate(self.high_watermark);
            }
            return;
        }
        let (partition_epoch, isr) = (image.partition_epoch, image.isr);
        match &mut self.leads {
            Some(leads) if !is_new => {
                if leads.partition_epoch < partition_epoch {
                    (leads.partition_epoch, leads.isr, leads.proposed) =
                        (partition_epoch, isr, None);
                }
            }
            _ => {
                self.leads = Some(Leadership {
                    partition_epoch,
                    isr,
                    proposed: None,
                    epoch_start: self.log.end_offset(),
                    ends: [0; 3],
                    broker_epochs: [0; 3],
                });
            }
        }
    }

    /// Whether it appends for a producer that waits for all: `replica::Leader::admit`.
    pub(super) fn admits(&self, rules: Rules) -> bool {
        let isr = self.leads.as_ref().map_or(0, |leads| leads.isr);
        rules.design == Design::AcknowledgeBelowMinInsync
            || isr.count_ones() >= u32::from(rules.scope.min_insync)
    }

    /// Where the high watermark may stand: `replica::Leader::advance`. It is over everyone that
    /// the controller may count as in sync: those that it does, as far as the leader knows, and
    /// those that the leader has proposed.
    pub(super) fn advance(&mut self, rules: Rules, id: u8) {
        let own_end = self.end(rules);
        let is_admitted = self.admits(rules);
        let Some(leads) = &self.leads else { return };
        let proposed = leads.proposed.unwrap_or(leads.isr);
        let isr = match rules.design {
            Design::SmallerIsrCounts => leads.isr & proposed,
            _ => leads.isr | proposed,
        };
        let end = |at: u8| if at == id { own_end } else { leads.ends[usize::from(at)] };
        let end = (0..3).filter(|at| has(isr, *at)).map(end).min().unwrap_or(0);
        if is_admitted {
            self.high_watermark = self.high_watermark.max(end.min(self.log.end_offset()));
        }
    }

    /// A follower has fetched. What an incarnation before the one that the leader has heard of has
    /// fetched may be lost since.
    pub(super) fn note(&mut self, rules: Rules, id: u8, end: u8, broker_epoch: u8) {
        let Some(leads) = &mut self.leads else { return };
        let known = &mut leads.broker_epochs[usize::from(id)];
        if broker_epoch >= *known || rules.design == Design::OldIncarnationCounts {
            *known = broker_epoch;
            leads.ends[usize::from(id)] = end;
        }
    }

    /// Proposes that a follower leave the ISR, or join it: it has everything that may be
    /// acknowledged, which a high watermark alone does not say at the beginning of an epoch.
    pub(super) fn propose(&mut self, rules: Rules, id: u8, follower: u8) -> Option<Message> {
        let (epoch, high_watermark) = (self.epoch, self.high_watermark);
        let leads = self.leads.as_mut().filter(|leads| leads.proposed.is_none())?;
        let at = usize::from(follower);
        let has_fetched = leads.broker_epochs[at] > 0;
        let is_past_start =
            leads.ends[at] >= leads.epoch_start || rules.design == Design::NoEpochStart;
        let is_caught_up = has_fetched && leads.ends[at] >= high_watermark && is_past_start;
        if follower == id || !has(leads.isr, follower) && !is_caught_up {
            return None;
        }
        let isr = leads.isr ^ 1 << follower;
        leads.proposed = Some(isr);
        let (partition_epoch, broker_epochs) = (leads.partition_epoch, leads.broker_epochs);
        let leader_epoch = epoch;
        Some(Message::Alter { from: id, leader_epoch, partition_epoch, isr, broker_epochs })
    }

    /// Who the leader takes to be in sync, at most.
    pub(super) fn maximal_isr(&self) -> Option<(Set, u8)> {
        let leads = self.leads.as_ref()?;
        Some((leads.isr | leads.proposed.unwrap_or(0), leads.partition_epoch))
    }

    pub(super) fn truncate(&mut self, end_offset: u8) {
        self.log.truncate(end_offset);
        let end = self.log.end_offset();
        (self.synced, self.high_watermark) = (self.synced.min(end), self.high_watermark.min(end));
    }

    /// The process ends; with the kernel, what follows `kept` ends too.
    pub(super) fn crash(&mut self, kept: Option<u8>) {
        let mut log = self.log;
        log.truncate(kept.unwrap_or(log.end_offset()));
        let synced = self.synced.min(log.end_offset());
        let is_lossy = self.is_lossy || kept.is_some();
        *self = Self { is_up: false, is_lossy, log, synced, ..Self::new() };
    }
}
