//! `milena cluster`: who is there, how they are, and who goes.

mod drain;
mod health;
mod info;
mod moves;
mod quorum;
mod remove;
mod throttle;
mod voters;

use std::io::Write;

use clap::Subcommand;

use super::output::CliError;

/// The cluster.
#[derive(Clone, Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show the brokers, the metadata quorum and the features.
    Info(info::Info),
    /// Say what is wrong; fails where something is.
    Health(health::Health),
    /// Move every replica off a broker.
    Drain(drain::Leaving),
    /// Drain a broker, take its vote, and forget it.
    Remove(drain::Leaving),
    /// Show who votes in the metadata quorum, or change it.
    Voters(voters::Voters),
}

/// Runs a command about the cluster.
///
/// # Errors
/// When no broker answers, or something is wrong that the command looks for.
pub fn run(command: ClusterCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        ClusterCommand::Info(arguments) => info::run(&arguments, out),
        ClusterCommand::Health(arguments) => health::run(&arguments, out),
        ClusterCommand::Drain(arguments) => drain::run(&arguments, out),
        ClusterCommand::Remove(arguments) => remove::run(&arguments, out),
        ClusterCommand::Voters(arguments) => voters::run(&arguments, out),
    }
}
