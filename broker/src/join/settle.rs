//! What a node has to know before it opens its directories: which cluster it belongs to, which node
//! it is, and whom to ask for the quorum.

use std::path::Path;
use std::time::{Duration, Instant};

use milena_cluster::metadata::image::EndpointImage;
use milena_protocol::ids::{NodeId, Uuid};
use tokio::time::timeout;

use super::found::Found;
use super::server::{self, Applicant, Cluster, JoinError, Outcome};
use crate::advertised::{is_local, local_address};
use crate::config::{Config, HostPort};
use crate::entropy::new_uuid;

/// How long a node that knows its cluster waits for whom it was told of.
const GLANCE: Duration = Duration::from_secs(1);
/// How often a server that does not answer is told of.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// What a node that may join brings along.
pub struct Joining<'a> {
    /// Where it listens for clients and brokers.
    pub endpoints: &'a [EndpointImage],
    /// The addresses that it has bound.
    pub bound: Vec<std::net::SocketAddr>,
    /// The cluster that its directory belongs to, if that is not new.
    pub cluster_id: Option<String>,
    /// The node that its directory belongs to.
    pub node_id: Option<NodeId>,
    /// Where it keeps what it learns.
    pub directory: &'a Path,
}

/// A node that nobody told where to listen listens where the cluster that it joins can reach it.
pub fn listen_towards(config: &mut Config) {
    let Some(server) = config.join.clone().filter(|server| !server.is_loopback()) else { return };
    if config.setting("listeners").is_some() {
        return;
    }
    let places = server.bind_addresses().unwrap_or_default();
    let local = places.first().and_then(|place| local_address(*place));
    if let (Some(local), Some(listener)) = (local, config.listeners.first_mut()) {
        listener.host = local.to_string();
    }
}

/// Completes a configuration by what the directory and the cluster say. Answers the run as which
/// the cluster has registered this broker already, if it has.
///
/// # Errors
/// [`JoinError`].
pub async fn settle(config: &mut Config, joining: Joining<'_>) -> Result<Option<Uuid>, JoinError> {
    if config.join.as_ref().is_some_and(|server| is_this_node(server, &joining.bound)) {
        // Told to join itself, it is the first.
        config.join = None;
    }
    let found = Found::read(joining.directory).map_err(JoinError::Io)?;
    if let Some(ours) = &joining.cluster_id {
        check_cluster(config, ours).await?;
        return_to(config, found);
        return Ok(None);
    }
    let servers = servers(config);
    if servers.is_empty() {
        return Ok(None);
    }
    enter(config, &joining, &servers).await
}

/// Who is asked for the cluster. Voters that are configured have its id of their own accord; who
/// is no voter asks them, for they may have got another one since, or be spelled otherwise here.
fn servers(config: &Config) -> Vec<HostPort> {
    let is_voter = config.process_roles.controller;
    match (&config.join, config.quorum.voters.as_slice()) {
        (Some(server), _) => vec![server.clone()],
        (None, []) => config.quorum.bootstrap_servers.clone(),
        (None, voters) if !is_voter && config.cluster_id.is_none() => {
            voters.iter().map(|voter| voter.endpoint.clone()).collect()
        }
        (None, _) => Vec::new(),
    }
}

/// Whether an address is this node's own.
fn is_this_node(server: &HostPort, bound: &[std::net::SocketAddr]) -> bool {
    let places = server.bind_addresses().unwrap_or_default();
    places.iter().any(|place| {
        bound.iter().any(|own| {
            let is_here =
                own.ip() == place.ip() || own.ip().is_unspecified() && is_local(place.ip());
            own.port() == place.port() && is_here
        })
    })
}

