//! When records reach the medium without anybody waiting for them.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use milena_protocol::ids::NodeId;
use milena_storage::{DirectoryOptions, Log, LogConfig, LogDirectory, RealDisk};
use support::*;

/// Rounds that the sync of every second would need far longer for than [`IN_TIME`].
const ROUNDS: usize = 20;
const IN_TIME: Duration = Duration::from_secs(10);

/// A directory that runs its own threads.
fn open(root: &std::path::Path) -> LogDirectory {
    let options = DirectoryOptions { runs_threads: true, ..DirectoryOptions::new(NodeId(1)) };
    LogDirectory::open(root, options, Arc::new(RealDisk)).unwrap()
}

fn wait_synced(log: &Log) {
    let deadline = Instant::now() + IN_TIME;
    while log.flushed_offset() < log.log_end_offset() {
        assert!(Instant::now() < deadline, "never synced");
        std::thread::yield_now();
    }
}

/// A topic that asks for a sync every few messages would get one a second.
#[test]
fn records_are_synced_when_there_are_enough_of_them() {
    let root = tempfile::tempdir().unwrap();
    let directory = open(root.path());
    let mut log = open_log(&directory, LogConfig { flush_messages: 3, ..LogConfig::default() });
    let began = Instant::now();
    for _ in 0..ROUNDS {
        append(&mut log, &[vec![1], vec![2]]).unwrap();
        append(&mut log, &[vec![3]]).unwrap();
        wait_synced(&log);
    }
    assert!(began.elapsed() < IN_TIME);
}

/// A topic that bounds the time until a sync would wait for the sync of every second.
#[test]
fn records_are_synced_when_they_have_waited_long_enough() {
    let root = tempfile::tempdir().unwrap();
    let directory = open(root.path());
    let mut log = open_log(&directory, LogConfig::default());
    // A change of the setting counts from the next append on.
    log.set_config(LogConfig { flush_ms: 5, ..LogConfig::default() });
    let began = Instant::now();
    for _ in 0..ROUNDS {
        append(&mut log, &[vec![1]]).unwrap();
        wait_synced(&log);
    }
    assert!(began.elapsed() >= Duration::from_millis(5) && began.elapsed() < IN_TIME);
}
