//! Wiring a node: from a configuration to a broker that serves.
//!
//! There is one way to start, and it is recovery: what the disk holds is replayed, whether that is
//! nothing, the work of an orderly stop, or what a kill left behind.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena_cluster::configs::Resolver;
use milena_cluster::controller::brokers::{ControllerRegistration, Registration};
use milena_cluster::controller::features::{SUPPORTED, Supported};
use milena_cluster::group;
use milena_cluster::metadata::image::{EndpointImage, MetadataImage};
use milena_cluster::quorum::{Endpoint, ReplicaKey, Timing, Voter, VoterSet};
use milena_cluster::wire::Link;
use milena_protocol::codec::Text;
use milena_protocol::ids::{BrokerEpoch, NodeId, Offset, Timestamp, Uuid};
use milena_storage::{DirectoryOptions, LogDirectory, OpenDirectoryError, RealDisk};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::advertised;
use crate::broker::Broker;
use crate::caretaker;
use crate::clock::WallClock;
use crate::colleagues::Colleagues;
use crate::config::{Config, GroupConfig, HostPort};
use crate::drivers::cleaner;
use crate::drivers::controller::{self, Beginning, Driver, Fatal, SnapshotRules};
use crate::drivers::coordinator::{self, InternalTopic, Shards};
use crate::drivers::housekeeping;
use crate::drivers::producer_ids::ProducerIds;
use crate::drivers::transactions;
use crate::endpoints::Endpoints;
use crate::entropy::{new_uuid, uuid_of};
use crate::fetch_session::Sessions;
use crate::join::{self, Candidacy, Joining};
use crate::lifecycle::{JoinError, Lifecycle};
use crate::limits::Limits;
use crate::limits::budget::Budget;
use crate::metadata::Published;
use crate::network::listener::{self, Bound};
use crate::peers::{ActiveController, Peers};
use crate::publisher::Publisher;
use crate::readiness::Readiness;
use crate::replicas::fetcher::{self, FetchRules, Wired};
use crate::replicas::{Replicas, alter};
use crate::request::Scope;
use crate::screen::{Screen, Start};
use crate::security::Authorizer;
use crate::telemetry::metrics::Metrics;

/// The id of a node that is given none.
const DEFAULT_NODE_ID: NodeId = NodeId(1);
/// Request bytes that all connections may hold where nothing is configured.
const DEFAULT_REQUEST_BUDGET_BYTES: usize = 1 << 30;
/// How long a broker that stops may take to hand over what it leads.
const HAND_OVER: Duration = Duration::from_secs(5);
/// How long a controller that stops waits for another one.
const SUCCESSION: Duration = Duration::from_secs(1);
/// Voters from which on a node that joins is content to observe: three survive the loss of one.
const MANY_VOTERS: usize = 3;
/// Descriptors that are kept for connections and the rest of the process.
const RESERVED_DESCRIPTORS: usize = 1024;

/// Why a node does not start.
#[derive(Debug)]
pub enum StartError {
    /// A data directory cannot be used.
    Directory(OpenDirectoryError),
    /// A listener cannot be bound.
    Bind {
        /// The key that names it.
        key: &'static str,
        /// The listener.
        listener: String,
        /// What the system said.
        error: io::Error,
    },
    /// The metadata cannot be read or written.
    Metadata(String),
    /// The cluster that it shall be part of does not take it.
    Join(join::JoinError),
    /// This configuration asks for what there is not.
    Unsupported(String),
    /// The system refused.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error @ OpenDirectoryError::InUse { .. }) => {
                write!(f, "{error}; stop that process, or set log.dirs to another directory")
            }
            Self::Directory(error @ OpenDirectoryError::Foreign { .. }) => {
                write!(f, "{error}; set log.dirs to the right directory, or correct the setting")
            }
            Self::Directory(error) => write!(f, "cannot use the data directory: {error}"),
            Self::Bind { key, listener, error } if error.kind() == io::ErrorKind::AddrInUse => {
                let scheme = listener.split_once("://").map_or("PLAINTEXT", |(scheme, _)| scheme);
                write!(
                    f,
                    "cannot listen on {listener}: the address is taken; stop what listens there, \
                     or choose another port with --set {key}={scheme}://127.0.0.1:PORT"
                )
            }
            Self::Bind { key, listener, error } => {
                write!(f, "cannot listen on {listener}: {error}; {key} names where to listen")
            }
            Self::Metadata(reason) => write!(f, "cannot start from the metadata log: {reason}"),
            Self::Join(error) => error.fmt(f),
            Self::Unsupported(what) => f.write_str(what),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Fatal> for StartError {
    fn from(fatal: Fatal) -> Self {
        Self::Metadata(fatal.0)
    }
}

