//! Commands of the project that are neither `cargo run` nor `cargo test`.

use std::fmt::Display;
use std::path::Path;
use std::process::{Command, ExitCode};

use xtask::{elections, interop, kill9, mutants, sim, tidy};

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy       habits that a machine can look at
  models     all models at their larger scope, as a table
             [--small] [--threads N] [--json] [--paths]
  interop    clients and tools of others against the broker
             [--list] [--on milena|kafka] [NAME…]
  kill9      kill -9 at random moments under somebody else's idempotent producer
             [--rounds N] [--seed S] [--client librdkafka|java]…
  mutants    in how many schedules the simulations find each planted bug
             [--seeds N] [--json]
  sim        all simulations of the machines, as a table, or one seed again
             [--seeds N] [--first S] [--suite NAME] [--release] [--json]
             --seed S --suite NAME
  elections  how many elections need a second round, with the common coin and without
             [--elections N] [--json]";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("", [].as_slice()),
    };
    match command {
        "tidy" => tidy(root),
        "models" => models(root, rest),
        "interop" => ended(interop::suite::command(root, rest)),
        "mutants" => ended(mutants::command(root, rest)),
        "sim" => ended(sim::command(root, rest)),
        "elections" => ended(elections::command(root, rest)),
        "kill9" => ended(kill9::run::command(root, rest)),
        _ => ended(Err::<(), _>(USAGE)),
    }
}

fn tidy(root: &Path) -> ExitCode {
    match tidy::faults(root) {
        Ok(faults) if faults.is_empty() => {
            println!("{}", tidy::report(root).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            ExitCode::FAILURE
        }
        Err(error) => ended(Err::<(), _>(format!("cannot read the sources: {error}"))),
    }
}

/// Explores the models, optimised: they visit many millions of states.
fn models(root: &Path, arguments: &[String]) -> ExitCode {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(["run", "--quiet", "--release", "-p", "milena-models", "--"]);
    match cargo.args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => ended(Err::<(), _>(format!("the models ended with {status}"))),
        Err(error) => ended(Err::<(), _>(format!("cannot run cargo: {error}"))),
    }
}

fn ended<E: Display>(outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
