//! Many seeds of whole brokers.

use std::process::{Command, Stdio};

use milena_brokers::planted::Bug;
use milena_brokers::{run, show};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A seed that is played in a process of its own, as a person plays it again: within one process
/// the numbers of tokio's tasks go on, and with them the order in which the sockets of a killed
/// host close.
fn played(seed: u64) -> Vec<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([ONE, "--exact", "--nocapture"])
        .env("BROKERS_SEED", seed.to_string())
        .env("BROKERS_LOG", "off")
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().filter(|line| line.starts_with(MARK)).map(str::to_owned).collect()
}

/// The test that plays one seed.
const ONE: &str = "nothing_acknowledged_is_lost_whatever_happens";
/// What the lines of a play begin with.
const MARK: &str = "| ";

/// A record that was acknowledged would be gone, be there twice or elsewhere, or a cluster whose
/// faults are over stay broken.
#[test]
fn nothing_acknowledged_is_lost_whatever_happens() {
    if let Some(seed) = number("BROKERS_SEED") {
        show::logs(&std::env::var("BROKERS_LOG").unwrap_or("warn,turmoil=off".to_owned()));
        let outcome = run::play(seed, None).unwrap();
        outcome.seen.transcript.iter().for_each(|line| println!("{MARK}{line}"));
        let violation = outcome.violation.as_ref().map_or("-".to_owned(), ToString::to_string);
        println!("{MARK}{} ms: {violation}", outcome.seen.ended_at.as_millis());
        assert_eq!(outcome.violation, None);
        return;
    }
    let first = number("BROKERS_FIRST_SEED").unwrap_or(0);
    let seeds = number("BROKERS_SEEDS").unwrap_or(20);
    let (mut steps, mut millis, mut violations) = (0, 0, 0);
    for seed in first..first + seeds {
        let lines = played(seed);
        let end = lines.last().and_then(|line| line[MARK.len()..].split_once(" ms: "));
        let (ended_at, violation) = end.unwrap_or(("0", "the process ended"));
        steps += lines.len();
        millis += ended_at.parse::<u64>().unwrap_or(0);
        if violation != "-" {
            println!("BROKERS_SEED={seed}: {violation}");
            violations += 1;
        }
    }
    println!("BROKERS: {seeds} seeds, {steps} steps, {millis} ms, {violations} violations");
    assert_eq!(violations, 0);
}

/// Schedules in which each bug must be found.
const BUG_SEEDS: u64 = 40;

/// The simulation would be worth nothing: what it does not find here it finds nowhere.
#[test]
fn planted_bugs_are_found() {
    let seeds = number("BROKERS_BUG_SEEDS").unwrap_or(BUG_SEEDS);
    let stops_at_first = number("BROKERS_BUG_SEEDS").is_none();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let mut found = Vec::new();
        for seed in 0..seeds {
            found.extend(run::play(seed, Some(bug)).unwrap().violation.map(|it| (seed, it)));
            if stops_at_first && !found.is_empty() {
                break;
            }
        }
        match found.first() {
            Some((seed, violation)) => {
                let count = found.len();
                println!("{}: {count} found, first with seed {seed}: {violation}", bug.name());
            }
            None => {
                println!("{}: not found", bug.name());
                missed.push(bug.name());
            }
        }
    }
    assert!(missed.is_empty(), "not found: {}", missed.join(", "));
}

/// A seed could not be looked at again.
#[test]
fn a_seed_gives_the_same_transcript_twice() {
    let [one, other] = [(); 2].map(|()| played(1));
    assert!(one.len() > 1000, "{} lines", one.len());
    let differs = one.iter().zip(&other).position(|(one, other)| one != other);
    if let Some(at) = differs {
        panic!("line {at} of {}: {:?} and {:?}", one.len(), one[at], other[at]);
    }
    assert_eq!(one.len(), other.len());
}
