//! `milena topic create`.

use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, CreatedTopic, NewTopic};
use milena_protocol::error_code::ErrorCode;
use serde_json::json;

use super::trouble::complain;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};
use crate::cli::setting::setting;

/// The arguments of `milena topic create`.
#[derive(Args, Clone, Debug)]
pub struct Create {
    /// The topics.
    #[arg(required = true)]
    names: Vec<String>,
    /// How many partitions; the broker's default without it.
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas of each partition; the broker's default without it.
    #[arg(short, long, value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting, such as retention.ms=60000.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,
    /// A topic that is there already is no error.
    #[arg(long)]
    if_not_exists: bool,
    /// Only says whether they could be made.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Create, out: &mut impl Write) -> Result<(), CliError> {
    let topic = |name: &String| NewTopic {
        partitions: arguments.partitions.unwrap_or(-1),
        replication_factor: arguments.replication_factor.unwrap_or(-1),
        configs: arguments.configs.clone(),
        ..NewTopic::new(name)
    };
    let topics: Vec<NewTopic> = arguments.names.iter().map(topic).collect();
    let each = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        Ok(admin.create_topics(&topics, arguments.dry_run).await?)
    })?;
    let mut failed = false;
    let mut told = Vec::new();
    for (name, result) in each {
        match &result {
            Ok(created) => tell(arguments, &name, created, out)?,
            Err(refused)
                if arguments.if_not_exists && refused.code == ErrorCode::TOPIC_ALREADY_EXISTS =>
            {
                if !arguments.json {
                    writeln!(out, "{name} is there already")?;
                }
            }
            Err(refused) => {
                failed = true;
                complain(&name, refused);
                told.push(json!({ "name": name, "error": refused.code.to_string(),
                    "message": refused.message }));
                continue;
            }
        }
        told.push(match result {
            Ok(created) => json!({
                "name": name,
                "id": created.id.to_string(),
                "partitions": created.partitions,
                "replication_factor": created.replication_factor,
                "created": !arguments.dry_run,
            }),
            Err(_) => json!({ "name": name, "created": false }),
        });
    }
    if arguments.json {
        write_json(&told, out)?;
    }
    if failed { Err(CliError::Partly) } else { Ok(()) }
}

fn tell(
    arguments: &Create,
    name: &str,
    created: &CreatedTopic,
    out: &mut impl Write,
) -> Result<(), CliError> {
    if arguments.json {
        return Ok(());
    }
    let done = if arguments.dry_run { "could be made" } else { "made" };
    match (created.partitions, created.replication_factor) {
        (partitions, replicas) if partitions > 0 => writeln!(
            out,
            "{name} {done}: {partitions} partition{}, {replicas} replica{} each",
            plural(partitions),
            plural(replicas.into())
        )?,
        _ => writeln!(out, "{name} {done}")?,
    }
    Ok(())
}

fn plural(count: i32) -> &'static str {
    if count == 1 { "" } else { "s" }
}
