//! `milena topic produce`.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use milena_client::ClientError;
use milena_client::producer::{Acks, Delivered, Delivery, NewRecord, Producer, ProducerOptions};
use milena_protocol::ids::PartitionIndex;
use milena_protocol::record::Compression;
use serde_json::json;

use super::format::separator;
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::CliError;
use crate::cli::setting::setting;

/// Acknowledgements that are awaited at a time: enough to keep the producer busy.
const WINDOW: usize = 10_000;

/// The arguments of `milena topic produce`.
#[derive(Args, Clone, Debug)]
pub struct Produce {
    /// The topic.
    name: String,
    /// Only to this partition; without it the key decides.
    #[arg(short, long)]
    partition: Option<i32>,
    /// The key of every record.
    #[arg(short, long, conflicts_with = "key_delimiter")]
    key: Option<String>,
    /// What stands between key and value in a line.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = one_separator)]
    key_delimiter: Option<Separator>,
    /// What stands between records.
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n",
        value_parser = one_separator)]
    delimiter: Separator,
    /// A header of every record.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = setting)]
    headers: Vec<(String, String)>,
    /// How batches are compressed: none, gzip, snappy, lz4 or zstd.
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none", value_parser = codec)]
    compression: Compression,
    /// Which replicas must have a record before it counts as written.
    #[arg(long, value_enum, default_value_t = AcksArgument::All)]
    acks: AcksArgument,
    /// An empty key or value is null.
    #[arg(short = 'Z', long)]
    null: bool,
    /// Tells of every record where it is.
    #[arg(short, long)]
    verbose: bool,
    /// Prints a line of JSON for every record.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// A separator between records, keys and values.
#[derive(Clone, Debug)]
pub struct Separator(Vec<u8>);

fn one_separator(text: &str) -> Result<Separator, String> {
    separator(text).map(Separator)
}

/// Which replicas must have a record.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AcksArgument {
    /// None: losses go unseen.
    #[value(alias("0"))]
    None,
    /// The leader.
    #[value(alias("1"))]
    Leader,
    /// Every one that is in sync.
    #[value(alias("-1"))]
    All,
}

impl From<AcksArgument> for Acks {
    fn from(argument: AcksArgument) -> Self {
        match argument {
            AcksArgument::None => Self::None,
            AcksArgument::Leader => Self::Leader,
            AcksArgument::All => Self::All,
        }
    }
}

fn codec(text: &str) -> Result<Compression, String> {
    Compression::from_name(text).ok_or_else(|| {
        format!("there is no codec {text:?}; there are none, gzip, snappy, lz4 and zstd")
    })
}

pub fn run(arguments: &Produce, out: &mut impl Write) -> Result<(), CliError> {
    let written = block_on(produce(arguments, out))?;
    if !arguments.json {
        let plural = if written == 1 { "" } else { "s" };
        eprintln!("{written} record{plural} written to {}", arguments.name);
    }
    Ok(())
}

async fn produce(arguments: &Produce, out: &mut impl Write) -> Result<usize, CliError> {
    let client = arguments.connect.client().await?;
    let producer = Producer::new(
        client,
        ProducerOptions {
            acks: arguments.acks.into(),
            compression: arguments.compression,
            delivery_timeout: Duration::from_secs(arguments.connect.timeout.max(1)),
            ..Default::default()
        },
    );
    // A line is read on a thread of its own, so that the sender goes on while nobody types.
    let (lines, mut queue) = tokio::sync::mpsc::channel(WINDOW);
    let delimiter = arguments.delimiter.0.clone();
    let reader = std::thread::spawn(move || read_records(&delimiter, &lines));
    let mut deliveries = Vec::new();
    let mut written = 0;
    let template = template(arguments);
    while let Some(line) = queue.recv().await {
        deliveries.push(producer.send(record(arguments, &template, line)).await?);
        if deliveries.len() >= WINDOW || queue.is_empty() {
            written += settle(arguments, &mut deliveries, out).await?;
        }
    }
    written += settle(arguments, &mut deliveries, out).await?;
    producer.close().await;
    match reader.join() {
        Ok(read) => read?,
        Err(_) => return Err(io::Error::other("reading standard input failed").into()),
    }
    Ok(written)
}

/// Hands every record of standard input on.
fn read_records(delimiter: &[u8], lines: &tokio::sync::mpsc::Sender<Bytes>) -> io::Result<()> {
    let mut input = io::stdin().lock();
    let Some(last) = delimiter.last().copied() else { return Ok(()) };
    let mut record = Vec::new();
    loop {
        let count = input.read_until(last, &mut record)?;
        let is_whole = record.ends_with(delimiter);
        if count > 0 && !is_whole {
            continue;
        }
        if is_whole {
            record.truncate(record.len() - delimiter.len());
        }
        // Behind the last delimiter stands no record.
        let is_record = is_whole || !record.is_empty();
        if is_record && lines.blocking_send(Bytes::from(std::mem::take(&mut record))).is_err() {
            return Ok(());
        }
        if count == 0 {
            return Ok(());
        }
    }
}

fn template(arguments: &Produce) -> NewRecord {
    let mut record = NewRecord::new(Arc::from(arguments.name.as_str()));
    record.partition = arguments.partition.map(PartitionIndex);
    record.key = arguments.key.clone().map(Bytes::from);
    for (name, value) in &arguments.headers {
        record.headers.push((name.clone(), Some(Bytes::from(value.clone()))));
    }
    record
}

fn record(arguments: &Produce, template: &NewRecord, line: Bytes) -> NewRecord {
    let mut record = template.clone();
    let at = arguments.key_delimiter.as_ref().and_then(|Separator(delimiter)| {
        let at = line.windows(delimiter.len()).position(|window| window == delimiter)?;
        Some((at, at + delimiter.len()))
    });
    let (key, value) = match at {
        Some((end, begin)) => (Some(line.slice(..end)), line.slice(begin..)),
        None => (record.key.take(), line),
    };
    let kept = |bytes: &Bytes| !(arguments.null && bytes.is_empty());
    record.key = key.filter(kept);
    record.value = Some(value).filter(kept);
    record
}

/// Waits for what is under way and tells of it.
async fn settle(
    arguments: &Produce,
    deliveries: &mut Vec<Delivery>,
    out: &mut impl Write,
) -> Result<usize, CliError> {
    let count = deliveries.len();
    for delivery in deliveries.drain(..) {
        let delivered: Result<Delivered, ClientError> = delivery.wait().await;
        let Delivered { partition, offset, .. } = delivered?;
        if arguments.json {
            let told = json!({ "topic": arguments.name, "partition": partition.0,
                "offset": offset.0 });
            writeln!(out, "{told}")?;
        } else if arguments.verbose {
            writeln!(out, "partition {partition} offset {offset}")?;
        }
    }
    out.flush()?;
    Ok(count)
}
