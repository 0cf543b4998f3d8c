//! The coordinator's machine alone, with producers, partitions and time that are simulated.
//!
//! Everything follows from one seed. `TRANSACTION_SEEDS=N` runs that many, from
//! `TRANSACTION_FIRST_SEED` on; `TRANSACTION_SEED=S` shows one.

mod bugs;
mod checks;
mod partition;
mod plan;
mod producer;
#[path = "../quorum_sim/rng.rs"]
mod rng;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use milena_cluster::transaction::{Kafka, Rules};

use world::{Report, World};

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 300;
/// Seeds in which every planted bug has to be found.
const SEEDS_PER_BUG: u64 = 300;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Takes a broken assertion of a machine for a violation like any other.
fn quietly(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                default(info);
            }
        }));
    });
    IS_QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(false);
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Err(panic.downcast_ref::<String>().cloned().or(text).unwrap_or_default())
    })
}

/// Runs a seed.
fn run<R: Rules>(seed: u64, is_traced: bool) -> (Report, Option<String>) {
    let mut world = World::<R>::new(seed, is_traced);
    let violation = quietly(|| world.run()).err();
    (world.report(), violation)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A transaction would be torn, decided twice or never, or an epoch be given to two producers.
#[test]
fn every_transaction_is_decided_once_whatever_happens() {
    if let Some(seed) = number("TRANSACTION_SEED") {
        let (report, violation) = run::<Kafka>(seed, true);
        report.transcript.iter().for_each(|line| println!("{line}"));
        assert_eq!(violation, None);
        return;
    }
    let seeds = number("TRANSACTION_SEEDS").unwrap_or(SEEDS);
    let first = number("TRANSACTION_FIRST_SEED").unwrap_or(0);
    let mut met = BTreeMap::new();
    let mut steps = 0;
    for seed in first..first + seeds {
        let (report, violation) = run::<Kafka>(seed, false);
        assert_eq!(violation, None, "TRANSACTION_SEED={seed}");
        steps += report.steps;
        for (situation, count) in report.met {
            *met.entry(situation).or_insert(0u64) += count;
        }
    }
    println!("{seeds} seeds, {steps} steps, {met:?}");
    let expected = [
        "aborted",
        "append refused",
        "committed",
        "crashed",
        "ended",
        "fenced",
        "markers",
        "needs a producer id",
        "waited",
        "waited too long",
    ];
    assert!(met.keys().copied().eq(expected), "a situation was never met: {met:?}");
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..10 {
        let (one, _) = run::<Kafka>(seed, true);
        let (other, _) = run::<Kafka>(seed, true);
        assert_eq!(one.transcript, other.transcript, "seed {seed}");
        assert_eq!(one.digest, other.digest);
    }
}

/// How many seeds in which a bug is found; the first says how.
fn found<R: Rules>(name: &str) -> bool {
    let seeds = number("TRANSACTION_BUG_SEEDS");
    let mut findings = Vec::new();
    for seed in 0..seeds.unwrap_or(SEEDS_PER_BUG) {
        if let (_, Some(violation)) = run::<R>(seed, false) {
            findings.push((seed, violation));
            if seeds.is_none() {
                break;
            }
        }
    }
    let Some((seed, violation)) = findings.first() else {
        println!("{name}: not found");
        return false;
    };
    println!("{name}: {} found, first with seed {seed}: {violation}", findings.len());
    true
}

/// The checkers would see nothing, and their silence mean nothing.
#[test]
fn planted_bugs_are_found() {
    let found = [
        found::<bugs::FenceKeepsEpoch>("a fence keeps the epoch"),
        found::<bugs::EndKeepsEpoch>("an end keeps the epoch"),
        found::<bugs::AnybodyAsksAgain>("anybody may ask again"),
        found::<bugs::AnyReport>("any report counts"),
        found::<bugs::AlmostComplete>("almost complete is complete"),
        found::<bugs::NeverResumes>("nobody resumes"),
    ];
    assert!(found.iter().all(|found| *found), "a planted bug was not found");
}
