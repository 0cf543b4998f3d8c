//! A consumer group and its consumers, with lost requests and answers, moving coordinators, slow,
//! stuck, silent and dying consumers, changing subscriptions and topics.
//!
//! Everything follows from one seed: `CONSUMER_GROUP_SEEDS=N` runs that many,
//! `CONSUMER_GROUP_SEED=S` shows one.

mod bugs;
mod classic;
mod consumer;
#[path = "../simulation/mod.rs"]
mod simulation;
#[path = "../consumer_topics/mod.rs"]
mod topics;
mod world;

use milena_cluster::group::consumer::{Kip848, Rules};

use simulation::{Outcome, quietly};
use world::World;

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 100;

/// Runs a seed.
fn run<R: Rules>(seed: u64, is_traced: bool) -> Outcome {
    let mut world = World::<R>::new(seed, is_traced);
    let violation = quietly(|| world.run()).err();
    (world.report(), violation)
}

/// Two consumers would read one partition, or one would be read by nobody for ever.
#[test]
fn every_partition_has_one_reader_in_the_end_and_never_two() {
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
    simulation::holds("CONSUMER_GROUP", SEEDS, run::<Kip848>, &expected);
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    simulation::repeats(run::<Kip848>);
}

fn found<R: Rules>(name: &str) -> bool {
    simulation::finds("CONSUMER_GROUP", name, run::<R>)
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
