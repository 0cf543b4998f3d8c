//! What moves batches: finds each partition's leader, puts what is ready into one request per
//! leader, and takes the answers apart. One task per producer owns all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use milena_protocol::api::init_producer_id::InitProducerIdRequest;
use milena_protocol::api::produce::{
    ProducePartitionData, ProducePartitionResponse, ProduceRequest, ProduceResponse,
    ProduceTopicData,
};
use milena_protocol::codec::Records;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Uuid};
use milena_protocol::message::Message;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::delivery::Delivered;
use super::lane::{self, Batch, Identity, Key};
use super::options::Acks;
use super::shared::Shared;
use crate::backoff::Backoff;
use crate::client::Topics;
use crate::connection::Connection;
use crate::error::{ClientError, Refused};

/// How old metadata of topics that are written to may become: new partitions are found by it.
const METADATA_AGE: Duration = Duration::from_secs(300);
/// The highest version of Produce that names topics, for brokers that tell no topic id.
const LAST_VERSION_WITH_NAMES: i16 = 12;
/// The highest version of Produce that adds no partition to a transaction by itself.
const LAST_EXPLICIT_VERSION: i16 = 11;
/// Behind a broker's own patience with its replicas an answer must have come.
const ANSWER_SLACK: Duration = Duration::from_secs(5);

/// Runs until the producer is dropped.
pub async fn run(shared: Arc<Shared>) {
    let mut sender = Sender::new(shared);
    loop {
        let again = sender.send_ready();
        let again_at = again.unwrap_or_else(|| Instant::now() + METADATA_AGE);
        crate::select! {
            () = sender.shared.wake.notified() => {}
            Some(event) = sender.tasks.join_next(), if !sender.tasks.is_empty() => {
                // A task that panicked has dropped its batches, which settles them.
                if let Ok(event) = event {
                    sender.handle(event);
                }
            }
            () = sleep_until(again_at) => {}
        }
    }
}

/// Batches on their way to one leader.
type Load = Vec<(Key, Batch)>;

struct Sender {
    shared: Arc<Shared>,
    tasks: JoinSet<Event>,
    links: BTreeMap<NodeId, Link>,
    identity: Option<Identity>,
    /// Errands under way.
    identifying: bool,
    adding: bool,
    refreshing: bool,
    /// Topics whose leaders are wanted anew.
    stale: BTreeSet<Arc<str>>,
    refreshed_at: Instant,
    not_before: Instant,
    backoff: Backoff,
}

/// The way to a leader.
#[derive(Default)]
struct Link {
    connection: Option<Arc<Connection>>,
    is_dialling: bool,
    under_way: usize,
}

/// What comes back from a task.
enum Event {
    Dialled(NodeId, Result<Arc<Connection>, ClientError>),
    Answered(NodeId, Load, Result<ProduceResponse, ClientError>),
    Identified(Result<Identity, ClientError>),
    Refreshed(Result<(), ClientError>),
    /// Partitions are in the transaction, or cannot be.
    Added(BTreeSet<Key>, Result<(), ClientError>),
}

