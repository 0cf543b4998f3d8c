//! How fast a log is compacted, in bytes of log per CPU-second of the one thread that does it.
//!
//! `cargo run --release -p milena-storage --example compaction -- DIRECTORY [MIB]`. A log of MIB
//! (512 if not given) is written with several sizes of records, plain and compressed, most of which
//! are not the last of their key, and compacted in one pass. "In" is what the pass went through
//! once; the dirty part of it, here all, is read twice.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Timestamp, Uuid};
use milena_protocol::record::builder::{BatchBuilder, BatchOptions};
use milena_protocol::record::compression::Compression;
use milena_storage::{
    AppendContext, Cleanup, CompactionBudget, DirectoryOptions, Log, LogConfig, LogDirectory,
    Origin, RealDisk,
};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(directory) = arguments.next() else {
        eprintln!("compaction DIRECTORY [MIB]");
        return;
    };
    let mebibytes = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(512);
    // One key in so many is the last of its kind.
    for (value_bytes, compression, once_in) in [
        (100, Compression::None, 10),
        (100, Compression::None, 2),
        (1000, Compression::None, 10),
        (1000, Compression::None, 2),
        (10_000, Compression::None, 10),
        (1000, Compression::Lz4, 10),
        (1000, Compression::Zstd, 10),
    ] {
        let root = Path::new(&directory).join("compaction");
        let _ = std::fs::remove_dir_all(&root);
        measure(&root, mebibytes << 20, value_bytes, compression, once_in);
        let _ = std::fs::remove_dir_all(&root);
    }
}

fn measure(
    root: &Path,
    bytes: usize,
    value_bytes: usize,
    compression: Compression,
    once_in: usize,
) {
    let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(NodeId(1)) };
    let directory = LogDirectory::open(root, options, Arc::new(RealDisk)).unwrap();
    let config = LogConfig {
        segment_bytes: 128 << 20,
        cleanup: Cleanup { delete: false, compact: true },
        ..LogConfig::default()
    };
    let id = Uuid::from_u128(7);
    let mut log = directory.open_log("figures", id, PartitionIndex(0), config).unwrap();
    fill(&mut log, bytes, value_bytes, compression, once_in);
    log.roll(NOW).unwrap();
    directory.maintain().unwrap();
    let (cpu, started) = (thread_cpu_seconds(), Instant::now());
    let budget = CompactionBudget::default();
    let done = log.compaction().compact(&budget, NOW, &mut |_| true).unwrap().unwrap();
    let (cpu, wall) = (thread_cpu_seconds() - cpu, started.elapsed().as_secs_f64());
    let megabytes = done.before_bytes as f64 / 1e6;
    println!(
        "{value_bytes:>6} B values {:>5}, 1 of {once_in} stays: {megabytes:.0} MB in, \
         {:.0} MB out, {} keys: {:.0} MB/s per core, {:.0} MB/s wall",
        compression.name(),
        done.after_bytes as f64 / 1e6,
        done.keys,
        megabytes / cpu,
        megabytes / wall,
    );
}

fn fill(log: &mut Log, bytes: usize, value_bytes: usize, compression: Compression, once_in: usize) {
    let records = bytes / (value_bytes + 30);
    let keys = (records / once_in).max(1);
    // Half of it is noise, so that a codec has something to do and something to gain.
    let mut state = 1u64;
    let (mut written, mut number) = (0, 0usize);
    while written < bytes {
        let options = BatchOptions { compression, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        while builder.uncompressed_bytes() < 16 << 10 {
            let key = format!("key-{:012}", number.wrapping_mul(7919) % keys);
            let mut value = vec![b'x'; value_bytes];
            for byte in value.iter_mut().take(value_bytes / 2) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }
            builder.append(NOW, Some(key.as_bytes()), Some(&value), &[]);
            number += 1;
        }
        let context =
            AppendContext { leader_epoch: LeaderEpoch(0), now: NOW, origin: Origin::Client };
        let batch = builder.build().unwrap();
        written += batch.len();
        log.append_as_leader(&batch, context).unwrap();
    }
    log.update_high_watermark(log.log_end_offset());
}

/// User and system time of this thread, in seconds.
fn thread_cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}
