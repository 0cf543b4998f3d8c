//! Wiring a node: from a configuration to a broker that serves.
//!
//! There is one way to start, and it is recovery: what the disk holds is replayed, whether that is
//! nothing, the work of an orderly stop, or what a kill left behind.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use milena_cluster::configs::Resolver;
use milena_cluster::controller::brokers::Registration;
use milena_cluster::controller::features;
use milena_cluster::group;
use milena_cluster::metadata::delta::Changes;
use milena_cluster::metadata::image::{ConfigResource, EndpointImage, MetadataImage};
use milena_cluster::quorum::{ReplicaKey, Timing, Voter};
use milena_protocol::codec::Text;
use milena_protocol::ids::{NodeId, Offset, Timestamp};
use milena_storage::{DirectoryOptions, LogDirectory, OpenDirectoryError, RealDisk};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::broker::Broker;
use crate::clock::WallClock;
use crate::config::{Config, GroupConfig, HostPort};
use crate::drivers::cleaner;
use crate::drivers::controller::{self, Beginning, Driver, Fatal, SnapshotRules};
use crate::drivers::coordinator::{Ground, InternalTopic, Shards};
use crate::drivers::housekeeping;
use crate::drivers::producer_ids::ProducerIds;
use crate::drivers::transactions;
use crate::endpoints::Endpoints;
use crate::entropy::new_uuid;
use crate::fetch_session::Sessions;
use crate::limits::Limits;
use crate::limits::budget::Budget;
use crate::metadata::Published;
use crate::network::listener::{self, Bound};
use crate::replicas::Replicas;
use crate::screen::{Screen, Start};
use crate::security::Authorizer;
use crate::telemetry::metrics::Metrics;

/// The id of a node that is given none.
const DEFAULT_NODE_ID: NodeId = NodeId(1);
/// Request bytes that all connections may hold where nothing is configured.
const DEFAULT_REQUEST_BUDGET_BYTES: usize = 1 << 30;
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

/// A node that is ready: bound, recovered, not yet accepting.
pub struct Node {
    broker: Arc<Broker>,
    bound: Vec<Bound>,
    http: Vec<std::net::TcpListener>,
    screen: Screen,
    /// The topics that are deleted, as they are.
    deleted_topics: UnboundedReceiver<Vec<Text>>,
}

impl Node {
    /// Recovers what the data directories hold and binds the listeners.
    ///
    /// # Errors
    /// [`StartError`], in one line that says what to do.
    pub fn start(mut config: Config, began: Instant) -> Result<Self, StartError> {
        check_supported(&config)?;
        // Ports first: a node that cannot be reached should not touch its data.
        let bound = bind_all(&config)?;
        let http = bind_http(&config)?;
        let node_id = config.node_id.unwrap_or_else(|| known_node_id(&config));
        config.settle_node_id(node_id);
        let (directories, cluster_id) = open_directories(&config, node_id)?;
        let metadata_directory = metadata_directory(&config, &directories)?;
        let mut driver = restore(&config, node_id, &cluster_id, &metadata_directory)?;
        let is_new = driver.controller().image().offset() == Offset::NONE;
        driver.begin()?;
        if driver.controller().image().feature(features::METADATA_VERSION) == 0 {
            driver.propose(features::bootstrap())?;
        }
        let registration = registration(&config, node_id, &bound, &directories);
        let epoch = driver.decide(|controller| controller.register_broker(&registration))?;
        driver.decide(|controller| controller.unfence_broker(node_id))?;
        if !directories.iter().all(|directory| directory.is_same_kernel()) {
            let renewed = driver.decide(|controller| controller.renew_epochs(node_id))?;
            if renewed > 0 {
                tracing::warn!(
                    partitions = renewed,
                    "the machine was restarted: records that were not synced are lost, and the \
                     partitions go on in a new leader epoch"
                );
            }
        }
        // One sync for everything that begins this run.
        driver.commit()?;
        for directory in &directories {
            directory
                .witness_broker_epoch(epoch)
                .map_err(|error| StartError::Metadata(error.to_string()))?;
        }
        let image = driver.image().clone();
        let replicas = Arc::new(Replicas::new(
            node_id,
            config.static_values().clone(),
            validation(&config),
            directories,
        ));
        replicas.apply(&image, &Changes::between(&MetadataImage::default(), &image));
        replicas.put_strays_aside(&image);
        let recovered = replicas.count();
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
        let publish = {
            let (replicas, metadata) = (replicas.clone(), metadata.clone());
            let (limits, metrics) = (limits.clone(), metrics.clone());
            let static_values = config.static_values().clone();
            Box::new(move |image: &Arc<MetadataImage>, changes: &Changes| {
                replicas.apply(image, changes);
                for topic in changes.removed_topics.values() {
                    metrics.forget_topic(topic);
                }
                if changes.configs.iter().any(|resource| resource.kind == ConfigResource::BROKER) {
                    let static_values = &static_values;
                    limits.follow(&Resolver { node: node_id, static_values, image });
                }
                metadata.publish(image.clone(), changes);
                if !changes.removed_topics.is_empty() {
                    // Nobody listens any more only when the process ends.
                    let _ = deleted.send(changes.removed_topics.values().cloned().collect());
                }
            })
        };
        driver.publish_to(publish);
        let controller = driver.spawn(node_id).map_err(StartError::System)?;
        let screen = Screen {
            node_id,
            cluster_id: cluster_id.clone(),
            listeners: bound.iter().map(|b| (b.name.to_string(), endpoint(b.address))).collect(),
            http: http.iter().filter_map(|h| h.local_addr().ok()).map(endpoint).collect(),
            log_dirs: config.log_dirs.clone(),
            start: if is_new { Start::Fresh } else { Start::Recovered { partitions: recovered } },
            took: began.elapsed(),
            program: std::env::args().next().unwrap_or_else(|| "milena".to_owned()),
        };
        let ground = Ground {
            metadata: metadata.clone(),
            replicas: replicas.clone(),
            controller: controller.clone(),
        };
        let broker = Arc::new_cyclic(|broker| Broker {
            node_id,
            cluster_id: cluster_id.as_str().into(),
            replicas,
            controller,
            producer_ids: ProducerIds::default(),
            groups: groups(&config.group, ground.clone()),
            transactions: transactions::coordinators(&config.transaction, ground, broker.clone()),
            metadata,
            sessions: Sessions::new(config.max_incremental_fetch_session_cache_slots),
            endpoints: Endpoints::new(node_id, advertised(&config)),
            authorizer: Authorizer,
            limits,
            request_budget: Budget::new(
                config.queued_max_request_bytes.unwrap_or(DEFAULT_REQUEST_BUDGET_BYTES),
            ),
            metrics,
            clock: WallClock,
            config,
        });
        Ok(Self { broker, bound, http, screen, deleted_topics })
    }

