//! `milena topic alter`.

use std::io::Write;

use clap::Args;
use milena_client::admin::{Admin, ConfigChange, Resource};
use serde_json::json;

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};
use crate::cli::setting::setting;

/// The arguments of `milena topic alter`.
#[derive(Args, Clone, Debug)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub struct Alter {
    /// The topic.
    name: String,
    /// Sets a setting.
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = setting, group = "change")]
    set: Vec<(String, String)>,
    /// Goes back to what holds without the setting.
    #[arg(short, long, value_name = "KEY", group = "change")]
    unset: Vec<String>,
    /// Adds to a setting that is a list.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting, group = "change")]
    append: Vec<(String, String)>,
    /// Takes from a setting that is a list.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting, group = "change")]
    subtract: Vec<(String, String)>,
    /// How many partitions it shall have; it cannot have fewer.
    #[arg(short, long, group = "change")]
    partitions: Option<i32>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Alter, out: &mut impl Write) -> Result<(), CliError> {
    let Alter { name, set, unset, append, subtract, partitions, json, connect } = arguments;
    let set = set.iter().cloned().map(|(key, value)| ConfigChange::Set(key, value));
    let unset = unset.iter().cloned().map(ConfigChange::Delete);
    let append = append.iter().cloned().map(|(key, value)| ConfigChange::Append(key, value));
    let subtract = subtract.iter().cloned().map(|(key, value)| ConfigChange::Subtract(key, value));
    let changes: Vec<_> = set.chain(unset).chain(append).chain(subtract).collect();
    block_on(async {
        let admin = Admin::new(connect.client().await?);
        if !changes.is_empty() {
            admin.alter_configs(&Resource::Topic(name.clone()), &changes, false).await?;
        }
        if let Some(count) = partitions {
            admin.create_partitions(name, *count).await?;
        }
        Ok(())
    })?;
    if *json {
        let told = json!({ "name": name, "settings_changed": changes.len(),
            "partitions": partitions });
        return Ok(write_json(&told, out)?);
    }
    if !changes.is_empty() {
        let plural = if changes.len() == 1 { "" } else { "s" };
        writeln!(out, "{name}: {} setting{plural} changed", changes.len())?;
    }
    if let Some(count) = partitions {
        writeln!(out, "{name}: {count} partitions now; keys go to other partitions than before")?;
    }
    Ok(())
}
