//! Many seeds of whole brokers.

use milena_brokers::planted::Bug;
use milena_brokers::{run, show};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A record that was acknowledged would be gone, be there twice or elsewhere, or a cluster whose
/// faults are over stay broken.
#[test]
fn nothing_acknowledged_is_lost_whatever_happens() {
    if let Some(seed) = number("BROKERS_SEED") {
        show::logs(&std::env::var("BROKERS_LOG").unwrap_or("warn,turmoil=off".to_owned()));
        let outcome = run::play(seed, None).unwrap();
        outcome.seen.transcript.iter().for_each(|line| println!("{line}"));
        assert_eq!(outcome.violation, None);
        return;
    }
    let first = number("BROKERS_FIRST_SEED").unwrap_or(0);
    let seeds = number("BROKERS_SEEDS").unwrap_or(20);
    let (mut steps, mut millis, mut violations) = (0, 0, 0);
    for seed in first..first + seeds {
        let outcome = run::play(seed, None).unwrap();
        steps += outcome.seen.transcript.len();
        millis += outcome.seen.ended_at.as_millis();
        if let Some(violation) = outcome.violation {
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
    let seed = number("BROKERS_SEED").unwrap_or(1);
    let [one, other] = [(); 2].map(|()| run::play(seed, None).unwrap().seen.transcript);
    let differs = one.iter().zip(&other).position(|(one, other)| one != other);
    if let Some(at) = differs {
        panic!("line {at} of {}: {:?} and {:?}", one.len(), one[at], other[at]);
    }
    assert_eq!(one.len(), other.len());
}
