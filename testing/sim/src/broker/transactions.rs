//! The coordinators of transactions, and the markers that they want written: each goes to the
//! leader of its partition, and what became of it is reported.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_cluster::coordinator::partition_for;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::quorum;
use milena_cluster::replica;
use milena_cluster::transaction::{
    Answer, Ask, Asked as Question, Coordinator, Effect, MarkerOutcome, MarkerReport, Markers,
    Request, Settings, TopicPartition,
};
use milena_protocol::api::add_partitions_to_txn::AddPartitionsToTxnTransaction;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId};

use super::Leading;
use super::producers::Marker;
use super::shard::{Asked, Caller, Kind, Shard};
use crate::host::Key;
use crate::network::Message;
use crate::plan::TRANSACTIONS;
use crate::quorum_checks::Violation;
use crate::world::World;

/// Milliseconds until a marker is taken for failed whose broker does not answer, where a late one
/// does no harm.
const PATIENCE: u64 = 300;
/// The same where it does: longer than anything stays on its way.
const LEFTOVERS: u64 = 4_000;
/// The version of a transaction from which on a marker's epoch is beyond the producer's.
const RAISES_EPOCH: i16 = 2;
/// The version of AddPartitionsToTxn that brokers speak.
const BROKERS_VERSION: i16 = 5;

/// A marker on its way, of one partition.
pub struct Order {
    markers: Markers,
    at: TopicPartition,
    /// Who led the partition when the marker went there, and in which epoch.
    led_by: (NodeId, LeaderEpoch),
    until: u64,
}

/// The markers on their way, by number.
pub type Orders = BTreeMap<u64, Order>;

/// Where a transactional id's records are, as far as somebody knows.
pub fn home(image: &MetadataImage, id: &str) -> Option<Key> {
    let topic = image.topic(TRANSACTIONS)?;
    Some((topic.id(), partition_for(id, topic.partitions().len())))
}

/// Who leads a partition, and in which epoch.
fn led(image: &MetadataImage, at: &TopicPartition) -> Option<(Key, (NodeId, LeaderEpoch))> {
    let topic = image.topic(&at.topic)?;
    let partition = topic.partition(at.partition)?;
    Some(((topic.id(), at.partition), (partition.leader, partition.leader_epoch)))
}

impl Kind for Coordinator {
    const TOPIC: &'static str = TRANSACTIONS;
    const NAME: &'static str = "transactions";
    const LOADED: &'static str = "transactions loaded";

    fn new(epoch: LeaderEpoch) -> Self {
        Self::new(Settings::default(), epoch)
    }

    fn of<L>(leading: &Leading<L>) -> &Option<Shard<Self>> {
        &leading.transactions
    }

    fn of_mut<L>(leading: &mut Leading<L>) -> &mut Option<Shard<Self>> {
        &mut leading.transactions
    }

    fn execute<Q: quorum::Rules, L: replica::Rules>(
        world: &mut World<Q, L>,
        id: NodeId,
        key: Key,
        Effect::WriteMarkers(markers): Effect,
    ) -> Result<(), Violation> {
        world.write_markers(id, key, &markers)
    }

    fn answer<Q: quorum::Rules, L: replica::Rules>(
        world: &mut World<Q, L>,
        id: NodeId,
        key: Key,
        asked: Asked<Self>,
        answer: Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        if answer == Ok(Answer::NeedsProducerId)
            && let Request::Ask(question) = asked.request
        {
            return world.ask_with_producer_id(id, key, asked.caller, question);
        }
        if let (Ok(Answer::InitProducerId(told)), Request::Ask(_)) = (&answer, &asked.request)
            && told.error_code.is_none()
        {
            world.checks.records.transactions.given(told.producer_id, told.producer_epoch);
        }
        let code = answer.as_ref().map_or_else(|code| *code, cleared);
        let told = answer.clone();
        world.tell_caller(
            id,
            asked.caller,
            |attempt| Message::TransactionTold { attempt, result: told },
            |place, number| Message::Cleared { place, number, code },
        );
        Ok(())
    }
}

/// What a broker is told that has asked about one partition.
fn cleared(answer: &Answer) -> ErrorCode {
    let Answer::AddPartitions(answer) = answer else { return ErrorCode::UNKNOWN_SERVER_ERROR };
    let mut results = answer.topic_results.iter().flat_map(|topic| &topic.results_by_partition);
    results.next().map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |result| result.partition_error_code)
}

impl<Q: quorum::Rules, L: replica::Rules> World<Q, L> {
    /// A client asks, or the broker that has its records for it.
    pub fn ask_transactions(
        &mut self,
        id: NodeId,
        caller: Caller,
        key: Key,
        question: Question,
    ) -> Result<(), Violation> {
        let request = Request::Ask(question);
        self.ask_coordinator::<Coordinator>(id, key, Asked { caller, request })
    }

