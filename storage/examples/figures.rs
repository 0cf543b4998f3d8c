//! Figures of the log, to be compared with `docs/storage-format.md`'s promises.
//!
//! `cargo run --release -p milena-storage --example figures -- DIRECTORY WHAT…` where WHAT is
//! one of: `append` (CPU-seconds per GiB by batch size), `durable` (group commit), `many`
//! (partitions made, written and opened again), `reopen` (10 GiB after a kill). CPU time is that
//! of the whole process, helper threads included, less building the batches.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_storage::{
    AppendContext, DirectoryOptions, Log, LogConfig, LogDirectory, Origin, ReadLimit, RealDisk,
};

const TOPIC: &str = "figures";
const TOPIC_ID: Uuid = Uuid::from_u128(0x5566_7788_1122_3344_5566_7788_1122_3344);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((directory, figures)) = arguments.split_first() else {
        eprintln!("figures DIRECTORY append|durable|many|reopen …");
        return;
    };
    for figure in figures {
        let root = Path::new(directory).join(figure);
        if figure == "open" {
            open_again(&Path::new(directory).join("fill"), 1000);
            continue;
        }
        let _ = std::fs::remove_dir_all(&root);
        if figure == "fill" {
            fill(&root, 1000);
            continue;
        }
        match figure.as_str() {
            "append" => append(&root),
            "durable" => durable(&root),
            "many" => many(&root),
            "reopen" => reopen(&root),
            other => eprintln!("no figure is called {other}"),
        }
        let _ = std::fs::remove_dir_all(&root);
    }
}

fn open(root: &Path) -> LogDirectory {
    LogDirectory::open(root, DirectoryOptions::new(NodeId(1)), Arc::new(RealDisk)).unwrap()
}

fn open_log(directory: &LogDirectory, partition: usize) -> Log {
    let partition = PartitionIndex(partition as i32);
    directory.open_log(TOPIC, TOPIC_ID, partition, LogConfig::default()).unwrap()
}

fn batch(bytes: usize, record_bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let value: Vec<u8> = (0..record_bytes).map(|index| (index * 31) as u8).collect();
    while builder.uncompressed_bytes() + record_bytes < bytes {
        builder.append(Timestamp(1_700_000_000_000), None, Some(&value), &[]);
    }
    builder.build().unwrap().to_vec()
}

fn context() -> AppendContext {
    AppendContext {
        leader_epoch: LeaderEpoch(0),
        now: Timestamp(1_700_000_000_000),
        origin: Origin::Client,
    }
}

/// CPU time of each of the process's threads so far, in seconds.
fn threads() -> std::collections::BTreeMap<String, f64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let threads = tasks.filter_map(|task| {
        let path = task.ok()?.path();
        let nanoseconds = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let nanoseconds: f64 = nanoseconds.split_whitespace().next()?.parse().ok()?;
        Some((
            std::fs::read_to_string(path.join("comm")).ok()?.trim().to_owned(),
            nanoseconds / 1e9,
        ))
    });
    threads.collect()
}

/// User and system time of this process, in seconds.
fn cpu_seconds() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap() / 100.0;
    (ticks(11), ticks(12))
}

fn append(root: &Path) {
    const GIB: usize = 2;
    for (bytes, record_bytes) in
        [(1000, 900), (16 << 10, 1000), (64 << 10, 1000), (900 << 10, 1000), (900 << 10, 10_000)]
    {
        let directory = open(&root.join(bytes.to_string()));
        let mut logs: Vec<Log> = (0..8).map(|partition| open_log(&directory, partition)).collect();
        let batch = batch(bytes, record_bytes);
        let rounds = (GIB << 30) / batch.len();
        let (user, system) = cpu_seconds();
        let before = threads();
        let started = Instant::now();
        for round in 0..rounds {
            logs[round % 8].append_as_leader(&batch, context()).unwrap();
        }
        let wall = started.elapsed().as_secs_f64();
        let (user_after, system_after) = cpu_seconds();
        let (user, system) = (user_after - user, system_after - system);
        println!(
            "append {bytes:>7} B batches of {record_bytes} B records: {:.3} CPU-s/GiB (user {:.3}, \
             system {:.3}), {:.2} us CPU each, {:.2} GB/s wall",
            (user + system) / GIB as f64,
            user / GIB as f64,
            system / GIB as f64,
            (user + system) / rounds as f64 * 1e6,
            (GIB << 30) as f64 / wall / 1e9,
        );
        for (name, seconds) in threads() {
            let seconds = seconds - before.get(&name).copied().unwrap_or(0.0);
            println!("  thread {name}: {:.3} CPU-s/GiB", seconds / GIB as f64);
        }
        let started = Instant::now();
        let (user, system) = cpu_seconds();
        let mut read = 0;
        for log in &logs {
            let reader = log.reader();
            let mut at = reader.offsets().log_start_offset;
            let upper = reader.offsets().log_end_offset;
            while at < upper {
                let limit = ReadLimit { upper, max_bytes: 1 << 20, at_least_one_batch: true };
                let slice = reader.read(at, limit).unwrap();
                let mut run = milena_protocol::record::run::Batches::new(&slice.records);
                let last = run.by_ref().last().unwrap();
                at = last.next_offset();
                read += run.position();
            }
        }
        let (user_after, system_after) = cpu_seconds();
        println!(
            "  read back {:.2} GiB: {:.3} CPU-s/GiB, {:.2} s",
            read as f64 / (1 << 30) as f64,
            (user_after - user + system_after - system) * (1 << 30) as f64 / read as f64,
            started.elapsed().as_secs_f64(),
        );
        drop(logs);
        drop(directory);
        let _ = std::fs::remove_dir_all(root.join(bytes.to_string()));
    }
}

