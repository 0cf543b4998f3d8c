//! The one binary: broker, controller, command line, HTTP, benchmark.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use milena_broker::cli::CliError;
use milena_broker::cli::bench::{self, BenchCommand};
use milena_broker::cli::cluster::{self, ClusterCommand};
use milena_broker::cli::config_explain::{self, ConfigExplain};
use milena_broker::cli::group::{self, GroupCommand};
use milena_broker::cli::log_dump::{self, LogCommand};
use milena_broker::cli::quorum::{self, QuorumCommand};
use milena_broker::cli::topic::{self, TopicCommand};
use milena_broker::cli::txn::{self, TxnCommand};
use milena_broker::config::{Config, HostPort, Sources};
use milena_broker::node::Node;
use milena_broker::screen::Screen;
use milena_broker::telemetry::logging::{self, LogFormat};

/// An event-streaming broker that speaks Kafka's protocol. Without a command it serves.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker.
    Serve(Serve),
    /// Topics: make, list, describe, alter, delete, produce, consume, trim.
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Groups: list, describe with their lag, move, delete.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Transactions: list, describe, find those that hang, abort.
    #[command(subcommand)]
    Txn(TxnCommand),
    /// The cluster: brokers, metadata quorum, features.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// The metadata quorum, without a majority of it.
    #[command(subcommand)]
    Quorum(QuorumCommand),
    /// The files of logs, without a broker.
    #[command(subcommand)]
    Log(LogCommand),
    /// Measure a broker: any that speaks Kafka's protocol.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// The configuration: what there is, what it is, and why.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Explain one key, or all of them.
    Explain(ConfigExplain),
}

#[derive(Clone, Debug, Default, Args)]
struct Serve {
    /// A file of properties, as Kafka's server.properties.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, such as `log.dirs=/data`; a later one replaces an earlier one.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A node of the cluster to join; without one this node is, or begins, a cluster of its own.
    #[arg(long, value_name = "HOST:PORT", env = "MILENA_JOIN")]
    join: Option<HostPort>,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t, global = true)]
    log_format: LogFormat,
    /// What is logged, such as `info` or `milena_broker=debug`.
    #[arg(long, value_name = "FILTER", global = true)]
    log_level: Option<String>,
}

fn main() -> ExitCode {
    let began = Instant::now();
    let line = Line::parse();
    // Locked only by who writes: a broker's threads log to it too.
    let out = || std::io::stdout().lock();
    let result = match line.command {
        None => serve(line.serve, began),
        Some(Command::Serve(serve_line)) => serve(serve_line, began),
        Some(Command::Config(ConfigCommand::Explain(explain))) => {
            config_explain::run(explain, &mut out()).map_err(|error| error.to_string())
        }
        Some(Command::Topic(command)) => return ended(topic::run(command, &mut out())),
        Some(Command::Group(command)) => return ended(group::run(command, &mut out())),
        Some(Command::Txn(command)) => return ended(txn::run(command, &mut out())),
        Some(Command::Bench(command)) => return ended(bench::run(command, &mut out())),
        Some(Command::Log(command)) => return ended(log_dump::run(command, &mut out())),
        Some(Command::Quorum(command)) => return ended(quorum::run(command, &mut out())),
        Some(Command::Cluster(command)) => return ended(cluster::run(command, &mut out())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("milena: {message}");
            ExitCode::FAILURE
        }
    }
}

/// How a client command ends. Whoever stopped reading needs no complaint.
fn ended(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_said() {
                eprintln!("milena: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn serve(line: Serve, began: Instant) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    logging::init(line.log_format, line.log_level.as_deref()).map_err(|error| text(&error))?;
    let sources = Sources::of_process(line.config, line.set);
    let mut config = Config::load(&sources).map_err(|error| text(&error))?;
    config.join = line.join;
    for warning in config.warnings() {
        warning.log();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| text(&error))?;
    let entered = runtime.enter();
    let node = Node::start(config, began).map_err(|error| text(&error))?;
    drop(entered);
    let show = |screen: &Screen| {
        // Whoever started this may not listen.
        let _ = write!(std::io::stdout(), "{screen}").and_then(|()| std::io::stdout().flush());
    };
    let served = runtime.block_on(node.serve(show));
    // Stopping is crashing: waiting for tasks would only delay it.
    runtime.shutdown_background();
    served.map_err(|error| text(&error))
}
