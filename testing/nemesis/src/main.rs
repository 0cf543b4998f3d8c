//! The command line of the nemesis.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use milena_nemesis::history::check::verdict::Verdict;
use milena_nemesis::history::{file, model};

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
    /// Judge a history: a file with an operation in each line.
    Check(Check),
    /// Write a history that a correct log would show, to try the checker on.
    Model(Model),
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
