//! A partition's replicas: leaders and followers as they are, the controller as it is, on simulated
//! logs, network and time.
//!
//! Everything follows from one seed: `REPLICA_SEEDS=N` runs that many, `REPLICA_SEED=S` shows one.

#[path = "../beginning/mod.rs"]
mod beginning;
mod broker;
mod bugs;
mod checks;
mod figures;
mod log;
mod plan;
mod register;
#[path = "../simulation/mod.rs"]
mod simulation;
mod world;

use milena_cluster::replica::{Kafka, Rules};

use bugs::Bug;
use simulation::{Outcome, quietly};
use world::World;

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 200;

/// Runs seeds with a bug of what surrounds the leader.
fn run<R: Rules>(bug: Bug) -> impl Fn(u64, bool) -> Outcome {
    move |seed, is_traced| {
        let mut world = World::<R>::new(seed, bug, is_traced);
        let violation = quietly(|| world.run()).err();
        (world.report(), violation)
    }
}

/// What was acknowledged would be lost, or a partition stand still when everything is well again.
#[test]
fn nothing_acknowledged_is_lost_whatever_happens() {
    let expected = [
        "acknowledged",
        "cut",
        "elected",
        "elected of the eligible",
        "expanded",
        "fetch refused",
        "late",
        "loss told",
        "lossless restart",
        "lossy restart",
        "proposal refused",
        "refused",
        "shrunk",
        "unclean",
        "withdrawn",
    ];
    simulation::holds("REPLICA", SEEDS, run::<Kafka>(Bug::None), &expected);
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    simulation::repeats(run::<Kafka>(Bug::None));
}

fn found<R: Rules>(name: &str, bug: Bug) -> bool {
    simulation::finds("REPLICA", name, run::<R>(bug))
}

/// The checkers would see nothing, and their silence mean nothing.
#[test]
fn planted_bugs_are_found() {
    let found = [
        found::<Kafka>("truncate to the high watermark", Bug::TruncateToHighWatermark),
        found::<Kafka>("a fetch is not validated", Bug::UnvalidatedFetch),
        found::<bugs::NoEpochStart>("join before the epoch began", Bug::None),
        found::<Kafka>("join without the broker epoch", Bug::JoinWithoutBrokerEpoch),
        found::<bugs::SmallerIsrCounts>("high watermark over the smaller ISR", Bug::None),
        found::<bugs::ProposedDoNotCount>("who is proposed does not count", Bug::None),
        found::<bugs::AcknowledgedBelowMinimum>("acknowledge below min.insync", Bug::None),
        found::<bugs::OldEpochCounts>("a fetch of an older epoch counts", Bug::None),
        found::<bugs::FailedProposalForgotten>("a failed proposal is forgotten", Bug::None),
        found::<Kafka>("a lossy restart keeps its place", Bug::LossyRestartKept),
        found::<Kafka>("a lossy restart is eligible", Bug::LossyEligible),
        found::<Kafka>("elected outside of the ISR", Bug::ElectedOutsideIsr),
        found::<Kafka>("a restart keeps its epoch", Bug::RestartKeepsEpoch),
        found::<Kafka>("a role from before the registration", Bug::RoleBeforeRegistration),
        found::<Kafka>("unsynced records count", Bug::UnsyncedCounts),
    ];
    assert!(found.iter().all(|found| *found), "a planted bug was not found");
}

/// What chance meets too rarely would go unchecked.
#[test]
fn a_late_fetch_of_an_earlier_incarnation_acknowledges_nothing() {
    assert_eq!(figures::earlier_incarnation::<Kafka>(), Ok(()));
    assert!(figures::earlier_incarnation::<bugs::OldIncarnationCounts>().is_err());
}
