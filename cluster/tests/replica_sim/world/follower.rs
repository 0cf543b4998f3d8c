//! A broker as a follower, and how it takes the metadata.

use std::sync::Arc;

use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::replica::follower::{Answer, Input, Leadership, Output};
use milena_cluster::replica::{Fetch, Follower, Input as LeaderInput, Rules, Standing};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset};

use super::{Event, Message, PATIENCE, World};
use crate::broker::{Role, Wanted};
use crate::bugs::Bug;
use crate::checks::Violation;
use crate::log::{Record, count};
use crate::register::{INDEX, TOPIC};

/// Records in an answer at most.
const MOST: usize = 3;
/// Milliseconds between two fetches where there is nothing new, at most.
const IDLE: u64 = 40;

impl<R: Rules> World<R> {
    /// A broker takes what the metadata says now; what it said in between it may miss.
    pub(super) fn learn(&mut self, id: NodeId, image: Arc<MetadataImage>) -> Result<(), Violation> {
        let bug = self.bug;
        let Some(process) = &mut self.broker(id).process else { return Ok(()) };
        let is_new = process.image.as_ref().is_none_or(|known| known.offset() < image.offset());
        if !is_new {
            return Ok(());
        }
        process.image = Some(Arc::clone(&image));
        let Some(standing) = Standing::of(&image, TOPIC, INDEX) else { return Ok(()) };
        let leader = image.partition(TOPIC, INDEX).map_or(NodeId::NONE, |it| it.leader);
        let is_its = process.epoch.is_some_and(|epoch| standing.knows(id, epoch));
        if !is_its && bug != Bug::RoleBeforeRegistration {
            return Ok(());
        }
        let epoch = standing.leader_epoch;
        if epoch == process.leader_epoch && matches!(process.role, Role::Leader { .. }) {
            return self.lead(id, LeaderInput::Learned(standing));
        }
        if epoch <= process.leader_epoch {
            return Ok(());
        }
        process.leader_epoch = epoch;
        if leader == id {
            self.begin_to_lead(id, standing)
        } else if leader == NodeId::NONE {
            process.role = Role::Idle;
            Ok(())
        } else {
            self.follow(id, Leadership { leader, epoch })
        }
    }

    fn follow(&mut self, id: NodeId, leadership: Leadership) -> Result<(), Violation> {
        let cuts = self.bug == Bug::TruncateToHighWatermark;
        let broker = self.broker(id);
        let Some(process) = &mut broker.process else { return Ok(()) };
        let high_watermark = process.high_watermark;
        if cuts {
            broker.disk.log.truncate(count(high_watermark));
            process.role = Role::Idle;
        }
        let mut outputs = Vec::new();
        match &mut process.role {
            Role::Follower { machine, .. } => {
                machine.step(Input::Follow(leadership), &mut outputs);
            }
            _ => {
                let position = broker.position(high_watermark);
                let machine = Follower::begin(leadership, position, &mut outputs);
                if let Some(process) = &mut self.broker(id).process {
                    process.role = Role::Follower { machine, wanted: None };
                }
            }
        }
        self.is_changed = true;
        self.carry_out(id, outputs, &[])
    }

    /// Lets a follower take an input, and does what follows from it.
    fn follower(&mut self, id: NodeId, input: Input, records: &[Record]) -> Result<(), Violation> {
        let Some(process) = &mut self.broker(id).process else { return Ok(()) };
        let Role::Follower { machine, .. } = &mut process.role else { return Ok(()) };
        let mut outputs = Vec::new();
        machine.step(input, &mut outputs);
        process.high_watermark = machine.high_watermark();
        self.carry_out(id, outputs, records)
    }

