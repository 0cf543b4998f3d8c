//! `milena group …`: one file per verb.

mod age;
mod delete;
mod describe;
mod list;
mod place;
mod seek;

use std::io::Write;

use clap::Subcommand;

use super::output::CliError;

/// What can be done with groups.
#[derive(Clone, Debug, Subcommand)]
pub enum GroupCommand {
    /// List groups.
    List(list::List),
    /// Show a group: its members, how far it has read, and how much is left.
    Describe(describe::Describe),
    /// Let a group without members go on somewhere else.
    Seek(seek::Seek),
    /// Forget groups without members, and how far they have read.
    Delete(delete::Delete),
}

/// Runs a command about groups.
///
/// # Errors
/// When no broker answers, or one refuses.
pub fn run(command: GroupCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        GroupCommand::List(arguments) => list::run(&arguments, out),
        GroupCommand::Describe(arguments) => describe::run(&arguments, out),
        GroupCommand::Seek(arguments) => seek::run(&arguments, out),
        GroupCommand::Delete(arguments) => delete::run(&arguments, out),
    }
}
