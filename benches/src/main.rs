//! A load generator that costs next to nothing itself: requests are encoded once and sent over bare
//! sockets, so that what is measured is the broker. Any broker that speaks Kafka's protocol may be
//! the target; with its process id, its CPU time and memory are read around the run.

mod connection;
mod process;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use connection::Connection;
use hdrhistogram::Histogram;
use process::Usage;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Drives a broker with requests that were encoded beforehand.
#[derive(Debug, Parser)]
struct Line {
    /// The broker.
    #[arg(short, long, default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// The brokers' processes, to read their CPU time and memory together.
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Create a topic and wait until every partition is led.
    Create {
        /// The topic.
        topic: String,
        /// How many partitions.
        #[arg(short, long, default_value_t = 1)]
        partitions: i32,
        /// Copies of each.
        #[arg(short, long, default_value_t = 1)]
        replicas: i16,
        /// Configuration, such as `flush.messages=1`.
        #[arg(short, long)]
        config: Vec<String>,
    },
    /// Produce batches, one in flight on each connection.
    Produce {
        /// The topic.
        topic: String,
        /// Connections.
        #[arg(short, long, default_value_t = 1)]
        connections: usize,
        /// Partitions to spread over; connection n writes to partition n modulo this.
        #[arg(short, long, default_value_t = 1)]
        partitions: i32,
        /// Records in a request.
        #[arg(short, long, default_value_t = 1)]
        records: usize,
        /// Bytes of a record's value.
        #[arg(short, long, default_value_t = 100)]
        size: usize,
        /// −1 all, 0 none, 1 the leader.
        #[arg(short, long, default_value_t = -1, allow_hyphen_values = true)]
        acks: i16,
        /// How long.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Fetch a topic's partition 0 from its beginning, again and again.
    Fetch {
        /// The topic.
        topic: String,
        /// Connections.
        #[arg(short, long, default_value_t = 1)]
        connections: usize,
        /// How long.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Write one record to every partition of a topic.
    Touch {
        /// The topic.
        topic: String,
        /// How many partitions it has.
        #[arg(short, long)]
        partitions: i32,
    },
}

fn main() -> Result<(), Failure> {
    let line = Line::parse();
    match &line.command {
        Command::Create { topic, partitions, replicas, config } => {
            create(&line, topic, (*partitions, *replicas), config)
        }
        Command::Touch { topic, partitions } => touch(&line, topic, *partitions),
        Command::Produce { topic, connections, partitions, records, size, acks, seconds } => {
            let batch_bytes = connection::batch(*records, *size).len();
            let leader = |index: usize| leader(&line, topic, index as i32 % *partitions);
            let run = |index: usize| {
                let partition = index as i32 % *partitions;
                let frame = connection::produce_frame(topic, partition, *records, *size, *acks);
                move |connection: &mut Connection| -> Result<usize, Failure> {
                    connection.send(&frame)?;
                    if *acks != 0 {
                        connection.check_produced()?;
                    }
                    Ok(batch_bytes)
                }
            };
            drive(&line, *connections, *seconds, leader, run)
        }
        Command::Fetch { topic, connections, seconds } => {
            let run = |_: usize| {
                let mut offset = 0;
                move |connection: &mut Connection| -> Result<usize, Failure> {
                    let (bytes, next) = connection.fetch(topic, offset)?;
                    offset = if bytes == 0 { 0 } else { next };
                    Ok(bytes)
                }
            };
            drive(&line, *connections, *seconds, |_| leader(&line, topic, 0), run)
        }
    }
}

/// Runs one loop per connection, to the address that is told for it, and prints what came of it, as
/// one line of JSON.
fn drive<A, M, R>(
    line: &Line,
    connections: usize,
    seconds: f64,
    address: A,
    make: M,
) -> Result<(), Failure>
where
    A: Fn(usize) -> Result<String, Failure> + Sync,
    M: Fn(usize) -> R + Sync,
    R: FnMut(&mut Connection) -> Result<usize, Failure>,
{
    let barrier = Barrier::new(connections + 1);
    let span = Duration::from_secs_f64(seconds);
    let (results, before, after, elapsed) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|index| {
                let (barrier, address, make) = (&barrier, &address, &make);
                scope.spawn(move || -> Result<(Histogram<u64>, u64), Failure> {
                    let prepare = || -> Result<_, Failure> {
                        let mut connection = Connection::open(&settled(|| address(index))?)?;
                        let mut request = make(index);
                        settled(|| request(&mut connection))?;
                        Ok((connection, request, Histogram::new(3)?))
                    };
                    let prepared = prepare();
                    // Also where it failed: the others wait for this one.
                    barrier.wait();
                    let (mut connection, mut request, mut histogram) = prepared?;
                    let mut bytes = 0;
                    let end = Instant::now() + span;
                    while Instant::now() < end {
                        let began = Instant::now();
                        bytes += request(&mut connection)? as u64;
                        histogram.record(began.elapsed().as_nanos() as u64)?;
                    }
                    Ok((histogram, bytes))
                })
            })
            .collect();
        barrier.wait();
        let before = Usage::of(&line.pid);
        let began = Instant::now();
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        (results, before, Usage::of(&line.pid), began.elapsed())
    });
    let mut all = Histogram::<u64>::new(3)?;
    let mut bytes = 0;
    for result in results {
        let (histogram, moved) = result.map_err(|_| "a connection's thread panicked")??;
        all.add(histogram)?;
        bytes += moved;
    }
    let seconds = elapsed.as_secs_f64();
    let us = |quantile: f64| all.value_at_quantile(quantile) as f64 / 1000.0;
    let mut report = serde_json::json!({
        "requests": all.len(),
        "requests_per_second": (all.len() as f64 / seconds).round(),
        "mb_per_second": (bytes as f64 / seconds / 1e5).round() / 10.0,
        "p50_us": us(0.5), "p99_us": us(0.99), "p999_us": us(0.999),
        "max_us": all.max() as f64 / 1000.0,
    });
    if let (Some(before), Some(after)) = (before, after) {
        let cpu = after.cpu_seconds - before.cpu_seconds;
        let gib = bytes as f64 / f64::from(1 << 30);
        report["cpu_us_per_request"] = (cpu * 1e6 / all.len() as f64).into();
        report["cpu_seconds_per_gib"] = (cpu / gib).into();
        report["rss_mib"] = (after.rss_bytes / (1 << 20)).into();
    }
    println!("{report}");
    Ok(())
}

