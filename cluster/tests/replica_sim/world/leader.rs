//! A broker as a leader: what it appends, serves, proposes and acknowledges.

use milena_cluster::controller::isr::Altered;
use milena_cluster::replica::follower::Answer;
use milena_cluster::replica::{
    Begin, Decided, Fetch, Input, Leader, Output, Proposal, Rules, Settings, Standing,
};
use milena_cluster::time::Instant;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use super::{CONTROLLER, Event, Message, PATIENCE, World};
use crate::broker::Role;
use crate::bugs::Bug;
use crate::checks::{Violation, ensure};
use crate::log::{Record, count};

/// Records in an answer at most.
const MOST: u64 = 3;

/// The controller's answer as a leader takes it.
pub(super) fn decided(altered: Altered) -> Decided {
    Decided {
        leader_epoch: altered.leader_epoch,
        partition_epoch: altered.partition_epoch,
        isr: altered.isr,
        is_recovering: altered.leader_recovery_state != 0,
    }
}

impl<R: Rules> World<R> {
    pub(super) fn begin_to_lead(
        &mut self,
        id: NodeId,
        standing: Standing,
    ) -> Result<(), Violation> {
        let (epoch, is_recovering) = (standing.leader_epoch, standing.is_recovering);
        let is_durable = self.plan.is_durable;
        let settings = Settings {
            min_insync_replicas: self.plan.min_insync,
            max_lag: std::time::Duration::from_millis(self.plan.max_lag),
        };
        let now = Instant(self.now);
        let broker = self.broker(id);
        if is_durable {
            broker.disk.log.sync();
        }
        let run = broker.run;
        let log_end_offset = broker.disk.log.end();
        let Some(process) = &mut broker.process else { return Ok(()) };
        let high_watermark = process.high_watermark;
        let begin = Begin { node: id, standing, log_end_offset, high_watermark, settings };
        let mut outputs = Vec::new();
        let machine = Box::new(Leader::begin(begin, now, &mut outputs));
        process.role = Role::Leader { machine, waiting: Vec::new() };
        self.is_changed = true;
        self.met(if is_recovering { "unclean" } else { "elected" });
        if self.rng.chance(self.plan.frail_leaders) {
            let delay = self.rng.within(1, 200);
            self.at(delay, Event::Depose(id));
        }
        self.checks.leads((id, run), epoch, is_recovering, &self.brokers[&id].disk.log)?;
        self.execute(id, outputs)
    }

    /// Lets a leader take an input, and does what follows from it.
    pub(super) fn lead(&mut self, id: NodeId, input: Input) -> Result<(), Violation> {
        let now = Instant(self.now);
        let Some(process) = &mut self.broker(id).process else { return Ok(()) };
        let Role::Leader { machine, .. } = &mut process.role else { return Ok(()) };
        let is_fetch = matches!(input, Input::Fetched(_));
        let mut outputs = Vec::new();
        machine.step(now, input, &mut outputs);
        self.is_changed |= !is_fetch || !outputs.is_empty();
        self.execute(id, outputs)
    }

    fn execute(&mut self, id: NodeId, outputs: Vec<Output>) -> Result<(), Violation> {
        for output in outputs {
            match output {
                Output::Propose(proposal) => {
                    let broker = &self.brokers[&id];
                    let run = broker.run;
                    let Some(epoch) = broker.process.as_ref().and_then(|it| it.epoch) else {
                        continue;
                    };
                    let give_up = Event::GiveUp { id, run, proposal: proposal.id };
                    let patience = if self.is_calm { PATIENCE } else { self.plan.patience };
                    self.at(patience, give_up);
                    self.threaten(id, &proposal);
                    self.send(id, CONTROLLER, run, Message::Alter { epoch, proposal });
                }
                Output::AdvanceHighWatermark(end) => {
                    let broker = self.brokers.get_mut(&id).expect("it is there");
                    let Some(process) = &mut broker.process else { continue };
                    process.high_watermark = end;
                    let (log, epoch) = (&broker.disk.log, process.leader_epoch);
                    self.checks.acknowledges(id, epoch, log, count(end))?;
                }
            }
        }
        self.acknowledge(id)
    }

    /// Something may happen to a follower that has just been proposed to join.
    fn threaten(&mut self, leader: NodeId, proposal: &Proposal) {
        let Some(process) = &self.brokers[&leader].process else { return };
        let Role::Leader { machine, .. } = &process.role else { return };
        let known = machine.standing().isr.clone();
        let joiners = proposal.isr.iter().map(|(id, _)| *id).filter(|id| !known.contains(id));
        for id in joiners.collect::<Vec<_>>() {
            if self.rng.chance(self.plan.frail_joiners) {
                let delay = self.rng.within(1, 30);
                self.at(delay, Event::Strike { follower: id, leader });
            }
        }
    }

