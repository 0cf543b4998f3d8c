//! `milena cluster info`: who is there and who leads.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, ClusterDescription, QuorumStatus};
use milena_protocol::ids::NodeId;
use serde_json::{Value, json};

use super::quorum;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, shown_bytes, write_json};
use crate::cli::table::Table;

/// The arguments of `milena cluster info`.
#[derive(Args, Clone, Debug)]
pub struct Info {
    #[command(flatten)]
    connect: Connect,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(info: &Info, out: &mut impl Write) -> Result<(), CliError> {
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
    /// Partitions whose replicas are on their way; unknown where the broker does not tell.
    moving: Option<usize>,
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
            moving: admin.reassignments().await.ok().map(|moves| moves.len()),
            topics: topics.len(),
            partitions: partitions().count(),
            leaderless: partitions().filter(|one| one.leader.is_none()).count(),
            under_replicated: partitions().filter(|one| one.isr.len() < one.replicas.len()).count(),
            loads,
            cluster,
        })
    }

    fn write(&self, out: &mut impl Write) -> Result<(), CliError> {
        let leader = self.quorum.as_ref().map(|quorum| quorum.leader_id);
        let controller = leader.or(self.cluster.controller);
        let controller = controller.map_or("none".to_owned(), |id| id.to_string());
        writeln!(out, "cluster     {}", self.cluster.cluster_id)?;
        writeln!(out, "controller  {controller}")?;
        writeln!(
            out,
            "topics      {} with {} partitions, {} without a leader, {} under-replicated",
            self.topics, self.partitions, self.leaderless, self.under_replicated
        )?;
        if let Some(moving) = self.moving.filter(|count| *count > 0) {
            writeln!(out, "moving      the replicas of {moving} partitions")?;
        }
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
            writeln!(out)?;
            quorum::write(quorum, out)?;
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
            "controller_id": self.quorum.as_ref().map(|quorum| quorum.leader_id)
                .or(self.cluster.controller).map(|id| id.0),
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
            "quorum": self.quorum.as_ref().map(quorum::json),
            "reassignments": self.moving,
            "features": self.cluster.features.iter().map(|feature| json!({
                "name": feature.name,
                "finalized": feature.finalized,
                "supported": { "min": feature.supported.min, "max": feature.supported.max },
            })).collect::<Vec<_>>(),
        })
    }
}
