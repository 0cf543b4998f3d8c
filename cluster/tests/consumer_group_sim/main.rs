//! A consumer group and its consumers, with lost requests and answers, moving coordinators, slow,
//! stuck, silent and dying consumers, changing subscriptions and topics.
//!
//! Everything follows from one seed. `CONSUMER_GROUP_SEEDS=N` runs that many,
//! `CONSUMER_GROUP_SEED=S` shows one.

mod bugs;
mod classic;
mod consumer;
#[path = "../quorum_sim/rng.rs"]
mod rng;
#[path = "../consumer_topics/mod.rs"]
mod topics;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use milena_cluster::group::consumer::{Kip848, Rules};

use world::World;

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 100;
/// Seeds in which every planted bug has to be found.
const SEEDS_PER_BUG: u64 = 300;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Takes a broken assertion of the group for a violation like any other.
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

fn run<R: Rules>(seed: u64, is_traced: bool) -> (World<R>, Option<String>) {
    let mut world = World::new(seed, is_traced);
    let violation = quietly(|| world.run()).err();
    (world, violation)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Two consumers would read one partition, or one would be read by nobody for ever.
#[test]
fn every_partition_has_one_reader_in_the_end_and_never_two() {
    if let Some(seed) = number("CONSUMER_GROUP_SEED") {
        let (world, violation) = run::<Kip848>(seed, true);
        world.transcript.iter().for_each(|line| println!("{line}"));
        assert_eq!(violation, None);
        return;
    }
    let seeds = number("CONSUMER_GROUP_SEEDS").unwrap_or(SEEDS);
    let first = number("CONSUMER_GROUP_FIRST_SEED").unwrap_or(0);
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in first..first + seeds {
        let (world, violation) = run::<Kip848>(seed, false);
        assert_eq!(violation, None, "CONSUMER_GROUP_SEED={seed}");
        world.met.into_iter().for_each(|(what, count)| *met.entry(what).or_default() += count);
    }
    println!("{seeds} seeds, {met:?}");
    let expected = [
        "answer lost",
        "append refused",
        "classic joined",
        "classic lost its place",
        "classic told to join",
        "coordinator moved",
        "died",
        "fell silent",
        "fenced",
        "forgotten",
        "healed",
        "late request",
        "left",
        "left for a while",
        "name taken",
        "old commit",
        "records lost",
        "request doubled",
        "request lost",
        "resubscribed",
        "ticked",
        "topics changed",
    ];
    assert!(met.keys().copied().eq(expected), "a situation was never met: {met:?}");
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..10 {
        let (one, _) = run::<Kip848>(seed, true);
        let (other, _) = run::<Kip848>(seed, true);
        assert_eq!(one.transcript, other.transcript, "seed {seed}");
    }
}

/// Whether a bug is found, and how.
fn found<R: Rules>(name: &str) -> bool {
    let violation = (0..SEEDS_PER_BUG).find_map(|seed| Some((seed, run::<R>(seed, false).1?)));
    match &violation {
        Some((seed, violation)) => println!("{name}: found with seed {seed}: {violation}"),
        None => println!("{name}: not found"),
    }
    violation.is_some()
}

/// The checks would see nothing, and their silence mean nothing.
#[test]
fn planted_bugs_are_found() {
    let found = [
        found::<bugs::NothingIsOwned>("a partition is given away too early"),
        found::<bugs::SilenceRevokes>("silence counts as giving up"),
        found::<bugs::AnyEpochCatchesUp>("any epoch catches up"),
        found::<bugs::FormerOwnersCommit>("commits of former owners count"),
        found::<bugs::NobodyIsLate>("nobody is late"),
    ];
    assert!(found.iter().all(|found| *found), "a planted bug was not found");
}