fn durable(root: &Path) {
    for callers in [1, 4, 16, 64] {
        let directory = open(&root.join(callers.to_string()));
        let log = Mutex::new(open_log(&directory, 0));
        let flush = log.lock().unwrap().flush_handle();
        let batch = batch(1000, 900);
        let each = 4_000 / callers.max(8);
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| {
                    for _ in 0..each {
                        let appended =
                            log.lock().unwrap().append_as_leader(&batch, context()).unwrap();
                        flush.flush(appended.last_offset.plus(1)).unwrap();
                    }
                });
            }
        });
        let wall = started.elapsed().as_secs_f64();
        println!("durable, {callers:>2} callers: {:.0}/s", (each * callers) as f64 / wall);
    }
}

fn resident_kib() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    (field("VmRSS:"), field("RssAnon:"))
}

fn many(root: &Path) {
    for count in [1000, 10_000] {
        let root = root.join(count.to_string());
        let directory = open(&root);
        let (_, before) = resident_kib();
        let started = Instant::now();
        let mut logs: Vec<Log> =
            (0..count).map(|partition| open_log(&directory, partition)).collect();
        let made = started.elapsed().as_secs_f64();
        let (_, after) = resident_kib();
        println!(
            "{count} logs made in {made:.3} s, {:.2} KiB of heap each",
            (after - before) / count as f64
        );
        let batch = batch(1000, 900);
        let started = Instant::now();
        for log in &mut logs {
            log.append_as_leader(&batch, context()).unwrap();
        }
        let (_, after) = resident_kib();
        println!(
            "  one batch to each in {:.3} s, {} descriptors, {:.2} KiB of heap each",
            started.elapsed().as_secs_f64(),
            directory.open_descriptors(),
            (after - before) / count as f64,
        );
        std::thread::sleep(std::time::Duration::from_secs(16));
        let (_, after) = resident_kib();
        println!(
            "  at rest: {} descriptors, {:.2} KiB of heap each",
            directory.open_descriptors(),
            (after - before) / count as f64
        );
        drop(logs);
        drop(directory);
        open_again(&root, count);
    }
}

fn open_again(root: &Path, count: usize) {
    let started = Instant::now();
    let directory = open(root);
    let directory_at = started.elapsed().as_secs_f64();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let directory = &directory;
            scope.spawn(move || {
                let mine = (thread..count).step_by(threads);
                mine.map(|partition| open_log(directory, partition)).collect::<Vec<_>>().len()
            });
        }
    });
    println!(
        "  {count} logs opened again in {:.3} s (directory {directory_at:.3} s)",
        started.elapsed().as_secs_f64()
    );
}

/// Writes 10 GiB, lets go in the middle of it all as a kill would, and opens what is left.
fn reopen(root: &Path) {
    for count in [100, 1000] {
        let root = root.join(count.to_string());
        fill(&root, count);
        open_again(&root, count);
        let _ = std::fs::remove_dir_all(&root);
    }
}

fn fill(root: &Path, count: usize) {
    let directory = open(root);
    let mut logs: Vec<Log> = (0..count).map(|partition| open_log(&directory, partition)).collect();
    let batch = batch(16 << 10, 1000);
    for round in 0..(10usize << 30) / batch.len() {
        logs[round % count].append_as_leader(&batch, context()).unwrap();
    }
}
