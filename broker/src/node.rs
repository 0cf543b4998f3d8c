//! Wiring a node: from a configuration to a broker that serves.
//!
//! There is one way to start, and it is recovery: what the disk holds is replayed, whether that is
//! nothing, the work of an orderly stop, or what a kill left behind.

mod error;
mod ground;
mod ports;
mod seat;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena_cluster::configs::Resolver;
use milena_cluster::controller::brokers::Registration;
use milena_cluster::group;
use milena_cluster::metadata::image::MetadataImage;
use milena_cluster::wire::Link;
use milena_protocol::codec::Text;
use milena_protocol::ids::{NodeId, Offset, Uuid};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::broker::Broker;
use crate::caretaker;
use crate::clock::WallClock;
use crate::colleagues::Colleagues;
use crate::config::{Config, GroupConfig};
use crate::drivers::cleaner;
use crate::drivers::coordinator::{self, InternalTopic, Shards};
use crate::drivers::housekeeping;
use crate::drivers::producer_ids::ProducerIds;
use crate::drivers::transactions;
use crate::endpoints::Endpoints;
use crate::entropy::new_uuid;
use crate::fetch_session::Sessions;
use crate::join::{self, Joining};
use crate::lifecycle::Lifecycle;
use crate::limits::Limits;
use crate::limits::budget::Budget;
use crate::machine::{Machine, Threads};
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
use ground::{
    Ground, known_node_id, known_property, metadata_directory, open_directories, previous_epoch,
    unanswered_incarnation,
};
use ports::{Ports, controller_listener, endpoint, endpoints};
use seat::{Seat, restore};

pub use error::{ServeError, StartError};

/// Request bytes that all connections may hold where nothing is configured.
const DEFAULT_REQUEST_BUDGET_BYTES: usize = 1 << 30;
/// How long a broker that stops may take to hand over what it leads.
const HAND_OVER: Duration = Duration::from_secs(5);
/// How long a controller that stops waits for another one.
const SUCCESSION: Duration = Duration::from_secs(1);

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

impl Node {
    /// Takes ports and directories, recovers what the disk holds, and starts this node's member of
    /// the quorum, within the current runtime. `began` is when the process started.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(mut config: Config, began: Instant) -> Result<Self, StartError> {
        let ports = Ports::take(&mut config)?;
        let joined = join_cluster(&mut config, &ports.bound);
        let incarnation_id = tokio::runtime::Handle::current().block_on(joined)?;
        Self::found(config, began, Machine::real(), ports, incarnation_id)
    }

    /// The same on another machine, as a task of the current runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_on(
        machine: Machine,
        mut config: Config,
        began: Instant,
    ) -> Result<Self, StartError> {
        let ports = Ports::take(&mut config)?;
        let incarnation_id = join_cluster(&mut config, &ports.bound).await?;
        Self::found(config, began, machine, ports, incarnation_id)
    }

    fn found(
        mut config: Config,
        began: Instant,
        machine: Machine,
        ports: Ports,
        incarnation_id: Option<Uuid>,
    ) -> Result<Self, StartError> {
        let Ports { bound, http } = ports;
        check_roles(&config)?;
        let node_id = config.node_id.unwrap_or_else(|| known_node_id(&config));
        config.settle_node_id(node_id);
        let (directories, cluster_id) = open_directories(&config, node_id, &machine)?;
        let metadata_directory = metadata_directory(&config, &directories)?;
        let ground = Ground { node_id, cluster_id, bound, directories };
        let mut driver = restore(&config, &ground, &metadata_directory, &machine)?;
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
        let is_controller = config.process_roles.controller;
        let seat = is_controller
            .then(|| Seat::new(&config, &ground, &metadata_directory, &quorum_link, channel));
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
        if machine.threads == Threads::None {
            tokio::spawn(housekeeping::keep_up(ground.directories));
        }
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
            serves_clients: broker.config.process_roles.broker,
            program: std::env::args().next().unwrap_or_else(|| "milena".to_owned()),
        }
    }

    /// Joins the cluster and serves until the process is told to stop. `on_ready` is shown what a
    /// newcomer reads, once clients are served.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve(self, on_ready: impl FnOnce(&Screen)) -> Result<(), ServeError> {
        self.serve_until(wait_for_signal, on_ready).await
    }

    /// The same until `told` comes to an end. It is asked anew for whoever tells it twice, and
    /// wants the end now.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve_until<F: Future<Output = io::Result<()>>>(
        self,
        told: impl Fn() -> F,
        on_ready: impl FnOnce(&Screen),
    ) -> Result<(), ServeError> {
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
        let mut living = None;
        if let Some(lifecycle) = &lifecycle {
            let epoch = tokio::select! {
                joined = lifecycle.join() => joined?,
                stopped = told() => return stopped.map_err(ServeError::System),
            };
            registered = Some(epoch);
            living = Some(tokio::spawn(lifecycle.clone().live(epoch)));
            replicate(&broker);
            tokio::spawn(housekeeping::retain(broker.clone()));
            tokio::spawn(cleaner::compact(broker.clone()));
            tokio::spawn(housekeeping::open_again(broker.clone()));
            tokio::spawn(transactions::load(broker.clone()));
            tokio::spawn(housekeeping::follow_leadership(broker.clone()));
            tokio::spawn(housekeeping::keep_groups(broker.clone(), deleted_topics));
        }
        tokio::spawn(caretaker::take_over(broker.clone()));
        let standing = seat.and_then(|seat| seat.take(broker.metadata.clone()));
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
        tokio::select! {
            stopped = told() => stopped.map_err(ServeError::System)?,
            forgotten = end_of(living) => {
                tracing::error!(%forgotten, "this node ends");
                return Err(ServeError::Forgotten(forgotten));
            }
            error = end_of(standing) => {
                tracing::error!(%error, "this node ends");
                return Err(ServeError::Quorum(error));
            }
        }
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
            again = told() => again.map_err(ServeError::System),
        }
    }
}

/// How a task of the node ends; never, where there is none or nobody knows.
async fn end_of<T>(task: Option<JoinHandle<T>>) -> T {
    if let Some(task) = task
        && let Ok(end) = task.await
    {
        return end;
    }
    std::future::pending().await
}

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

/// Learns from a cluster that this node is told to be part of what it has to know. Answers the run
/// as which its broker is registered there, if it is.
async fn join_cluster(config: &mut Config, bound: &[Bound]) -> Result<Option<Uuid>, StartError> {
    let endpoints = endpoints(config, bound, |scope| scope != Scope::Controllers);
    let directory = config.metadata_log_dir.clone();
    let joining = Joining {
        endpoints: &endpoints,
        bound: bound.iter().map(|bound| bound.address).collect(),
        cluster_id: known_property(config, "cluster.id"),
        node_id: known_property(config, "node.id").and_then(|id| id.parse().ok()).map(NodeId),
        directory: &directory,
    };
    join::settle(config, joining).await.map_err(StartError::Join)
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
