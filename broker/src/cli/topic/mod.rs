//! `milena topic …`: one file per verb.

mod alter;
mod consume;
mod create;
mod delete;
mod describe;
mod format;
mod lines;
mod list;
mod manner;
mod member;
mod position;
mod produce;
mod trim;
mod trouble;

use std::io::Write;

use clap::Subcommand;

use super::output::CliError;

/// What can be done with topics.
#[derive(Clone, Debug, Subcommand)]
pub enum TopicCommand {
    /// Make topics.
    Create(create::Create),
    /// List topics.
    List(list::List),
    /// Show topics with their partitions and configuration.
    Describe(describe::Describe),
    /// Change a topic's configuration, or give it more partitions.
    Alter(alter::Alter),
    /// Remove topics with all they hold.
    Delete(delete::Delete),
    /// Write records, one for each line of standard input.
    Produce(produce::Produce),
    /// Read records.
    Consume(consume::Consume),
    /// Remove old records.
    Trim(trim::Trim),
}

/// Runs a command about topics.
///
/// # Errors
/// When no broker answers, or one refuses.
pub fn run(command: TopicCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        TopicCommand::Create(arguments) => create::run(&arguments, out),
        TopicCommand::List(arguments) => list::run(&arguments, out),
        TopicCommand::Describe(arguments) => describe::run(&arguments, out),
        TopicCommand::Alter(arguments) => alter::run(&arguments, out),
        TopicCommand::Delete(arguments) => delete::run(&arguments, out),
        TopicCommand::Produce(arguments) => produce::run(&arguments, out),
        TopicCommand::Consume(arguments) => consume::run(&arguments, out),
        TopicCommand::Trim(arguments) => trim::run(&arguments, out),
    }
}
