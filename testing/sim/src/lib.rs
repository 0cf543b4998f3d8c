//! A cluster of machines in one simulation: quorum, controller, brokers and replicas composed as a
//! broker composes them, on simulated disks, network and clocks that follow from one seed.
//!
//! What is simulated is the host: it does what the drivers of a broker do, and nothing else. The
//! metadata is real: the controller's records are encoded, replicated by the quorum's machines byte
//! by byte, and fold to images whose changes the brokers apply.
//!
//! | module | |
//! | --- | --- |
//! | `plan` | what a seed draws: nodes, topics, how bad it gets |
//! | `world` | the run: events in the order of time |
//! | `network` | messages, lost, late, doubled, damaged, cut off |
//! | `host`, `disk`, `recovery`, `clock` | a machine, what outlives its processes, its clock |
//! | `quorum`, `ledger` | the driver of the quorum, and how its batches stand in a log |
//! | `controller` | the active controller's work |
//! | `broker` | registration, roles, leaders and followers of partitions, coordinators on them |
//! | `clients` | producers, idempotent and transactional, consumers, members, an administrator |
//! | `faults` | what goes wrong |
//! | `checks` | what has to hold |

#[path = "../../../cluster/tests/beginning/mod.rs"]
mod beginning;
mod broker;
pub mod bugs;
mod checks;
mod clients;
mod clock;
mod controller;
#[path = "../../../cluster/tests/quorum_sim/disk.rs"]
mod disk;
mod faults;
mod host;
mod ledger;
mod network;
mod plan;
mod quorum;
#[path = "../../../cluster/tests/quorum_sim/checks.rs"]
mod quorum_checks;
mod recovery;
#[path = "../../../cluster/tests/simulation/mod.rs"]
pub mod simulation;
mod world;

use bugs::Bugs;
use milena_cluster::{quorum as quorum_machine, replica};
use simulation::{Outcome, quietly};

/// Plays a seed, with what is planted.
pub fn play<Q, L>(seed: u64, bugs: Bugs, is_traced: bool) -> Outcome
where
    Q: quorum_machine::Rules,
    L: replica::Rules,
{
    let mut world = world::World::<Q, L>::new(seed, bugs, is_traced);
    let violation = quietly(|| world.run()).err();
    (world.report(), violation)
}
