//! The quorum's machines alone, many of them, on simulated disks, network and time.
//!
//! Everything follows from one seed: `QUORUM_SEEDS=N` runs that many, `QUORUM_SEED=S` shows one.

mod bugs;
mod checks;
mod disk;
mod elections;
mod figures;
mod plan;
#[path = "../simulation/mod.rs"]
mod simulation;
mod world;

use milena_cluster::quorum::{Kraft, Rules};

use bugs::DriverBug;
use simulation::{Outcome, quietly};
use world::World;

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 200;

/// Runs seeds with a bug of the driver.
fn run<R: Rules>(bug: DriverBug) -> impl Fn(u64, bool) -> Outcome {
    move |seed, is_traced| {
        let mut world = World::<R>::new(seed, bug, is_traced);
        let violation = quietly(|| world.run()).err();
        (world.report(), violation)
    }
}

/// A leader would be elected twice, a vote forgotten, or what was committed lost.
#[test]
fn nothing_committed_is_lost_whatever_happens() {
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
    simulation::holds("QUORUM", SEEDS, run::<Kraft>(DriverBug::None), &expected);
}

/// What was found once could come back. 2015172: a candidate hears of its last vote when a leader
/// of a later epoch has long committed records; it leads without them, and can commit nothing.
#[test]
fn seeds_that_failed_hold() {
    let found: &[u64] = &[2_015_172];
    for seed in found {
        assert_eq!(run::<Kraft>(DriverBug::None)(*seed, false).1, None, "seed {seed}");
    }
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    simulation::repeats(run::<Kraft>(DriverBug::None));
}

fn found<R: Rules>(name: &str, bug: DriverBug) -> bool {
    simulation::finds("QUORUM", name, run::<R>(bug))
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
