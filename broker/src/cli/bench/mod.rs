//! `milena bench …`: how fast a broker is, any that speaks Kafka's protocol.
//!
//! Records are sent when they are due, not when the broker is ready for them (open loop), so a
//! stall shows in the percentiles with everything that waited for it. With `--pid` the broker's own
//! CPU time and memory are read around the run: on a shared machine they say more than the clock.

mod consume;
mod latency;
mod meter;
mod produce;
mod report;
mod usage;

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use milena_client::admin::{Admin, NewTopic};
use milena_client::client::Client;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::record::Compression;

use super::connect::Connect;
use super::output::CliError;

/// What is measured.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchCommand {
    /// Write records and measure how long the acknowledgements take.
    Produce(produce::Produce),
    /// Read a topic from its beginning as fast as it goes.
    Consume(consume::Consume),
    /// Measure the way of a record from producer to consumer.
    Latency(latency::Latency),
}

/// What all measurements have in common.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// The topic; it is made if it is missing.
    #[arg(short, long, default_value = "milena-bench")]
    topic: String,
    /// How many partitions a topic that is made gets.
    #[arg(short, long, default_value_t = 1)]
    partitions: i32,
    /// A setting of a topic that is made, such as flush.messages=1.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,
    /// How long, in seconds.
    #[arg(short, long, default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// The broker's process, to read its CPU time and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Prints JSON, and no progress.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().map_err(|error| error.to_string())?;
    if number > 0.0 && number <= 1e6 { Ok(number) } else { Err("it must be above 0".to_owned()) }
}

fn codec(text: &str) -> Result<Compression, String> {
    Compression::from_name(text)
        .ok_or_else(|| "there are none, gzip, snappy, lz4 and zstd".to_owned())
}

impl Common {
    fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Connects, and makes the topic if it is missing.
    async fn prepare(&self) -> Result<Client, CliError> {
        let client = self.connect.client().await?;
        let topic = NewTopic {
            partitions: self.partitions,
            configs: self.configs.clone(),
            ..NewTopic::new(&self.topic)
        };
        for (_, result) in Admin::new(client.clone()).create_topics(&[topic], false).await? {
            match result {
                Err(refused) if refused.code != ErrorCode::TOPIC_ALREADY_EXISTS => {
                    return Err(refused.of(format!("topic {}", self.topic)).into());
                }
                _ => {}
            }
        }
        client.topic(&self.topic, true).await?;
        Ok(client)
    }
}

/// Runs a measurement.
///
/// # Errors
/// When the broker cannot be reached, or refuses.
pub fn run(command: BenchCommand, out: &mut impl Write) -> Result<(), CliError> {
    // Several threads, so that the generator is not what is measured.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (report, json) = runtime.block_on(async {
        match &command {
            BenchCommand::Produce(arguments) => produce::run(arguments).await,
            BenchCommand::Consume(arguments) => consume::run(arguments).await,
            BenchCommand::Latency(arguments) => latency::run(arguments).await,
        }
    })?;
    if json { report.write_json(out) } else { report.write(out) }
}
