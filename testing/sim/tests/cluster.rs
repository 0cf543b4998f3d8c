//! The cluster, seed by seed.
//!
//! Everything follows from one seed: `CLUSTER_SEEDS=N` runs that many, `CLUSTER_SEED=S` shows one.

use milena_cluster::{quorum, replica};
use milena_sim::bugs::quorum::DriverBug;
use milena_sim::bugs::replica::Bug;
use milena_sim::bugs::{self, Bugs, HostBug};
use milena_sim::play;
use milena_sim::simulation::{self, Outcome};

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 100;

fn run<Q: quorum::Rules, L: replica::Rules>(bugs: Bugs) -> impl Fn(u64, bool) -> Outcome {
    move |seed, is_traced| play::<Q, L>(seed, bugs, is_traced)
}

/// What was acknowledged would be lost between machines that are each right by themselves.
#[test]
fn nothing_acknowledged_is_lost_whatever_happens_to_the_cluster() {
    let run = run::<quorum::Kraft, replica::Kafka>(Bugs::default());
    let expected = [
        "aborted",
        "acknowledged",
        "bit turned",
        "blackout",
        "committed",
        "consumed",
        "cut",
        "cut one way",
        "damaged",
        "damaged snapshot",
        "drained",
        "fenced",
        "fenced producer",
        "fetch refused",
        "group refused",
        "groups loaded",
        "killed",
        "marker given up",
        "marker refused",
        "marker written",
        "member committed",
        "member ended",
        "member found",
        "member left",
        "member lost its place",
        "member settled",
        "member told to join",
        "metadata cut",
        "metadata diverging",
        "not enough replicas",
        "offset committed",
        "offset found",
        "out of order",
        "partition leader",
        "partition moved",
        "paused",
        "power cut",
        "produce refused",
        "producer ended",
        "quorum leader",
        "quorum leader resigned",
        "replica cut",
        "replica deleted",
        "sent again",
        "snapshot installed",
        "snapshot taken",
        "transaction lost",
        "transaction retried",
        "transactions loaded",
        "voter added",
        "voter removed",
    ];
    simulation::holds("CLUSTER", SEEDS, run, &expected);
}

/// A violation could not be looked at again.
#[test]
fn a_seed_gives_the_same_run_again() {
    simulation::repeats(run::<quorum::Kraft, replica::Kafka>(Bugs::default()));
}

fn found<Q: quorum::Rules, L: replica::Rules>(name: &str, bugs: impl Into<Bugs>) -> bool {
    simulation::finds("CLUSTER", name, run::<Q, L>(bugs.into()))
}

/// The checkers would see nothing, and their silence mean nothing.
#[test]
fn planted_bugs_are_found() {
    type Q = quorum::Kraft;
    type L = replica::Kafka;
    let none = Bugs::default();
    let found = [
        found::<Q, L>("roles before the witness", HostBug::RoleBeforeWitness),
        found::<Q, L>("a registration is not noted", HostBug::UnnotedRegistration),
        found::<Q, L>("a coordinator answers early", HostBug::AnswersBeforeCommit),
        found::<Q, L>("unreplicated markers count", HostBug::UnreplicatedMarkers),
        found::<Q, L>("nobody asks the coordinator", HostBug::UnaskedTransactions),
        found::<Q, L>("what is undecided is shown", HostBug::UndecidedIsShown),
        found::<Q, L>("a coordinator forgets groups", HostBug::GroupsForgotten),
        found::<Q, L>("a coordinator reads too little", HostBug::LoadedToHighWatermark),
        found::<Q, L>("nobody is told to join again", HostBug::NobodyIsToldToJoin),
        found::<Q, L>("unsynced metadata counts", DriverBug::UnsyncedCounts),
        found::<Q, L>("a vote is not persisted", DriverBug::VoteNotPersisted),
        found::<bugs::quorum::StaleLogVote, L>("a vote for a stale log", none),
        found::<bugs::quorum::HalfMajority, L>("half a majority", none),
        found::<bugs::quorum::NoCorrelation, L>("answers without correlation", none),
        found::<bugs::quorum::UnvalidatedFetch, L>("a fetch of metadata is not validated", none),
        found::<Q, L>("truncate to the high watermark", Bug::TruncateToHighWatermark),
        found::<Q, L>("a fetch is not validated", Bug::UnvalidatedFetch),
        found::<Q, L>("a lossy restart keeps its place", Bug::LossyRestartKept),
        found::<Q, L>("a lossy restart is eligible", Bug::LossyEligible),
        found::<Q, L>("a role from before the registration", Bug::RoleBeforeRegistration),
        found::<Q, bugs::replica::NoEpochStart>("join before the epoch began", none),
        found::<Q, bugs::replica::SmallerIsrCounts>("high watermark over the smaller ISR", none),
        found::<Q, bugs::replica::ProposedDoNotCount>("who is proposed does not count", none),
        found::<Q, bugs::replica::AcknowledgedBelowMinimum>("acknowledge below min.insync", none),
        found::<Q, bugs::replica::OldEpochCounts>("a fetch of an older epoch counts", none),
        found::<Q, bugs::replica::FailedProposalForgotten>("a failed proposal is forgotten", none),
    ];
    assert!(found.iter().all(|found| *found), "a planted bug was not found");
}
