//! What a leader does about transactions: it asks the coordinator before a producer begins to write
//! in one (KIP-890), and appends the markers that end them.

use bytes::Bytes;
use milena_cluster::coordinator::Producer;
use milena_cluster::quorum;
use milena_cluster::replica::{self, Input};
use milena_cluster::transaction::verification::Guard;
use milena_protocol::api::add_partitions_to_txn::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Offset, Timestamp};
use milena_protocol::record::control::{ControlType, end_transaction_marker};

use super::producers::{Marker, Written, written};
use super::shard::Caller;
use super::transactions::home;
use super::{Waiter, Waiting};
use crate::bugs::HostBug;
use crate::host::Key;
use crate::network::Message;
use crate::quorum_checks::Violation;
use crate::world::World;

/// Milliseconds until the coordinator's answer is not awaited any more.
const PATIENCE: u64 = 300;
/// How often a coordinator is asked where each answer is overtaken by a marker.
const MAX_ASKED: u32 = 3;

/// In whose name a batch comes.
#[derive(Clone, Debug)]
pub struct Naming {
    pub transactional_id: Text,
    /// Whether the broker adds the partition to the transaction; else the client has.
    pub is_implicit: bool,
}

/// A batch that waits until it is known whether it may be appended.
pub struct Unopened {
    client: (NodeId, u64),
    bytes: Bytes,
    naming: Naming,
    producer: Producer,
    guard: Guard,
    asked: u32,
    until: u64,
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A batch of a transaction arrives.
    pub fn produce_in_transaction(
        &mut self,
        id: NodeId,
        client: (NodeId, u64),
        key: Key,
        bytes: Bytes,
        naming: Naming,
    ) -> Result<(), Violation> {
        let asks = self.bugs.host != HostBug::UnaskedTransactions;
        let until = self.now + PATIENCE;
        let found = written(&bytes, Offset::ZERO);
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key));
        let (Some(leading), Some(Written::Records(producer_id, sent))) = (leading, found) else {
            return self.refuse(id, client, key, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        };
        let producer = Producer { id: producer_id, epoch: sent.epoch };
        if leading.producers.has_open(producer) || !asks {
            return self.produce(id, client, key, &bytes, None);
        }
        let guard = leading.verifications.begin(producer);
        let unopened = Unopened { client, bytes, naming, producer, guard, asked: 1, until };
        self.ask_to_clear(id, key, unopened)
    }

    fn ask_to_clear(&mut self, id: NodeId, key: Key, unopened: Unopened) -> Result<(), Violation> {
        let number = self.next_serial();
        let host = self.host_mut(id);
        let run = host.run;
        let Some(broker) = host.broker_mut() else { return Ok(()) };
        let name = broker.image.topic_by_id(key.0).map(|topic| topic.name().clone());
        let found = home(&broker.image, &unopened.naming.transactional_id);
        let leader = found.and_then(|home| broker.image.partition(home.0, home.1));
        let leader = leader.map_or(NodeId::NONE, |partition| partition.leader);
        let (Some(home), Some(name)) = (found.filter(|_| leader != NodeId::NONE), name) else {
            let code = ErrorCode::COORDINATOR_NOT_AVAILABLE;
            return self.refuse(id, unopened.client, key, code);
        };
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: unopened.naming.transactional_id.clone(),
            producer_id: unopened.producer.id,
            producer_epoch: unopened.producer.epoch,
            verify_only: !unopened.naming.is_implicit,
            topics: vec![AddPartitionsToTxnTopic { name, partitions: vec![key.1] }],
        };
        let Some(leading) = broker.leading_mut(key) else { return Ok(()) };
        leading.unopened.insert(number, unopened);
        let caller = Caller::Broker { id, run, place: key, number };
        self.send(id, leader, None, Message::Clear { home, caller, transaction });
        Ok(())
    }

    /// The coordinator has said whether a batch may be appended.
    pub fn cleared(
        &mut self,
        id: NodeId,
        key: Key,
        number: u64,
        code: ErrorCode,
    ) -> Result<(), Violation> {
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key));
        let Some(leading) = leading else { return Ok(()) };
        let Some(mut unopened) = leading.unopened.remove(&number) else { return Ok(()) };
        if code != ErrorCode::NONE {
            return self.refuse(id, unopened.client, key, code);
        }
        let (producer, guard) = (unopened.producer, unopened.guard);
        let is_known = leading.producers.has_open(producer);
        let holds = is_known || leading.verifications.holds(producer, Some(guard));
        if !holds && unopened.asked < MAX_ASKED {
            // The answer may have waited for that marker, and count all the same.
            unopened.guard = leading.verifications.begin(producer);
            unopened.asked += 1;
            return self.ask_to_clear(id, key, unopened);
        }
        self.produce(id, unopened.client, key, &unopened.bytes, Some(guard))
    }

    /// Refuses batches of which the coordinator says nothing.
    pub fn tick_unopened(&mut self, id: NodeId, key: Key) -> Result<(), Violation> {
        let now = self.now;
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key));
        let Some(leading) = leading else { return Ok(()) };
        let late = leading.unopened.extract_if(.., |_, it| it.until <= now);
        let late: Vec<_> = late.map(|(_, it)| it.client).collect();
        late.into_iter()
            .try_for_each(|client| self.refuse(id, client, key, ErrorCode::NETWORK_EXCEPTION))
    }

    /// A producer's batch is not appended.
    pub fn refuse(
        &mut self,
        id: NodeId,
        (client, attempt): (NodeId, u64),
        key: Key,
        code: ErrorCode,
    ) -> Result<(), Violation> {
        let result = Err(code);
        self.send(id, client, None, Message::Produced { key, attempt, result });
        Ok(())
    }

    /// A marker arrives.
    pub fn mark(
        &mut self,
        id: NodeId,
        from: (NodeId, u64),
        place: Key,
        home: Key,
        number: u64,
        marker: Marker,
    ) -> Result<(), Violation> {
        let is_hasty = self.bugs.host == HostBug::UnreplicatedMarkers;
        let waits_for_sync = self.settings(id, place).is_durable;
        let end = match self.append_marker(id, place, marker) {
            Ok(end) if !is_hasty => end,
            appended => {
                let outcome = appended.map(|_| ());
                self.send(id, from.0, Some(from.1), Message::Marked { home, number, outcome });
                let Ok(end) = appended else { return Ok(()) };
                return self.lead(id, place, Input::Appended(end));
            }
        };
        let who = Waiter::Coordinator { id: from.0, run: from.1, home, number };
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(place));
        if let Some(leading) = leading {
            leading.waiting.push(Waiting { who, base_offset: end.plus(-1), end_offset: end });
        }
        if waits_for_sync { Ok(()) } else { self.lead(id, place, Input::Appended(end)) }
    }

    fn append_marker(&mut self, id: NodeId, key: Key, marker: Marker) -> Result<Offset, ErrorCode> {
        let gone = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let now = self.clock(id).map_or(Timestamp(0), |now| now.wall);
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key));
        leading.ok_or(gone)?.producers.admit_marker(marker)?;
        let control = if marker.is_commit { ControlType::Commit } else { ControlType::Abort };
        let Producer { id: producer_id, epoch } = marker.producer;
        let coordinator_epoch = marker.coordinator_epoch.0;
        let built = end_transaction_marker(control, producer_id, epoch, coordinator_epoch, now);
        let built = built.map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let batch = self.append_batch(id, key, &built, 1)?;
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key));
        leading.ok_or(gone)?.verifications.marked(marker.producer, marker.is_raised);
        self.note(format_args!("{id} marks {marker:?} at {}", batch.base_offset));
        Ok(batch.end_offset)
    }
}