impl Sender {
    fn new(shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            shared,
            tasks: JoinSet::new(),
            links: BTreeMap::new(),
            identity: None,
            identifying: false,
            adding: false,
            refreshing: false,
            stale: BTreeSet::new(),
            refreshed_at: now,
            not_before: now,
            backoff: Backoff::default(),
        }
    }

    /// Sends everything that may leave now, and says when to look again.
    fn send_ready(&mut self) -> Option<Instant> {
        self.shared.drop_if_spoilt();
        loop {
            let now = Instant::now();
            let (loads, again) = self.collect(now);
            if loads.is_empty() {
                self.run_errands(now);
                let waits_for_errand = self.waits_for_errand(now);
                return again.into_iter().chain(waits_for_errand).min();
            }
            for (node_id, load) in loads {
                self.send(node_id, load);
            }
        }
    }

    /// At most one request for each leader; what is missing to send more is noted.
    fn collect(&mut self, now: Instant) -> (BTreeMap<NodeId, Load>, Option<Instant>) {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let metadata = shared.client.metadata();
        let mut loads: BTreeMap<NodeId, Load> = BTreeMap::new();
        let mut bytes: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut missing: BTreeSet<Key> = BTreeSet::new();
        let transaction = self.shared.is_transactional().then(|| shared.transaction());
        if let Some(transaction) = &transaction {
            self.identity = transaction.identity();
        }
        let again = lane::lock(&shared.lanes).visit(now, options, |key, lane| {
            let Some((node_id, _)) = metadata.leader(&key.0, key.1) else {
                self.stale.insert(Arc::clone(&key.0));
                let code = metadata.troubles.get(&key.0).copied();
                let code = code.unwrap_or(ErrorCode::LEADER_NOT_AVAILABLE);
                let refused = Refused { code, message: None };
                let error = refused.of(format!("the leader of {} {}", key.0, key.1));
                if !error.is_retriable() || !lane.is_hindered() {
                    lane.hinder(&error);
                }
                return;
            };
            let identity = lane.identity(self.identity);
            if let Some(transaction) = &transaction {
                if identity.is_none() {
                    // It comes with the next transaction.
                    return;
                }
                if !transaction.has(key) {
                    missing.insert(key.clone());
                    return;
                }
            } else if options.is_idempotent() && identity.is_none() {
                self.identity = None;
                self.identifying = self.spawn_identify();
                return;
            }
            let taken = bytes.entry(node_id).or_default();
            let fits = *taken == 0 || *taken + lane.next_bytes() <= options.max_request_bytes;
            if !fits || !self.may_send(node_id) {
                return;
            }
            let identity = identity.filter(|_| options.is_idempotent());
            *taken += lane.next_bytes();
            if let Some(batch) = lane.take(identity) {
                loads.entry(node_id).or_default().push((key.clone(), batch));
            }
        });
        drop(transaction);
        self.add(missing);
        (loads, again)
    }

    /// Tells the coordinator what the transaction writes to, where the broker does not see to it.
    fn add(&mut self, keys: BTreeSet<Key>) {
        if keys.is_empty() || self.adding || Instant::now() < self.not_before {
            return;
        }
        let Some((coordinator, identity)) = self.shared.coordinator().zip(self.identity) else {
            return;
        };
        // Whoever holds it is ending the transaction.
        let Ok(adding) = Arc::clone(&self.shared.adding).try_lock_owned() else {
            return;
        };
        self.adding = true;
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let outcome = coordinator.add(identity, keys.iter().cloned().collect()).await;
            if outcome.is_ok() {
                shared.transaction().add(keys.iter().cloned());
            }
            drop(adding);
            Event::Added(keys, outcome)
        });
    }

    /// Whether a leader can be asked now; if not, the way to it is opened.
    fn may_send(&mut self, node_id: NodeId) -> bool {
        let width = self.shared.options.max_in_flight.max(1);
        let link = self.links.entry(node_id).or_default();
        if link.connection.as_ref().is_some_and(|connection| connection.is_lost()) {
            link.connection = None;
        }
        if link.connection.is_some() {
            return link.under_way < width;
        }
        if !link.is_dialling && Instant::now() >= self.not_before {
            link.is_dialling = true;
            let client = self.shared.client.clone();
            self.tasks.spawn(async move { Event::Dialled(node_id, client.broker(node_id).await) });
        }
        false
    }

    fn send(&mut self, node_id: NodeId, load: Load) {
        let link = self.links.entry(node_id).or_default();
        let Some(connection) = link.connection.clone() else {
            let why = ClientError::Closed;
            return self.take_back(load, &why);
        };
        link.under_way += 1;
        let mut ready = Vec::with_capacity(load.len());
        let mut request = self.request();
        for (key, mut batch) in load {
            match batch.encode() {
                Ok(bytes) => {
                    self.put(&mut request, &key, bytes);
                    ready.push((key, batch));
                }
                Err(error) => {
                    let why = error.to_string();
                    let api = milena_protocol::api::ApiKey::Produce;
                    self.take_back(vec![(key, batch)], &ClientError::Unwritable { api, why });
                }
            }
        }
        let last = match self.shared.is_transactional() && !self.shared.transaction().is_implicit()
        {
            true => LAST_EXPLICIT_VERSION,
            false => ProduceRequest::VERSIONS.max,
        };
        let answer = submit(&connection, &request, self.shared.options.acks, last);
        let limit = self.shared.options.request_timeout + ANSWER_SLACK;
        self.tasks.spawn(async move {
            let outcome = match answer {
                Ok(answer) => answer.wait_at_most(limit).await,
                Err(error) => Err(error),
            };
            Event::Answered(node_id, ready, outcome)
        });
    }

    fn request(&self) -> ProduceRequest {
        ProduceRequest {
            acks: self.shared.options.acks.number(),
            timeout_ms: i32::try_from(self.shared.options.request_timeout.as_millis())
                .unwrap_or(i32::MAX),
            transactional_id: self.shared.options.transactional_id.as_deref().map(Into::into),
            ..Default::default()
        }
    }

    fn put(&self, request: &mut ProduceRequest, key: &Key, bytes: bytes::Bytes) {
        let data = ProducePartitionData { index: key.1, records: Some(Records(bytes)) };
        let topic = request.topic_data.iter_mut().find(|topic| *topic.name == *key.0);
        if let Some(topic) = topic {
            return topic.partition_data.push(data);
        }
        let known = self.shared.client.metadata();
        request.topic_data.push(ProduceTopicData {
            name: (*key.0).into(),
            topic_id: known.topic(&key.0).map_or(Uuid::ZERO, |topic| topic.id),
            partition_data: vec![data],
        });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Dialled(node_id, outcome) => {
                let link = self.links.entry(node_id).or_default();
                link.is_dialling = false;
                match outcome {
                    Ok(connection) => link.connection = Some(connection),
                    Err(error) => {
                        let metadata = self.shared.client.metadata();
                        self.hinder(&error, |key, _| {
                            metadata.leader(&key.0, key.1).is_some_and(|leader| leader.0 == node_id)
                        });
                        self.look_for_leaders();
                    }
                }
            }
            Event::Answered(node_id, load, outcome) => {
                let link = self.links.entry(node_id).or_default();
                link.under_way = link.under_way.saturating_sub(1);
                match outcome {
                    Ok(response) => self.settle(load, &response),
                    Err(error) => {
                        self.take_back(load, &error);
                        self.look_for_leaders();
                    }
                }
            }
            Event::Identified(outcome) => {
                self.identifying = false;
                match outcome {
                    Ok(identity) => {
                        self.identity = Some(identity);
                        self.backoff.reset();
                    }
                    Err(error) => {
                        self.hinder(&error, |_, lane| lane.identity(None).is_none());
                        self.not_before = Instant::now() + self.backoff.next();
                    }
                }
            }
            Event::Added(keys, outcome) => {
                self.adding = false;
                if let Err(error) = outcome {
                    self.hinder(&error, |key, _| keys.contains(key));
                }
            }
            Event::Refreshed(outcome) => {
                self.refreshing = false;
                self.refreshed_at = Instant::now();
                // Also where it worked: what was stale may still be so.
                self.not_before = Instant::now() + self.backoff.next();
                match outcome {
                    Ok(()) => self.stale.clear(),
                    Err(error) => {
                        let metadata = self.shared.client.metadata();
                        self.hinder(&error, |key, _| metadata.leader(&key.0, key.1).is_none());
                    }
                }
            }
        }
    }

    /// Tells lanes what stands in their way.
    fn hinder(&self, error: &ClientError, is_meant: impl Fn(&Key, &lane::Lane) -> bool) {
        lane::lock(&self.shared.lanes).hinder(error, is_meant);
    }

    fn settle(&mut self, load: Load, response: &ProduceResponse) {
        let unanswered = self.shared.options.acks == Acks::None;
        let metadata = self.shared.client.metadata();
        for (key, batch) in load {
            let id = metadata.topic(&key.0).map_or(Uuid::ZERO, |topic| topic.id);
            let default = ProducePartitionResponse {
                base_offset: milena_protocol::ids::Offset::NONE,
                ..Default::default()
            };
            let answer = match find(response, &key, id) {
                Some(answer) => answer,
                None if unanswered => &default,
                None => {
                    let why = Refused { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: None };
                    let why = why.of(format!("no answer for {} {}", key.0, key.1));
                    self.take_back(vec![(key, batch)], &why);
                    continue;
                }
            };
            match batch.judge(answer.error_code, answer.error_message.as_deref()) {
                Ok(()) => {
                    self.backoff.reset();
                    let delivered = Delivered {
                        topic: Arc::clone(&key.0),
                        partition: key.1,
                        offset: answer.base_offset,
                        log_append_time: answer.log_append_time_ms,
                    };
                    if let Some(lane) = lane::lock(&self.shared.lanes).lane(&key) {
                        lane.acknowledged(batch, delivered);
                    }
                }
                Err(refused) => {
                    if refused.code.refreshes_metadata() {
                        self.stale.insert(Arc::clone(&key.0));
                    }
                    let what = format!("writing to {} {}", key.0, key.1);
                    self.take_back(vec![(key, batch)], &refused.of(what));
                }
            }
        }
    }

    /// Gives batches back to their lanes.
    fn take_back(&mut self, load: Load, error: &ClientError) {
        let now = Instant::now();
        for (key, batch) in load {
            let mut lanes = lane::lock(&self.shared.lanes);
            let Some(lane) = lanes.lane(&key) else { continue };
            lane.failed(batch, error.clone(), now);
            if lane.has_more() {
                lanes.activate(key);
            }
        }
    }

    /// A leader did not answer: somebody else may lead by now.
    fn look_for_leaders(&mut self) {
        self.not_before = Instant::now() + self.backoff.next();
        self.stale.extend(lane::lock(&self.shared.lanes).topics());
    }

    fn run_errands(&mut self, now: Instant) {
        if now >= self.refreshed_at + METADATA_AGE {
            self.stale.extend(lane::lock(&self.shared.lanes).topics());
        }
        if self.refreshing || self.stale.is_empty() || now < self.not_before {
            return;
        }
        self.refreshing = true;
        let topics: Vec<Arc<str>> = self.stale.iter().cloned().collect();
        let client = self.shared.client.clone();
        self.tasks.spawn(async move {
            let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
            let outcome = client.refresh(Topics::Named(&names), false).await;
            Event::Refreshed(outcome.map(drop))
        });
    }

    /// When an errand that has to wait may be run.
    fn waits_for_errand(&self, now: Instant) -> Option<Instant> {
        (self.not_before > now).then_some(self.not_before)
    }

    /// Asks for a producer id, unless it is too early to ask again. Says whether it is under way.
    fn spawn_identify(&mut self) -> bool {
        if self.identifying || Instant::now() < self.not_before {
            return self.identifying;
        }
        let client = self.shared.client.clone();
        self.tasks.spawn(async move {
            let request = InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: i32::MAX,
                ..Default::default()
            };
            let outcome = client.ask_any(&request).await.and_then(|answer| {
                Refused::check(answer.error_code, None)
                    .map_err(|refused| refused.of("a producer id"))?;
                Ok(Identity {
                    producer_id: answer.producer_id,
                    producer_epoch: answer.producer_epoch,
                })
            });
            Event::Identified(outcome)
        });
        true
    }
}

