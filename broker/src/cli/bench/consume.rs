//! `milena bench consume`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use milena_client::client::Client;
use milena_client::consumer::{Consumer, ConsumerOptions, Start};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::meter::{Meter, Progress};
use super::report::Report;
use super::target::{Target, count};
use super::usage::Usage;
use crate::cli::output::CliError;

/// The arguments of `milena bench consume`.
#[derive(Args, Clone, Debug)]
pub struct Consume {
    #[command(flatten)]
    target: Target,
    /// Consumers, each with connections of its own; partitions are dealt out among them.
    #[arg(long, default_value_t = 1, value_parser = count::<1, 1000>)]
    consumers: usize,
    /// How much of an answer one partition may take, in bytes.
    #[arg(long, default_value_t = 1 << 20,
        value_parser = clap::value_parser!(i32).range(1..))]
    partition_bytes: i32,
    /// Leaves checksums alone.
    #[arg(long)]
    unverified: bool,
    /// Ends at the end of the log instead of beginning again.
    #[arg(long)]
    once: bool,
}

pub async fn run(arguments: &Consume) -> Result<(Report, bool), CliError> {
    let target = &arguments.target;
    let client = target.connect.client().await?;
    client.topic(&target.topic, false).await?;
    let meter = Meter::new();
    let count = arguments.consumers.max(1);
    let mut tasks: JoinSet<Result<(), CliError>> = JoinSet::new();
    let before = target.pid.and_then(Usage::read);
    let began = Instant::now();
    let progress = Progress::show(&meter, target.json);
    for index in 0..count {
        let (client, meter, arguments) = (client.clone(), Arc::clone(&meter), arguments.clone());
        tasks.spawn(async move { consume(&arguments, &client, &meter, index, count).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(std::io::Error::other)??;
    }
    drop(progress);
    let after = target.pid.and_then(Usage::read);
    let titles = ("records", "waited for an answer");
    Ok((Report::new(titles, &meter, began.elapsed(), (before, after)), target.json))
}

async fn consume(
    arguments: &Consume,
    client: &Client,
    meter: &Meter,
    index: usize,
    count: usize,
) -> Result<(), CliError> {
    let target = &arguments.target;
    let options = ConsumerOptions {
        max_partition_bytes: arguments.partition_bytes,
        verify: !arguments.unverified,
        ..Default::default()
    };
    let mut consumer = Consumer::new(client, options);
    let topic = client.topic(&target.topic, false).await?;
    let mine = topic.partitions.iter().map(|one| one.index).skip(index).step_by(count);
    let mine: Vec<_> = mine.collect();
    if mine.is_empty() {
        return Ok(());
    }
    let assign = |consumer: &mut Consumer| {
        for partition in &mine {
            consumer.assign(Arc::clone(&topic.name), *partition, Start::Beginning);
        }
    };
    assign(&mut consumer);
    let (began, span) = (Instant::now(), target.span());
    while began.elapsed() < span {
        let since = Instant::now();
        let records = consumer.poll(Duration::from_millis(100)).await?;
        if !records.is_empty() {
            meter.took(since.elapsed());
        }
        let bytes = records.iter().map(|record| {
            let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, |one| one.len());
            (length(&record.key) + length(&record.value)) as u64
        });
        meter.add(records.len() as u64, bytes.sum());
        if consumer.is_at_end() {
            if arguments.once {
                break;
            }
            assign(&mut consumer);
        }
    }
    Ok(())
}
