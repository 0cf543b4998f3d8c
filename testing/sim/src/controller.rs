//! The active controller's work, as the driver of a node does it: it decides, what follows is
//! appended, and the answer goes once that is committed and in effect here.

use milena_cluster::controller::brokers::Registration;
use milena_cluster::controller::{Controller, Decision, Proposal, Refused, Sessions, features};
use milena_cluster::quorum::{self, Input};
use milena_cluster::replica;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::NodeId;
use milena_protocol::metadata_record::MetadataRecord;

use crate::bugs::replica::Bug;
use crate::checks::require;
use crate::host::{News, Office, Reply};
use crate::network::{Ask, Message, Told};
use crate::quorum_checks::Violation;
use crate::world::World;

/// What is decided: the records, and what is answered once they are committed.
type Decided = (Vec<MetadataRecord>, Result<Told, ErrorCode>);

fn decided<A>(decision: Decision<A>, told: impl FnOnce(A) -> Result<Told, ErrorCode>) -> Decided {
    (decision.records, told(decision.answer))
}

fn code(refused: Refused) -> ErrorCode {
    refused.code
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// Takes over the controller's work in an epoch that this node has begun to lead. A cluster
    /// without anything gets its features.
    pub fn claim(&mut self, id: NodeId) -> Result<(), Violation> {
        let Some(now) = self.clock(id) else { return Ok(()) };
        let host = self.host_mut(id);
        let leads = host.is_leading();
        let Some(process) = &mut host.process else { return Ok(()) };
        let leads_in = leads.then(|| process.quorum.epoch());
        let controller = process.ledger.controller();
        if leads_in == process.office.as_ref().map(|office| office.epoch) {
            if let Some(office) = &mut process.office {
                office.sessions.follow(now.instant, controller.image());
                office.sessions.check_invariants(controller.image());
            }
            return Ok(());
        }
        let chores_at = now.instant.plus(controller.chores_interval(0));
        let sessions =
            Sessions::begin(now.instant, controller.session_timeout(), controller.image());
        process.office = leads_in.map(|epoch| Office { epoch, sessions, chores_at });
        let is_bare = controller.image().feature(features::METADATA_VERSION) == 0;
        if leads_in.is_some() && is_bare {
            // The administrator raises it where the plan says so.
            return self.propose(id, crate::beginning::without_eligible());
        }
        Ok(())
    }

    /// This node leads no longer: whoever waits asks the next leader.
    pub fn resigned(&mut self, id: NodeId) {
        self.met("quorum leader resigned");
        let Some(process) = &mut self.host_mut(id).process else { return };
        let waiting = std::mem::take(&mut process.waiting);
        let refused =
            |(_, reply): (_, Reply)| Reply { told: Err(ErrorCode::NOT_CONTROLLER), ..reply };
        let replies = waiting.into_iter().map(refused).collect();
        self.reply(id, replies);
    }

    fn reply(&mut self, id: NodeId, replies: Vec<Reply>) {
        for Reply { to, run, id: number, told } in replies {
            self.send(id, to, Some(run), Message::Told { id: number, told });
        }
    }

    /// The next of what is committed takes effect, and is answered.
    pub fn take_news(&mut self, id: NodeId) -> Result<(), Violation> {
        let process = self.host_mut(id).process.as_mut();
        let Some(News { image, replies }) = process.and_then(|it| it.news.pop_front()) else {
            return Ok(());
        };
        if let Some((image, changes)) = image {
            self.publish(id, &image, &changes)?;
        }
        self.reply(id, replies);
        Ok(())
    }

    fn propose(&mut self, id: NodeId, records: Vec<MetadataRecord>) -> Result<(), Violation> {
        if records.is_empty() {
            return Ok(());
        }
        let Some(process) = &self.host(id).process else { return Ok(()) };
        let level = process.ledger.controller().image().metadata_version();
        let proposal = Proposal::encode(records, level).map_err(|error| error.to_string())?;
        self.step(id, Input::Propose(proposal.values))?;
        let process = self.host_mut(id).process.as_mut();
        match process.is_some_and(|process| std::mem::take(&mut process.is_rejected)) {
            true => Err(format!("{id} decides and does not lead")),
            false => Ok(()),
        }
    }

    /// What time brings: brokers that are silent, and leaders that are to be looked over.
    pub fn keep_office(&mut self, id: NodeId) -> Result<(), Violation> {
        let Some(now) = self.clock(id) else { return Ok(()) };
        loop {
            let Some(process) = &self.host(id).process else { return Ok(()) };
            let Some(office) = &process.office else { return Ok(()) };
            let controller = process.ledger.controller();
            let Decision { records, answer } =
                controller.fence_stale(now.instant, &office.sessions);
            let Some(broker) = answer else { break };
            self.met("fenced");
            self.note(format_args!("{id} fences {broker}"));
            self.propose(id, records)?;
        }
        let Some(process) = &mut self.host_mut(id).process else { return Ok(()) };
        let controller = process.ledger.controller();
        let is_due = |office: &&mut Office| office.chores_at <= now.instant;
        let Some(office) = process.office.as_mut().filter(is_due) else { return Ok(()) };
        let Decision { records, answer } = controller.chores();
        office.chores_at = now.instant.plus(controller.chores_interval(answer));
        self.propose(id, records)
    }

    /// Somebody asks the active controller.
    pub fn asked(
        &mut self,
        id: NodeId,
        (from, run): (NodeId, u64),
        number: u64,
        ask: Ask,
    ) -> Result<(), Violation> {
        let mut reply = Reply { to: from, run, id: number, told: Err(ErrorCode::NOT_CONTROLLER) };
        let is_there = self.hosts.get(&from).is_none_or(|it| it.run == run && it.process.is_some());
        if matches!(ask, Ask::Register(_)) && !is_there {
            // Its connection ended with it.
            return Ok(());
        }
        let is_active = self.host(id).process.as_ref().is_some_and(|it| it.office.is_some());
        if !is_active {
            self.reply(id, vec![reply]);
            return Ok(());
        }
        if let Ask::Register(application) = &ask {
            self.check_application(id, &application.registration)?;
        }
        let (records, told) = self.decide(id, from, ask);
        reply.told = told;
        self.propose(id, records)?;
        let Some(process) = &mut self.host_mut(id).process else { return Ok(()) };
        let end = process.quorum.log_end_offset();
        process.waiting.push_back((end, reply));
        // Nothing may have been decided, and everything before it be committed.
        self.tell(id, None);
        Ok(())
    }

    fn decide(&mut self, id: NodeId, from: NodeId, ask: Ask) -> Decided {
        let not_controller = (Vec::new(), Err(ErrorCode::NOT_CONTROLLER));
        let bug = self.bugs.broker;
        let Some(now) = self.clock(id).map(|now| now.instant) else { return not_controller };
        let Some(process) = &mut self.host_mut(id).process else { return not_controller };
        let controller = process.ledger.controller();
        let Some(Office { sessions, .. }) = &mut process.office else { return not_controller };
        match ask {
            Ask::Register(application) => {
                let mut decision = controller.admit_broker(now, &application, sessions);
                if bug == Bug::LossyRestartKept {
                    decision.records.truncate(1);
                }
                decided(decision, |answer| answer.map(Told::Registered).map_err(code))
            }
            Ask::Beat(beat) => {
                sessions.heard(now, beat.id, beat.epoch, beat.metadata_offset);
                let decision = controller.heartbeat(&beat, sessions);
                decided(decision, |answer| answer.map(Told::Beat).map_err(code))
            }
            Ask::Alter { epoch, mut change } => {
                if bug == Bug::JoinWithoutBrokerEpoch {
                    change.isr.iter_mut().for_each(|(_, epoch)| *epoch = None);
                }
                let decision = controller.alter_partitions(from, epoch, &[change]);
                decided(decision, |answer| {
                    let altered = answer.map_err(code)?.pop();
                    let altered = altered.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
                    altered.map(Told::Altered).map_err(code)
                })
            }
            Ask::ProducerIds { epoch } => {
                let decision = controller.allocate_producer_ids_to(from, epoch);
                decided(decision, |answer| {
                    let (first, end) = answer.map_err(code)?;
                    Ok(Told::ProducerIds(first, end))
                })
            }
            ask => administered(controller, ask),
        }
    }

    /// Who has lost nothing is not taken for one who has.
    fn check_application(&self, id: NodeId, asked: &Registration) -> Result<(), Violation> {
        let Some(process) = &self.host(id).process else { return Ok(()) };
        let known = process.ledger.controller().image().broker(asked.id);
        let is_known = known.is_none_or(|known| {
            known.incarnation_id == asked.incarnation_id
                || asked.previous_epoch == Some(known.epoch)
        });
        require(is_known || self.host(asked.id).is_unaware, || {
            format!("{} has lost nothing, and is taken for one that has", asked.id)
        })
    }

    /// Registers the broker of the active controller's own node, and lets it in together with
    /// that.
    pub fn register_here(&mut self, id: NodeId) -> Result<(), Violation> {
        let Some(registration) = self.application(id).map(|it| it.registration) else {
            return Ok(());
        };
        let host = self.host_mut(id);
        let run = host.run;
        let Some(number) = host.broker_mut().map(|broker| broker.next_ask()) else { return Ok(()) };
        self.check_application(id, &registration)?;
        let Some(process) = &self.host(id).process else { return Ok(()) };
        let decision = process.ledger.controller().register_broker(&registration);
        let told = Ok(Told::Registered(decision.answer));
        let reply = Reply { to: id, run, id: number, told };
        self.propose(id, decision.records)?;
        let Some(process) = &self.host(id).process else { return Ok(()) };
        let let_in = process.ledger.controller().unfence_broker(id).records;
        self.propose(id, let_in)?;
        let Some(process) = &mut self.host_mut(id).process else { return Ok(()) };
        let end = process.quorum.log_end_offset();
        process.waiting.push_back((end, reply));
        self.tell(id, None);
        Ok(())
    }
}

/// What an administrator asks for.
fn administered(controller: &Controller, ask: Ask) -> Decided {
    match ask {
        Ask::EnableEligible => {
            let update = features::FeatureUpdate {
                name: features::ELIGIBLE_LEADERS.to_owned(),
                level: 1,
                upgrade_type: 1,
            };
            decided(controller.update_features(&[update], false), |_| Ok(Told::Done))
        }
        Ask::CreateTopic(topic) => {
            decided(controller.create_topics(&[topic], false), |mut answer| match answer.pop() {
                Some(Err(refused)) if refused.code != ErrorCode::TOPIC_ALREADY_EXISTS => {
                    Err(refused.code)
                }
                _ => Ok(Told::Done),
            })
        }
        Ask::Reassign(wanted) => decided(controller.reassign(&[wanted], true), |_| Ok(Told::Done)),
        Ask::Elect => decided(controller.elect_leaders(None, false), |_| Ok(Told::Done)),
        Ask::Register(_) | Ask::Beat(_) | Ask::Alter { .. } | Ask::ProducerIds { .. } => {
            (Vec::new(), Err(ErrorCode::UNKNOWN_SERVER_ERROR))
        }
    }
}