    /// Producers that waited for all are told, and what they are told has to be true.
    fn acknowledge(&mut self, id: NodeId) -> Result<(), Violation> {
        let broker = self.brokers.get_mut(&id).expect("it is there");
        let Some(process) = &mut broker.process else { return Ok(()) };
        let Role::Leader { machine, waiting } = &mut process.role else { return Ok(()) };
        let mut acknowledged = Vec::new();
        waiting.retain(|(end, value)| match machine.acknowledgement(*end) {
            None => true,
            Some(answer) => {
                acknowledged.extend(answer.is_ok().then_some((*end, *value)));
                false
            }
        });
        for (end, value) in acknowledged {
            self.met("acknowledged");
            let found = self.brokers[&id].disk.log.records.get(count(end) - 1);
            ensure(found.is_some_and(|record| record.value == value), || {
                format!("{id} acknowledges {value}, which is not at its place")
            })?;
        }
        Ok(())
    }

    /// Everyone who believes to lead is given a record, most of them with acks=all.
    pub(super) fn produce(&mut self) -> Result<(), Violation> {
        for id in self.ids() {
            let acks = if self.rng.chance(800) { -1 } else { 1 };
            let is_skipped = !self.is_calm && self.rng.chance(300);
            let is_stopped = self.brokers[&id].paused_until > self.now;
            if !is_skipped && !is_stopped {
                self.append(id, acks)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, id: NodeId, acks: i16) -> Result<(), Violation> {
        self.values += 1;
        let value = self.values;
        let broker = self.brokers.get_mut(&id).expect("it is there");
        let Some(process) = &mut broker.process else { return Ok(()) };
        let Role::Leader { machine, waiting } = &mut process.role else { return Ok(()) };
        if machine.admit(acks).is_err() {
            return Ok(());
        }
        broker.disk.log.records.push(Record { epoch: machine.leader_epoch(), value });
        let end = broker.disk.log.end();
        if acks == -1 {
            waiting.push((end, value));
        }
        self.is_changed = true;
        self.sync_later(id);
        if self.plan.is_durable && self.bug != Bug::UnsyncedCounts {
            return Ok(());
        }
        self.lead(id, Input::Appended(end))
    }

    pub(super) fn sync_later(&mut self, id: NodeId) {
        let run = self.brokers[&id].run;
        let delay = if self.is_calm { 1 } else { self.rng.within(1, self.plan.sync) };
        self.at(delay, Event::Sync(id, run));
    }

    pub(super) fn sync(&mut self, id: NodeId) -> Result<(), Violation> {
        let is_durable = self.plan.is_durable;
        let log = &mut self.broker(id).disk.log;
        log.sync();
        let end = log.end();
        if is_durable { self.lead(id, Input::Appended(end)) } else { Ok(()) }
    }

    /// Answers a fetch: who is of this epoch and on this branch gets what comes next, and counts.
    pub(super) fn serve(
        &mut self,
        from: NodeId,
        id: NodeId,
        serial: u64,
        fetch: Fetch,
        last_epoch: LeaderEpoch,
    ) -> Result<(), Violation> {
        let run = self.brokers[&from].run;
        let epoch = fetch.leader_epoch;
        let most = self.rng.within(1, MOST) as usize;
        let (answer, records) = match self.read(id, &fetch, last_epoch, most) {
            Ok((answer, records)) => {
                let leader_end_offset = self.brokers[&id].disk.log.end();
                if !matches!(answer, Answer::Diverging(_)) {
                    self.lead(id, Input::Fetched(Fetch { leader_end_offset, ..fetch }))?;
                }
                (answer, records)
            }
            Err(code) => {
                self.met("fetch refused");
                (Answer::Error { code, log_start_offset: Offset::ZERO }, Vec::new())
            }
        };
        let message = Message::Fetched { serial, epoch, answer, records };
        self.send(id, from, run, message);
        Ok(())
    }

    fn read(
        &self,
        id: NodeId,
        fetch: &Fetch,
        last_epoch: LeaderEpoch,
        most: usize,
    ) -> Result<(Answer, Vec<Record>), ErrorCode> {
        let broker = &self.brokers[&id];
        let role = broker.process.as_ref().map(|process| &process.role);
        let Some(Role::Leader { machine, .. }) = role else {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        };
        machine.admit_fetch(fetch)?;
        let log = &broker.disk.log;
        // What is of an older epoch is not compared where a bug lets it count.
        let is_compared =
            fetch.leader_epoch == machine.leader_epoch() && self.bug != Bug::UnvalidatedFetch;
        if let Some(end) = log.diverges(fetch.fetch_offset, last_epoch).filter(|_| is_compared) {
            return Ok((Answer::Diverging(end), Vec::new()));
        }
        let next = log.records.iter().skip(count(fetch.fetch_offset)).take(most);
        let records: Vec<Record> = next.copied().collect();
        let answer = Answer::Records {
            base_offset: fetch.fetch_offset,
            end_offset: fetch.fetch_offset.plus(records.len() as i64),
            last_epoch: records.last().map_or(LeaderEpoch::NONE, |record| record.epoch),
            high_watermark: machine.high_watermark(),
            log_start_offset: Offset::ZERO,
        };
        Ok((answer, records))
    }
}
