//! Whole brokers in one process: three nodes as they ship form a cluster on a simulated network, in
//! virtual time, on disks that lose what was not synced. One seed says everything that happens to
//! them (`docs/decisions/0006-whole-brokers-on-turmoil.md`).
//!
//! | Module | What it is for |
//! | --- | --- |
//! | [`plan`] | which faults a seed stands for, and when |
//! | [`host`] | one node with its disk, its life and its deaths |
//! | [`clients`] | who writes, who reads, who waits for the cluster to be well |
//! | [`history`] | what clients were told |
//! | [`check`] | what must hold between that and the logs |
//! | [`planted`] | bugs that must be found |
//! | [`rng`] | chance that follows from a seed, as in all simulations |
//! | [`run`] | all of it together |
#![forbid(unsafe_code)]

pub mod check;
pub mod clients;
pub mod history;
pub mod host;
pub mod plan;
pub mod planted;
#[path = "../../../cluster/tests/simulation/rng.rs"]
pub mod rng;
pub mod run;
pub mod show;
