//! What reaches the controller, and what a broker says to it.

use milena_cluster::controller::heartbeats::Heartbeat;
use milena_cluster::controller::isr::{Altered, IsrChange};
use milena_cluster::replica::{Proposal, Rules};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, Uuid};

use super::{CONTROLLER, Event, Message, TICK, World};
use crate::bugs::Bug;
use crate::register::{INDEX, TOPIC};

impl<R: Rules> World<R> {
    pub(super) fn decide(&mut self, from: NodeId, run: u64, message: Message) {
        match message {
            Message::Register { incarnation, previous_epoch } => {
                self.admit(from, run, incarnation, previous_epoch);
            }
            Message::Heartbeat { epoch, metadata_offset, wants_shut_down } => {
                let beat =
                    Heartbeat { metadata_offset, wants_shut_down, ..Heartbeat::of(from, epoch) };
                let (answer, is_changed) = self.register.hear(&beat);
                if answer.is_ok() {
                    self.register.heard_at.insert(from, self.now);
                }
                let image = self.register.image();
                self.send(CONTROLLER, from, run, Message::Metadata(image));
                self.decided(is_changed);
            }
            Message::Alter { epoch, proposal } => {
                let id = proposal.id;
                let answer = self.alter(from, epoch, proposal);
                self.send(CONTROLLER, from, run, Message::Altered { proposal: id, answer });
            }
            _ => {}
        }
    }

    fn admit(
        &mut self,
        from: NodeId,
        run: u64,
        incarnation: Uuid,
        previous_epoch: Option<BrokerEpoch>,
    ) {
        // Its connection ended with the process.
        if self.brokers[&from].run != run || self.brokers[&from].process.is_none() {
            return;
        }
        let is_lossless =
            previous_epoch.is_some() && previous_epoch == self.register.epoch_of(from);
        let known = self.register.epoch_of(from);
        let admitted = self.register.register(from, incarnation, previous_epoch);
        let Ok(epoch) = admitted else { return };
        if Some(epoch) != known {
            self.met(if is_lossless { "lossless restart" } else { "lossy restart" });
            self.broker(from).is_unaware = false;
        }
        self.register.heard_at.insert(from, self.now);
        self.send(CONTROLLER, from, run, Message::Registered { epoch });
        self.decided(true);
    }

    fn alter(
        &mut self,
        from: NodeId,
        epoch: BrokerEpoch,
        proposal: Proposal,
    ) -> Result<Altered, ErrorCode> {
        let names_epochs = self.bug != Bug::JoinWithoutBrokerEpoch;
        let before = self.register.partition().isr.len();
        let isr = proposal.isr.into_iter();
        let change = IsrChange {
            topic_id: TOPIC,
            partition: INDEX,
            leader_epoch: proposal.id.leader_epoch,
            partition_epoch: proposal.partition_epoch,
            isr: isr.map(|(id, epoch)| (id, epoch.filter(|_| names_epochs))).collect(),
            is_recovering: proposal.is_recovering,
        };
        let (answer, is_changed) =
            self.register.decide(|machine| machine.alter_partitions(from, epoch, &[change]));
        self.decided(is_changed);
        let answer = answer.map_err(|refused| refused.code)?.pop().expect("one was asked for");
        let after = self.register.partition().isr.len();
        self.met(match &answer {
            Err(refused) if refused.code == ErrorCode::INELIGIBLE_REPLICA => "refused",
            Err(_) => "proposal refused",
            Ok(_) if after > before => "expanded",
            Ok(_) if after < before => "shrunk",
            Ok(_) => "withdrawn",
        });
        answer.map_err(|refused| refused.code)
    }

    /// Tells all brokers, sooner or later, what was decided.
    pub(super) fn decided(&mut self, is_changed: bool) {
        if !is_changed {
            return;
        }
        self.is_changed = true;
        let partition = self.register.partition().clone();
        for id in &partition.isr {
            if !self.brokers[id].is_unaware {
                self.lost.remove(id);
            }
        }
        if self.eligible.contains(&partition.leader) {
            self.met("elected of the eligible");
        }
        self.note(|_| format!("{partition:?}"));
        self.eligible = partition.elr;
        let image = self.register.image();
        for id in self.ids() {
            let run = self.brokers[&id].run;
            self.send(CONTROLLER, id, run, Message::Metadata(std::sync::Arc::clone(&image)));
        }
    }

    pub(super) fn look_for_silence(&mut self) {
        self.at(TICK, Event::LookForSilence);
        let session = self.plan.session;
        let now = self.now;
        let is_silent = |at: u64| now - at > session;
        let silent: Vec<NodeId> = self
            .register
            .heard_at
            .iter()
            .filter(|(id, at)| is_silent(**at) && self.register.is_live(**id))
            .map(|(id, _)| *id)
            .collect();
        for id in silent {
            let ((), is_changed) = self.register.decide(|machine| machine.fence_broker(id));
            self.decided(is_changed);
        }
    }

    /// A broker registers until it has an answer, then it says that it is there.
    pub(super) fn beat(&mut self, id: NodeId) {
        let knows_better = self.bug == Bug::LossyEligible;
        let broker = &self.brokers[&id];
        let Some(process) = &broker.process else { return };
        let message = match process.epoch {
            None => {
                let last = broker.disk.witness.map(|(epoch, _)| epoch).filter(|_| knows_better);
                let previous_epoch = broker.previous_epoch().or(last);
                Message::Register { incarnation: process.incarnation, previous_epoch }
            }
            Some(epoch) => Message::Heartbeat {
                epoch,
                metadata_offset: process
                    .image
                    .as_ref()
                    .map_or(milena_protocol::ids::Offset::NONE, |image| image.offset()),
                wants_shut_down: process.wants_shut_down,
            },
        };
        let run = broker.run;
        self.send(id, CONTROLLER, run, message);
    }

    pub(super) fn registered(&mut self, id: NodeId, epoch: BrokerEpoch) {
        let broker = self.broker(id);
        broker.disk.witness = Some((epoch, broker.disk.boot));
        broker.disk.unanswered = None;
        if let Some(process) = &mut broker.process {
            process.epoch = Some(epoch);
        }
    }
}