    /// What a newcomer reads.
    #[must_use]
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// The broker's state, for tests and for HTTP.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Accepts connections until the process is told to end. Stopping is crashing: nothing is
    /// tidied up, for nothing needs to be.
    ///
    /// # Errors
    /// When a socket cannot be handed to the runtime.
    pub async fn serve(self) -> io::Result<()> {
        for bound in self.bound {
            tokio::spawn(listener::accept(self.broker.clone(), bound));
        }
        for listener in self.http {
            tokio::spawn(crate::admin::serve(self.broker.clone(), listener));
        }
        tokio::spawn(housekeeping::retain(self.broker.clone()));
        tokio::spawn(cleaner::compact(self.broker.clone()));
        tokio::spawn(housekeeping::open_again(self.broker.clone()));
        tokio::spawn(transactions::load(self.broker.clone()));
        tokio::spawn(housekeeping::keep_groups(self.broker.clone(), self.deleted_topics));
        self.screen.log_ready();
        wait_for_signal().await
    }
}

async fn wait_for_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn check_supported(config: &Config) -> Result<(), StartError> {
    if !config.process_roles.broker || !config.process_roles.controller {
        return Err(StartError::Unsupported(
            "process.roles must be broker,controller: this version runs single nodes only".into(),
        ));
    }
    let others = config.quorum.voters.iter().any(|voter| Some(voter.id) != config.node_id);
    if others && !config.quorum.voters.is_empty() && config.quorum.voters.len() > 1 {
        return Err(StartError::Unsupported(
            "controller.quorum.voters names other nodes: this version runs single nodes only; \
             leave it out, or name only this node"
                .into(),
        ));
    }
    Ok(())
}

/// The coordinators of groups, none of which is loaded yet.
fn groups(config: &GroupConfig, ground: Ground) -> Shards<group::Coordinator> {
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
        .filter(|listener| !config.controller_listener_names.contains(&listener.name))
        .map(|listener| {
            let endpoint = listener.endpoint();
            let shown = format!("{}://{}", listener.name, endpoint);
            bind_first(&endpoint, |address| {
                listener::bind(&listener.name, address, config.socket.listen_backlog_size)
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
        .unwrap_or_else(|| new_uuid().to_string());
    let count = config.log_dirs.len().max(1);
    let directories = config
        .log_dirs
        .iter()
        .map(|path| open_directory(path, node_id, &cluster_id, count))
        .collect::<Result<_, _>>()?;
    Ok((directories, cluster_id))
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

/// The controller's driver, as the disk left it: the only voter of its quorum.
fn restore(
    config: &Config,
    node: NodeId,
    cluster_id: &str,
    directory: &Arc<LogDirectory>,
) -> Result<Driver, StartError> {
    let me = Voter::bare(ReplicaKey { id: node, directory_id: directory.id() });
    let beginning = Beginning {
        node,
        cluster_id,
        directory,
        segment_bytes: u32::try_from(config.metadata_log.segment_bytes).unwrap_or(1 << 30),
        voters: [me.clone()].into_iter().collect(),
        me,
        timing: timing(config),
        seed: seed(),
        static_values: config.static_values(),
        rules: SnapshotRules {
            max_bytes: u64::try_from(config.metadata_log.max_record_bytes_between_snapshots)
                .unwrap_or(u64::MAX),
            max_interval: config.metadata_log.max_snapshot_interval,
        },
        clock: now,
    };
    Ok(controller::restore(beginning)?)
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

fn registration(
    config: &Config,
    node_id: NodeId,
    bound: &[Bound],
    directories: &[Arc<LogDirectory>],
) -> Registration {
    let endpoints = bound
        .iter()
        .map(|bound| {
            let listener = config.listeners.iter().find(|l| l.name == *bound.name);
            let advertised = config.advertised_listeners.get(&*bound.name);
            let (host, port) = match advertised {
                Some(endpoint) => (endpoint.host.clone(), endpoint.port),
                None => (bound.address.ip().to_string(), bound.address.port()),
            };
            EndpointImage {
                name: (&*bound.name).into(),
                host: host.into(),
                port,
                security_protocol: listener.map_or(0, |l| l.security_protocol.id()),
            }
        })
        .collect();
    Registration {
        id: node_id,
        incarnation_id: new_uuid(),
        endpoints,
        rack: config.broker_rack.as_deref().map(Into::into),
        log_dirs: directories.iter().map(|directory| directory.id()).collect(),
    }
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
