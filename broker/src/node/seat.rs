//! A node's place in the metadata quorum: its member, its controller, and whether it stands for it.

use std::sync::Arc;

use milena_cluster::controller::brokers::ControllerRegistration;
use milena_cluster::controller::features;
use milena_cluster::quorum::{Endpoint, ReplicaKey, Timing, Voter, VoterSet};
use milena_cluster::wire::Link;
use milena_protocol::ids::{Timestamp, Uuid};
use milena_storage::LogDirectory;
use tokio::task::JoinHandle;

use super::error::StartError;
use super::ground::Ground;
use super::ports::{controller_listener, endpoints};
use crate::advertised;
use crate::clock::WallClock;
use crate::config::{Config, HostPort};
use crate::drivers::controller::{self, Beginning, Driver, SnapshotRules};
use crate::entropy::new_uuid;
use crate::join::{self, Candidacy};
use crate::machine::Machine;
use crate::metadata::Published;
use crate::peers::ActiveController;
use crate::request::Scope;

/// Voters from which on a node that joins is content to observe: three survive the loss of one.
const MANY_VOTERS: usize = 3;

/// What a node needs to take part in the quorum.
pub(super) struct Seat {
    /// What it says about itself.
    registration: ControllerRegistration,
    /// Where it has its log.
    directory_id: Uuid,
    /// The way to the active controller that its registration goes.
    registrar: ActiveController,
    /// None where it does not stand for the quorum by itself.
    candidacy: Option<Candidacy>,
}

impl Seat {
    /// What a node that is a controller needs; `channel` makes a way to the active controller.
    pub(super) fn new(
        config: &Config,
        ground: &Ground,
        directory: &LogDirectory,
        link: &Link,
        channel: impl Fn() -> ActiveController,
    ) -> Self {
        Self {
            registration: controller_registration(config, ground),
            directory_id: directory.id(),
            registrar: channel(),
            candidacy: candidacy(config, ground, directory, link.clone(), channel()),
        }
    }

    /// Takes part from here on: the broker's own registration is committed, so what this node has
    /// of the metadata is not old. What is answered comes to an end where it cannot.
    pub(super) fn take(self, metadata: Arc<Published>) -> Option<JoinHandle<join::JoinError>> {
        tokio::spawn(join::keep_registered(
            self.registration,
            self.directory_id,
            self.registrar,
            metadata,
        ));
        let candidacy = self.candidacy?;
        let stand = async {
            match join::stand(candidacy).await {
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        Some(tokio::spawn(stand))
    }
}

/// This node's member of the quorum and its controller, as the disk left them.
pub(super) fn restore(
    config: &Config,
    ground: &Ground,
    directory: &Arc<LogDirectory>,
    machine: &Machine,
) -> Result<Driver, StartError> {
    let me = member(config, ground, directory);
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
        machine: machine.clone(),
    };
    Ok(controller::restore(beginning)?)
}

/// This node as a voter.
fn member(config: &Config, ground: &Ground, directory: &LogDirectory) -> Voter {
    let key = ReplicaKey { id: ground.node_id, directory_id: directory.id() };
    Voter { endpoints: controller_endpoints(config, ground), ..Voter::bare(key) }
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

/// What this node's controller says about itself.
fn controller_registration(config: &Config, ground: &Ground) -> ControllerRegistration {
    ControllerRegistration {
        id: ground.node_id,
        incarnation_id: new_uuid(),
        endpoints: endpoints(config, &ground.bound, |scope| scope != Scope::Brokers),
        features: features::ranges(),
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
    Some(Candidacy {
        me: member(config, ground, directory),
        limit,
        channel,
        link,
        directory: directory.path().to_owned(),
        fetch_timeout: config.quorum.fetch_timeout,
    })
}
