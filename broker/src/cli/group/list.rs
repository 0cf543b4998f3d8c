//! `milena group list`.

use std::io::Write;

use clap::Args;
use milena_client::admin::Admin;
use serde_json::json;

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};
use crate::cli::table::Table;

/// The arguments of `milena group list`.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &List, out: &mut impl Write) -> Result<(), CliError> {
    let groups =
        block_on(async { Ok(Admin::new(arguments.connect.client().await?).list_groups().await?) })?;
    if arguments.json {
        let told: Vec<_> = groups
            .iter()
            .map(|group| {
                json!({
                    "group": group.group,
                    "state": group.state,
                    "kind": group.kind,
                    "protocol_type": group.protocol_type,
                })
            })
            .collect();
        return Ok(write_json(&told, out)?);
    }
    if groups.is_empty() {
        writeln!(out, "there are no groups; a consumer with a `group.id` makes one")?;
        return Ok(());
    }
    let mut table = Table::new(&["GROUP", "STATE", "KIND"]);
    for group in groups {
        table.row([group.group, group.state, group.kind]);
    }
    Ok(table.write("", out)?)
}
