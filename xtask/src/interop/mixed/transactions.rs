//! Transactions over partitions that nodes of both kinds lead, with a coordinator of either.

use std::time::Duration;

use super::company::Company;
use super::partitions::in_sync;
use crate::interop::check::Outcome;
use crate::interop::place::Place;
use crate::interop::{kafka, packages};

/// The topic that is written in transactions.
const TOPIC: &str = "across";
/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs it.
///
/// # Errors
/// When a check does not hold.
pub fn run(company: &mut Company<'_>, place: &Place) -> Outcome {
    let class_path = packages::java_classes(place, "java")?;
    kafka::java(&class_path, "Across", LIMIT)
        .args([&company.addresses(), TOPIC, "1", "2", "3"])
        .checks(company.checks)?;
    in_sync(company, TOPIC, "all replicas are in sync")
}
