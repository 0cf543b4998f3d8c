//! The driver that every node has: inputs in, outputs done.

use bytes::Bytes;
use milena_cluster::quorum::{
    Envelope, Fetched, Input, Machine, Message, Output, Response, ResponseBody, Rules, SnapshotId,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset};

use super::shown::Shown;
use super::{Event, LATE, World, encode, is_leading, snapshot_file};
use crate::bugs::DriverBug;
use crate::checks::Violation;

impl<R: Rules> World<R> {
    pub(super) fn step(&mut self, id: NodeId, input: Input) -> Result<(), Violation> {
        let now = self.clock();
        let Some(machine) = self.nodes.get_mut(&id).and_then(|node| node.machine.as_mut()) else {
            return Ok(());
        };
        let mut outputs = Vec::new();
        machine.step(now, input.clone(), &mut outputs);
        self.report.steps += 1;
        self.note(format_args!("{id} {}", Shown(&input)));
        let mut is_written = false;
        for output in outputs {
            is_written |= matches!(output, Output::Append(_) | Output::AppendReplicated(_));
            self.execute(id, output)?;
        }
        if is_written {
            self.sync(id)?;
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, id: NodeId) -> Result<(), Violation> {
        let slow = if self.is_calm { 0 } else { self.plan.slow_sync };
        let usual = if self.is_calm { 2 } else { self.plan.sync };
        let longest = if self.rng.chance(slow) { LATE } else { usual };
        let delay = self.rng.within(0, longest);
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        let Some(machine) = &node.machine else {
            return Ok(());
        };
        let (sync, starts) = (node.disk.begin_sync(), node.starts);
        let generation = machine.log().generation();
        if self.bug == DriverBug::UnsyncedCounts {
            self.step(id, Input::Flushed(generation, sync.end))?;
        }
        self.at(delay, Event::Synced { node: id, starts, generation, sync });
        Ok(())
    }

    pub(super) fn execute(&mut self, id: NodeId, output: Output) -> Result<(), Violation> {
        match output {
            Output::PersistQuorumState(state) => {
                self.note(format_args!("{id} notes {}", state.to_text()));
                let is_vote = state.voted_id != NodeId::NONE;
                let is_forgotten = self.bug == DriverBug::VoteNotPersisted && is_vote;
                if !is_forgotten {
                    self.disk(id).state = state;
                }
                Ok(())
            }
            Output::BecomeLeader { epoch, .. } => {
                self.note(format_args!("{id} leads epoch {epoch}"));
                self.meet("leader");
                if self.plan.eager_changes && !self.is_calm {
                    for longest in [1, 20, 100, 300] {
                        let delay = self.rng.within(0, longest);
                        self.at(delay, Event::ChangeVoters(id));
                    }
                }
                if !self.is_calm && self.rng.chance(self.plan.frail_leaders) {
                    let delay = self.rng.within(0, 20 + 4 * self.plan.delay + 2 * self.plan.sync);
                    self.at(delay, Event::Strike(id));
                }
                let node = &self.nodes[&id];
                let voters = node.machine.as_ref().map(|machine| machine.voters().keys());
                self.checks.leads(id, epoch, &voters.unwrap_or_default(), &node.disk.cached)
            }
            Output::ResignLeader => {
                self.meet("leader resigned");
                Ok(())
            }
            Output::BecomeFollower { .. } | Output::Reject | Output::TrimLog(_) => Ok(()),
            Output::Append(append) => {
                let batch = encode(&append);
                self.disk(id).append(batch);
                Ok(())
            }
            Output::AppendReplicated(batch) => {
                self.disk(id).append(batch);
                Ok(())
            }
            Output::Truncate(end, _) => {
                self.note(format_args!("{id} cuts to {end}"));
                self.meet("truncated");
                self.disk(id).truncate(end);
                Ok(())
            }
            Output::Commit(end) => self.commit(id, end),
            Output::Send(envelope) => match &envelope.message {
                Message::Request(_) => {
                    let to = if envelope.peer.0 <= -2 {
                        NodeId(-1 - envelope.peer.0)
                    } else {
                        envelope.peer
                    };
                    let asked_as = envelope.peer;
                    self.send(id, to, asked_as, &envelope);
                    Ok(())
                }
                Message::Response(_) => self.answer(id, envelope),
            },
            Output::SendBatches(mut envelope, from, end, max_bytes) => {
                let found = self.nodes[&id].disk.cached.read(from, end, max_bytes);
                if let Message::Response(Response {
                    body: ResponseBody::Fetch(Fetched::Batches { batches, .. }),
                    ..
                }) = &mut envelope.message
                {
                    *batches = found;
                }
                self.answer(id, envelope)
            }
            Output::SendPiece(mut envelope, max_bytes) => {
                self.fill_piece(id, &mut envelope, max_bytes);
                self.answer(id, envelope)
            }
            Output::WriteSnapshot(_, position, bytes) => {
                let node = self.node(id);
                node.download.truncate(position as usize);
                assert_eq!(node.download.len() as u64, position, "a hole in a snapshot");
                node.download.extend_from_slice(&bytes);
                Ok(())
            }
            Output::InstallSnapshot(snapshot) => self.install(id, snapshot),
        }
    }

    pub(super) fn fill_piece(&mut self, id: NodeId, envelope: &mut Envelope, max_bytes: usize) {
        let Message::Response(response) = &mut envelope.message else {
            return;
        };
        let ResponseBody::FetchSnapshot(piece) = &mut response.body else {
            return;
        };
        let held = self.nodes[&id].disk.cached.snapshot.as_ref().map(|snapshot| snapshot.id);
        let index = self.snapshots.iter().position(|snapshot| snapshot.id == piece.snapshot);
        let Some(index) = index.filter(|_| held == Some(piece.snapshot)) else {
            response.error = ErrorCode::SNAPSHOT_NOT_FOUND;
            return;
        };
        let file = snapshot_file(index as u64);
        piece.size = file.len() as u64;
        let from = (piece.position as usize).min(file.len());
        let end = (from + max_bytes).min(file.len());
        piece.bytes = Bytes::copy_from_slice(&file[from..end]);
    }

    pub(super) fn install(&mut self, id: NodeId, snapshot: SnapshotId) -> Result<(), Violation> {
        let file = std::mem::take(&mut self.node(id).download);
        let index = u64::from_be_bytes(file[..8].try_into().unwrap_or_default());
        assert_eq!(file, snapshot_file(index), "a snapshot that was put together wrongly");
        let found = self.snapshots[index as usize].clone();
        assert_eq!(found.id, snapshot, "another snapshot");
        self.checks.snapshot(id, snapshot)?;
        self.note(format_args!("{id} installs a snapshot up to {}", snapshot.end_offset));
        self.meet("snapshot installed");
        let membership = Some(found.membership.clone()).filter(|known| known.kraft_version > 0);
        self.disk(id).install(found);
        // The high watermark may be known from before: what is below the snapshot is applied.
        let node = self.node(id);
        node.applied = node.applied.max(snapshot.end_offset);
        self.step(id, Input::SnapshotInstalled(snapshot, membership))
    }

    pub(super) fn commit(&mut self, id: NodeId, end: Offset) -> Result<(), Violation> {
        let node = &self.nodes[&id];
        let applied = node.applied;
        if applied == end && node.disk.cached.start() == end {
            return Ok(());
        }
        self.checks.rises(id, applied, end)?;
        let batches = node.disk.cached.read(applied, end, usize::MAX);
        let epoch = node.machine.as_ref().map(Machine::epoch).ok_or("who commits runs")?;
        for batch in &batches {
            self.checks.commits(id, epoch, batch)?;
        }
        if batches.last().is_none_or(|last| last.end_offset != end) {
            return Err(format!("{id} commits {end}, which is no end of a batch"));
        }
        if is_leading(node) {
            let voters = node.machine.as_ref().map(|machine| machine.voters().keys());
            let disks = voters
                .into_iter()
                .flatten()
                .filter_map(|voter| Some(&self.nodes.get(&voter.id)?.disk.durable));
            self.checks.is_on_majority(end, node.disk.cached.ending_at(end), disks)?;
        }
        self.node(id).applied = end;
        self.note(format_args!("{id} commits {end}"));
        Ok(())
    }

    /// With the faults over there is one leader, and everybody has what it committed.
    pub(super) fn check_healed(&self) -> Result<(), Violation> {
        let leaders = self.leaders();
        let [leader] = leaders[..] else {
            return Err(format!("after healing {leaders:?} lead"));
        };
        let leading = &self.nodes[&leader];
        let lag = leading.disk.cached.end().0 - leading.applied.0;
        if lag > 50 {
            return Err(format!("after healing the leader {leader} does not commit"));
        }
        for (id, node) in &self.nodes {
            if leading.applied.0 - node.applied.0 > 50 {
                return Err(format!(
                    "after healing {id} is at {} and {leader} at {}",
                    node.applied, leading.applied
                ));
            }
        }
        Ok(())
    }
}
