//! The quorum's machines alone, many of them, on simulated disks, network and time.
//!
//! Everything follows from one seed. `QUORUM_SEEDS=N` runs that many, `QUORUM_SEED=S` shows one.

mod bugs;
mod checks;
mod disk;
mod figures;
mod plan;
mod rng;
mod world;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use milena_cluster::quorum::{Kraft, Rules};

use bugs::DriverBug;
use world::{Report, World};

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 200;
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
fn run<R: Rules>(seed: u64, bug: DriverBug, is_traced: bool) -> (Report, Option<String>) {
    let mut world = World::<R>::new(seed, bug, is_traced);
    let violation = quietly(|| world.run()).err();
    (world.report(), violation)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A leader would be elected twice, a vote forgotten, or what was committed lost.
#[test]
fn nothing_committed_is_lost_whatever_happens() {
    if let Some(seed) = number("QUORUM_SEED") {
        let (report, violation) = run::<Kraft>(seed, DriverBug::None, true);
        report.transcript.iter().for_each(|line| println!("{line}"));
        assert_eq!(violation, None);
        return;
    }
    let seeds = number("QUORUM_SEEDS").unwrap_or(SEEDS);
    let first = number("QUORUM_FIRST_SEED").unwrap_or(0);
    let mut met = std::collections::BTreeMap::new();
    let mut steps = 0;
    for seed in first..first + seeds {
        let (report, violation) = run::<Kraft>(seed, DriverBug::None, false);
        assert_eq!(violation, None, "QUORUM_SEED={seed}");
        steps += report.steps;
        for (situation, count) in report.met {
            *met.entry(situation).or_insert(0u64) += count;
        }
    }
    println!("{seeds} seeds, {steps} steps, {met:?}");
    let expected = [
        "diverging",
        "leader",
        "leader resigned",
        "snapshot installed",
        "snapshot taken",
        "truncated",
        "voter added",
        "voter removed",
    ];
    assert!(met.keys().copied().eq(expected), "a situation was never met: {met:?}");
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..10 {
        let (one, _) = run::<Kraft>(seed, DriverBug::None, true);
        let (other, _) = run::<Kraft>(seed, DriverBug::None, true);
        assert_eq!(one.transcript, other.transcript, "seed {seed}");
        assert_eq!(one.digest, other.digest);
    }
}

/// How many seeds in which a bug is found; the first says how.
fn found<R: Rules>(name: &str, bug: DriverBug) -> bool {
    let seeds = number("QUORUM_BUG_SEEDS");
    let mut findings = Vec::new();
    for seed in 0..seeds.unwrap_or(SEEDS_PER_BUG) {
        if let (_, Some(violation)) = run::<R>(seed, bug, false) {
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
        found::<Kraft>("unsynced data counts", DriverBug::UnsyncedCounts),
        found::<Kraft>("a vote is not persisted", DriverBug::VoteNotPersisted),
        found::<bugs::StaleLogVote>("a vote for a stale log", DriverBug::None),
        found::<bugs::HalfMajority>("half a majority", DriverBug::None),
        found::<bugs::OverlappingVoterChange>("overlapping voter changes", DriverBug::None),
        found::<bugs::NoCorrelation>("answers without correlation", DriverBug::None),
        found::<bugs::UnvalidatedFetch>("a fetch is not validated", DriverBug::None),
    ];
    assert!(found.iter().all(|found| *found), "a planted bug was not found");
}

/// How often a figure ends with what was committed lost.
fn losses(figure: impl Fn(u64) -> Result<(), String>) -> usize {
    let outcomes = (0..20).map(|seed| {
        let violation = quietly(|| figure(seed)).err();
        assert!(!violation.as_ref().is_some_and(|text| text.contains("no figure")), "{seed}");
        violation
    });
    outcomes.flatten().count()
}

/// What chance meets too rarely would go unchecked.
#[test]
fn the_classic_figures_end_well_only_with_the_rules() {
    assert_eq!(losses(figures::older_epoch::<Kraft>), 0);
    assert!(losses(figures::older_epoch::<bugs::OlderEpochCommits>) > 0);
    assert_eq!(losses(figures::early_voter_change::<Kraft>), 0);
    assert!(losses(figures::early_voter_change::<bugs::EarlyVoterChange>) > 0);
}