/// A directory that belongs to another cluster than the server does would never find it.
async fn check_cluster(config: &Config, ours: &str) -> Result<(), JoinError> {
    let Some(server) = &config.join else { return Ok(()) };
    match timeout(GLANCE, server::cluster_id(server)).await {
        Ok(Ok(theirs)) if theirs != ours => Err(JoinError::OtherCluster {
            server: server.to_string(),
            theirs,
            ours: ours.to_owned(),
        }),
        Ok(Ok(_)) => Ok(()),
        // Others of the cluster are known by now.
        Ok(Err(error)) => {
            tracing::info!(%server, %error, "the server to join does not answer");
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

/// The node has been in its cluster before: whom it can ask is kept.
fn return_to(config: &mut Config, found: Option<Found>) {
    let Some(found) = found else { return };
    if config.quorum.voters.is_empty() && config.quorum.bootstrap_servers.is_empty() {
        config.quorum.bootstrap_servers = found.servers;
        config.quorum.bootstrap_servers.extend(config.join.clone());
    }
    config.quorum.wants_vote = found.wants_vote;
}

/// Learns what there is to know, and keeps it.
async fn enter(
    config: &mut Config,
    joining: &Joining<'_>,
    servers: &[HostPort],
) -> Result<Option<Uuid>, JoinError> {
    let incarnation_id = new_uuid();
    let applicant = Applicant {
        endpoints: joining.endpoints,
        rack: config.broker_rack.as_deref().map(Into::into),
        incarnation_id,
    };
    let wanted = config.node_id.or(joining.node_id);
    let mut search = Search::new(servers, config.initial_broker_registration_timeout);
    let (cluster, id) = loop {
        let cluster = search.cluster().await?;
        if let Some(id) = wanted {
            break (cluster, id);
        }
        if !config.process_roles.broker {
            // Two that join at once would take the same one, and be one voter with two logs.
            return Err(JoinError::NeedsNodeId { free: cluster.free_id });
        }
        match server::apply(&cluster, &applicant).await {
            Outcome::Taken(id) => break (cluster, id),
            Outcome::Later(why) => search.again(why).await?,
            Outcome::Refused(code) => {
                return Err(JoinError::Refused { server: search.server().to_string(), code });
            }
        }
    };
    if let Some(ours) = config.cluster_id.as_ref().filter(|ours| **ours != cluster.id) {
        let (server, ours) = (search.server().to_string(), ours.clone());
        return Err(JoinError::OtherCluster { server, theirs: cluster.id, ours });
    }
    tracing::info!(cluster_id = cluster.id, node_id = id.0, "joining a cluster");
    // Configured voters are found by the configuration.
    if config.join.is_some() || config.quorum.voters.is_empty() {
        keep(config, joining, &cluster)?;
    }
    config.cluster_id = Some(cluster.id);
    config.settle_node_id(id);
    Ok(wanted.is_none().then_some(incarnation_id))
}

/// Where the cluster was found is kept before the directory is marked as one of the cluster.
fn keep(config: &mut Config, joining: &Joining<'_>, cluster: &Cluster) -> Result<(), JoinError> {
    let mut servers = cluster.controllers.clone();
    servers.extend(config.join.clone().filter(|server| !cluster.controllers.contains(server)));
    let found = Found { servers: servers.clone(), wants_vote: config.join.is_some() };
    found.write(joining.directory).map_err(JoinError::Io)?;
    if config.quorum.bootstrap_servers.is_empty() {
        config.quorum.bootstrap_servers = servers;
    }
    config.quorum.wants_vote = found.wants_vote;
    Ok(())
}

/// Servers that are asked in turn until one answers, or it has taken too long.
struct Search<'a> {
    servers: &'a [HostPort],
    asked_count: usize,
    deadline: Instant,
    tell_at: Instant,
}

impl<'a> Search<'a> {
    fn new(servers: &'a [HostPort], patience: Duration) -> Self {
        let now = Instant::now();
        Self { servers, asked_count: 0, deadline: now + patience, tell_at: now }
    }

    /// The server whose turn it is.
    fn server(&self) -> &HostPort {
        let place = self.asked_count % self.servers.len().max(1);
        self.servers.get(place).expect("a search has servers")
    }

    async fn cluster(&mut self) -> Result<Cluster, JoinError> {
        loop {
            match server::look(self.server()).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) => self.again(error.to_string()).await?,
            }
        }
    }

    /// Rests, and turns to the next one.
    async fn again(&mut self, why: String) -> Result<(), JoinError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(JoinError::Unreachable { servers: self.servers.to_vec(), why });
        }
        if now >= self.tell_at {
            tracing::warn!(server = %self.server(), why, "cannot join yet; trying on");
            self.tell_at = now + TELL_INTERVAL;
        }
        self.asked_count += 1;
        server::rest().await;
        Ok(())
    }
}
