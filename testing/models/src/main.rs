//! Explores all models and prints what came of each, as `cargo xtask models`.

use std::process::ExitCode;

use clap::Parser;
use milena_models::check::{Report, Verdict};
use milena_models::consensus::{Coin, Schedule, mean_rounds};
use milena_models::runs::{self, Size};
use serde_json::json;

/// Explores the models of Milena's protocols: the right designs, and those known to be wrong.
#[derive(Parser)]
struct Arguments {
    /// Explore the right designs only as far as `cargo test` does.
    #[arg(long)]
    small: bool,
    /// How many threads explore; with more than one, counterexamples may not be the shortest.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Print a line of JSON for each run instead of a table.
    #[arg(long)]
    json: bool,
    /// Print the steps of each counterexample.
    #[arg(long)]
    paths: bool,
    /// Instead, play so many runs of Ben-Or's consensus of each kind, and print how many rounds
    /// they take on average.
    #[arg(long, value_name = "RUNS")]
    rounds: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(runs) = arguments.rounds {
        print_rounds(runs);
        return ExitCode::SUCCESS;
    }
    let size = if arguments.small { Size::Small } else { Size::Large };
    if !arguments.json {
        println!("| Model | Design | Scope | States | Depth | Seconds | Outcome |");
        println!("| --- | --- | --- | --- | --- | --- | --- |");
    }
    let mut is_as_claimed = true;
    runs::run(size, arguments.threads, |report| {
        is_as_claimed &= report.is_as_claimed();
        println!("{}", if arguments.json { line(&report) } else { row(&report) });
        if let (Verdict::Broken { path, .. }, true) = (&report.verdict, arguments.paths) {
            path.iter().for_each(|step| eprintln!("    {step}"));
        }
    });
    if is_as_claimed {
        return ExitCode::SUCCESS;
    }
    eprintln!("a right design is broken or shows too little, or a wrong one is not refuted");
    ExitCode::FAILURE
}

fn print_rounds(runs: u64) {
    println!("| What a voter hears is chosen by | Voters | Own coins | Common coin |");
    println!("| --- | --- | --- | --- |");
    for schedule in [Schedule::Chance, Schedule::Adversary] {
        for voters in [3, 5, 7] {
            let [own, common] = [Coin::Local, Coin::Common].map(|coin| {
                let mean = mean_rounds(voters, coin, schedule, runs);
                format!("{:.2} rounds, at most {}", mean.rounds, mean.longest)
            });
            println!("| {schedule:?} | {voters} | {own} | {common} |");
        }
    }
}

fn row(report: &Report) -> String {
    let Report { model, design, scope, states, depth, elapsed, .. } = report;
    let (seconds, outcome) = (elapsed.as_secs_f64(), report.outcome());
    format!("| {model} | {design} | {scope} | {states} | {depth} | {seconds:.1} | {outcome} |")
}

fn line(report: &Report) -> String {
    let Report { model, design, scope, states, steps, depth, elapsed, .. } = report;
    let (seconds, outcome) = (elapsed.as_secs_f64(), report.outcome());
    json!({
        "model": model,
        "design": design,
        "scope": scope,
        "states": states,
        "steps": steps,
        "depth": depth,
        "seconds": seconds,
        "outcome": outcome,
        "as_claimed": report.is_as_claimed(),
    })
    .to_string()
}
