//! The coordinator of groups on a partition that a broker leads: built from the log when that
//! begins, and dropped with the leadership. Its answers wait until everything before is committed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;
use milena_cluster::coordinator::{Append, Machine as _, OnFailure, Output, Replayed, Ticket};
use milena_cluster::group::{self, Answer, Coordinator};
use milena_cluster::quorum::{self, Batch};
use milena_cluster::replica::{self, Input};
use milena_cluster::time::Now;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, Sequence};
use milena_protocol::record::batch::{self, patch};
use milena_protocol::record::record::Records;
use milena_protocol::record::{BatchBuilder, BatchOptions};

use crate::bugs::HostBug;
use crate::host::Key;
use crate::network::Message;
use crate::plan::GROUPS;
use crate::quorum_checks::Violation;
use crate::world::World;

/// What a step of the machine wants done.
type Outputs = milena_cluster::coordinator::Outputs<Coordinator>;
/// Who waits for an answer, and the number that it gave.
type Caller = (NodeId, u64);

/// A coordinator, and who waits for it.
pub struct Shard {
    machine: Coordinator,
    tickets: u64,
    waiting: BTreeMap<Ticket, Caller>,
    /// Answers, and where the log has to be committed for each.
    releases: VecDeque<(Offset, Caller, Result<Answer, ErrorCode>)>,
}

