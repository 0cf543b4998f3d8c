//! The command line of the nemesis.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser, Subcommand, ValueEnum};
use milena_nemesis::cluster::broker::Broker;
use milena_nemesis::cluster::{kafka, process};
use milena_nemesis::fault::disk;
use milena_nemesis::fault::kind::Kind;
use milena_nemesis::fault::schedule::Span;
use milena_nemesis::history::check::verdict::Verdict;
use milena_nemesis::history::{file, model};
use milena_nemesis::run::{self, Plan};
use milena_nemesis::workload::clients::Counts;
use milena_nemesis::workload::foreign::{self, Language};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Real brokers under faults, and a checker for what clients saw of them.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start brokers, do them harm under load, and judge what clients saw.
    Run(Box<Run>),
    /// Judge a history: a file with an operation in each line.
    Check(Check),
    /// Write a history that a correct log would show, to try the checker on.
    Model(Model),
    /// Become a program that does not outlive its parent.
    #[command(hide = true)]
    Under {
        /// The parent's number.
        parent: u32,
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BrokerName {
    Milena,
    Kafka,
}

#[derive(Args, Debug)]
struct Run {
    /// Whose brokers.
    #[arg(long, value_enum, default_value = "milena")]
    broker: BrokerName,
    /// How many nodes, each broker and controller.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    nodes: u8,
    /// What is done to them, one after the other.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kill")]
    faults: Vec<Kind>,
    /// How long, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many faults at most.
    #[arg(long, default_value_t = usize::MAX)]
    rounds: usize,
    /// What decides chance; the clock by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Records a second, of all producers together.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Bytes of a record.
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 6)]
    partitions: u32,
    /// Idempotent producers.
    #[arg(long, default_value_t = 4)]
    producers: u64,
    /// Consumers that name their partitions.
    #[arg(long, default_value_t = 1)]
    readers: u64,
    /// Members of a group.
    #[arg(long, default_value_t = 2)]
    members: u64,
    /// Transactional clients.
    #[arg(long, default_value_t = 1)]
    movers: u64,
    /// Producers of other clients beside them: needs their compilers.
    #[arg(long, value_enum, value_delimiter = ',')]
    foreign: Vec<Language>,
    /// How long a fault lasts, in seconds.
    #[arg(long, default_value = "1..5", value_parser = span)]
    fault_seconds: Span,
    /// How long the rests between faults are, in seconds.
    #[arg(long, default_value = "1..3", value_parser = span)]
    rest_seconds: Span,
    /// Sync each record before it counts.
    #[arg(long)]
    durable: bool,
    /// The size of a node's disk in MiB, for `disk-full`.
    #[arg(long, default_value_t = 1_024)]
    disk_mib: u64,
    /// A setting of the nodes, as KEY=VALUE.
    #[arg(long)]
    set: Vec<String>,
    /// The program of Milena; by default `MILENA_BIN`, or else what was built.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// The jars of Apache Kafka; by default those that `cargo xtask interop` installs.
    #[arg(long)]
    jars: Option<PathBuf>,
    /// Where nodes live; what is there stays. By default a directory that goes away.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Write the history to a file.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Check {
    /// The history.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Model {
    /// Where to.
    file: PathBuf,
    /// How many operations.
    #[arg(long, default_value_t = 100_000)]
    operations: usize,
    /// What decides chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let outcome = match Line::parse().command {
        Command::Run(run) => trial(&run),
        Command::Under { parent, program } => Err(process::under(parent, &program).into()),
        Command::Check(check) => judge(&check),
        Command::Model(model) => write_model(&model),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(failure) => {
            eprintln!("nemesis: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// `A..B`, or one number for both.
fn span(text: &str) -> Result<Span, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let seconds = |text: &str| {
        let seconds: f64 = text.parse().map_err(|_| format!("{text} is no number of seconds"))?;
        Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
    };
    let span = Span { least: seconds(least)?, most: seconds(most)? };
    if span.least > span.most { Err("it ends before it begins".to_owned()) } else { Ok(span) }
}

fn trial(run: &Run) -> Result<bool, Failure> {
    if run.faults.contains(&Kind::DiskFull) {
        disk::enter_namespace()?;
    }
    let scratch = tempfile::Builder::new().prefix("nemesis-").tempdir()?;
    let directory = run.directory.clone().unwrap_or_else(|| scratch.path().to_owned());
    let class_path = || kafka::class_path(run.jars.as_deref());
    let build = |language: &Language| foreign::build(*language, scratch.path(), &class_path);
    let foreign = run.foreign.iter().map(build).collect::<Result<Vec<_>, _>>()?;
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let plan = Plan {
        broker: match run.broker {
            BrokerName::Milena => Broker::milena(run.binary.as_deref())?,
            BrokerName::Kafka => Broker::kafka(run.jars.as_deref())?,
        },
        nodes: usize::from(run.nodes),
        faults: run.faults.clone(),
        seconds: run.seconds,
        rounds: run.rounds,
        seed: run.seed.unwrap_or_else(|| clock.map_or(1, |since| since.as_secs())),
        rate: run.rate,
        partitions: run.partitions,
        size: run.size,
        counts: Counts {
            producers: run.producers,
            readers: run.readers,
            members: run.members,
            movers: run.movers,
            foreign,
        },
        lasting: run.fault_seconds,
        rest: run.rest_seconds,
        is_durable: run.durable,
        disk_mib: run.disk_mib,
        settings: run.set.clone(),
        directory,
        history: run.history.clone(),
    };
    eprintln!("seed {}", plan.seed);
    let outcome = run::run(&plan)?;
    if run.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        println!("{outcome}");
    }
    Ok(outcome.is_good())
}

fn judge(check: &Check) -> Result<bool, Failure> {
    let verdict = Verdict::of(&file::read(&check.file)?);
    if check.json {
        println!("{}", serde_json::to_string_pretty(&verdict)?);
    } else {
        println!("{verdict}");
    }
    Ok(verdict.is_good())
}

fn write_model(model: &Model) -> Result<bool, Failure> {
    file::write(&model.file, &model::history(model.seed, model.operations))?;
    Ok(true)
}
