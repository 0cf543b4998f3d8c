//! The coordinator's machine alone, with producers, partitions and time that are simulated.
//!
//! Everything follows from one seed: `TRANSACTION_SEEDS=N` runs that many, `TRANSACTION_SEED=S`
//! shows one.

mod bugs;
mod checks;
mod partition;
mod plan;
mod producer;
#[path = "../simulation/mod.rs"]
mod simulation;
mod world;

use milena_cluster::transaction::{Kafka, Rules};

use simulation::{Outcome, quietly};
use world::World;

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 300;

/// Runs a seed.
fn run<R: Rules>(seed: u64, is_traced: bool) -> Outcome {
    let mut world = World::<R>::new(seed, is_traced);
    let violation = quietly(|| world.run()).err();
    (world.report(), violation)
}

/// A transaction would be torn, decided twice or never, or an epoch be given to two producers.
#[test]
fn every_transaction_is_decided_once_whatever_happens() {
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
    simulation::holds("TRANSACTION", SEEDS, run::<Kafka>, &expected);
}

/// What was found once could come back. 30342: the second attempt at a marker fell with the
/// records of another transaction that were refused in the same step, and nobody tried again.
#[test]
fn seeds_that_failed_hold() {
    let found: &[u64] = &[30_342];
    for seed in found {
        assert_eq!(run::<Kafka>(*seed, false).1, None, "seed {seed}");
    }
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    simulation::repeats(run::<Kafka>);
}

fn found<R: Rules>(name: &str) -> bool {
    simulation::finds("TRANSACTION", name, run::<R>)
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
