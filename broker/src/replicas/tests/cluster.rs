//! Brokers in one process, on real directories, that reach each other by calls, and a controller
//! that decides at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::configs::{Resolver, Values};
use milena_cluster::controller::{self, Controller};
use milena_cluster::group;
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::{ConfigResource, MetadataImage, PartitionImage};
use milena_cluster::time::{Instant, Now};
use milena_cluster::wire::{Decided, Link};
use milena_protocol::api::alter_partition::{AlterPartitionRequest, AlterPartitionResponse};
use milena_protocol::api::fetch::{FetchRequest, FetchResponse};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, Uuid,
};
use milena_protocol::metadata_record::{
    ConfigRecord, MetadataRecord, PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord,
    TopicRecord,
};
use milena_protocol::record::{BatchBuilder, BatchOptions};
use milena_storage::{DirectoryOptions, LogDirectory, RealDisk, RecordValidation};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::super::alter::ControllerChannel;
use super::super::fetcher::{Channel, FetchRules, Lost, Network, Wired};
use super::super::partition::{Partition, Placed};
use super::super::{Replicas, alter, fetcher};
use crate::broker::Broker;
use crate::clock::WallClock;
use crate::colleagues::Colleagues;
use crate::config::Config;
use crate::drivers::controller::ControllerHandle;
use crate::drivers::coordinator::{Ground, InternalTopic, Shards};
use crate::drivers::producer_ids::ProducerIds;
use crate::drivers::transactions;
use crate::endpoints::Endpoints;
use crate::fetch_session::Sessions;
use crate::handlers;
use crate::limits::Limits;
use crate::limits::budget::Budget;
use crate::metadata::Published;
use crate::network::listener;
use crate::peers::ActiveController;
use crate::readiness::Readiness;
use crate::request::{Context, Peer, Scope};
use crate::security::Authorizer;
use crate::telemetry::metrics::Metrics;

pub const TOPIC: &str = "t";
pub const TOPIC_ID: Uuid = Uuid::from_u128(9 << 64);
pub const PARTITION: PartitionIndex = PartitionIndex(0);
/// `replica.lag.time.max.ms`.
pub const MAX_LAG: Duration = Duration::from_millis(2_000);
const FETCH_VERSION: i16 = 18;

/// What the nodes have in common: who is there, who is cut off, and what is decided.
pub struct World {
    brokers: Mutex<BTreeMap<NodeId, Arc<Broker>>>,
    cut_off: Mutex<BTreeSet<NodeId>>,
    controller: Mutex<Controller>,
    /// How many answers to come are damaged.
    pub damaged: Mutex<usize>,
    /// How often each node has asked a leader.
    fetches: Mutex<BTreeMap<NodeId, usize>>,
    /// How often each node has connected to a leader.
    connections: Mutex<BTreeMap<NodeId, usize>>,
}

/// A cluster.
pub struct Cluster {
    root: tempfile::TempDir,
    pub world: Arc<World>,
    tasks: BTreeMap<NodeId, JoinSet<()>>,
    epochs: i64,
    is_wired: bool,
}

pub struct Call {
    world: Arc<World>,
    from: NodeId,
    to: NodeId,
}

struct CallNetwork {
    world: Arc<World>,
    from: NodeId,
}

impl World {
    fn is_apart(&self, nodes: [NodeId; 2]) -> bool {
        let cut_off = self.cut_off.lock();
        nodes.iter().any(|node| cut_off.contains(node))
    }

    /// Writes records; every node that is reached has them at once.
    pub fn write(&self, records: &[MetadataRecord]) {
        let (before, after) = {
            let mut controller = self.controller.lock();
            let before = controller.image().clone();
            let next = before.offset().plus(1);
            controller.replay(next, LeaderEpoch(1), records).unwrap();
            (before, controller.image().clone())
        };
        let changes = Changes::between(&before, &after);
        let brokers: Vec<_> = self.brokers.lock().values().cloned().collect();
        for broker in brokers {
            if !self.cut_off.lock().contains(&broker.node_id) {
                publish(&broker, &after, &changes);
            }
        }
    }

    /// How often a node has asked a leader.
    pub fn fetches(&self, node: i32) -> usize {
        self.fetches.lock().get(&NodeId(node)).copied().unwrap_or_default()
    }

    /// How often a node has connected to a leader.
    pub fn connections(&self, node: i32) -> usize {
        self.connections.lock().get(&NodeId(node)).copied().unwrap_or_default()
    }

    pub fn image(&self) -> MetadataImage {
        self.controller.lock().image().clone()
    }

