//! A broker as a follower.

use milena_cluster::quorum::{self, Batch};
use milena_cluster::replica::follower::{Answer, Input, Leadership, LogPosition, Output};
use milena_cluster::replica::{self, Fetch, Follower};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use super::epochs::epoch_end;
use super::{Part, Role, Wanted};
use crate::bugs::replica::Bug;
use crate::host::Key;
use crate::network::Message;
use crate::quorum_checks::Violation;
use crate::world::{Event, World};

/// Milliseconds until the answer to a fetch is not awaited any more.
const PATIENCE: u64 = 150;
/// Milliseconds between two fetches where there is nothing new, at most.
const IDLE: u64 = 40;

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// Follows a leader from now on, or waits for one.
    pub fn follow(
        &mut self,
        id: NodeId,
        key: Key,
        leadership: Leadership,
    ) -> Result<(), Violation> {
        let high_watermark = self.high_watermark(id, key);
        let cuts = self.bugs.broker == Bug::TruncateToHighWatermark;
        if let Some(stored) = self.host_mut(id).replicas.get_mut(&key).filter(|_| cuts) {
            stored.log.truncate(high_watermark);
        }
        let Leadership { leader, epoch } = leadership;
        let mut outputs = Vec::new();
        let role = match leader {
            NodeId::NONE => Role::Idle(high_watermark),
            _ => {
                let position = self.position(id, key, high_watermark);
                let machine = Follower::begin(leadership, position, &mut outputs);
                Role::Follower { machine, wanted: None }
            }
        };
        if let Some(broker) = self.host_mut(id).broker_mut() {
            broker.parts.insert(key, Part { leader, epoch, role });
        }
        self.do_as_follower(id, key, outputs, &[])
    }

    /// Where a replica's log stands, with this high watermark.
    fn position(&self, id: NodeId, key: Key, high_watermark: Offset) -> LogPosition {
        let log = self.host(id).log(key);
        let last = log.last();
        let end_offset = last.map_or(Offset::ZERO, |last| last.end_offset);
        LogPosition {
            start_offset: Offset::ZERO,
            end_offset,
            last_epoch: last.map_or(LeaderEpoch::NONE, |last| last.epoch),
            high_watermark: high_watermark.min(end_offset),
        }
    }

    /// Lets a follower take an input, and does what follows from it.
    fn follower(
        &mut self,
        id: NodeId,
        key: Key,
        input: Input,
        batches: &[Batch],
    ) -> Result<(), Violation> {
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let Some(Part { role: Role::Follower { machine, .. }, .. }) = broker.parts.get_mut(&key)
        else {
            return Ok(());
        };
        let mut outputs = Vec::new();
        machine.step(input, &mut outputs);
        machine.check_invariants();
        self.report.steps += 1;
        self.do_as_follower(id, key, outputs, batches)
    }

    fn do_as_follower(
        &mut self,
        id: NodeId,
        key: Key,
        outputs: Vec<Output>,
        batches: &[Batch],
    ) -> Result<(), Violation> {
        for output in outputs {
            match output {
                Output::Fetch { from, fetch_offset, last_epoch } => {
                    let what = Some((from, fetch_offset, last_epoch));
                    self.want(id, key, what, !batches.is_empty());
                }
                Output::BackOff => self.want(id, key, None, false),
                Output::Append => {
                    if let Some(stored) = self.host_mut(id).replicas.get_mut(&key) {
                        batches.iter().for_each(|batch| stored.log.append(batch.clone()));
                    }
                    self.sync_later(id, key);
                }
                Output::FindEpoch(leader) => {
                    let own = epoch_end(self.host(id).log(key), leader.epoch);
                    self.follower(id, key, Input::FoundEpoch { leader, own }, &[])?;
                }
                Output::Truncate(end) => self.cut(id, key, end)?,
                Output::AdvanceHighWatermark(end) => {
                    let log = self.hosts.get(&id).map_or(&[][..], |host| host.log(key));
                    self.checks.records.shows(key, id, log, end)?;
                }
                Output::AdvanceLogStart(_) | Output::StartAt(_) => {}
                Output::Fail(code) => return Err(format!("{id} cannot follow: {code:?}")),
            }
        }
        Ok(())
    }

    fn cut(&mut self, id: NodeId, key: Key, end: Offset) -> Result<(), Violation> {
        self.met("replica cut");
        let known = self.high_watermark(id, key);
        if end < known {
            return Err(format!("{id} cuts its log to {end}, below its high watermark {known}"));
        }
        if let Some(stored) = self.host_mut(id).replicas.get_mut(&key) {
            stored.log.truncate(end);
        }
        let position = self.position(id, key, known);
        self.follower(id, key, Input::Truncated(position), &[])
    }

    /// A follower wants to fetch, or to fetch the same again after a while.
    fn want(
        &mut self,
        id: NodeId,
        key: Key,
        what: Option<(Leadership, Offset, LeaderEpoch)>,
        at_once: bool,
    ) {
        let pause = if at_once { 1 } else { self.rng.within(1, IDLE) };
        let serial = self.next_serial();
        let host = self.host_mut(id);
        let run = host.run;
        let Some(broker) = host.broker_mut() else { return };
        let Some(Part { role: Role::Follower { wanted, .. }, .. }) = broker.parts.get_mut(&key)
        else {
            return;
        };
        *wanted = match (what, *wanted) {
            (Some((from, fetch_offset, last_epoch)), _) => {
                Some(Wanted { serial, from, fetch_offset, last_epoch })
            }
            (None, known) => known.map(|known| Wanted { serial, ..known }),
        };
        self.at(pause, Event::FetchNow { node: id, run, key, serial });
    }

    /// What a follower has asked for, if that is the number of it.
    fn wanted(&self, id: NodeId, key: Key, serial: u64) -> Option<Wanted> {
        let part = self.host(id).broker()?.parts.get(&key)?;
        let Role::Follower { wanted, .. } = &part.role else { return None };
        wanted.filter(|wanted| wanted.serial == serial)
    }

    /// A follower fetches, or does so again.
    pub fn fetch(&mut self, id: NodeId, key: Key, serial: u64) {
        let Some(Wanted { from, fetch_offset, last_epoch, .. }) = self.wanted(id, key, serial)
        else {
            return;
        };
        let is_synced =
            self.settings(id, key).is_durable && self.bugs.broker != Bug::UnsyncedCounts;
        if is_synced {
            // What a follower asks for next says what it has, so that has to be synced.
            self.sync_now(id, key);
        }
        let host = self.host(id);
        let run = host.run;
        let fetch = Fetch {
            follower: id,
            broker_epoch: host.broker().and_then(|broker| broker.registered),
            leader_epoch: from.epoch,
            fetch_offset,
            log_start_offset: Offset::ZERO,
            leader_end_offset: Offset::ZERO,
        };
        self.send(id, from.leader, None, Message::Fetch { key, serial, fetch, last_epoch });
        self.at(PATIENCE, Event::FetchNow { node: id, run, key, serial });
    }

    /// The leader answers a fetch.
    pub fn fetched(
        &mut self,
        id: NodeId,
        key: Key,
        serial: u64,
        epoch: LeaderEpoch,
        answer: Answer,
        batches: Vec<Batch>,
    ) -> Result<(), Violation> {
        if self.wanted(id, key, serial).is_none() {
            return Ok(());
        }
        self.follower(id, key, Input::Fetched { epoch, answer }, &batches)
    }
}
