//! `milena bench produce`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use milena_client::ClientError;
use milena_client::client::Client;
use milena_client::producer::{Acks, Delivery, NewRecord, Producer, ProducerOptions};
use milena_protocol::api::produce::{ProducePartitionData, ProduceRequest, ProduceTopicData};
use milena_protocol::codec::Records;
use milena_protocol::ids::{PartitionIndex, Timestamp};
use milena_protocol::record::{BatchBuilder, BatchOptions, Compression};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::meter::{Meter, Progress, on_own_thread, wait_until};
use super::report::Report;
use super::target::{Target, codec, count, rate};
use super::usage::Usage;
use crate::cli::output::CliError;

/// Records whose acknowledgement is awaited at a time.
const WINDOW: usize = 100_000;
/// The most that a record, a batch or a request may be asked to hold.
pub const MAX_BYTES: usize = 100 << 20;

/// The arguments of `milena bench produce`.
#[derive(Args, Clone, Debug)]
pub struct Produce {
    #[command(flatten)]
    target: Target,
    /// Records a second, all producers together; as fast as possible without it.
    #[arg(short, long, value_parser = rate, allow_hyphen_values = true)]
    rate: Option<f64>,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 100, value_parser = count::<0, MAX_BYTES>)]
    size: usize,
    /// Producers, each with connections of its own.
    #[arg(long, default_value_t = 1, value_parser = count::<1, 1000>)]
    producers: usize,
    /// How long a batch waits for more records, in milliseconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=60_000))]
    linger: u64,
    /// A batch with this many bytes is full.
    #[arg(long, default_value_t = 64 * 1024, value_parser = count::<1, MAX_BYTES>)]
    batch_bytes: usize,
    /// How batches are compressed.
    #[arg(short = 'z', long, default_value = "none", value_parser = codec)]
    compression: Compression,
    /// 0 none, 1 the leader, −1 every in-sync replica.
    #[arg(short, long, default_value_t = -1, allow_hyphen_values = true,
        value_parser = clap::value_parser!(i16).range(-1..=1))]
    acks: i16,
    /// Sends batches of so many records that were made beforehand, one at a time on each producer's
    /// connection: what is measured is the broker alone. Counts requests.
    #[arg(long, value_name = "RECORDS", conflicts_with_all = ["rate", "linger", "batch_bytes"],
        value_parser = count::<1, 1_000_000>)]
    prepared: Option<usize>,
}