/// A node that holds its ports and its data, and takes part in nothing yet.
pub struct Node {
    broker: Arc<Broker>,
    /// None on a node that is only a controller.
    lifecycle: Option<Lifecycle>,
    /// None on a node that is only a broker.
    seat: Option<Seat>,
    bound: Vec<Bound>,
    http: Vec<std::net::TcpListener>,
    is_new: bool,
    began: Instant,
    deleted_topics: UnboundedReceiver<Vec<Text>>,
}

/// What a node needs to take part in the quorum.
struct Seat {
    /// What it says about itself.
    registration: ControllerRegistration,
    /// The way to the active controller that its registration goes.
    registrar: ActiveController,
    /// None where it does not stand for the quorum by itself.
    candidacy: Option<Candidacy>,
}

impl Seat {
    /// Takes part from here on: the broker's own registration is committed, so what this node has
    /// of the metadata is not old.
    fn take(self, metadata: Arc<Published>) {
        tokio::spawn(join::keep_registered(self.registration, self.registrar, metadata));
        if let Some(candidacy) = self.candidacy {
            tokio::spawn(join::stand(candidacy));
        }
    }
}

/// What a node is built from.
struct Ground {
    node_id: NodeId,
    cluster_id: String,
    bound: Vec<Bound>,
    directories: Vec<Arc<LogDirectory>>,
}