/// Replays what a batch holds.
fn replay(machine: &mut Coordinator, bytes: &[u8], base_offset: Offset) -> Result<(), Violation> {
    let (batch, _) = batch::Batch::parse(bytes).map_err(|error| error.to_string())?;
    for record in Records::new(batch.records_bytes(), batch.record_count()) {
        let record = record.map_err(|error| error.to_string())?;
        machine.replay(Replayed {
            offset: base_offset.plus(i64::from(record.offset_delta)),
            transaction: None,
            key: record.key.unwrap_or_default(),
            value: record.value,
        });
    }
    Ok(())
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A leader of the groups' topic reads what the log holds.
    pub fn load_groups(&mut self, id: NodeId, key: Key) -> Result<(), Violation> {
        let topic = self.host(id).broker().and_then(|it| it.image.topic_by_id(key.0));
        if topic.is_none_or(|topic| topic.name().as_str() != GROUPS) {
            return Ok(());
        }
        let mut machine = Coordinator::new(Arc::new(group::Settings::default()));
        for batch in self.host(id).log(key) {
            replay(&mut machine, &batch.bytes, batch.base_offset)?;
        }
        let shard =
            Shard { machine, tickets: 0, waiting: BTreeMap::new(), releases: VecDeque::new() };
        if let Some(leading) = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key)) {
            leading.groups = Some(shard);
            self.met("groups loaded");
        }
        self.run_groups(id, key, |machine, now, outputs| machine.loaded(now, outputs))
    }

    /// Somebody asks a coordinator of groups.
    pub fn ask_group(
        &mut self,
        id: NodeId,
        caller: Caller,
        key: Key,
        request: group::Request,
    ) -> Result<(), Violation> {
        if !self.may_come(caller.0, caller.1) {
            return Ok(());
        }
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key));
        let Some(shard) = leading.and_then(|leading| leading.groups.as_mut()) else {
            self.answer_group(id, key, caller, Err(ErrorCode::NOT_COORDINATOR));
            return Ok(());
        };
        shard.tickets += 1;
        let ticket = Ticket(shard.tickets);
        shard.waiting.insert(ticket, caller);
        self.run_groups(id, key, |machine, now, outputs| {
            machine.handle(now, ticket, request, outputs);
        })
    }

    /// Lets a coordinator do what is due.
    pub fn tick_groups(&mut self, id: NodeId, key: Key, now: Now) -> Result<(), Violation> {
        let leading = self.host(id).broker().and_then(|broker| broker.leading(key));
        let due = leading.and_then(|leading| leading.groups.as_ref()?.machine.deadline());
        if due.is_none_or(|due| due > now.instant) {
            return Ok(());
        }
        self.run_groups(id, key, |machine, now, outputs| machine.tick(now, outputs))
    }

    fn run_groups(
        &mut self,
        id: NodeId,
        key: Key,
        step: impl FnOnce(&mut Coordinator, Now, &mut Outputs),
    ) -> Result<(), Violation> {
        let Some(now) = self.clock(id) else { return Ok(()) };
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let image = Arc::clone(&broker.image);
        let Some(leading) = broker.leading_mut(key) else { return Ok(()) };
        let Some(mut shard) = leading.groups.take() else { return Ok(()) };
        let mut outputs = Vec::new();
        shard.machine.see(&image);
        step(&mut shard.machine, now, &mut outputs);
        shard.machine.check_invariants();
        self.report.steps += 1;
        self.execute_for_groups(id, key, shard, outputs)
    }

    /// Executes what the machine said, in its order.
    fn execute_for_groups(
        &mut self,
        id: NodeId,
        key: Key,
        mut shard: Shard,
        outputs: Outputs,
    ) -> Result<(), Violation> {
        let mut refused = None;
        let mut appended = None;
        for output in outputs {
            match output {
                Output::Append(append) => match self.append_for_groups(id, key, &append) {
                    Ok(batch) => {
                        replay(&mut shard.machine, &batch.bytes, batch.base_offset)?;
                        appended = Some(batch.end_offset);
                    }
                    Err(code) if append.on_failure == OnFailure::Refuse => refused = Some(code),
                    // The machine has moved on already: it is built anew.
                    Err(_) => return self.load_groups(id, key),
                },
                Output::Answer(ticket, answer) => {
                    if let Some(caller) = shard.waiting.remove(&ticket) {
                        let end = self.host(id).log(key).last().map(|last| last.end_offset);
                        let answer = refused.map_or(Ok(answer), Err);
                        shard.releases.push_back((end.unwrap_or(Offset::ZERO), caller, answer));
                    }
                }
                Output::Effect(never) => match never {},
            }
        }
        if let Some(leading) = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key)) {
            leading.groups = Some(shard);
        }
        match appended {
            Some(end) => self.lead(id, key, Input::Appended(end)),
            None => self.release_groups(id, key),
        }
    }

    fn append_for_groups(
        &mut self,
        id: NodeId,
        key: Key,
        append: &Append,
    ) -> Result<Batch, ErrorCode> {
        let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let now = self.clock(id).ok_or(gone)?.wall;
        let options = BatchOptions { base_sequence: Sequence::NONE, ..Default::default() };
        let mut builder = BatchBuilder::new(options);
        for record in &append.records {
            builder.append(now, Some(&record.key), record.value.as_deref(), &[]);
        }
        let built = builder.build().map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let host = self.host_mut(id);
        let base_offset = host.log(key).last().map_or(Offset::ZERO, |last| last.end_offset);
        let leading = host.broker_mut().and_then(|it| it.leading_mut(key)).ok_or(gone)?;
        leading.machine.admit(-1)?;
        let epoch = leading.machine.leader_epoch();
        let mut placed = BytesMut::from(&built[..]);
        patch::place(&mut placed, base_offset, epoch);
        let batch = Batch {
            base_offset,
            end_offset: base_offset.plus(append.records.len() as i64),
            epoch,
            control: Vec::new(),
            bytes: placed.freeze(),
        };
        host.replicas.get_mut(&key).ok_or(gone)?.log.append(batch.clone());
        self.sync_later(id, key);
        self.note(format_args!("{id} notes of groups: {:?}", append.records));
        Ok(batch)
    }

    /// Lets go what is committed.
    pub fn release_groups(&mut self, id: NodeId, key: Key) -> Result<(), Violation> {
        let is_hasty = self.bugs.host == HostBug::AnswersBeforeCommit;
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let Some(leading) = broker.leading_mut(key) else { return Ok(()) };
        let Some(shard) = &mut leading.groups else { return Ok(()) };
        let mut answers = Vec::new();
        while let Some((end, ..)) = shard.releases.front() {
            let known = leading.machine.acknowledgement(*end);
            let Some(committed) = known.or(is_hasty.then_some(Ok(()))) else { break };
            if let Some((_, caller, answer)) = shard.releases.pop_front() {
                let committed = committed.map_err(|_| ErrorCode::NOT_COORDINATOR);
                answers.push((caller, committed.and(answer)));
            }
        }
        for (caller, answer) in answers {
            self.answer_group(id, key, caller, answer);
        }
        Ok(())
    }

    fn answer_group(
        &mut self,
        id: NodeId,
        key: Key,
        (client, attempt): Caller,
        result: Result<Answer, ErrorCode>,
    ) {
        self.send(id, client, None, Message::GroupTold { key, attempt, result });
    }
}
