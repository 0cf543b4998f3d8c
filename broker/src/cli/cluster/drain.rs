//! `milena cluster drain NODE`: moves every replica off a broker, and with them what it leads. A
//! partition never has fewer replicas in sync than before: the old one goes when the new one has
//! everything.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use milena_client::admin::{Admin, Move};
use milena_protocol::ids::{NodeId, PartitionIndex};
use serde_json::json;

use super::moves::{self, Plan};
use super::throttle::Throttle;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::{CliError, write_json};

/// Moves that are asked for at once.
const MOVES_AT_ONCE: usize = 500;
/// How often is looked how far it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Looks without anything on its way after which what was begun is begun again.
const PATIENT_LOOKS: usize = 20;

/// The arguments of `milena cluster drain` and `milena cluster remove`.
#[derive(Args, Clone, Debug)]
pub struct Leaving {
    /// The node.
    pub node: i32,
    /// Lets partitions have fewer replicas where there is no other live broker for them.
    #[arg(long)]
    pub fewer_replicas: bool,
    /// Lets each broker send, and take, only so many bytes a second of what moves, until all of it
    /// has moved; then limits are what they were before. What fails on the way leaves it.
    #[arg(long, value_name = "BYTES_PER_SECOND")]
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    pub throttle: Option<i64>,
    #[command(flatten)]
    pub connect: Connect,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn run(arguments: &Leaving, out: &mut impl Write) -> Result<(), CliError> {
    let node = NodeId(arguments.node);
    let moved = block_on(async {
        let admin = Admin::new(arguments.connect.client().await?);
        let mut tell = progress(arguments.json, out);
        drain(&admin, arguments, &mut tell).await
    })?;
    if arguments.json {
        return Ok(write_json(&json!({ "node_id": node.0, "moved": moved }), out)?);
    }
    Ok(writeln!(out, "broker {node} has no replica any more; {moved} partitions were moved")?)
}

/// Tells people how far a drain is; machines want only the end.
pub fn progress<W: Write>(is_json: bool, out: &mut W) -> impl FnMut(&str) + '_ {
    move |line: &str| {
        if !is_json {
            // Whoever stopped reading hears nothing more.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

/// Moves every replica off a broker, and waits until that is done. Answers how many there were.
pub async fn drain(
    admin: &Admin,
    leaving: &Leaving,
    tell: &mut impl FnMut(&str),
) -> Result<usize, CliError> {
    let mut throttle = leaving.throttle.map(Throttle::new);
    let mut begun = BTreeSet::new();
    let emptied = empty(admin, leaving, &mut throttle, &mut begun, tell).await;
    let Some(throttle) = throttle else { return emptied.map(|()| begun.len()) };
    match emptied {
        // What was begun goes on by itself, and would take the whole network without the limit.
        Err(error) if !begun.is_empty() => Err(error.and(throttle.left_behind())),
        Err(error) => match throttle.lift(admin).await {
            Ok(()) => Err(error),
            Err(_) => Err(error.and(throttle.left_behind())),
        },
        Ok(()) => {
            throttle.lift(admin).await?;
            throttle.brought_back().iter().for_each(|line| tell(line));
            Ok(begun.len())
        }
    }
}

/// Begins what has to move, which is noted before it begins, and returns once all of it has moved.
async fn empty(
    admin: &Admin,
    leaving: &Leaving,
    throttle: &mut Option<Throttle>,
    begun: &mut BTreeSet<(String, PartitionIndex)>,
    tell: &mut impl FnMut(&str),
) -> Result<(), CliError> {
    let node = NodeId(leaving.node);
    let cluster = admin.describe_cluster().await?;
    if cluster.brokers.iter().all(|broker| broker.node_id != node) {
        let known: Vec<String> =
            cluster.brokers.iter().map(|broker| broker.node_id.to_string()).collect();
        let known = known.join(", ");
        return Err(CliError::Usage(format!("there is no broker {node}; there are {known}")));
    }
    let mut told = None;
    let mut idle_looks = 0;
    loop {
        let under_way = admin.reassignments().await?;
        let topics = admin.list_topics().await?;
        let left = moves::held(node, &topics);
        if left.is_empty() {
            return Ok(());
        }
        // What is on its way is waited for, and so is the news of what has arrived.
        let is_moving = under_way.iter().any(|one| one.removing.contains(&node));
        idle_looks = if is_moving { 0 } else { idle_looks + 1 };
        let is_settled = |place: &(String, PartitionIndex)| {
            begun.contains(place) && (is_moving || idle_looks < PATIENT_LOOKS)
        };
        let plan = moves::empty(node, &topics, &cluster.brokers, is_settled);
        check(node, &plan, leaving.fewer_replicas)?;
        let due: Vec<Move> = plan.moves.into_iter().chain(plan.shrinking).collect();
        if let Some(throttle) = throttle {
            throttle.hold(admin, &topics, &due, &cluster.brokers).await?;
        }
        begun.extend(due.iter().map(|step| (step.topic.clone(), step.partition)));
        for steps in due.chunks(MOVES_AT_ONCE) {
            begin(admin, steps).await?;
        }
        if !due.is_empty() {
            idle_looks = 0;
        }
        if told != Some(left.len()) {
            tell(&format!("broker {node}: {} partitions to move", left.len()));
            told = Some(left.len());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Whether a plan can be carried out as it is meant.
fn check(node: NodeId, plan: &Plan, may_shrink: bool) -> Result<(), CliError> {
    if let Some(first) = plan.stuck.first() {
        return Err(CliError::Usage(format!(
            "{} partitions, such as {first}, are on broker {node} alone and there is no other live \
             broker: start one first",
            plan.stuck.len()
        )));
    }
    match plan.shrinking.first() {
        Some(first) if !may_shrink => Err(CliError::Usage(format!(
            "{} partitions, such as {}-{}, would have fewer replicas, for every other live broker \
             has one already: start another broker, or allow it with --fewer-replicas",
            plan.shrinking.len(),
            first.topic,
            first.partition
        ))),
        _ => Ok(()),
    }
}

async fn begin(admin: &Admin, steps: &[Move]) -> Result<(), CliError> {
    let begun = admin.reassign(steps).await?;
    let refused = begun.into_iter().find_map(|(topic, partition, outcome)| {
        outcome.err().map(|refused| refused.of(format!("{topic}-{partition}")))
    });
    refused.map_or(Ok(()), |error| Err(error.into()))
}