    fn carry_out(
        &mut self,
        id: NodeId,
        outputs: Vec<Output>,
        records: &[Record],
    ) -> Result<(), Violation> {
        for output in outputs {
            match output {
                Output::Fetch { from, fetch_offset, last_epoch } => {
                    self.want(id, Some((from, fetch_offset, last_epoch)), !records.is_empty());
                }
                Output::BackOff => self.want(id, None, false),
                Output::Append => {
                    self.is_changed = true;
                    self.broker(id).disk.log.records.extend(records);
                    self.sync_later(id);
                }
                Output::FindEpoch(leader) => {
                    let own = self.broker(id).disk.log.epoch_end(leader.epoch);
                    self.follower(id, Input::FoundEpoch { leader, own }, &[])?;
                }
                Output::Truncate(end) => self.truncate(id, end)?,
                Output::AdvanceHighWatermark(end) => {
                    self.is_changed = true;
                    let broker = &self.brokers[&id];
                    let is_old = broker
                        .process
                        .as_ref()
                        .is_some_and(|it| it.leader_epoch < self.register.partition().leader_epoch);
                    let shown = &broker.disk.log.records[..count(end)];
                    if !is_old {
                        self.checks.follower_shows(id, shown)?;
                    }
                }
                Output::AdvanceLogStart(_) | Output::StartAt(_) => {}
                Output::Fail(code) => return Err(format!("{id} cannot follow: {code:?}")),
            }
        }
        Ok(())
    }

    fn truncate(&mut self, id: NodeId, end: Offset) -> Result<(), Violation> {
        self.met("cut");
        self.is_changed = true;
        let broker = self.broker(id);
        let known = broker.process.as_ref().map_or(Offset::ZERO, |it| it.high_watermark);
        broker.disk.log.truncate(count(end));
        let position = broker.position(known);
        self.checks.cuts(id, count(end), count(known))?;
        self.follower(id, Input::Truncated(position), &[])
    }

    /// A follower wants to fetch, or to fetch the same again after a while.
    fn want(&mut self, id: NodeId, what: Option<(Leadership, Offset, LeaderEpoch)>, at_once: bool) {
        let serial = self.event_count;
        let pause = if at_once { 1 } else { self.rng.within(1, IDLE) };
        let broker = self.broker(id);
        let run = broker.run;
        let Some(process) = &mut broker.process else { return };
        let Role::Follower { wanted, .. } = &mut process.role else { return };
        *wanted = match (what, *wanted) {
            (Some((from, fetch_offset, last_epoch)), _) => {
                Some(Wanted { serial, from, fetch_offset, last_epoch })
            }
            (None, known) => known.map(|known| Wanted { serial, ..known }),
        };
        self.at(pause, Event::FetchNow { id, run, serial });
    }

    pub(super) fn fetch(&mut self, id: NodeId, serial: u64) {
        let syncs = self.plan.is_durable && self.bug != Bug::UnsyncedCounts;
        let broker = self.broker(id);
        let run = broker.run;
        let Some(process) = &broker.process else { return };
        let Role::Follower { wanted: Some(wanted), .. } = &process.role else { return };
        if wanted.serial != serial {
            return;
        }
        let Wanted { from, fetch_offset, last_epoch, .. } = *wanted;
        let fetch = Fetch {
            follower: id,
            broker_epoch: process.epoch,
            leader_epoch: from.epoch,
            fetch_offset,
            log_start_offset: Offset::ZERO,
            leader_end_offset: Offset::ZERO,
        };
        // What a follower asks for next says what it has, so that has to be synced.
        if syncs {
            broker.disk.log.sync();
        }
        self.send(id, from.leader, run, Message::Fetch { serial, fetch, last_epoch });
        self.at(PATIENCE, Event::FetchNow { id, run, serial });
    }

    pub(super) fn fetched(
        &mut self,
        id: NodeId,
        serial: u64,
        epoch: LeaderEpoch,
        answer: Answer,
        records: Vec<Record>,
    ) -> Result<(), Violation> {
        let Some(process) = &self.brokers[&id].process else { return Ok(()) };
        let Role::Follower { wanted: Some(wanted), .. } = &process.role else { return Ok(()) };
        if wanted.serial != serial {
            return Ok(());
        }
        self.follower(id, Input::Fetched { epoch, answer }, &records[..records.len().min(MOST)])
    }
}
