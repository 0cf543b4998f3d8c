//! Two clusters, one after the other: in each two nodes are of one kind and one is of the other.

use super::company::{Company, IDS};
use super::node::Kind;
use super::{elections, groups, logs, partitions, transactions};
use crate::interop::check::{Checks, Outcome};
use crate::interop::kafka::Tools;
use crate::interop::place::Place;
use crate::interop::server::Subject;

/// Runs both. Each shows elections in both directions; what brokers do is the same in either, and
/// shown once.
///
/// # Errors
/// When a check does not hold.
pub fn run(place: &Place, _: Subject, checks: &mut Checks) -> Outcome {
    let tools = Tools::install(place)?;
    with_two_of_kafka(Company::new(place, &tools, Kind::Milena, checks)?)?;
    with_two_of_ours(Company::new(place, &tools, Kind::Kafka, checks)?, place)
}

fn with_two_of_kafka(mut company: Company<'_>) -> Outcome {
    elections::run(&mut company)?;
    partitions::run(&mut company)?;
    company.kill(&IDS)?;
    logs::metadata(&mut company)?;
    logs::replicas(&mut company, "shared-0")
}

fn with_two_of_ours(mut company: Company<'_>, place: &Place) -> Outcome {
    elections::run(&mut company)?;
    groups::run(&mut company)?;
    transactions::run(&mut company, place)?;
    company.kill(&IDS)?;
    logs::metadata(&mut company)?;
    let partitions = ["across-0", "across-1", "__consumer_offsets-0", "__transaction_state-0"];
    partitions.iter().try_for_each(|partition| logs::replicas(&mut company, partition))
}
