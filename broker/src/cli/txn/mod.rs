//! `milena txn …`: one file per verb.

mod abort;
mod describe;
mod list;
mod time;

use std::io::Write;

use clap::Subcommand;

use super::output::CliError;

/// What can be done with transactions.
#[derive(Clone, Debug, Subcommand)]
pub enum TxnCommand {
    /// List transactional ids, or transactions that hang.
    List(list::List),
    /// Show transactional ids: producer, state, what their transactions have written to.
    Describe(describe::Describe),
    /// Abort an open transaction: of an id, or one that hangs in a partition.
    Abort(abort::Abort),
}

/// Runs a command about transactions.
///
/// # Errors
/// When no broker answers, or one refuses.
pub fn run(command: TxnCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        TxnCommand::List(arguments) => list::run(&arguments, out),
        TxnCommand::Describe(arguments) => describe::run(&arguments, out),
        TxnCommand::Abort(arguments) => abort::run(&arguments, out),
    }
}