    fn decide(&self, request: AlterPartitionRequest) -> AlterPartitionResponse {
        let decided = {
            let controller = self.controller.lock();
            let timeout = controller.session_timeout();
            let image = controller.image();
            let mut sessions = controller::Sessions::begin(Instant::default(), timeout, image);
            request.decide(Now::default(), &controller, &mut sessions)
        };
        self.write(&decided.records);
        decided.answer
    }
}

fn publish(broker: &Broker, image: &MetadataImage, changes: &Changes) {
    let image = Arc::new(image.clone());
    broker.replicas.apply(&image, changes);
    broker.metadata.publish(image, changes);
}

impl Network for CallNetwork {
    type Channel = Call;

    async fn connect(&self, leader: NodeId) -> Result<Call, Lost> {
        *self.world.connections.lock().entry(self.from).or_default() += 1;
        let call = Call { world: Arc::clone(&self.world), from: self.from, to: leader };
        call.broker().map(|_| call)
    }
}

impl Call {
    fn broker(&self) -> Result<Arc<Broker>, Lost> {
        if self.world.is_apart([self.from, self.to]) {
            return Err(Lost("cut off".to_owned()));
        }
        let broker = self.world.brokers.lock().get(&self.to).cloned();
        broker.ok_or_else(|| Lost("not there".to_owned()))
    }
}

impl Channel for Call {
    async fn fetch(&self, request: &FetchRequest) -> Result<FetchResponse, Lost> {
        *self.world.fetches.lock().entry(self.from).or_default() += 1;
        let mut response = fetch(self.broker()?, request.clone()).await;
        let partitions = response.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        for partition in partitions {
            let Some(records) = partition.records.as_mut().filter(|it| !it.0.is_empty()) else {
                continue;
            };
            let mut damaged = self.world.damaged.lock();
            if *damaged > 0 {
                *damaged -= 1;
                let mut bytes = records.0.to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                records.0 = bytes.into();
            }
        }
        self.broker().map(|_| response)
    }
}

/// A fetch as a connection brings it.
pub async fn fetch(broker: Arc<Broker>, request: FetchRequest) -> FetchResponse {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9092));
    let context = Context {
        peer: Arc::new(Peer::anonymous("PLAINTEXT".into(), Scope::Brokers, address, address)),
        version: FETCH_VERSION,
        correlation_id: 0,
        client_id: Text::default(),
        received_at: std::time::Instant::now(),
        frame_bytes: 0,
    };
    handlers::fetch::handle(broker, context, request).await
}

struct CallController(CallNetwork);

impl ControllerChannel for CallController {
    async fn alter_partition(
        &self,
        request: AlterPartitionRequest,
    ) -> Result<AlterPartitionResponse, ErrorCode> {
        let CallNetwork { world, from } = &self.0;
        if world.is_apart([*from, *from]) {
            return Err(ErrorCode::NETWORK_EXCEPTION);
        }
        Ok(world.decide(request))
    }
}

fn broker(node: NodeId, path: &Path) -> Arc<Broker> {
    let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(node) };
    let directory = LogDirectory::open(path, options, Arc::new(RealDisk)).unwrap();
    let mut config = Config::default();
    config.fetch_max_bytes = 1 << 20;
    config.replica.is_read_by_rack = true;
    let lag_ms = MAX_LAG.as_millis().to_string();
    let values = Values::from([("replica.lag.time.max.ms".to_owned(), lag_ms)]);
    let replicas = Arc::new(Replicas::new(
        node,
        values.clone(),
        RecordValidation::Records,
        vec![Arc::new(directory)],
    ));
    let image = MetadataImage::default();
    let resolver = Resolver { node, static_values: &values, image: &image };
    let limits = Arc::new(Limits::new(1 << 20, Duration::from_secs(600), &resolver));
    let metadata = Arc::new(Published::new(Arc::new(image)));
    let controller = ControllerHandle::to_nobody(node);
    let ground = Ground {
        metadata: metadata.clone(),
        replicas: replicas.clone(),
        controller: Arc::new(ActiveController::to_nobody(node)),
    };
    let offsets = InternalTopic {
        name: "__consumer_offsets",
        partitions: 1,
        replication_factor: 3,
        configs: Vec::new(),
        commit_timeout: Duration::from_secs(5),
    };
    let settings = Arc::new(group::Settings::default());
    let groups = Shards::new(
        offsets,
        ground.clone(),
        move |_| group::Coordinator::new(Arc::clone(&settings)),
        |_, effect| match effect {},
    );
    Arc::new_cyclic(|this| Broker {
        node_id: node,
        cluster_id: "cluster".into(),
        transactions: transactions::coordinators(&config.transaction, ground, this.clone()),
        groups,
        replicas,
        controller,
        active_controller: ActiveController::to_nobody(node),
        colleagues: Colleagues::new(node, &metadata, "PLAINTEXT"),
        quorum_link: Link { cluster_id: "cluster".into(), listener: "CONTROLLER".into() },
        readiness: Readiness::default(),
        producer_ids: ProducerIds::default(),
        metadata,
        sessions: Sessions::new(100),
        endpoints: Endpoints::default(),
        authorizer: Authorizer,
        limits,
        request_budget: Budget::new(1 << 30),
        metrics: Metrics::new(),
        clock: WallClock,
        config,
    })
}

