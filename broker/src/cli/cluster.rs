//! `milena cluster info`: who is there and who leads.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, Subcommand};
use milena_client::admin::{Admin, ClusterDescription, QuorumReplica, QuorumStatus};
use milena_protocol::ids::NodeId;
use serde_json::{Value, json};

use super::connect::{Connect, block_on};
use super::output::{CliError, shown_bytes, shown_count, write_json};
use super::table::Table;

/// The cluster.
#[derive(Clone, Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the brokers, the metadata quorum and the features.
    Info(ClusterInfo),
}

/// The arguments of `milena cluster info`.
#[derive(Args, Clone, Debug)]
pub struct ClusterInfo {
    #[command(flatten)]
    connect: Connect,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command about the cluster.
///
/// # Errors
/// When no broker answers.
pub fn run(command: ClusterCommand, out: &mut impl Write) -> Result<(), CliError> {
    let ClusterCommand::Info(info) = command;
    let report = block_on(Report::ask(&info.connect))?;
    if info.json { Ok(write_json(&report.json(), out)?) } else { report.write(out) }
}

/// What is told of a broker.
#[derive(Default)]
struct Load {
    leaders: usize,
    replicas: usize,
    /// Unknown where the broker does not answer.
    bytes: Option<i64>,
}

struct Report {
    cluster: ClusterDescription,
    /// Brokers older than KRaft's tools do not tell.
    quorum: Option<QuorumStatus>,
    topics: usize,
    partitions: usize,
    leaderless: usize,
    under_replicated: usize,
    loads: BTreeMap<NodeId, Load>,
}

impl Report {
    async fn ask(connect: &Connect) -> Result<Self, CliError> {
        let admin = Admin::new(connect.client().await?);
        let cluster = admin.describe_cluster().await?;
        let topics = admin.list_topics().await?;
        let mut loads: BTreeMap<NodeId, Load> = BTreeMap::new();
        for broker in &cluster.brokers {
            let directories = admin.describe_log_dirs(broker.node_id).await.ok();
            let bytes = directories.map(|directories| {
                directories.iter().flat_map(|one| &one.replicas).map(|replica| replica.bytes).sum()
            });
            loads.insert(broker.node_id, Load { bytes, ..Load::default() });
        }
        let partitions = || topics.iter().flat_map(|topic| &topic.partitions);
        for partition in partitions() {
            if let Some(leader) = partition.leader {
                loads.entry(leader).or_default().leaders += 1;
            }
            for replica in &partition.replicas {
                loads.entry(*replica).or_default().replicas += 1;
            }
        }
        Ok(Self {
            quorum: admin.describe_quorum().await.ok(),
            topics: topics.len(),
            partitions: partitions().count(),
            leaderless: partitions().filter(|one| one.leader.is_none()).count(),
            under_replicated: partitions().filter(|one| one.isr.len() < one.replicas.len()).count(),
            loads,
            cluster,
        })
    }

