//! How long a consumer group of the new protocol (KIP-848) takes to be assigned, with real clients:
//! so many librdkafka consumers in one process, and then one more.

use std::time::{Duration, Instant};

use clap::Parser;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

type Failure = Box<dyn std::error::Error>;

/// How long the group may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the first member is polled; the others are only looked after.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes a group of librdkafka consumers and says how long it takes to be assigned.
#[derive(Debug, Parser)]
struct Line {
    /// The broker.
    #[arg(short, long, default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// The topic, which is there.
    #[arg(short, long, default_value = "group")]
    topic: String,
    /// Its partitions.
    #[arg(short, long, default_value_t = 100)]
    partitions: usize,
    /// Members at first.
    #[arg(short, long, default_value_t = 50)]
    members: usize,
    /// The group.
    #[arg(short, long, default_value = "fifty")]
    group: String,
}

fn main() -> Result<(), Failure> {
    let line = Line::parse();
    let mut members = Vec::new();
    for _ in 0..line.members {
        members.push(member(&line)?);
    }
    // Connected and with metadata: what is measured is the group.
    for member in &members {
        member.fetch_metadata(Some(&line.topic), PATIENCE)?;
    }
    let assigned = assigned_after(&members, &line, 0)?;
    members.push(member(&line)?);
    let last = members.len() - 1;
    members[last].fetch_metadata(Some(&line.topic), PATIENCE)?;
    let one_more = assigned_after(&members, &line, last)?;
    println!(
        "{} members and {} partitions assigned in {} ms, one more member in {} ms",
        line.members,
        line.partitions,
        assigned.as_millis(),
        one_more.as_millis()
    );
    // The consumers are not closed: librdkafka may wait for ever for a rebalance that came
    // meanwhile, and that nobody polls.
    std::process::exit(0);
}

fn member(line: &Line) -> Result<BaseConsumer, Failure> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", &line.bootstrap)
        .set("group.id", &line.group)
        .set("group.protocol", "consumer")
        .set("enable.auto.commit", "false")
        .create()?)
}

/// Subscribes the members from `first` on, and waits until everyone has a share and every
/// partition an owner, each share as large as the next but one partition.
fn assigned_after(
    members: &[BaseConsumer],
    line: &Line,
    first: usize,
) -> Result<Duration, Failure> {
    let began = Instant::now();
    for member in &members[first..] {
        member.subscribe(&[&line.topic])?;
    }
    loop {
        for (index, member) in members.iter().enumerate() {
            let pause = if index == 0 { PAUSE } else { Duration::ZERO };
            if let Some(Err(error)) = member.poll(pause) {
                return Err(error.into());
            }
        }
        let mut shares = Vec::with_capacity(members.len());
        for member in members {
            shares.push(member.assignment()?.count());
        }
        let least = line.partitions / members.len();
        let is_fair = shares.iter().all(|share| (least..=least + 1).contains(share));
        if is_fair && shares.iter().sum::<usize>() == line.partitions {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("not assigned after {PATIENCE:?}: {shares:?}").into());
        }
    }
}
