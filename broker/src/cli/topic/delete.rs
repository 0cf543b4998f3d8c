//! `milena topic delete`.

use std::io::Write;

use clap::Args;
use milena_client::admin::Admin;
use milena_protocol::error_code::ErrorCode;
use serde_json::json;

use super::trouble::complain;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};

/// The arguments of `milena topic delete`.
#[derive(Args, Clone, Debug)]
pub struct Delete {
    /// The topics.
    #[arg(required = true)]
    names: Vec<String>,
    /// A topic that is not there is no error.
    #[arg(long)]
    if_exists: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Delete, out: &mut impl Write) -> Result<(), CliError> {
    let names: Vec<&str> = arguments.names.iter().map(String::as_str).collect();
    let each = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        Ok(admin.delete_topics(&names).await?)
    })?;
    let mut failed = false;
    let mut told = Vec::new();
    for (name, result) in each {
        let missing = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let deleted = match &result {
            Ok(()) => true,
            Err(refused) if arguments.if_exists && refused.code == missing => false,
            Err(refused) => {
                failed = true;
                complain(&name, refused);
                told.push(json!({ "name": name, "error": refused.code.to_string(),
                    "message": refused.message }));
                continue;
            }
        };
        if !arguments.json {
            writeln!(out, "{name} {}", if deleted { "deleted" } else { "was not there" })?;
        }
        told.push(json!({ "name": name, "deleted": deleted }));
    }
    if arguments.json {
        write_json(&told, out)?;
    }
    if failed { Err(CliError::Partly) } else { Ok(()) }
}