impl Node {
    /// Takes ports and directories, recovers what the disk holds, and starts this node's member of
    /// the quorum, within the current runtime. `began` is when the process started.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(mut config: Config, began: Instant) -> Result<Self, StartError> {
        join::listen_towards(&mut config);
        // Ports first: a node that cannot be reached should not touch its data.
        let bound = bind_all(&config)?;
        let http = bind_http(&config)?;
        let incarnation_id = join_cluster(&mut config, &bound)?;
        check_roles(&config)?;
        let node_id = config.node_id.unwrap_or_else(|| known_node_id(&config));
        config.settle_node_id(node_id);
        let (directories, cluster_id) = open_directories(&config, node_id)?;
        let metadata_directory = metadata_directory(&config, &directories)?;
        let ground = Ground { node_id, cluster_id, bound, directories };
        let mut driver = restore(&config, &ground, &metadata_directory)?;
        let is_new = driver.controller().image().offset() == Offset::NONE;
        // The cluster may have kept the id for this run already.
        let unanswered = || unanswered_incarnation(&ground.directories);
        let incarnation_id = incarnation_id.or_else(unanswered).unwrap_or_else(new_uuid);
        let is_broker = config.process_roles.broker;
        let registration = is_broker.then(|| registration(&config, &ground, incarnation_id));
        let replicas = Arc::new(Replicas::new(
            node_id,
            config.static_values().clone(),
            validation(&config),
            ground.directories.clone(),
        ));
        let image = Arc::new(MetadataImage::default());
        let metrics = Metrics::new();
        let resolver =
            Resolver { node: node_id, static_values: config.static_values(), image: &image };
        let limits = Arc::new(Limits::new(
            config.socket.request_max_bytes,
            config.connections_max_idle,
            &resolver,
        ));
        let metadata = Arc::new(Published::new(image));
        let (deleted, deleted_topics) = unbounded_channel();
        let mut publisher = Publisher {
            node: node_id,
            incarnation_id: registration.as_ref().map(|known| known.incarnation_id),
            static_values: config.static_values().clone(),
            replicas: replicas.clone(),
            metadata: metadata.clone(),
            limits: limits.clone(),
            metrics: metrics.clone(),
            deleted_topics: deleted,
            has_begun: false,
        };
        driver
            .publish_to(Box::new(move |image, changes| publisher.take(image, changes)))
            .map_err(StartError::System)?;
        let quorum_link = Link {
            cluster_id: ground.cluster_id.as_str().into(),
            listener: controller_listener(&config),
        };
        let quorum = &config.quorum;
        let mut peers = Peers::new(
            driver.inbox(),
            quorum_link.clone(),
            quorum.bootstrap_servers.clone(),
            quorum.request_timeout,
        );
        driver.connect(Box::new(move |outgoing| peers.send(outgoing)));
        driver.begin()?;
        let controller = driver.spawn(node_id).map_err(StartError::System)?;
        let channel = || {
            let listener = &quorum_link.listener;
            ActiveController::new(controller.clone(), listener, config.request_timeout)
        };
        let seat = config.process_roles.controller.then(|| Seat {
            registration: controller_registration(&config, &ground),
            registrar: channel(),
            candidacy: candidacy(
                &config,
                &ground,
                &metadata_directory,
                quorum_link.clone(),
                channel(),
            ),
        });
        let lifecycle = registration.map(|registration| Lifecycle {
            registration,
            cluster_id: ground.cluster_id.as_str().into(),
            channel: channel(),
            metadata: metadata.clone(),
            directories: ground.directories.clone(),
            heartbeat_interval: config.broker_heartbeat_interval,
            registration_timeout: config.initial_broker_registration_timeout,
        });
        let coordinators = coordinator::Ground {
            metadata: metadata.clone(),
            replicas: replicas.clone(),
            controller: Arc::new(channel()),
        };
        let broker = Arc::new_cyclic(|broker| Broker {
            node_id,
            cluster_id: ground.cluster_id.as_str().into(),
            replicas,
            active_controller: channel(),
            colleagues: Colleagues::new(node_id, &metadata, &config.inter_broker_listener_name),
            controller: controller.clone(),
            quorum_link: quorum_link.clone(),
            producer_ids: ProducerIds::default(),
            groups: groups(&config.group, coordinators.clone()),
            transactions: transactions::coordinators(
                &config.transaction,
                coordinators,
                broker.clone(),
            ),
            metadata,
            sessions: Sessions::new(config.max_incremental_fetch_session_cache_slots),
            endpoints: Endpoints::new(node_id, advertised(&config)),
            authorizer: Authorizer,
            limits,
            request_budget: Budget::new(
                config.queued_max_request_bytes.unwrap_or(DEFAULT_REQUEST_BUDGET_BYTES),
            ),
            metrics,
            readiness: Readiness::default(),
            clock: WallClock,
            config: config.clone(),
        });
        let bound = ground.bound;
        Ok(Self { broker, lifecycle, seat, bound, http, is_new, began, deleted_topics })
    }

    /// What a newcomer reads about a node that serves.
    fn screen(&self) -> Screen {
        let broker = &self.broker;
        let partitions = broker.replicas.count();
        Screen {
            node_id: broker.node_id,
            cluster_id: broker.cluster_id.to_string(),
            listeners: self
                .bound
                .iter()
                .map(|bound| (bound.name.to_string(), endpoint(bound.address)))
                .collect(),
            http: self.http.iter().filter_map(|it| it.local_addr().ok()).map(endpoint).collect(),
            log_dirs: broker.config.log_dirs.clone(),
            start: if self.is_new { Start::Fresh } else { Start::Recovered { partitions } },
            took: self.began.elapsed(),
            program: std::env::args().next().unwrap_or_else(|| "milena".to_owned()),
        }
    }

    /// Joins the cluster and serves until the process is told to stop. `on_ready` is shown what a
    /// newcomer reads, once clients are served.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve(self, on_ready: impl FnOnce(&Screen)) -> Result<(), ServeError> {
        let mut screen = self.screen();
        let Self { broker, lifecycle, seat, bound, http, deleted_topics, began, .. } = self;
        for listener in http {
            tokio::spawn(crate::admin::serve(broker.clone(), listener));
        }
        // Members of the quorum find each other before there is a controller to join.
        let is_early = |bound: &Bound| bound.scope != Scope::Brokers;
        let (early, late): (Vec<_>, Vec<_>) = bound.into_iter().partition(is_early);
        for bound in early {
            tokio::spawn(listener::accept(broker.clone(), bound));
        }
        let lifecycle = lifecycle.map(Arc::new);
        let mut registered = None;
        if let Some(lifecycle) = &lifecycle {
            let epoch = tokio::select! {
                joined = lifecycle.join() => joined.map_err(ServeError::Join)?,
                stopped = wait_for_signal() => return stopped.map_err(ServeError::System),
            };
            registered = Some(epoch);
            tokio::spawn(lifecycle.clone().live(epoch));
            replicate(&broker);
            tokio::spawn(housekeeping::retain(broker.clone()));
            tokio::spawn(cleaner::compact(broker.clone()));
            tokio::spawn(housekeeping::open_again(broker.clone()));
            tokio::spawn(transactions::load(broker.clone()));
            tokio::spawn(housekeeping::follow_leadership(broker.clone()));
            tokio::spawn(housekeeping::keep_groups(broker.clone(), deleted_topics));
        }
        tokio::spawn(caretaker::take_over(broker.clone()));
        if let Some(seat) = seat {
            seat.take(broker.metadata.clone());
        }
        broker.readiness.declare();
        for bound in late {
            tokio::spawn(listener::accept(broker.clone(), bound));
        }
        if !self.is_new {
            screen.start = Start::Recovered { partitions: broker.replicas.count() };
        }
        screen.took = began.elapsed();
        screen.log_ready();
        on_ready(&screen);
        wait_for_signal().await.map_err(ServeError::System)?;
        let leave = async {
            if let (Some(lifecycle), Some(epoch)) = (lifecycle, registered)
                && broker.config.controlled_shutdown_enable
            {
                lifecycle.leave(epoch, HAND_OVER).await;
            }
            if broker.controller.quorum().members.len() > 1 {
                broker.controller.resign(SUCCESSION).await;
            }
        };
        tokio::select! {
            () = leave => Ok(()),
            // Whoever asks twice wants it now.
            again = wait_for_signal() => again.map_err(ServeError::System),
        }
    }
}

