//! What the controller knows of a partition and its brokers, and how it decides.
//!
//! It is one actor that never fails: its log is a quorum's, which has a model of its own.

use super::model::{Design, Message, Scope};

/// A set of replicas, one bit each.
pub(super) type Set = u8;

/// Whether a replica is in a set.
pub(super) fn has(set: Set, id: u8) -> bool {
    set >> id & 1 == 1
}

/// The partition, as the metadata log has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Controller {
    pub(super) leader: Option<u8>,
    pub(super) leader_epoch: u8,
    pub(super) partition_epoch: u8,
    pub(super) isr: Set,
    /// Left the ISR while it was too small to acknowledge, so they have all that is acknowledged.
    pub(super) elr: Set,
    /// Registered and not fenced.
    pub(super) active: Set,
    pub(super) broker_epochs: [u8; 3],
}

/// The rules by which it decides.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) design: Design,
    pub(super) scope: Scope,
}

impl Controller {
    /// All replicas are in sync, and the first one leads epoch 1.
    pub(super) fn new(replicas: u8) -> Self {
        let all = (1 << replicas) - 1;
        Self {
            leader: Some(0),
            leader_epoch: 1,
            partition_epoch: 1,
            isr: all,
            elr: 0,
            active: all,
            broker_epochs: [1; 3],
        }
    }

    /// A session lapsed: `controller::elections::without_broker`.
    pub(super) fn fence(&mut self, rules: Rules, id: u8) {
        self.active &= !(1 << id);
        if self.leader == Some(id) || has(self.isr, id) {
            self.leave_isr(rules, id);
            self.elect(None);
        }
    }

    /// A broker registers after a restart. One that may have lost records is in no set until it
    /// has caught up; one that leads begins another epoch, since it may append other records at
    /// offsets that it had not written down (`controller::elections::after_lossy_restart`).
    pub(super) fn register(&mut self, rules: Rules, id: u8, is_lossy: bool) {
        self.broker_epochs[usize::from(id)] += 1;
        let is_kept = rules.design == Design::LossyRestartKept || rules.scope.is_durable;
        if is_lossy && !is_kept {
            let before = (self.isr, self.elr);
            self.leave_isr(rules, id);
            if !has(self.isr, id) {
                self.elr &= !(1 << id);
            }
            if before != (self.isr, self.elr) {
                self.elect(Some(id));
            }
        } else if self.leader == Some(id) {
            self.elect(Some(id));
        }
    }

    /// A broker has caught up with the metadata: `controller::elections::with_broker`.
    pub(super) fn unfence(&mut self, id: u8) {
        self.active |= 1 << id;
        if self.leader.is_none() {
            self.elect(None);
        }
    }

    /// Decides a proposal of the leader: `controller::isr::alter_partitions`. Answers whether it
    /// is accepted.
    pub(super) fn alter(&mut self, rules: Rules, proposal: Message) -> bool {
        let Message::Alter { from, leader_epoch, partition_epoch, isr, broker_epochs } = proposal
        else {
            return false;
        };
        let is_current = leader_epoch == self.leader_epoch
            && partition_epoch == self.partition_epoch
            && self.leader == Some(from);
        let is_same = |id: u8| {
            let (named, known) =
                (broker_epochs[usize::from(id)], self.broker_epochs[usize::from(id)]);
            named == 0 || named == known || rules.design == Design::JoinWithoutBrokerEpoch
        };
        let may_join = |id: u8| has(self.active, id) && is_same(id);
        if !is_current || !(0..3).filter(|id| has(isr, *id)).all(may_join) {
            return false;
        }
        let left = self.isr & !isr;
        self.isr = isr;
        self.keep_eligible(rules, left);
        self.partition_epoch += 1;
        true
    }

    fn leave_isr(&mut self, rules: Rules, id: u8) {
        let isr = self.isr & !(1 << id);
        // Without eligible leaders the last one stays in the ISR, whatever became of its log.
        if isr == 0 && rules.design == Design::NoEligibleLeaders {
            return;
        }
        let left = self.isr & !isr;
        self.isr = isr;
        self.keep_eligible(rules, left);
    }

    /// An ISR that is too small acknowledges nothing, so who leaves it misses nothing.
    fn keep_eligible(&mut self, rules: Rules, left: Set) {
        let is_small = self.isr.count_ones() < u32::from(rules.scope.min_insync);
        let is_kept = is_small && rules.design != Design::NoEligibleLeaders;
        self.elr = if is_kept { (self.elr | left) & !self.isr } else { 0 };
    }

    /// The leader stays while it may, unless its log is renewed; else the first in the ISR, or,
    /// where that is empty, the first that is eligible (`controller::elections::clean_leader`).
    fn elect(&mut self, renewed: Option<u8>) {
        let eligible = if self.isr == 0 { self.elr } else { self.isr };
        let may_lead = |id: &u8| has(self.active, *id) && has(eligible, *id);
        let leader = self.leader.filter(may_lead).or_else(|| (0..3).find(may_lead));
        if leader != self.leader || renewed.is_some() && leader == renewed {
            self.leader_epoch += 1;
        }
        self.leader = leader;
        if let (Some(leader), 0) = (leader, self.isr) {
            self.isr = 1 << leader;
            self.elr &= !self.isr;
        }
        self.partition_epoch += 1;
    }
}