impl Cluster {
    /// Brokers 1 to 3, and a topic of one partition with a replica on each, led by 1.
    pub fn new(configs: &[(&str, &str)]) -> Self {
        Self::with(configs, false)
    }

    /// As [`Cluster::new`], with followers that fetch over sockets.
    pub fn wired() -> Self {
        Self::with(&[], true)
    }

    fn with(configs: &[(&str, &str)], is_wired: bool) -> Self {
        let controller = Controller::new(NodeId(1), Values::default(), MetadataImage::default());
        let world = World {
            brokers: Mutex::default(),
            cut_off: Mutex::default(),
            controller: Mutex::new(controller),
            damaged: Mutex::new(0),
            fetches: Mutex::default(),
            connections: Mutex::default(),
        };
        let mut cluster = Self {
            root: tempfile::tempdir().unwrap(),
            world: Arc::new(world),
            tasks: BTreeMap::new(),
            epochs: 100,
            is_wired,
        };
        for node in 1..=3 {
            cluster.start(node);
        }
        let config = |(name, value): &(&str, &str)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: ConfigResource::TOPIC,
                resource_name: TOPIC.into(),
                name: (*name).into(),
                value: Some((*value).into()),
            })
        };
        let nodes = [1, 2, 3].map(NodeId).to_vec();
        let topic = TopicRecord { name: TOPIC.into(), topic_id: TOPIC_ID };
        let partition = PartitionRecord {
            partition_id: PARTITION,
            topic_id: TOPIC_ID,
            replicas: nodes.clone(),
            directories: vec![Uuid::UNASSIGNED_DIRECTORY; 3],
            isr: nodes,
            leader: NodeId(1),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            ..Default::default()
        };
        let mut records: Vec<MetadataRecord> = configs.iter().map(config).collect();
        records.extend([topic.into(), partition.into()]);
        cluster.world.write(&records);
        cluster
    }

    /// Starts a broker, which registers anew.
    pub fn start(&mut self, node: i32) {
        let node = NodeId(node);
        let path = self.path(node);
        std::fs::create_dir_all(&path).unwrap();
        let broker = broker(node, &path);
        self.epochs += 1;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound =
            self.is_wired.then(|| listener::bind("PLAINTEXT", Scope::Brokers, any, 16).unwrap());
        let port = bound.as_ref().map_or(9092, |bound| bound.address.port());
        let host = if self.is_wired { "127.0.0.1".to_owned() } else { format!("host-{node}") };
        let registration = RegisterBrokerRecord {
            broker_id: node,
            broker_epoch: BrokerEpoch(self.epochs),
            rack: Some(format!("rack-{node}").as_str().into()),
            end_points: vec![milena_protocol::metadata_record::RegisterBrokerEndpoint {
                name: "PLAINTEXT".into(),
                host: host.as_str().into(),
                port,
                security_protocol: 0,
            }],
            fenced: false,
            ..Default::default()
        };
        self.world.write(&[registration.into()]);
        broker.replicas.shared().register(BrokerEpoch(self.epochs));
        let image = self.world.image();
        publish(&broker, &image, &Changes::between(&MetadataImage::default(), &image));
        self.world.brokers.lock().insert(node, Arc::clone(&broker));
        let rules = FetchRules {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            partition_max_bytes: 1 << 20,
            max_bytes: 10 << 20,
            backoff: Duration::from_millis(100),
        };
        let network = || CallNetwork { world: Arc::clone(&self.world), from: node };
        let mut tasks = JoinSet::new();
        let (lanes, shared) = (broker.replicas.lanes().clone(), broker.replicas.shared().clone());
        match bound {
            None => {
                tasks.spawn(fetcher::run(lanes, shared, Arc::new(network()), rules));
            }
            Some(bound) => {
                let accepting = listener::accept(broker.clone(), bound);
                tasks.spawn(async { accepting.await.unwrap() });
                let timeout = Duration::from_secs(30);
                let wired = Wired::new(node, broker.metadata.clone(), "PLAINTEXT", timeout);
                tasks.spawn(fetcher::run(lanes, shared, Arc::new(wired), rules));
            }
        }
        let controller = Arc::new(CallController(network()));
        tasks.spawn(alter::run(broker.replicas.clone(), controller));
        self.tasks.insert(node, tasks);
    }

    /// Stops a broker as a kill does: nothing is tidied up.
    pub async fn kill(&mut self, node: i32) {
        let node = NodeId(node);
        let broker = self.world.brokers.lock().remove(&node).unwrap();
        self.tasks.remove(&node).unwrap().shutdown().await;
        // Whoever waits for it gives up, and its directory can be opened again.
        let gone = Arc::downgrade(&broker);
        drop(broker);
        eventually("the broker is gone", || gone.strong_count() == 0).await;
    }

    fn path(&self, node: NodeId) -> PathBuf {
        self.root.path().join(node.to_string())
    }

    /// Where a node keeps the partition.
    pub fn log_path(&self, node: i32) -> PathBuf {
        self.path(NodeId(node)).join(format!("{TOPIC}-{PARTITION}"))
    }

    pub fn broker(&self, node: i32) -> Arc<Broker> {
        self.world.brokers.lock()[&NodeId(node)].clone()
    }

    pub fn partition(&self, node: i32) -> Arc<Partition> {
        self.broker(node).replicas.hosting(&TOPIC_ID, PARTITION).unwrap()
    }

    pub fn cut_off(&self, node: i32) {
        self.world.cut_off.lock().insert(NodeId(node));
    }

    /// Lets a node that was cut off hear of everything again.
    pub fn heal(&self, node: i32) {
        self.world.cut_off.lock().remove(&NodeId(node));
        let (broker, image) = (self.broker(node), self.world.image());
        let changes = Changes::between(&broker.metadata.image_owned(), &image);
        publish(&broker, &image, &changes);
    }

    pub fn metadata(&self) -> PartitionImage {
        self.world.image().partition(TOPIC_ID, PARTITION).unwrap().clone()
    }

    pub fn change(&self, change: PartitionChangeRecord) {
        let change =
            PartitionChangeRecord { partition_id: PARTITION, topic_id: TOPIC_ID, ..change };
        self.world.write(&[change.into()]);
    }

    /// Lets another node lead, with these in sync.
    pub fn elect(&self, leader: i32, isr: &[i32]) {
        self.change(PartitionChangeRecord {
            leader: NodeId(leader),
            isr: Some(isr.iter().copied().map(NodeId).collect()),
            ..Default::default()
        });
    }

    pub fn isr(&self) -> Vec<i32> {
        let mut isr: Vec<_> = self.metadata().isr.iter().map(|id| id.0).collect();
        isr.sort_unstable();
        isr
    }

    /// Appends a record at a node.
    pub fn append(&self, node: i32, value: &str, acks: i16) -> Placed {
        self.partition(node).append_as_leader(&batch(value), acks, Timestamp(1)).unwrap()
    }

    /// Appends a record at a node, and waits until it counts.
    pub async fn produce(&self, node: i32, value: &str) -> Placed {
        let placed = self.append(node, value, -1);
        let partition = self.partition(node);
        let acknowledged = partition.acknowledged(placed.acknowledgement);
        tokio::time::timeout(PATIENCE, acknowledged).await.expect("in time").unwrap();
        placed
    }

    /// All bytes of a node's log.
    pub fn bytes(&self, node: i32) -> Vec<u8> {
        let partition = self.partition(node);
        let reader = partition.reader();
        let offsets = reader.offsets();
        let mut bytes = Vec::new();
        let mut next = offsets.log_start_offset;
        while next < offsets.log_end_offset {
            let limit = milena_storage::ReadLimit {
                upper: offsets.log_end_offset,
                max_bytes: 1 << 20,
                at_least_one_batch: true,
            };
            let slice = reader.read_blocking(next, limit).unwrap();
            let mut rest = &slice.records[..];
            while let Ok((batch, behind)) = milena_protocol::record::Batch::parse(rest) {
                next = batch.next_offset();
                rest = behind;
            }
            bytes.extend_from_slice(&slice.records);
        }
        bytes
    }

    /// The end and the high watermark of a node's log.
    pub fn ends(&self, node: i32) -> (Offset, Offset) {
        let offsets = self.partition(node).reader().offsets();
        (offsets.log_end_offset, offsets.high_watermark)
    }
}

/// How long anything may take, in the time of the runtime.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn eventually(what: &str, holds: impl FnMut() -> bool) {
    eventually_told(|| what.to_owned(), holds).await;
}

/// Waits for something, and tells how it stands where it does not come.
pub async fn eventually_told(what: impl Fn() -> String, mut holds: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(1));
    while !holds() {
        assert!(looks.tick().await < until, "not in time: {}", what());
    }
}

pub fn batch(value: &str) -> Vec<u8> {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch.append(Timestamp(1), None, Some(value.as_bytes()), &[]);
    batch.build().unwrap().to_vec()
}
