//! `milena topic list`.

use std::io::Write;

use clap::Args;
use milena_client::admin::Admin;
use serde_json::json;

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};
use crate::cli::table::Table;

/// The arguments of `milena topic list`.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// Those of the broker itself too.
    #[arg(long)]
    internal: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &List, out: &mut impl Write) -> Result<(), CliError> {
    let mut topics =
        block_on(async { Ok(Admin::new(arguments.connect.client().await?).list_topics().await?) })?;
    topics.retain(|topic| arguments.internal || !topic.is_internal);
    let replicas = |topic: &milena_client::metadata::Topic| {
        topic.partitions.first().map_or(0, |partition| partition.replicas.len())
    };
    if arguments.json {
        let told: Vec<_> = topics
            .iter()
            .map(|topic| {
                json!({
                    "name": *topic.name,
                    "id": topic.id.to_string(),
                    "partitions": topic.partitions.len(),
                    "replication_factor": replicas(topic),
                    "is_internal": topic.is_internal,
                })
            })
            .collect();
        return Ok(write_json(&told, out)?);
    }
    if topics.is_empty() {
        writeln!(out, "there are no topics; `milena topic create NAME` makes one")?;
        return Ok(());
    }
    let mut table = Table::new(&["TOPIC", ">PARTITIONS", ">REPLICAS"]);
    for topic in &topics {
        let count = topic.partitions.len().to_string();
        table.row([topic.name.to_string(), count, replicas(topic).to_string()]);
    }
    Ok(table.write("", out)?)
}