/// Why a node serves no more.
#[derive(Debug)]
pub enum ServeError {
    /// It did not become part of its cluster.
    Join(JoinError),
    /// The system refused something.
    System(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Join(error) => write!(f, "cannot join the cluster: {error}"),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Fetches what this broker follows, and proposes who is in sync with what it leads.
fn replicate(broker: &Arc<Broker>) {
    let config = &broker.config;
    let network = Wired::new(
        broker.node_id,
        broker.metadata.clone(),
        &config.inter_broker_listener_name,
        config.replica.socket_timeout,
    );
    let (lanes, shared) = (broker.replicas.lanes().clone(), broker.replicas.shared().clone());
    let rules = FetchRules::new(&config.replica);
    tokio::spawn(fetcher::run(lanes, shared, Arc::new(network), rules));
    let channel = ActiveController::new(
        broker.controller.clone(),
        &broker.quorum_link.listener,
        config.request_timeout,
    );
    tokio::spawn(alter::run(broker.replicas.clone(), Arc::new(channel)));
}

async fn wait_for_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Checks that the roles fit the quorum.
fn check_roles(config: &Config) -> Result<(), StartError> {
    let refuse = |what: &str| Err(StartError::Unsupported(what.to_owned()));
    let roles = config.process_roles;
    let voters = &config.quorum.voters;
    let is_voter = voters.iter().any(|voter| Some(voter.id) == config.node_id);
    if !roles.controller && voters.is_empty() && config.quorum.bootstrap_servers.is_empty() {
        return refuse(
            "a node that is only a broker has to find the controllers: set \
             controller.quorum.voters or controller.quorum.bootstrap.servers",
        );
    }
    if !voters.is_empty() && roles.controller && !is_voter {
        return refuse(
            "controller.quorum.voters does not name this node, whose process.roles has \
             controller: add ID@HOST:PORT with its node.id, or leave the role out",
        );
    }
    if is_voter && !roles.controller {
        return refuse(
            "controller.quorum.voters names this node, whose process.roles has no controller: \
             add the role, or take the node out of the voters",
        );
    }
    Ok(())
}

/// The listener that controllers are reached by: their own, or that of the brokers.
fn controller_listener(config: &Config) -> String {
    let own = config.controller_listener_names.first();
    own.unwrap_or(&config.inter_broker_listener_name).clone()
}

/// Whom a listener is for. A controller without a listener of its own shares that of the brokers,
/// also while it is alone: others may join it.
fn scope(config: &Config, listener: &str) -> Scope {
    let is_shared = config.process_roles.controller && config.controller_listener_names.is_empty();
    if config.controller_listener_names.iter().any(|name| name == listener) {
        Scope::Controllers
    } else if is_shared && config.inter_broker_listener_name == listener {
        Scope::All
    } else {
        Scope::Brokers
    }
}

/// The coordinators of groups, none of which is loaded yet.
fn groups(config: &GroupConfig, ground: coordinator::Ground) -> Shards<group::Coordinator> {
    let topic = InternalTopic {
        name: "__consumer_offsets",
        partitions: config.offsets_topic_partitions,
        replication_factor: config.offsets_topic_replication_factor,
        configs: vec![
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
        ],
        commit_timeout: config.offsets_commit_timeout,
    };
    let settings = Arc::new(config.settings.clone());
    Shards::new(
        topic,
        ground,
        move |_| group::Coordinator::new(Arc::clone(&settings)),
        |_, effect| match effect {},
    )
}

fn bind_all(config: &Config) -> Result<Vec<Bound>, StartError> {
    config
        .listeners
        .iter()
        .map(|listener| {
            let scope = scope(config, &listener.name);
            let endpoint = listener.endpoint();
            let shown = format!("{}://{}", listener.name, endpoint);
            bind_first(&endpoint, |address| {
                listener::bind(&listener.name, scope, address, config.socket.listen_backlog_size)
            })
            .map_err(|error| StartError::Bind {
                key: "listeners",
                listener: shown,
                error,
            })
        })
        .collect()
}

fn bind_http(config: &Config) -> Result<Vec<std::net::TcpListener>, StartError> {
    config
        .http_listeners
        .iter()
        .map(|listener| {
            let shown = format!("http://{}", listener.endpoint);
            bind_first(&listener.endpoint, |address| {
                let socket = std::net::TcpListener::bind(address)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })
            .map_err(|error| StartError::Bind {
                key: "http.listeners",
                listener: shown,
                error,
            })
        })
        .collect()
}

/// Tries the addresses of an endpoint in their order.
fn bind_first<T>(
    endpoint: &HostPort,
    bind: impl Fn(std::net::SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in endpoint.bind_addresses()? {
        match bind(address) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn endpoint(address: std::net::SocketAddr) -> HostPort {
    HostPort { host: address.ip().to_string(), port: address.port() }
}

/// A key of the first directory's `meta.properties`.
fn known_property(config: &Config, key: &str) -> Option<String> {
    let path = config.log_dirs.first()?.join("meta.properties");
    let text = std::fs::read_to_string(path).ok()?;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
}

/// The id that the data directory was made with; a new node is node 1.
fn known_node_id(config: &Config) -> NodeId {
    known_property(config, "node.id").and_then(|id| id.parse().ok()).map_or(DEFAULT_NODE_ID, NodeId)
}

fn open_directories(
    config: &Config,
    node_id: NodeId,
) -> Result<(Vec<Arc<LogDirectory>>, String), StartError> {
    let cluster_id = config
        .cluster_id
        .clone()
        .or_else(|| known_property(config, "cluster.id"))
        .unwrap_or_else(|| new_cluster_id(config));
    let count = config.log_dirs.len().max(1);
    let directories = config
        .log_dirs
        .iter()
        .map(|path| open_directory(path, node_id, &cluster_id, count))
        .collect::<Result<_, _>>()?;
    Ok((directories, cluster_id))
}

/// The id of a cluster that nobody has named: members that are configured with the same voters
/// come to the same one without being told.
fn new_cluster_id(config: &Config) -> String {
    let voters = &config.quorum.voters;
    if voters.len() < 2 {
        return new_uuid().to_string();
    }
    let named: BTreeSet<String> =
        voters.iter().map(|voter| format!("{}@{}", voter.id, voter.endpoint)).collect();
    uuid_of(&named.into_iter().collect::<Vec<_>>().join(",")).to_string()
}

fn open_directory(
    path: &Path,
    node_id: NodeId,
    cluster_id: &str,
    count: usize,
) -> Result<Arc<LogDirectory>, StartError> {
    let mut options = DirectoryOptions::new(node_id);
    options.cluster_id = Some(cluster_id.to_owned());
    options.descriptor_budget =
        descriptor_limit().saturating_sub(RESERVED_DESCRIPTORS).max(64) / count;
    let opened = LogDirectory::open(path, options, Arc::new(RealDisk));
    let directory = opened.map_err(StartError::Directory)?;
    for name in directory.quarantined() {
        let path = path.display();
        tracing::warn!(%path, name, "unknown entry in the data directory left alone");
    }
    Ok(Arc::new(directory))
}

/// Descriptors that this process may open; half of them may be logs.
fn descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    usize::try_from(limit.unwrap_or(4096)).unwrap_or(usize::MAX).min(1 << 20)
}

fn metadata_directory(
    config: &Config,
    directories: &[Arc<LogDirectory>],
) -> Result<Arc<LogDirectory>, StartError> {
    directories
        .iter()
        .find(|directory| directory.path() == config.metadata_log_dir)
        .or(directories.first())
        .cloned()
        .ok_or_else(|| StartError::Unsupported("log.dirs names no directory".into()))
}

/// This node's member of the quorum and its controller, as the disk left them.
fn restore(
    config: &Config,
    ground: &Ground,
    directory: &Arc<LogDirectory>,
) -> Result<Driver, StartError> {
    let key = ReplicaKey { id: ground.node_id, directory_id: directory.id() };
    let me = Voter { endpoints: controller_endpoints(config, ground), ..Voter::bare(key) };
    let beginning = Beginning {
        node: ground.node_id,
        cluster_id: &ground.cluster_id,
        directory,
        segment_bytes: u32::try_from(config.metadata_log.segment_bytes).unwrap_or(1 << 30),
        voters: voters(config, &me),
        me,
        timing: timing(config),
        seed: seed(),
        static_values: config.static_values(),
        bootstrap_count: config.quorum.bootstrap_servers.len(),
        rules: SnapshotRules {
            max_bytes: u64::try_from(config.metadata_log.max_record_bytes_between_snapshots)
                .unwrap_or(u64::MAX),
            max_interval: config.metadata_log.max_snapshot_interval,
        },
        clock: now,
    };
    Ok(controller::restore(beginning)?)
}

/// The voters that are configured. Where nobody is, this node is a quorum of its own.
fn voters(config: &Config, me: &Voter) -> VoterSet {
    if config.quorum.voters.is_empty() && config.quorum.bootstrap_servers.is_empty() {
        return [me.clone()].into_iter().collect();
    }
    let name = controller_listener(config);
    let voter = |voter: &crate::config::Voter| {
        let HostPort { host, port } = voter.endpoint.clone();
        // Configured voters' directories are unknown.
        let key = ReplicaKey { id: voter.id, directory_id: Uuid::ZERO };
        let endpoint = Endpoint { name: name.clone(), host, port };
        Voter { endpoints: vec![endpoint], ..Voter::bare(key) }
    };
    config.quorum.voters.iter().map(voter).collect()
}

/// Where this node's member of the quorum is reached: as the voters are configured, else as its
/// listener is advertised.
fn controller_endpoints(config: &Config, ground: &Ground) -> Vec<Endpoint> {
    let name = controller_listener(config);
    let configured = config.quorum.voters.iter().find(|voter| voter.id == ground.node_id);
    let place = match configured {
        Some(voter) => Some(voter.endpoint.clone()),
        None => {
            let own = ground.bound.iter().find(|bound| *bound.name == *name);
            own.map(|bound| advertised::place(config, bound))
        }
    };
    let endpoint = |HostPort { host, port }| Endpoint { name, host, port };
    place.map(endpoint).into_iter().collect()
}

fn now() -> Timestamp {
    WallClock.now()
}

/// A number that no other start draws.
fn seed() -> u64 {
    new_uuid().0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn timing(config: &Config) -> Timing {
    Timing {
        election_timeout: config.quorum.election_timeout,
        fetch_timeout: config.quorum.fetch_timeout,
        request_timeout: config.quorum.request_timeout,
        retry_backoff: config.quorum.retry_backoff,
        ..Timing::default()
    }
}

/// Where others reach the listeners of some scopes.
fn endpoints(
    config: &Config,
    bound: &[Bound],
    is_meant: impl Fn(Scope) -> bool,
) -> Vec<EndpointImage> {
    let meant = bound.iter().filter(|bound| is_meant(bound.scope));
    let endpoint = |bound: &Bound| {
        let listener = config.listeners.iter().find(|listener| listener.name == *bound.name);
        let HostPort { host, port } = advertised::place(config, bound);
        EndpointImage {
            name: (&*bound.name).into(),
            host: host.into(),
            port,
            security_protocol: listener.map_or(0, |it| it.security_protocol.id()),
        }
    };
    meant.map(endpoint).collect()
}

/// Learns from a cluster that this node is told to be part of what it has to know. Answers the run
/// as which its broker is registered there, if it is.
fn join_cluster(config: &mut Config, bound: &[Bound]) -> Result<Option<Uuid>, StartError> {
    let endpoints = endpoints(config, bound, |scope| scope != Scope::Controllers);
    let directory = config.metadata_log_dir.clone();
    let joining = Joining {
        endpoints: &endpoints,
        bound: bound.iter().map(|bound| bound.address).collect(),
        cluster_id: known_property(config, "cluster.id"),
        node_id: known_property(config, "node.id").and_then(|id| id.parse().ok()).map(NodeId),
        directory: &directory,
    };
    let settled = join::settle(config, joining);
    tokio::runtime::Handle::current().block_on(settled).map_err(StartError::Join)
}

/// What this node's controller says about itself.
fn controller_registration(config: &Config, ground: &Ground) -> ControllerRegistration {
    let feature = |it: &Supported| (it.name.into(), it.min_level, it.max_level);
    ControllerRegistration {
        id: ground.node_id,
        incarnation_id: new_uuid(),
        endpoints: endpoints(config, &ground.bound, |scope| scope != Scope::Brokers),
        features: SUPPORTED.iter().map(feature).collect(),
    }
}

/// A node that joined stands for the quorum while that is small; one that is told to join it
/// always does (KIP-1186).
fn candidacy(
    config: &Config,
    ground: &Ground,
    directory: &LogDirectory,
    link: Link,
    channel: ActiveController,
) -> Option<Candidacy> {
    let limit = match config.quorum.auto_join {
        Some(true) => None,
        None if config.quorum.wants_vote => Some(MANY_VOTERS),
        _ => return None,
    };
    let key = ReplicaKey { id: ground.node_id, directory_id: directory.id() };
    let me = Voter { endpoints: controller_endpoints(config, ground), ..Voter::bare(key) };
    Some(Candidacy { me, limit, channel, link, directory: directory.path().to_owned() })
}

fn registration(config: &Config, ground: &Ground, incarnation_id: Uuid) -> Registration {
    let endpoints = endpoints(config, &ground.bound, |scope| scope != Scope::Controllers);
    Registration {
        previous_epoch: previous_epoch(&ground.directories),
        id: ground.node_id,
        incarnation_id,
        endpoints,
        rack: config.broker_rack.as_deref().map(Into::into),
        log_dirs: ground.directories.iter().map(|directory| directory.id()).collect(),
    }
}

/// The incarnation id of a run that did not live to hear of its epoch, if nothing of that run is
/// lost (`docs/decisions/0005`).
fn unanswered_incarnation(directories: &[Arc<LogDirectory>]) -> Option<Uuid> {
    let mut known = directories.iter().map(|directory| directory.unanswered_incarnation());
    let first = known.next().flatten()?;
    known.all(|other| other == Some(first)).then_some(first)
}

/// The epoch of the run before this one, if nothing of that run is lost. A directory that has lost
/// records, or comes from another node, speaks for all of them.
fn previous_epoch(directories: &[Arc<LogDirectory>]) -> Option<BrokerEpoch> {
    let witnessed = directories.iter().map(|directory| {
        let witness = directory.previous_witness().filter(|_| directory.is_same_kernel())?;
        Some(witness.broker_epoch)
    });
    witnessed.min().flatten()
}

fn advertised(config: &Config) -> std::collections::BTreeMap<String, (String, u16)> {
    config
        .advertised_listeners
        .iter()
        .map(|(name, endpoint)| (name.clone(), (endpoint.host.clone(), endpoint.port)))
        .collect()
}

fn validation(config: &Config) -> milena_storage::RecordValidation {
    match config.record_validation {
        crate::config::RecordValidation::Records => milena_storage::RecordValidation::Records,
        crate::config::RecordValidation::Batch => milena_storage::RecordValidation::Batch,
    }
}