    /// A broker asks whether a producer may write to its partition in a transaction.
    pub fn clear(
        &mut self,
        id: NodeId,
        caller: Caller,
        key: Key,
        transaction: AddPartitionsToTxnTransaction,
    ) -> Result<(), Violation> {
        let question = Question {
            version: BROKERS_VERSION,
            patience: Duration::from_millis(50),
            fresh_producer_id: None,
            ask: Ask::AddPartitions(transaction),
        };
        self.ask_transactions(id, caller, key, question)
    }

    /// The same again, with a producer id that nobody has.
    fn ask_with_producer_id(
        &mut self,
        id: NodeId,
        key: Key,
        caller: Caller,
        mut question: Question,
    ) -> Result<(), Violation> {
        let fresh = self.host_mut(id).broker_mut().and_then(|broker| broker.producer_ids.pop());
        let Some(fresh) = fresh.filter(|_| question.fresh_producer_id.is_none()) else {
            let asked = Asked { caller, request: Request::Ask(question) };
            let code = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
            return Coordinator::answer(self, id, key, asked, Err(code));
        };
        question.fresh_producer_id = Some(fresh);
        self.ask_transactions(id, caller, key, question)
    }

    /// Sends each partition its marker.
    fn write_markers(&mut self, id: NodeId, key: Key, markers: &Markers) -> Result<(), Violation> {
        let Some(broker) = self.host(id).broker() else { return Ok(()) };
        let found: Vec<_> =
            markers.partitions.iter().map(|at| (at.clone(), led(&broker.image, at))).collect();
        let is_raised = markers.transaction_version >= RAISES_EPOCH;
        let marker = Marker {
            producer: markers.producer,
            is_commit: markers.is_commit,
            coordinator_epoch: markers.attempt.coordinator_epoch,
            is_raised,
        };
        let mut outcomes = Vec::new();
        for (at, found) in found {
            let Some((place, led_by)) = found else {
                outcomes.push((at, MarkerOutcome::Gone));
                continue;
            };
            if led_by.0 == NodeId::NONE {
                outcomes.push((at, MarkerOutcome::Failed(ErrorCode::LEADER_NOT_AVAILABLE)));
                continue;
            }
            let number = self.next_serial();
            let until = self.now + if is_raised { PATIENCE } else { LEFTOVERS };
            let order = Order { markers: markers.clone(), at, led_by, until };
            if let Some(leading) = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key))
            {
                leading.orders.insert(number, order);
            }
            self.send(id, led_by.0, None, Message::Mark { place, home: key, number, marker });
        }
        self.report_markers(id, key, markers, outcomes)
    }

    fn report_markers(
        &mut self,
        id: NodeId,
        key: Key,
        markers: &Markers,
        outcomes: Vec<(TopicPartition, MarkerOutcome)>,
    ) -> Result<(), Violation> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let request = Request::Report(MarkerReport {
            transactional_id: markers.transactional_id.clone(),
            attempt: markers.attempt,
            outcomes,
        });
        self.ask_coordinator::<Coordinator>(id, key, Asked { caller: Caller::Nobody, request })
    }

    /// A leader says what became of a marker.
    pub fn marked(
        &mut self,
        id: NodeId,
        key: Key,
        number: u64,
        outcome: Result<(), ErrorCode>,
    ) -> Result<(), Violation> {
        let leading = self.host_mut(id).broker_mut().and_then(|it| it.leading_mut(key));
        let Some(order) = leading.and_then(|leading| leading.orders.remove(&number)) else {
            return Ok(());
        };
        self.met(if outcome.is_ok() { "marker written" } else { "marker refused" });
        let outcome = outcome.map_or_else(MarkerOutcome::Failed, |()| MarkerOutcome::Written);
        self.report_markers(id, key, &order.markers, vec![(order.at, outcome)])
    }

    /// Gives up markers whose leader is another by now, or does not answer.
    pub fn tick_orders(&mut self, id: NodeId, key: Key) -> Result<(), Violation> {
        let now = self.now;
        let Some(broker) = self.host_mut(id).broker_mut() else { return Ok(()) };
        let image = broker.image.clone();
        let Some(leading) = broker.leading_mut(key) else { return Ok(()) };
        let mut given_up = Vec::new();
        leading.orders.retain(|_, order| {
            let stays = led(&image, &order.at).is_some_and(|(_, by)| by == order.led_by);
            let code = match stays {
                false => ErrorCode::NOT_LEADER_OR_FOLLOWER,
                true if order.until <= now => ErrorCode::NETWORK_EXCEPTION,
                true => return true,
            };
            given_up.push((order.markers.clone(), order.at.clone(), code));
            false
        });
        for (markers, at, code) in given_up {
            self.met("marker given up");
            self.report_markers(id, key, &markers, vec![(at, MarkerOutcome::Failed(code))])?;
        }
        Ok(())
    }
}