    fn write(&self, out: &mut impl Write) -> Result<(), CliError> {
        let controller = self.cluster.controller.map_or("none".to_owned(), |id| id.to_string());
        writeln!(out, "cluster     {}", self.cluster.cluster_id)?;
        writeln!(out, "controller  {controller}")?;
        writeln!(
            out,
            "topics      {} with {} partitions, {} without a leader, {} under-replicated",
            self.topics, self.partitions, self.leaderless, self.under_replicated
        )?;
        let mut brokers =
            Table::new(&[">BROKER", "ADDRESS", "RACK", "STATE", ">LEADS", ">REPLICAS", ">SIZE"]);
        for broker in &self.cluster.brokers {
            let load = self.loads.get(&broker.node_id);
            brokers.row([
                broker.node_id.to_string(),
                broker.address.clone(),
                broker.rack.clone().unwrap_or_else(|| "–".to_owned()),
                if broker.is_fenced { "fenced" } else { "active" }.to_owned(),
                load.map_or(0, |load| load.leaders).to_string(),
                load.map_or(0, |load| load.replicas).to_string(),
                shown_bytes(load.and_then(|load| load.bytes).unwrap_or(-1)),
            ]);
        }
        writeln!(out)?;
        brokers.write("", out)?;
        if let Some(quorum) = &self.quorum {
            write_quorum(quorum, out)?;
        }
        if !self.cluster.features.is_empty() {
            writeln!(out)?;
            let mut features = Table::new(&["FEATURE", ">LEVEL", ">SUPPORTED"]);
            for feature in &self.cluster.features {
                features.row([
                    feature.name.clone(),
                    feature.finalized.map_or("–".to_owned(), |level| level.to_string()),
                    format!("{}–{}", feature.supported.min, feature.supported.max),
                ]);
            }
            features.write("", out)?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let load = |node: NodeId| self.loads.get(&node);
        json!({
            "cluster_id": self.cluster.cluster_id,
            "controller_id": self.cluster.controller.map(|id| id.0),
            "topics": self.topics,
            "partitions": self.partitions,
            "leaderless_partitions": self.leaderless,
            "under_replicated_partitions": self.under_replicated,
            "brokers": self.cluster.brokers.iter().map(|broker| json!({
                "id": broker.node_id.0,
                "address": broker.address,
                "rack": broker.rack,
                "is_fenced": broker.is_fenced,
                "leaders": load(broker.node_id).map_or(0, |load| load.leaders),
                "replicas": load(broker.node_id).map_or(0, |load| load.replicas),
                "bytes": load(broker.node_id).and_then(|load| load.bytes),
            })).collect::<Vec<_>>(),
            "quorum": self.quorum.as_ref().map(|quorum| json!({
                "leader_id": quorum.leader_id.0,
                "leader_epoch": quorum.leader_epoch.0,
                "high_watermark": quorum.high_watermark.0,
                "voters": quorum.voters.iter().map(replica_json).collect::<Vec<_>>(),
                "observers": quorum.observers.iter().map(replica_json).collect::<Vec<_>>(),
            })),
            "features": self.cluster.features.iter().map(|feature| json!({
                "name": feature.name,
                "finalized": feature.finalized,
                "supported": { "min": feature.supported.min, "max": feature.supported.max },
            })).collect::<Vec<_>>(),
        })
    }
}

fn write_quorum(quorum: &QuorumStatus, out: &mut impl Write) -> Result<(), CliError> {
    writeln!(out)?;
    writeln!(
        out,
        "quorum      leader {} in epoch {}, committed up to {}",
        quorum.leader_id,
        quorum.leader_epoch,
        shown_count(quorum.high_watermark.0)
    )?;
    let mut table = Table::new(&[">NODE", "ROLE", "DIRECTORY", ">END OFFSET", ">LAG"]);
    let ends = quorum.voters.iter().chain(&quorum.observers).map(|one| one.log_end_offset.0);
    let end = ends.max().unwrap_or(0);
    let voters = quorum.voters.iter().map(|replica| {
        (replica, if replica.node_id == quorum.leader_id { "leader" } else { "voter" })
    });
    let observers = quorum.observers.iter().map(|replica| (replica, "observer"));
    for (replica, role) in voters.chain(observers) {
        table.row([
            replica.node_id.to_string(),
            role.to_owned(),
            replica.directory_id.to_string(),
            shown_count(replica.log_end_offset.0),
            shown_count(end - replica.log_end_offset.0),
        ]);
    }
    Ok(table.write("", out)?)
}

fn replica_json(replica: &QuorumReplica) -> Value {
    json!({
        "node_id": replica.node_id.0,
        "directory_id": replica.directory_id.to_string(),
        "log_end_offset": replica.log_end_offset.0,
        "last_fetch_timestamp": replica.last_fetch.0,
        "last_caught_up_timestamp": replica.last_caught_up.0,
    })
}
