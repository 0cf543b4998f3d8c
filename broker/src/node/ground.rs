//! What a node stands on: who it is, its ports, its directories, and what an earlier run left.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use milena_protocol::ids::{BrokerEpoch, NodeId, Uuid};
use milena_storage::{DirectoryOptions, LogDirectory};

use super::error::StartError;
use crate::config::Config;
use crate::entropy::{new_uuid, uuid_of};
use crate::machine::{Machine, Threads};
use crate::network::listener::Bound;

/// The id of a node that is given none.
const DEFAULT_NODE_ID: NodeId = NodeId(1);

/// Descriptors that are kept for connections and the rest of the process.
const RESERVED_DESCRIPTORS: usize = 1024;

/// What a node is built from.
pub(super) struct Ground {
    pub(super) node_id: NodeId,
    pub(super) cluster_id: String,
    pub(super) bound: Vec<Bound>,
    pub(super) directories: Vec<Arc<LogDirectory>>,
}

/// A key of the first directory's `meta.properties`.
pub(super) fn known_property(config: &Config, key: &str) -> Option<String> {
    let path = config.log_dirs.first()?.join("meta.properties");
    let text = std::fs::read_to_string(path).ok()?;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
}

/// The id that the data directory was made with; a new node is node 1.
pub(super) fn known_node_id(config: &Config) -> NodeId {
    known_property(config, "node.id").and_then(|id| id.parse().ok()).map_or(DEFAULT_NODE_ID, NodeId)
}

pub(super) fn open_directories(
    config: &Config,
    node_id: NodeId,
    machine: &Machine,
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
        .map(|path| {
            let mut options = DirectoryOptions::new(node_id);
            options.cluster_id = Some(cluster_id.clone());
            options.descriptor_budget =
                descriptor_limit().saturating_sub(RESERVED_DESCRIPTORS).max(64) / count;
            options.runs_threads = machine.threads == Threads::Own;
            open_directory(path, options, machine)
        })
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
    options: DirectoryOptions,
    machine: &Machine,
) -> Result<Arc<LogDirectory>, StartError> {
    let opened = LogDirectory::open(path, options, machine.disk.clone());
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

pub(super) fn metadata_directory(
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

/// The incarnation id of a run that did not live to hear of its epoch, if nothing of that run is
/// lost (`docs/decisions/0005`).
pub(super) fn unanswered_incarnation(directories: &[Arc<LogDirectory>]) -> Option<Uuid> {
    let mut known = directories.iter().map(|directory| directory.unanswered_incarnation());
    let first = known.next().flatten()?;
    known.all(|other| other == Some(first)).then_some(first)
}

/// The epoch of the run before this one, if nothing of that run is lost. A directory that has lost
/// records, or comes from another node, speaks for all of them.
pub(super) fn previous_epoch(directories: &[Arc<LogDirectory>]) -> Option<BrokerEpoch> {
    let witnessed = directories.iter().map(|directory| {
        let witness = directory.previous_witness().filter(|_| directory.is_same_kernel())?;
        Some(witness.broker_epoch)
    });
    witnessed.min().flatten()
}