/// Tries again while a broker is still making the partition's leader.
fn settled<T>(mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match attempt() {
            Err(_) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// Where the leader of a partition listens, as the first broker tells it.
fn leader(line: &Line, topic: &str, partition: i32) -> Result<String, Failure> {
    let leaders = Connection::open(&line.bootstrap)?.leaders(topic)?;
    let found = leaders.into_iter().find(|(of, _)| *of == partition);
    Ok(found.ok_or_else(|| format!("nobody leads {topic}-{partition}"))?.1)
}

fn create(
    line: &Line,
    topic: &str,
    (partitions, replicas): (i32, i16),
    config: &[String],
) -> Result<(), Failure> {
    let mut connection = Connection::open(&line.bootstrap)?;
    let began = Instant::now();
    connection.create(topic, (partitions, replicas), config)?;
    let created = began.elapsed();
    while (connection.leaders(topic)?.len() as i32) < partitions {
        std::thread::sleep(Duration::from_millis(5));
    }
    println!(
        "{}",
        serde_json::json!({
            "created_ms": created.as_secs_f64() * 1e3,
            "led_ms": began.elapsed().as_secs_f64() * 1e3,
            "rss_mib": Usage::of(&line.pid).map(|usage| usage.rss_bytes / (1 << 20)),
        })
    );
    Ok(())
}

fn touch(line: &Line, topic: &str, partitions: i32) -> Result<(), Failure> {
    let mut connection = Connection::open(&line.bootstrap)?;
    let began = Instant::now();
    for partition in 0..partitions {
        let frame = connection::produce_frame(topic, partition, 1, 100, -1);
        settled(|| {
            connection.send(&frame)?;
            connection.check_produced()
        })?;
    }
    println!(
        "{}",
        serde_json::json!({
            "touched_ms": began.elapsed().as_secs_f64() * 1e3,
            "rss_mib": Usage::of(&line.pid).map(|usage| usage.rss_bytes / (1 << 20)),
        })
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run whose broker is not there would never end.
    #[test]
    fn a_connection_that_fails_ends_the_run() {
        let arguments = ["load", "--bootstrap", "127.0.0.1:1", "touch", "t", "-p", "1"];
        let line = Line::parse_from(arguments);
        let request = |_: usize| |_: &mut Connection| -> Result<usize, Failure> { Ok(0) };
        let address = |_| Ok(line.bootstrap.clone());
        assert!(drive(&line, 3, 0.01, address, request).is_err());
    }
}
