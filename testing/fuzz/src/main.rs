//! `milena-fuzz`: runs the targets, the canaries first.

#![forbid(unsafe_code)]

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use milena_fuzz::runner::{self, Finding, Report};
use milena_fuzz::target::Kind;
use milena_fuzz::{corpus, sample::Random};

/// Executions within which a canary must be found.
const CANARY_EXECUTIONS: u64 = 200_000;

/// Fuzzes the decoders. Ends with an error when anything is found, or a canary is not.
#[derive(Parser)]
struct Arguments {
    /// Executions per run, shared by the targets and threads.
    #[arg(long, default_value_t = 1_000_000)]
    execs: u64,
    /// What everything random is derived from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this target: frame, requests, responses, metadata-records, other-records, batches,
    /// codecs, canary-panic, canary-memory or canary-change.
    #[arg(long)]
    target: Option<String>,
    /// Threads; as many as there are processors when not given.
    #[arg(long)]
    threads: Option<usize>,
    /// Runs one input, as a finding prints it, against the target.
    #[arg(long, requires = "target")]
    replay: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    runner::print_input_on_panic();
    match fuzz(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(arguments: &Arguments) -> Result<(), String> {
    let only = match &arguments.target {
        Some(name) => {
            Some(Kind::from_name(name).ok_or_else(|| format!("no target is named {name}"))?)
        }
        None => None,
    };
    if let (Some(kind), Some(line)) = (only, &arguments.replay) {
        let input = corpus::parse(line).ok_or("the input is not a number and hex digits")?;
        let accepted = runner::replay(kind, &input).map_err(|finding| describe(&finding))?;
        println!("{}", if accepted { "accepted" } else { "refused" });
        return Ok(());
    }
    if let Some(kind) = only {
        return run(kind, arguments, arguments.execs).map(drop);
    }
    canaries(arguments.seed)?;
    let started = Instant::now();
    let mut total = 0;
    for kind in Kind::HONEST {
        total += run(kind, arguments, share(kind, arguments.execs))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{total} executions in {seconds:.1} s, seed {}, nothing found", arguments.seed);
    Ok(())
}

/// The codecs take far longer than the rest, and are not ours: they get fewer executions.
fn share(kind: Kind, executions: u64) -> u64 {
    match kind {
        Kind::Codecs => executions / 50,
        Kind::Batches => executions / 10,
        _ => (executions - executions / 50 - executions / 10).div_ceil(5),
    }
}

/// Every planted bug must be found: those that panic in a process of their own.
fn canaries(seed: u64) -> Result<(), String> {
    for kind in Kind::CANARIES {
        let found = if kind == Kind::CanaryPanic {
            let this = std::env::current_exe().map_err(|error| error.to_string())?;
            let output = Command::new(this)
                .args(["--target", kind.name(), "--threads", "1"])
                .args(["--execs", &CANARY_EXECUTIONS.to_string(), "--seed", &seed.to_string()])
                .stdout(Stdio::null())
                .output()
                .map_err(|error| error.to_string())?;
            let errors = String::from_utf8_lossy(&output.stderr);
            !output.status.success() && errors.contains("panic in canary-panic")
        } else {
            runner::run(kind, seed, CANARY_EXECUTIONS).is_err()
        };
        if !found {
            return Err(format!("{} was not found: the fuzzer is blind", kind.name()));
        }
        println!("{:<17} found, as it must be", kind.name());
    }
    Ok(())
}

fn run(kind: Kind, arguments: &Arguments, executions: u64) -> Result<u64, String> {
    for input in corpus::of(kind) {
        runner::replay(kind, &input).map_err(|finding| describe(&finding))?;
    }
    let threads = arguments
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let mut seeds = Random(arguments.seed);
    let started = Instant::now();
    let reports: Vec<Result<Report, Finding>> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|_| {
                let seed = seeds.word();
                scope.spawn(move || runner::run(kind, seed, executions.div_ceil(threads as u64)))
            })
            .collect();
        // A thread that panicked has printed its input.
        runs.into_iter().filter_map(|run| run.join().ok()).collect()
    });
    if reports.len() < threads {
        return Err(format!("a panic in {}", kind.name()));
    }
    let mut total = Report::default();
    for report in reports {
        let report = report.map_err(|finding| describe(&finding))?;
        total.executions += report.executions;
        total.accepted += report.accepted;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{:<17} {:>11} executions, {:>3} % accepted, {:>9.0} per second",
        kind.name(),
        total.executions,
        total.accepted * 100 / total.executions.max(1),
        total.executions as f64 / seconds.max(1e-9),
    );
    Ok(total.executions)
}

fn describe(finding: &Finding) -> String {
    let Finding { kind, what, input } = finding;
    let line = runner::line(input);
    let name = kind.name();
    format!("{name}: {what}\nreplay with --target {name} --replay '{line}'")
}
