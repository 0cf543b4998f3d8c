//! `milena topic produce`.
//!
//! A record that is refused does not stop those behind it: what failed is told and counted, and the
//! command fails at the end. Where no broker can be asked, reading ends.

use std::io::{self, Write};
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
use super::lines::{self, Line};
use crate::cli::connect::{Connect, block_on};
use crate::cli::output::CliError;
use crate::cli::setting::setting;

/// Acknowledgements that are awaited at a time: enough to keep the producer busy.
const WINDOW: usize = 10_000;
/// Failures that are told one by one; the others are only counted.
const TOLD: usize = 10;

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
    let counts = block_on(produce(arguments, out))?;
    let Counts { written, refused } = counts;
    if refused > 0 {
        eprintln!("{written} written, {refused} refused");
        return Err(CliError::Partly);
    }
    if !arguments.json {
        let plural = if written == 1 { "" } else { "s" };
        eprintln!("{written} record{plural} written to {}", arguments.name);
    }
    Ok(())
}

/// What became of the records.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    written: usize,
    refused: usize,
}

async fn produce(arguments: &Produce, out: &mut impl Write) -> Result<Counts, CliError> {
    let client = arguments.connect.client().await?;
    let options = ProducerOptions {
        acks: arguments.acks.into(),
        compression: arguments.compression,
        delivery_timeout: Duration::from_secs(arguments.connect.timeout),
        ..Default::default()
    };
    // Lines are read on a thread of their own, so that the sender goes on while nobody types.
    let (mut queue, reader) = lines::read(&arguments.delimiter.0, options.max_request_bytes);
    let mut writer = Writer {
        arguments,
        out,
        producer: Producer::new(client, options),
        deliveries: Vec::new(),
        number: 0,
        counts: Counts::default(),
    };
    let template = template(arguments);
    let mut sent = Ok(());
    while let Some(lines) = queue.recv().await {
        sent = writer.send(&template, lines).await;
        if sent.is_ok() && queue.is_empty() {
            sent = writer.settle().await;
        }
        if sent.is_err() {
            break;
        }
    }
    let settled = writer.settle().await;
    let Writer { producer, counts, .. } = writer;
    producer.close().await;
    if let Err(error) = sent.and(settled) {
        // Whoever types may be asked for more for ever: the reader is left alone.
        let Counts { written, refused } = counts;
        if written + refused > 0 && !error.is_closed_pipe() {
            eprintln!("{written} written, {refused} refused, and what follows was not sent");
        }
        return Err(error);
    }
    match reader.join() {
        Ok(read) => read?,
        Err(_) => return Err(io::Error::other("reading standard input failed").into()),
    }
    Ok(counts)
}

/// Hands records to the producer, and tells what became of them.
struct Writer<'a, W> {
    arguments: &'a Produce,
    out: &'a mut W,
    producer: Producer,
    /// What is under way, with the number of each record.
    deliveries: Vec<(u64, Delivery)>,
    number: u64,
    counts: Counts,
}

impl<W: Write> Writer<'_, W> {
    /// Sends records.
    ///
    /// # Errors
    /// When the next record would fail as well.
    async fn send(&mut self, template: &NewRecord, lines: Vec<Line>) -> Result<(), CliError> {
        for line in lines {
            self.number += 1;
            let line = match line {
                Line::Whole(line) => line,
                Line::TooLong { bytes } => {
                    self.refused(
                        self.number,
                        format!("it has {bytes} bytes, which no request may"),
                    );
                    continue;
                }
            };
            match self.producer.send(record(self.arguments, template, line)).await {
                Ok(delivery) => self.deliveries.push((self.number, delivery)),
                Err(error @ ClientError::Unwritable { .. }) => self.refused(self.number, error),
                Err(error) => return Err(error.into()),
            }
            if self.deliveries.len() >= WINDOW {
                self.settle().await?;
            }
        }
        Ok(())
    }

    /// Waits for what is under way and tells of it.
    ///
    /// # Errors
    /// When a record was given up and the next one would be as well: the first such error.
    async fn settle(&mut self) -> Result<(), CliError> {
        let mut ended = Ok(());
        for (number, delivery) in std::mem::take(&mut self.deliveries) {
            match delivery.wait().await {
                Ok(delivered) => self.written(&delivered)?,
                Err(error) => {
                    self.refused(number, &error);
                    if error.code().is_none() {
                        ended = ended.and(Err(CliError::Client(error)));
                    }
                }
            }
        }
        self.out.flush()?;
        ended
    }

    fn written(&mut self, delivered: &Delivered) -> io::Result<()> {
        self.counts.written += 1;
        let Delivered { partition, offset, .. } = delivered;
        if self.arguments.json {
            let told = json!({ "topic": self.arguments.name, "partition": partition.0,
                "offset": offset.0 });
            writeln!(self.out, "{told}")?;
        } else if self.arguments.verbose {
            writeln!(self.out, "partition {partition} offset {offset}")?;
        }
        Ok(())
    }

    fn refused(&mut self, number: u64, why: impl std::fmt::Display) {
        self.counts.refused += 1;
        match self.counts.refused {
            ..=TOLD => eprintln!("milena: record {number}: {why}"),
            count if count == TOLD + 1 => eprintln!("milena: more are refused"),
            _ => {}
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
