//! `milena topic consume`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::Args;
use milena_client::consumer::{Consumer, ConsumerOptions, Isolation, Key, Reset, Start};
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};

use super::format::Format;
use super::manner::Manner;
use super::member::{self, Membership};
use super::position::Position;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::CliError;

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(500);

/// The arguments of `milena topic consume`.
#[derive(Args, Clone, Debug)]
pub struct Consume {
    /// The topics.
    #[arg(required = true)]
    names: Vec<String>,
    /// Only these partitions.
    #[arg(short, long)]
    partition: Vec<i32>,
    /// Where to begin: beginning, end, OFFSET, -COUNT before the end, s@TIMESTAMP; e@TIMESTAMP
    /// says where to end.
    #[arg(
        short,
        long,
        value_name = "POSITION",
        default_value = "beginning",
        allow_hyphen_values = true
    )]
    offset: Vec<Position>,
    /// Reads as a member of this group: shares the partitions with its other members, goes on where
    /// the group stands, and commits what was written. --offset beginning or end says where to
    /// begin where the group has no offset.
    #[arg(short, long, conflicts_with = "partition")]
    group: Option<String>,
    /// Ends at the end of the log instead of waiting for more.
    #[arg(short, long)]
    exit: bool,
    /// Ends after so many records.
    #[arg(short, long)]
    count: Option<u64>,
    /// How a record is written: %s value, %k key, %t topic, %p partition, %o offset, %T timestamp,
    /// %h headers, %S and %K lengths; \n, \t, \xHH.
    #[arg(short, long, default_value = "%s\\n")]
    format: Format,
    /// Writes NULL for a key or a value that is null.
    #[arg(short = 'Z', long)]
    null: bool,
    /// Leaves out the records of transactions that are open or were aborted.
    #[arg(long)]
    committed: bool,
    /// Prints a line of JSON for every record.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub fn run(arguments: &Consume, out: &mut impl Write) -> Result<(), CliError> {
    // Records come in answers of many: they are written together.
    let mut out = std::io::BufWriter::new(out);
    block_on(consume(arguments, &mut out))?;
    Ok(out.flush()?)
}

async fn consume(arguments: &Consume, out: &mut impl Write) -> Result<(), CliError> {
    let client = arguments.connect.client().await?;
    let (start, until) = positions(&arguments.offset);
    let manner =
        Manner { format: arguments.format.clone(), null: arguments.null, json: arguments.json };
    let isolation =
        if arguments.committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    if let Some(group) = &arguments.group {
        let membership = Membership {
            group: group.clone(),
            topics: arguments.names.clone(),
            isolation,
            reset: reset(start, until)?,
            exits: arguments.exit,
            count: arguments.count.unwrap_or(u64::MAX),
        };
        return member::read(&client, membership, &manner, out).await;
    }
    let options =
        ConsumerOptions { isolation, reset: Reset::Fail, max_wait: POLL, ..Default::default() };
    let mut consumer = Consumer::new(&client, options);
    let mut keys: Vec<Key> = Vec::new();
    for name in &arguments.names {
        let topic = client.topic(name, false).await?;
        for partition in &topic.partitions {
            let is_wanted =
                arguments.partition.is_empty() || arguments.partition.contains(&partition.index.0);
            if is_wanted {
                keys.push((topic.name.clone(), partition.index));
            }
        }
        missing_partition(arguments, name, topic.partitions.len())?;
    }
    let mut stops: BTreeMap<Key, Offset> = BTreeMap::new();
    for (topic, partition) in &keys {
        if let Some(until) = until
            && let Some(stop) = consumer.offset_at(topic, *partition, until).await?
        {
            stops.insert((topic.clone(), *partition), stop);
        }
        consumer.assign(topic.clone(), *partition, start);
    }
    let ends = arguments.exit || until.is_some();
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        let records = consumer.poll(POLL).await?;
        for record in &records {
            let key = (record.topic.clone(), record.partition);
            if stops.get(&key).is_some_and(|stop| record.offset >= *stop) {
                consumer.unassign(&key.0, key.1);
                continue;
            }
            manner.write(record, out)?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
        out.flush()?;
        // What ends at a time has no more to say once it is there.
        for ((topic, partition), stop) in &stops {
            if consumer.position(topic, *partition).is_some_and(|position| position >= *stop) {
                consumer.unassign(topic, *partition);
            }
        }
        if ends && consumer.is_at_end() {
            break;
        }
    }
    Ok(())
}

/// Where to begin and when to end.
fn positions(given: &[Position]) -> (Start, Option<Timestamp>) {
    let from = given.iter().rev().find_map(|position| match position {
        Position::From(start) => Some(*start),
        Position::Until(_) => None,
    });
    let until = given.iter().rev().find_map(|position| match position {
        Position::Until(time) => Some(*time),
        Position::From(_) => None,
    });
    (from.unwrap_or(Start::Beginning), until)
}

/// Where a member begins without an offset.
fn reset(start: Start, until: Option<Timestamp>) -> Result<Reset, CliError> {
    match (start, until) {
        (Start::Beginning, None) => Ok(Reset::Beginning),
        (Start::End, None) => Ok(Reset::End),
        _ => Err(CliError::Usage(
            "a member of a group begins where the group stands, else at --offset beginning or \
             end; `milena group seek` moves a group"
                .to_owned(),
        )),
    }
}

fn missing_partition(arguments: &Consume, name: &str, count: usize) -> Result<(), CliError> {
    let is_missing =
        |partition: &&i32| usize::try_from(**partition).map_or(true, |index| index >= count);
    match arguments.partition.iter().find(is_missing) {
        Some(partition) => Err(CliError::Client(milena_client::ClientError::NoSuchPartition {
            topic: name.to_owned(),
            partition: PartitionIndex(*partition),
            count,
        })),
        None => Ok(()),
    }
}
