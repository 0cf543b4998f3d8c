//! The driver of the quorum's machine, as every node has it: inputs in, outputs done in their
//! order.

#[path = "../../../cluster/tests/quorum_sim/world/shown.rs"]
mod shown;

use bytes::Bytes;
use milena_cluster::metadata::delta::{Changes, ReplayError};
use milena_cluster::metadata::snapshot;
use milena_cluster::quorum::{
    self, Envelope, Fetched, Input, Message, Output, Response, ResponseBody, SnapshotId,
};
use milena_cluster::replica;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset};

use crate::bugs::quorum::DriverBug;
use crate::disk::Snapshot;
use crate::host::News;
use crate::ledger;
use crate::network;
use crate::quorum_checks::Violation;
use crate::world::{Event, LATE, World};
use shown::Shown;

fn misfit(error: ReplayError) -> Violation {
    format!("a record does not replay: {error}")
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// Lets the machine of a node take an input, and does what follows from it.
    pub fn step(&mut self, id: NodeId, input: Input) -> Result<(), Violation> {
        let Some(now) = self.clock(id) else { return Ok(()) };
        self.note(format_args!("{id} {}", Shown(&input)));
        let Some(process) = &mut self.host_mut(id).process else { return Ok(()) };
        let mut outputs = Vec::new();
        process.quorum.step(now, input, &mut outputs);
        process.quorum.check_invariants();
        self.report.steps += 1;
        let mut is_written = false;
        for output in outputs {
            is_written |= matches!(output, Output::Append(_) | Output::AppendReplicated(_));
            self.execute(id, output)?;
        }
        if is_written {
            self.sync_metadata(id)?;
        }
        self.claim(id)
    }

    fn sync_metadata(&mut self, id: NodeId) -> Result<(), Violation> {
        let slow = if self.is_calm { 0 } else { self.plan.slow_sync };
        let longest = match self.rng.chance(slow) {
            true => LATE,
            false if self.is_calm => 2,
            false => self.plan.sync,
        };
        let delay = self.rng.within(0, longest);
        let host = self.host(id);
        let (sync, run) = (host.metadata.begin_sync(), host.run);
        let Some(quorum) = host.quorum() else { return Ok(()) };
        let generation = quorum.log().generation();
        if self.bugs.driver == DriverBug::UnsyncedCounts {
            self.step(id, Input::Flushed(generation, sync.end))?;
        }
        self.at(delay, Event::Synced { node: id, run, generation, sync });
        Ok(())
    }

    fn execute(&mut self, id: NodeId, output: Output) -> Result<(), Violation> {
        match output {
            Output::PersistQuorumState(state) => {
                self.note(format_args!("{id} notes {}", state.to_text()));
                let is_vote = state.voted_id != NodeId::NONE;
                if !(is_vote && self.bugs.driver == DriverBug::VoteNotPersisted) {
                    self.host_mut(id).metadata.state = state;
                }
            }
            Output::BecomeLeader { epoch, .. } => {
                self.note(format_args!("{id} leads epoch {epoch}"));
                self.met("quorum leader");
                let host = self.hosts.get(&id).ok_or("a node that leads is there")?;
                let voters = host.quorum().map(|quorum| quorum.voters().keys());
                let voters = voters.unwrap_or_default();
                self.checks.quorum.leads(id, epoch, &voters, &host.metadata.cached)?;
            }
            Output::ResignLeader => self.resigned(id),
            Output::BecomeFollower { .. } => {}
            Output::Reject => {
                if let Some(process) = &mut self.host_mut(id).process {
                    process.is_rejected = true;
                }
            }
            Output::Append(append) => self.append(id, ledger::encoded(&append)?)?,
            Output::AppendReplicated(batch) => self.append(id, batch)?,
            Output::Truncate(end, _) => {
                self.note(format_args!("{id} cuts to {end}"));
                self.met("metadata cut");
                let host = self.host_mut(id);
                host.metadata.truncate(end);
                let ledger = host.process.as_mut().map(|process| &mut process.ledger);
                ledger.map_or(Ok(()), |ledger| ledger.truncate(end)).map_err(misfit)?;
            }
            Output::Commit(end) => self.commit(id, end)?,
            Output::TrimLog(end) => self.trim(id, end),
            Output::Send(envelope) => self.post(id, envelope)?,
            Output::SendBatches(mut envelope, from, end, max_bytes) => {
                let found = self.host(id).metadata.cached.read(from, end, max_bytes);
                if let Message::Response(Response {
                    body: ResponseBody::Fetch(Fetched::Batches { batches, .. }),
                    ..
                }) = &mut envelope.message
                {
                    *batches = found;
                }
                self.answer(id, envelope)?;
            }
            Output::SendPiece(mut envelope, max_bytes) => {
                self.fill_piece(id, &mut envelope, max_bytes);
                self.answer(id, envelope)?;
            }
            Output::WriteSnapshot(_, position, bytes) => {
                let download = &mut self.host_mut(id).download;
                download.truncate(position as usize);
                assert_eq!(download.len() as u64, position, "a hole in a snapshot");
                download.extend_from_slice(&bytes);
            }
            Output::InstallSnapshot(snapshot) => self.install(id, snapshot)?,
        }
        Ok(())
    }

    fn append(&mut self, id: NodeId, batch: quorum::Batch) -> Result<(), Violation> {
        let host = self.host_mut(id);
        if let Some(process) = &mut host.process {
            process.ledger.append(ledger::appended(&batch)?).map_err(misfit)?;
            process.ledger.check_invariants();
        }
        host.metadata.append(batch);
        Ok(())
    }

    fn post(&mut self, id: NodeId, envelope: Envelope) -> Result<(), Violation> {
        if matches!(envelope.message, Message::Response(_)) {
            return self.answer(id, envelope);
        }
        let asked_as = envelope.peer;
        // The bootstrap servers are the first nodes.
        let to = if asked_as.0 <= -2 { NodeId(-1 - asked_as.0) } else { asked_as };
        self.send(id, to, None, network::Message::Quorum { asked_as, envelope });
        Ok(())
    }

    fn commit(&mut self, id: NodeId, end: Offset) -> Result<(), Violation> {
        let host = self.hosts.get(&id).ok_or("a node that commits is there")?;
        let Some(process) = &host.process else { return Ok(()) };
        let (applied, log) = (process.applied, &host.metadata.cached);
        if applied == end && log.start() == end {
            return Ok(());
        }
        self.checks.quorum.rises(id, applied, end)?;
        let batches = log.read(applied, end, usize::MAX);
        for batch in &batches {
            self.checks.quorum.commits(id, process.quorum.epoch(), batch)?;
        }
        if batches.last().is_none_or(|last| last.end_offset != end) {
            return Err(format!("{id} commits {end}, which is no end of a batch"));
        }
        if host.is_leading() {
            let voters = process.quorum.voters().keys();
            let disks = voters
                .iter()
                .filter_map(|voter| Some(&self.hosts.get(&voter.id)?.metadata.durable));
            self.checks.quorum.is_on_majority(end, log.ending_at(end), disks)?;
        }
        self.note(format_args!("{id} commits {end}"));
        let Some(process) = &mut self.host_mut(id).process else { return Ok(()) };
        process.applied = end;
        let changes = process.ledger.commit(end).map_err(misfit)?;
        let image = process.ledger.image().clone();
        self.checks.images.is_the_same(id, &image)?;
        self.learned(&image)?;
        self.tell(id, changes);
        Ok(())
    }

    /// Lets what is committed take effect soon, and answers everybody who waits for it then.
    pub fn tell(&mut self, id: NodeId, changes: Option<Changes>) {
        let longest = if self.is_calm { 1 } else { self.plan.news_delay };
        let delay = self.rng.within(0, longest);
        let host = self.host_mut(id);
        let run = host.run;
        let Some(process) = &mut host.process else { return };
        let committed = process.quorum.high_watermark();
        let mut replies = Vec::new();
        while process.waiting.front().is_some_and(|(end, _)| Some(*end) <= committed) {
            replies.extend(process.waiting.pop_front().map(|(_, reply)| reply));
        }
        let image = changes.map(|changes| (process.ledger.image().clone(), changes));
        process.news.push_back(News { image, replies });
        self.at(delay, Event::News { node: id, run });
    }

    /// A node is to write a snapshot of what it has committed.
    pub fn take_snapshot(&mut self, id: NodeId) -> Result<(), Violation> {
        let host = self.host_mut(id);
        let Some(process) = &host.process else { return Ok(()) };
        let image = process.ledger.image();
        let end_offset = image.offset().plus(1);
        let is_committed = process.quorum.high_watermark() >= Some(end_offset);
        if !is_committed || end_offset <= host.metadata.cached.start() {
            return Ok(());
        }
        let membership = process.quorum.membership_at(end_offset);
        let now = process.clock.at(0).wall;
        let file = snapshot::write(image, &membership, now).map_err(|error| error.to_string())?;
        let found = SnapshotId { end_offset, epoch: image.epoch() };
        host.snapshots.insert(found, file);
        self.checks.quorum.snapshot(id, found)?;
        self.met("snapshot taken");
        self.step(id, Input::SnapshotTaken(found))
    }

    /// The log begins where the snapshot ends.
    fn trim(&mut self, id: NodeId, end: Offset) {
        let host = self.host_mut(id);
        let found = host.snapshots.keys().find(|snapshot| snapshot.end_offset == end).copied();
        let membership = host.quorum().map(|quorum| quorum.membership_at(end));
        if let (Some(found), Some(membership)) = (found, membership) {
            host.metadata.trim(Snapshot { id: found, membership });
            host.snapshots.retain(|snapshot, _| *snapshot >= found);
        }
    }

    fn fill_piece(&mut self, id: NodeId, envelope: &mut Envelope, max_bytes: usize) {
        let Message::Response(response) = &mut envelope.message else { return };
        let ResponseBody::FetchSnapshot(piece) = &mut response.body else { return };
        let Some(file) = self.host(id).snapshots.get(&piece.snapshot) else {
            response.error = ErrorCode::SNAPSHOT_NOT_FOUND;
            return;
        };
        piece.size = file.len() as u64;
        let from = (piece.position as usize).min(file.len());
        let end = (from + max_bytes).min(file.len());
        piece.bytes = file.slice(from..end);
    }

    fn install(&mut self, id: NodeId, found: SnapshotId) -> Result<(), Violation> {
        let host = self.host_mut(id);
        let file = Bytes::from(std::mem::take(&mut host.download));
        let Ok(read) = snapshot::read(&file, found.end_offset, found.epoch) else {
            self.met("damaged snapshot");
            return self.step(id, Input::SnapshotDamaged(found));
        };
        self.checks.quorum.snapshot(id, found)?;
        self.note(format_args!("{id} installs a snapshot up to {}", found.end_offset));
        self.met("snapshot installed");
        let host = self.host_mut(id);
        let membership = read.membership.clone();
        let kept = membership.clone().unwrap_or(host.base.clone());
        host.snapshots.insert(found, file);
        host.metadata.install(Snapshot { id: found, membership: kept });
        let Some(process) = &mut host.process else { return Ok(()) };
        // The high watermark may be known from before: what is below the snapshot is applied.
        process.applied = process.applied.max(found.end_offset);
        let changes = process.ledger.install(read.image);
        let image = process.ledger.image().clone();
        self.checks.images.is_the_same(id, &image)?;
        self.learned(&image)?;
        self.tell(id, Some(changes));
        self.step(id, Input::SnapshotInstalled(found, membership))
    }
}
