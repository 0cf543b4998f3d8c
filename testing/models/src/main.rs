//! Explores all models and prints what came of each, as `cargo xtask models`.

use std::process::ExitCode;

use clap::Parser;
use milena_models::check::{Report, Verdict};
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
