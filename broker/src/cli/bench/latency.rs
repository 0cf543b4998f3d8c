//! `milena bench latency`: from the moment a record is due to the moment a consumer has it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use clap::Args;
use milena_client::consumer::{Consumer, ConsumerOptions, Start};
use milena_client::producer::{NewRecord, Producer, ProducerOptions};
use milena_protocol::ids::PartitionIndex;
use tokio::time::Instant;

use super::meter::{Meter, Progress, on_own_thread, wait_until};
use super::produce::MAX_BYTES;
use super::report::Report;
use super::target::{Target, count, rate};
use super::usage::Usage;
use crate::cli::output::CliError;

/// How long the last records may take.
const LAST: Duration = Duration::from_secs(10);
/// The least a record's value holds: when it was due.
const STAMP_BYTES: usize = 8;

/// The arguments of `milena bench latency`.
#[derive(Args, Clone, Debug)]
pub struct Latency {
    #[command(flatten)]
    target: Target,
    /// Records a second.
    #[arg(short, long, default_value_t = 1000.0, value_parser = rate, allow_hyphen_values = true)]
    rate: f64,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 100, value_parser = count::<0, MAX_BYTES>)]
    size: usize,
    /// How long a batch waits for more records, in milliseconds.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    linger: u64,
}

pub async fn run(arguments: &Latency) -> Result<(Report, bool), CliError> {
    let target = &arguments.target;
    let client = target.prepare().await?;
    let topic = client.topic(&target.topic, true).await?;
    let mut consumer = Consumer::new(&client, ConsumerOptions::default());
    for partition in &topic.partitions {
        consumer.assign(Arc::clone(&topic.name), partition.index, Start::End);
    }
    // The ends are looked up before the first record is sent, so that none is missed.
    consumer.poll(Duration::from_millis(100)).await?;
    let meter = Meter::new();
    let before = target.pid.and_then(Usage::read);
    let began = Instant::now();
    let progress = Progress::show(&meter, target.json);
    let count = (arguments.rate * target.seconds) as u64;
    let producer = Producer::new(
        client,
        ProducerOptions { linger: Duration::from_millis(arguments.linger), ..Default::default() },
    );
    let sender = tokio::spawn(on_own_thread(send(
        producer,
        Arc::clone(&topic.name),
        topic.partitions.len() as u64,
        arguments.clone(),
        began,
        count,
    )));
    let deadline = began + target.span() + LAST;
    while meter.count() < count && Instant::now() < deadline {
        for record in consumer.poll(Duration::from_millis(100)).await? {
            let Some(value) = &record.value else { continue };
            let Ok(due) = (&value[..]).try_get_u64() else { continue };
            meter.took((began + Duration::from_nanos(due)).elapsed());
            meter.add(1, value.len() as u64);
        }
    }
    drop(progress);
    sender.await.map_err(std::io::Error::other)???;
    let after = target.pid.and_then(Usage::read);
    meter.failed(count.saturating_sub(meter.count()));
    let titles = ("records", "end to end");
    Ok((Report::new(titles, &meter, began.elapsed(), (before, after)), target.json))
}

/// Sends each record when it is due; where that is too fast, as many as there is time for.
async fn send(
    producer: Producer,
    topic: Arc<str>,
    partitions: u64,
    arguments: Latency,
    began: Instant,
    count: u64,
) -> Result<(), CliError> {
    let deadline = began + arguments.target.span() + LAST;
    for index in 0..count {
        if Instant::now() >= deadline {
            break;
        }
        let due = Duration::from_secs_f64(index as f64 / arguments.rate);
        wait_until(began + due);
        let mut value = (due.as_nanos() as u64).to_be_bytes().to_vec();
        value.resize(arguments.size.max(STAMP_BYTES), b'x');
        let mut record = NewRecord::new(Arc::clone(&topic));
        record.partition = Some(PartitionIndex((index % partitions.max(1)) as i32));
        record.value = Some(Bytes::from(value));
        producer.send(record).await?;
    }
    producer.close().await;
    Ok(())
}
