//! The controller's rules alone, with brokers, their logs, the network and time that are simulated.
//!
//! Everything follows from one seed: `CONTROLLER_SEEDS=N` runs that many, `CONTROLLER_SEED=S` shows
//! one.

#[path = "../beginning/mod.rs"]
mod beginning;
mod bugs;
mod checks;
mod host;
mod plan;
#[path = "../simulation/mod.rs"]
mod simulation;
mod world;

use bugs::{Bugs, Right};
use simulation::{Outcome, quietly};
use world::World;

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 300;

/// Runs a seed.
fn run<B: Bugs>(seed: u64, is_traced: bool) -> Outcome {
    let mut world = World::<B>::new(seed, is_traced);
    let violation = quietly(|| world.run()).err();
    (world.report(), violation)
}

/// A partition would be led by two, by one that lacks what was acknowledged, or by nobody.
#[test]
fn partitions_are_led_by_who_has_everything_whatever_happens() {
    let expected = [
        "acknowledged",
        "another controller",
        "blocks of producer ids",
        "directory failed",
        "duplicate refused",
        "fenced by silence",
        "gone at once",
        "killed",
        "move begun",
        "move given up",
        "move not given up",
        "moved",
        "power cut",
        "proposal accepted",
        "proposal refused",
        "returned",
        "stopped in turn",
        "topic deleted",
        "unclean election",
        "unregistered",
    ];
    simulation::holds("CONTROLLER", SEEDS, run::<Right>, &expected);
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    simulation::repeats(run::<Right>);
}

fn found<B: Bugs>(name: &str) -> bool {
    simulation::finds("CONTROLLER", name, run::<B>)
}

/// The checkers would see nothing, and their silence mean nothing.
#[test]
fn planted_bugs_are_found() {
    let found = [
        found::<bugs::FencedStays>("a fenced broker stays where it is"),
        found::<bugs::AnyPartitionEpoch>("a proposal of any epoch counts"),
        found::<bugs::NoGrace>("a new controller has heard of nobody"),
        found::<bugs::StopsAtOnce>("who stops waits for nobody"),
        found::<bugs::LossyIsClean>("a lossy restart counts as clean"),
        found::<bugs::AnybodyRegisters>("a session keeps nobody out"),
        found::<bugs::EarlyEnd>("a move ends before its target is in sync"),
        found::<bugs::EpochStays>("a replica goes within a leader epoch"),
        found::<bugs::SameBlock>("a block of producer ids is given twice"),
    ];
    assert!(found.iter().all(|found| *found), "a planted bug was not found");
}
