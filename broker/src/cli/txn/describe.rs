//! `milena txn describe`.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, DescribedTransaction};
use serde_json::json;

use super::time::{now, shown, shown_age};
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};

/// The arguments of `milena txn describe`.
#[derive(Args, Clone, Debug)]
pub struct Describe {
    /// The transactional ids.
    #[arg(required = true)]
    ids: Vec<String>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Describe, out: &mut impl Write) -> Result<(), CliError> {
    let described = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let mut described = Vec::new();
        for id in &arguments.ids {
            described.push(admin.describe_transaction(id).await?);
        }
        Ok(described)
    })?;
    if arguments.json {
        return Ok(write_json(&described.iter().map(told).collect::<Vec<_>>(), out)?);
    }
    for (at, one) in described.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        write(one, out)?;
    }
    Ok(())
}

fn write(one: &DescribedTransaction, out: &mut impl Write) -> Result<(), CliError> {
    writeln!(out, "id           {}", one.transactional_id)?;
    writeln!(out, "state        {}", one.state)?;
    writeln!(out, "producer     {} epoch {}", one.producer_id, one.producer_epoch)?;
    writeln!(out, "coordinator  node {}", one.coordinator)?;
    writeln!(out, "timeout      {}", shown(one.timeout))?;
    if one.began_at.0 >= 0 {
        writeln!(out, "began        {} ago", shown_age(one.began_at, now()))?;
    }
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (topic, partition) in &one.partitions {
        topics.entry(topic).or_default().push(partition.to_string());
    }
    for (topic, partitions) in topics {
        writeln!(out, "wrote to     {topic} {}", partitions.join(", "))?;
    }
    Ok(())
}

fn told(one: &DescribedTransaction) -> serde_json::Value {
    let partition = |(topic, partition): &(String, _)| {
        let milena_protocol::ids::PartitionIndex(partition) = partition;
        json!({ "topic": topic, "partition": partition })
    };
    json!({
        "transactional_id": one.transactional_id,
        "state": one.state,
        "producer_id": one.producer_id.0,
        "producer_epoch": one.producer_epoch.0,
        "coordinator": one.coordinator.0,
        "timeout_ms": u64::try_from(one.timeout.as_millis()).unwrap_or(u64::MAX),
        "began_at": (one.began_at.0 >= 0).then_some(one.began_at.0),
        "partitions": one.partitions.iter().map(partition).collect::<Vec<_>>(),
    })
}
