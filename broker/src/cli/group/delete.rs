//! `milena group delete`.

use std::io::Write;

use clap::Args;
use milena_client::admin::Admin;

use crate::cli::connect::{Connect, block_on};
use crate::cli::output::CliError;

/// The arguments of `milena group delete`.
#[derive(Args, Clone, Debug)]
pub struct Delete {
    /// The groups, which have no members now.
    #[arg(required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Delete, out: &mut impl Write) -> Result<(), CliError> {
    let mut failed = false;
    block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        for group in &arguments.groups {
            match admin.delete_group(group).await {
                Ok(()) => writeln!(out, "{group} deleted")?,
                Err(error) => {
                    failed = true;
                    eprintln!("milena: {error}");
                }
            }
        }
        Ok(())
    })?;
    if failed { Err(CliError::Partly) } else { Ok(()) }
}
