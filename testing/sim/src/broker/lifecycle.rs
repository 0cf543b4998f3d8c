//! How a broker becomes part of the cluster, stays it, and leaves.

use milena_cluster::controller::brokers::{Application, Registration};
use milena_cluster::controller::features::SUPPORTED;
use milena_cluster::controller::heartbeats::Heartbeat;
use milena_cluster::quorum;
use milena_cluster::replica::{self, Input};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{BrokerEpoch, NodeId, ProducerId};

use super::leader::decided;
use crate::bugs::HostBug;
use crate::bugs::replica::Bug;
use crate::network::{Ask, Message, Told};
use crate::quorum_checks::Violation;
use crate::world::World;

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// What a broker asks to be registered with.
    pub fn application(&self, id: NodeId) -> Option<Application> {
        let host = self.hosts.get(&id)?;
        let broker = host.broker()?;
        let claims = self.bugs.broker == Bug::LossyEligible;
        let last = host.witness.map(|(epoch, _)| epoch).filter(|_| claims);
        let registration = Registration {
            id,
            incarnation_id: broker.incarnation,
            previous_epoch: host.previous_epoch().or(last),
            endpoints: Vec::new(),
            rack: None,
            log_dirs: vec![host.directory()],
        };
        let features = SUPPORTED.iter().map(|it| (it.name.into(), it.min_level, it.max_level));
        Some(Application { registration, features: features.collect(), is_migrating: false })
    }

    /// A broker registers until it has an answer, then it says that it is there.
    pub fn beat(&mut self, id: NodeId) -> Result<(), Violation> {
        let bug = self.bugs.host;
        let host = self.host_mut(id);
        let boot = host.boot;
        let leads = host.process.as_ref().is_some_and(|process| process.office.is_some());
        let Some(broker) = host.broker_mut() else { return Ok(()) };
        let Some(epoch) = broker.epoch else {
            let incarnation = broker.incarnation;
            let has_begun = broker.registered.is_some() && bug != HostBug::RoleBeforeWitness;
            // Should the answer not find it alive, the next run takes the registration up again.
            let forgets = leads && bug == HostBug::UnnotedRegistration;
            if !has_begun && !forgets {
                host.unanswered = Some((incarnation, boot));
            }
            if leads {
                return self.register_here(id);
            }
            if let Some(application) = self.application(id) {
                self.ask_controller(id, Ask::Register(application));
            }
            return Ok(());
        };
        let beat = Heartbeat {
            metadata_offset: broker.image.offset(),
            wants_shut_down: broker.wants_shut_down,
            ..Heartbeat::of(id, epoch)
        };
        let needs_ids = broker.producer_ids.is_empty();
        self.ask_controller(id, Ask::Beat(beat));
        if needs_ids {
            self.ask_controller(id, Ask::ProducerIds { epoch });
        }
        Ok(())
    }

    /// Asks whoever is the active controller as far as this node knows; answers the number of the
    /// request.
    pub fn ask_controller(&mut self, id: NodeId, ask: Ask) -> Option<u64> {
        let host = self.host_mut(id);
        let number = host.broker_mut()?.next_ask();
        let leader = host.quorum()?.leader();
        if let Some(leader) = leader {
            self.send(id, leader, None, Message::Ask { id: number, ask });
        }
        Some(number)
    }

    /// The controller answers a broker, or the administrator.
    pub fn told(
        &mut self,
        id: NodeId,
        number: u64,
        told: Result<Told, ErrorCode>,
    ) -> Result<(), Violation> {
        if !self.hosts.contains_key(&id) {
            self.administered(number, told);
            return Ok(());
        }
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        if !broker.is_awaited(number) {
            return Ok(());
        }
        if let Some((key, proposal)) = broker.proposals.remove(&number) {
            let answer = told.and_then(|told| match told {
                Told::Altered(altered) => Ok(decided(altered)),
                _ => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
            });
            return self.lead(id, key, Input::Answered { proposal, answer });
        }
        match told {
            Ok(Told::Registered(epoch)) => self.registered(id, epoch),
            Ok(Told::Beat(answer)) if answer.should_shut_down => {
                self.met("drained");
                self.stop(id, false);
            }
            Ok(Told::ProducerIds(first, end)) => {
                broker.producer_ids = (first..end).rev().map(ProducerId).collect();
                return self.checks.given((first, end));
            }
            _ => {}
        }
        Ok(())
    }

    fn registered(&mut self, id: NodeId, epoch: BrokerEpoch) {
        let host = self.host_mut(id);
        if let Some(broker) = host.broker_mut().filter(|broker| broker.epoch.is_none()) {
            broker.epoch = Some(epoch);
            host.note_registration(epoch);
        }
    }
}