pub async fn run(arguments: &Produce) -> Result<(Report, bool), CliError> {
    let target = &arguments.target;
    if let Some(records) = arguments.prepared
        && records.saturating_mul(arguments.size) > MAX_BYTES
    {
        let size = arguments.size;
        return Err(CliError::Usage(format!(
            "--prepared {records} records of --size {size} are more than {MAX_BYTES} bytes; write \
             less of one or the other"
        )));
    }
    let client = target.prepare().await?;
    let meter = Meter::new();
    let (count, span) = (arguments.producers.max(1), target.span());
    let mut tasks: JoinSet<Result<(), CliError>> = JoinSet::new();
    let before = target.pid.and_then(Usage::read);
    let began = Instant::now();
    let progress = Progress::show(&meter, target.json);
    for index in 0..count {
        let (client, meter, arguments) = (client.clone(), Arc::clone(&meter), arguments.clone());
        tasks.spawn(async move {
            match arguments.prepared {
                Some(records) => prepared(&arguments, &client, &meter, index, records, span).await,
                None => on_own_thread(produce(arguments, client, meter, index, span)).await?,
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(std::io::Error::other)??;
    }
    drop(progress);
    let after = target.pid.and_then(Usage::read);
    let what = if arguments.prepared.is_some() { "requests" } else { "records" };
    let titles = (what, "acknowledged after");
    Ok((Report::new(titles, &meter, began.elapsed(), (before, after)), target.json))
}

/// A producer as applications have it, at its share of the rate.
async fn produce(
    arguments: Produce,
    client: Client,
    meter: Arc<Meter>,
    index: usize,
    span: Duration,
) -> Result<(), CliError> {
    // A topic that was there keeps the partitions it has.
    let partitions = client.topic(&arguments.target.topic, true).await?.partitions.len();
    let producer = Producer::new(
        client,
        ProducerOptions {
            acks: acks(arguments.acks),
            linger: Duration::from_millis(arguments.linger),
            batch_bytes: arguments.batch_bytes,
            compression: arguments.compression,
            ..Default::default()
        },
    );
    let (sender, deliveries) = mpsc::channel(WINDOW);
    let collector = tokio::spawn(collect(deliveries, meter, arguments.size as u64));
    let mut template = NewRecord::new(arguments.target.topic.as_str());
    template.value = Some(Bytes::from(vec![b'x'; arguments.size]));
    let rate = arguments.rate.map(|rate| rate / arguments.producers.max(1) as f64);
    let began = Instant::now();
    let mut sent = 0_u64;
    // Without keys each producer would stay with one partition for a while: spread them evenly.
    let partitions = partitions as u64;
    while began.elapsed() < span {
        let due = rate.map(|rate| began + Duration::from_secs_f64(sent as f64 / rate));
        if due.is_some_and(|due| due >= began + span) {
            break;
        }
        due.inspect(|due| wait_until(*due));
        let mut record = template.clone();
        if partitions > 1 && rate.is_some() {
            record.partition = Some(PartitionIndex(((sent + index as u64) % partitions) as i32));
        }
        let since = due.unwrap_or_else(Instant::now);
        let delivery = producer.send(record).await?;
        if sender.send((since, delivery)).await.is_err() {
            break;
        }
        sent += 1;
    }
    drop(sender);
    producer.close().await;
    collector.await.map_err(std::io::Error::other)?.map_err(CliError::from)
}

/// Waits for the acknowledgements in the order they were sent; the first failure is what went
/// wrong, and is told when all is over.
async fn collect(
    mut deliveries: mpsc::Receiver<(Instant, Delivery)>,
    meter: Arc<Meter>,
    size: u64,
) -> Result<(), ClientError> {
    let mut trouble = Ok(());
    while let Some((since, delivery)) = deliveries.recv().await {
        match delivery.wait().await {
            Ok(_) => {
                meter.took(since.elapsed());
                meter.add(1, size);
            }
            Err(error) => {
                meter.failed(1);
                trouble = trouble.and(Err(error));
            }
        }
    }
    trouble
}

fn acks(number: i16) -> Acks {
    match number {
        0 => Acks::None,
        1 => Acks::Leader,
        _ => Acks::All,
    }
}

/// Requests made beforehand, one at a time.
async fn prepared(
    arguments: &Produce,
    client: &Client,
    meter: &Meter,
    index: usize,
    records: usize,
    span: Duration,
) -> Result<(), CliError> {
    let client = client.apart();
    let topic = client.topic(&arguments.target.topic, true).await?;
    let partition = PartitionIndex((index % topic.partitions.len().max(1)) as i32);
    let leader = client.leader(&topic.name, partition).await?;
    let bytes = batch(arguments, records)?;
    let data = ProducePartitionData { index: partition, records: Some(Records(bytes.clone())) };
    let request = ProduceRequest {
        acks: arguments.acks,
        timeout_ms: 30_000,
        topic_data: vec![ProduceTopicData {
            name: (*topic.name).into(),
            topic_id: topic.id,
            partition_data: vec![data],
        }],
        ..Default::default()
    };
    let version = leader.connection.version_of::<ProduceRequest>()?;
    let began = Instant::now();
    while began.elapsed() < span {
        let since = Instant::now();
        if arguments.acks == 0 {
            leader.connection.submit_unanswered(&request, version)?.wait().await?;
        } else {
            let response = leader.connection.submit(&request, version)?.wait().await?;
            let answer = response.responses.first();
            let code = answer.and_then(|topic| topic.partition_responses.first());
            if code.is_none_or(|partition| !partition.error_code.is_none()) {
                meter.failed(1);
                continue;
            }
        }
        meter.took(since.elapsed());
        meter.add(1, bytes.len() as u64);
    }
    Ok(())
}

fn batch(arguments: &Produce, records: usize) -> Result<Bytes, CliError> {
    let value = vec![b'x'; arguments.size];
    // Of today, or retention would remove the records while they are read.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = Timestamp(now.map_or(0, |since| since.as_millis() as i64));
    let options = BatchOptions { compression: arguments.compression, ..Default::default() };
    let mut builder = BatchBuilder::new(options);
    for _ in 0..records.max(1) {
        builder.append(now, None, Some(&value), &[]);
    }
    builder.build().map_err(|error| CliError::Usage(error.to_string()))
}
