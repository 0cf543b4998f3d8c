//! `milena topic consume`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use milena_client::consumer::{
    ConsumedRecord, Consumer, ConsumerOptions, Isolation, Key, Reset, Start, TimestampKind,
};
use milena_protocol::ids::{Offset, PartitionIndex, Timestamp};
use serde_json::{Value, json};

use super::format::Format;
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
    let isolation =
        if arguments.committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
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
    let (start, until) = positions(&arguments.offset);
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
            write(arguments, record, out)?;
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

fn write(
    arguments: &Consume,
    record: &ConsumedRecord,
    out: &mut impl Write,
) -> Result<(), CliError> {
    if arguments.json {
        writeln!(out, "{}", json(record))?;
        return Ok(());
    }
    let null: &[u8] = if arguments.null { b"NULL" } else { b"" };
    Ok(arguments.format.write(record, null, out)?)
}

/// A record as kcat's JSON has it; bytes that are no text stand as `{"base64": …}`.
fn json(record: &ConsumedRecord) -> Value {
    let headers: Vec<Value> = record
        .headers
        .iter()
        .flat_map(|(name, value)| [json!(name), text(value.as_ref())])
        .collect();
    json!({
        "topic": *record.topic,
        "partition": record.partition.0,
        "offset": record.offset.0,
        "tstype": match record.timestamp_kind {
            TimestampKind::Created => "create",
            TimestampKind::Appended => "logappend",
        },
        "ts": record.timestamp.0,
        "headers": headers,
        "key": text(record.key.as_ref()),
        "payload": text(record.value.as_ref()),
    })
}

fn text(bytes: Option<&Bytes>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => json!(text),
        Some((bytes, Err(_))) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}
