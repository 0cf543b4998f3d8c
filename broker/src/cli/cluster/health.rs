//! `milena cluster health`: what is wrong, and what to do about it. Fails where something is, so
//! that a script can wait for a cluster to be well.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, ClusterDescription, QuorumStatus, Reassignment};
use milena_client::metadata::Topic;
use milena_protocol::ids::PartitionIndex;

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, shown_count, write_json};
use crate::diagnosis::{Diagnosis, Examination, Fenced, Finding, Standing};

/// Topics whose settings are asked for at once.
const TOPICS_AT_ONCE: usize = 500;
/// Places that a finding names one by one.
const NAMED: usize = 5;
/// What a topic's acknowledged records are in at least.
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// The arguments of `milena cluster health`.
#[derive(Args, Clone, Debug)]
pub struct Health {
    #[command(flatten)]
    connect: Connect,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Health, out: &mut impl Write) -> Result<(), CliError> {
    let seen = block_on(Seen::ask(&arguments.connect))?;
    let diagnosis = seen.diagnosis();
    if arguments.json {
        write_json(&diagnosis, out)?;
    } else {
        seen.write(&diagnosis, out)?;
    }
    if diagnosis.healthy { Ok(()) } else { Err(CliError::Partly) }
}

/// What there is to judge.
struct Seen {
    cluster: ClusterDescription,
    quorum: Option<QuorumStatus>,
    topics: Vec<std::sync::Arc<Topic>>,
    min_insync: BTreeMap<String, usize>,
    /// Partitions that move, and how many replicas they get.
    adding: BTreeMap<(String, PartitionIndex), usize>,
}

impl Seen {
    async fn ask(connect: &Connect) -> Result<Self, CliError> {
        let admin = Admin::new(connect.client().await?);
        let topics = admin.list_topics().await?;
        let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
        let mut min_insync = BTreeMap::new();
        for names in names.chunks(TOPICS_AT_ONCE) {
            let values = admin.topics_setting(names, MIN_INSYNC_REPLICAS).await?;
            let read = |(name, value): (String, String)| Some((name, value.parse().ok()?));
            min_insync.extend(values.into_iter().filter_map(read));
        }
        let moved = |one: Reassignment| ((one.topic, one.partition), one.adding.len());
        Ok(Self {
            cluster: admin.describe_cluster().await?,
            quorum: admin.describe_quorum().await.ok(),
            adding: admin
                .reassignments()
                .await
                .unwrap_or_default()
                .into_iter()
                .map(moved)
                .collect(),
            topics,
            min_insync,
        })
    }

    fn diagnosis(&self) -> Diagnosis {
        let mut examination = Examination::default();
        for topic in &self.topics {
            let min_in_sync = self.min_insync.get(&*topic.name).copied().unwrap_or(1);
            for one in &topic.partitions {
                let place = (topic.name.to_string(), one.index);
                let adding = self.adding.get(&place).copied();
                let standing = Standing {
                    has_leader: one.leader.is_some(),
                    replicas: one.replicas.len(),
                    adding: adding.unwrap_or(0),
                    in_sync: one.isr.len(),
                    min_in_sync,
                    is_moving: adding.is_some(),
                };
                examination.partition(Some(&topic.name), one.index, &standing);
            }
        }
        let fenced = self.cluster.brokers.iter().filter(|broker| broker.is_fenced);
        let fenced: Vec<Fenced> = fenced
            .map(|broker| Fenced { node_id: broker.node_id.0, address: broker.address.clone() })
            .collect();
        examination.diagnose(&fenced, self.quorum.as_ref())
    }

    fn write(&self, diagnosis: &Diagnosis, out: &mut impl Write) -> Result<(), CliError> {
        let partitions: usize = self.topics.iter().map(|topic| topic.partitions.len()).sum();
        let voters = self.quorum.as_ref().map_or(0, |quorum| quorum.voters.len());
        writeln!(
            out,
            "{} brokers, {voters} voters, {} partitions: {}",
            self.cluster.brokers.len(),
            shown_count(partitions as i64),
            if diagnosis.healthy { "healthy" } else { "NOT healthy" },
        )?;
        for finding in &diagnosis.findings {
            writeln!(out, "\n  {} {}: {}", finding.count, finding.kind, shown(finding))?;
            writeln!(out, "    {}", finding.advice)?;
        }
        if diagnosis.reassignments > 0 {
            let moving = diagnosis.reassignments;
            writeln!(out, "\n  the replicas of {moving} partitions are on their way")?;
        }
        if voters > 0 && voters < 3 {
            writeln!(out, "\n  {}", few_voters(voters))?;
        }
        Ok(())
    }
}

/// What so few voters mean. It is no fault: whoever runs one or two nodes knows it.
fn few_voters(count: usize) -> &'static str {
    if count == 1 {
        "one voter: without it nothing can be changed; two more with `milena serve --join` mend \
         that"
    } else {
        "two voters: without either nothing can be changed; a third one mends that"
    }
}

/// The first of what is found.
fn shown(finding: &Finding) -> String {
    let mut shown: Vec<&str> = finding.which.iter().take(NAMED).map(String::as_str).collect();
    if finding.count > shown.len() {
        shown.push("…");
    }
    shown.join(", ")
}
