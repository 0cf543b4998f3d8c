//! `milena cluster health`: what is wrong, and what to do about it. Fails where something is, so
//! that a script can wait for a cluster to be well.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, ClusterDescription, QuorumStatus, Reassignment};
use milena_client::metadata::{Partition, Topic};
use serde::Serialize;
use serde_json::json;

use super::quorum;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, shown_count, write_json};

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

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What kind of thing.
    kind: &'static str,
    /// How many there are.
    count: usize,
    /// Which ones.
    which: Vec<String>,
    /// What it means, and what to do.
    advice: &'static str,
}

pub fn run(arguments: &Health, out: &mut impl Write) -> Result<(), CliError> {
    let seen = block_on(Seen::ask(&arguments.connect))?;
    let findings = seen.findings();
    if arguments.json {
        let told = json!({
            "healthy": findings.is_empty(),
            "findings": findings,
            "reassignments": seen.moves.len(),
        });
        write_json(&told, out)?;
    } else {
        seen.write(&findings, out)?;
    }
    if findings.is_empty() { Ok(()) } else { Err(CliError::Partly) }
}

/// What there is to judge.
struct Seen {
    cluster: ClusterDescription,
    quorum: Option<QuorumStatus>,
    topics: Vec<std::sync::Arc<Topic>>,
    min_insync: BTreeMap<String, usize>,
    moves: Vec<Reassignment>,
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
        Ok(Self {
            cluster: admin.describe_cluster().await?,
            quorum: admin.describe_quorum().await.ok(),
            moves: admin.reassignments().await.unwrap_or_default(),
            topics,
            min_insync,
        })
    }

    fn findings(&self) -> Vec<Finding> {
        let fenced = self.cluster.brokers.iter().filter(|broker| broker.is_fenced);
        let mut found = vec![
            Finding::of(
                "fenced brokers",
                fenced.map(|broker| format!("{} at {}", broker.node_id, broker.address)).collect(),
                "start them, or take them out with `milena cluster remove NODE`",
            ),
            Finding::of(
                "partitions without a leader",
                self.places(|_, one| one.leader.is_none()),
                "nothing can be written or read: bring back a broker that has a replica",
            ),
            Finding::of(
                "partitions under min.insync.replicas",
                self.places(|topic, one| one.leader.is_some() && self.is_under_min(topic, one)),
                "writes with acks=all are refused until more replicas are in sync",
            ),
            Finding::of(
                "under-replicated partitions",
                self.places(|topic, one| {
                    one.leader.is_some()
                        && one.isr.len() < one.replicas.len()
                        && !self.is_under_min(topic, one)
                }),
                "fewer brokers have everything than shall: they catch up, or are missing",
            ),
        ];
        match &self.quorum {
            None => found.push(Finding::of(
                "the metadata quorum",
                vec!["no leader answers".to_owned()],
                "start voters until a majority runs; `milena quorum recover` is the last resort",
            )),
            Some(quorum) => found.push(Finding::of(
                "voters behind",
                quorum::behind(quorum).into_iter().map(|voter| voter.node_id.to_string()).collect(),
                "with a majority of the voters gone, nothing can be changed any more",
            )),
        }
        found.retain(|finding| finding.count > 0);
        found
    }

    fn is_under_min(&self, topic: &Topic, partition: &Partition) -> bool {
        let min = self.min_insync.get(&*topic.name).copied().unwrap_or(1);
        partition.isr.len() < min.min(partition.replicas.len())
    }

    fn places(&self, is_meant: impl Fn(&Topic, &Partition) -> bool) -> Vec<String> {
        let partitions = self
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |one| (topic, one)));
        partitions
            .filter(|(topic, one)| is_meant(topic, one))
            .map(|(topic, one)| format!("{}-{}", topic.name, one.index))
            .collect()
    }

    fn write(&self, findings: &[Finding], out: &mut impl Write) -> Result<(), CliError> {
        let partitions: usize = self.topics.iter().map(|topic| topic.partitions.len()).sum();
        let voters = self.quorum.as_ref().map_or(0, |quorum| quorum.voters.len());
        writeln!(
            out,
            "{} brokers, {voters} voters, {} partitions: {}",
            self.cluster.brokers.len(),
            shown_count(partitions as i64),
            if findings.is_empty() { "healthy" } else { "NOT healthy" },
        )?;
        for finding in findings {
            writeln!(out, "\n  {} {}: {}", finding.count, finding.kind, finding.shown())?;
            writeln!(out, "    {}", finding.advice)?;
        }
        if !self.moves.is_empty() {
            writeln!(out, "\n  the replicas of {} partitions are on their way", self.moves.len())?;
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

impl Finding {
    fn of(kind: &'static str, which: Vec<String>, advice: &'static str) -> Self {
        Self { kind, count: which.len(), which, advice }
    }

    fn shown(&self) -> String {
        let mut shown: Vec<&str> = self.which.iter().take(NAMED).map(String::as_str).collect();
        if self.count > NAMED {
            shown.push("…");
        }
        shown.join(", ")
    }
}