/// Sends a request in no later version than `last`; with `acks=0` nothing comes back.
fn submit(
    connection: &Connection,
    request: &ProduceRequest,
    acks: Acks,
    last: i16,
) -> Result<crate::connection::Answer<ProduceRequest>, ClientError> {
    let mut version = connection.version_of::<ProduceRequest>()?.min(last);
    if request.topic_data.iter().any(|topic| topic.topic_id == Uuid::ZERO) {
        version = version.min(LAST_VERSION_WITH_NAMES);
    }
    match acks {
        Acks::None => connection.submit_unanswered(request, version),
        Acks::Leader | Acks::All => connection.submit(request, version),
    }
}

fn find<'a>(
    response: &'a ProduceResponse,
    key: &Key,
    id: Uuid,
) -> Option<&'a ProducePartitionResponse> {
    let topics = response
        .responses
        .iter()
        .filter(|topic| *topic.name == *key.0 || (topic.name.is_empty() && topic.topic_id == id));
    topics.flat_map(|topic| &topic.partition_responses).find(|answer| answer.index == key.1)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use milena_protocol::api::metadata::{MetadataResponse, MetadataTopic};
    use milena_protocol::ids::PartitionIndex;
    use tokio::sync::{Notify, Semaphore};

    use super::*;
    use crate::client::{Client, ClientOptions};
    use crate::metadata::Topic;
    use crate::producer::{Delivery, NewRecord, ProducerOptions};

    fn shared() -> Arc<Shared> {
        Arc::new(Shared {
            client: Client::unconnected(ClientOptions::new("127.0.0.1:1")),
            options: ProducerOptions { linger: Duration::ZERO, ..ProducerOptions::default() },
            lanes: Mutex::default(),
            wake: Notify::new(),
            memory: Arc::new(Semaphore::new(1000)),
            transaction: Mutex::default(),
            adding: Arc::default(),
            coordinators: Arc::default(),
        })
    }

    /// Hands in a record for topic t.
    fn append(shared: &Shared) -> Delivery {
        let topic =
            Topic { name: "t".into(), id: Uuid::ZERO, is_internal: false, partitions: Vec::new() };
        let permit = Arc::clone(&shared.memory).try_acquire_many_owned(100).unwrap();
        let (partition, record) = (PartitionIndex(0), NewRecord::new("t"));
        let mut lanes = lane::lock(&shared.lanes);
        lanes.append(&topic, partition, &record, permit, &shared.options).unwrap().0
    }

    /// A producer that may not write would keep every record until its time is over, and not say
    /// why then.
    #[tokio::test]
    async fn a_refused_producer_id_is_told_at_once() {
        let shared = shared();
        let delivery = append(&shared);
        let mut sender = Sender::new(shared);
        let code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
        let refused = Refused { code, message: None };
        sender.handle(Event::Identified(Err(refused.of("a producer id"))));
        assert_eq!(delivery.wait().await.unwrap_err().code(), Some(code));
    }

    /// The same for a topic that the producer may not write to any more; one whose leader is only
    /// missing for now keeps its records.
    #[tokio::test]
    async fn a_refused_topic_is_told_at_once() {
        let shared = shared();
        let delivery = append(&shared);
        let mut sender = Sender::new(Arc::clone(&shared));
        let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        for error_code in [ErrorCode::LEADER_NOT_AVAILABLE, code] {
            let topic = MetadataTopic { error_code, name: Some("t".into()), ..Default::default() };
            let answer = MetadataResponse { topics: vec![topic], ..Default::default() };
            shared.client.learn(&answer, false);
            let has_more = |lanes: &mut lane::Lanes| {
                let key = ("t".into(), PartitionIndex(0));
                lanes.lane(&key).is_some_and(|lane| lane.has_more())
            };
            sender.collect(Instant::now());
            assert_eq!(has_more(&mut lane::lock(&shared.lanes)), error_code != code);
        }
        assert_eq!(delivery.wait().await.unwrap_err().code(), Some(code));
    }
}
