//! `milena cluster voters`: who votes in the metadata quorum, and how far everybody is.

use std::io::Write;

use clap::{Args, Subcommand};
use milena_client::admin::{Admin, Listener, QuorumStatus};
use milena_protocol::ids::NodeId;

use super::quorum;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};
use crate::config::HostPort;

/// The arguments of `milena cluster voters`.
#[derive(Args, Clone, Debug)]
pub struct Voters {
    #[command(subcommand)]
    change: Option<Change>,
    #[command(flatten)]
    connect: Connect,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum Change {
    /// Let a node vote that follows the metadata.
    Add {
        /// The node.
        node: i32,
        /// Where other voters reach it; the address that it has as a broker where nothing is said.
        #[arg(long, value_name = "HOST:PORT")]
        address: Option<HostPort>,
    },
    /// Let a voter vote no more; it goes on as an observer.
    Remove {
        /// The node.
        node: i32,
    },
}

pub fn run(arguments: &Voters, out: &mut impl Write) -> Result<(), CliError> {
    let status = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let before = admin.describe_quorum().await?;
        match &arguments.change {
            None => return Ok(before),
            Some(Change::Add { node, address }) => {
                add(&admin, &before, NodeId(*node), address.as_ref()).await?;
            }
            Some(Change::Remove { node }) => remove(&admin, &before, NodeId(*node)).await?,
        }
        Ok(admin.describe_quorum().await?)
    })?;
    if arguments.json {
        return Ok(write_json(&quorum::json(&status), out)?);
    }
    quorum::write(&status, out)
}

async fn add(
    admin: &Admin,
    status: &QuorumStatus,
    node: NodeId,
    address: Option<&HostPort>,
) -> Result<(), CliError> {
    let Some(observer) = status.observers.iter().find(|one| one.node_id == node) else {
        return Err(CliError::Usage(format!(
            "node {node} does not observe the metadata quorum; `milena cluster voters` shows who \
             does, `milena serve --join HOST:PORT` starts another one"
        )));
    };
    let place = match address {
        Some(address) => address.clone(),
        None => broker_address(admin, node).await?,
    };
    let listeners = status.listeners.values().flatten();
    let name = listeners.map(|listener| listener.name.clone()).next();
    let listener = Listener {
        name: name.unwrap_or_else(|| "CONTROLLER".to_owned()),
        host: place.host,
        port: place.port,
    };
    Ok(admin.add_voter(node, observer.directory_id, &listener).await?)
}

async fn broker_address(admin: &Admin, node: NodeId) -> Result<HostPort, CliError> {
    let cluster = admin.describe_cluster().await?;
    let broker = cluster.brokers.iter().find(|broker| broker.node_id == node);
    broker.and_then(|broker| HostPort::parse(&broker.address)).ok_or_else(|| {
        CliError::Usage(format!("node {node} is no broker: say where it is with --address"))
    })
}

async fn remove(admin: &Admin, status: &QuorumStatus, node: NodeId) -> Result<(), CliError> {
    let Some(voter) = status.voters.iter().find(|one| one.node_id == node) else {
        let voters: Vec<String> = status.voters.iter().map(|it| it.node_id.to_string()).collect();
        let voters = voters.join(", ");
        return Err(CliError::Usage(format!("node {node} does not vote; {voters} do")));
    };
    Ok(admin.remove_voter(node, voter.directory_id).await?)
}
