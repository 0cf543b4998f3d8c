//! Moving a log's start beside its writer.

mod support;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use milena_protocol::ids::Offset;
use milena_storage::disk::{Entry, Mode, Space};
use milena_storage::{Disk, LogConfig, RealDisk};
use parking_lot::Mutex;
use support::*;

/// How long a rename waits to be let go on.
const PATIENCE: Duration = Duration::from_secs(20);

/// A disk whose renames of segments take until somebody lets them go on.
#[derive(Debug)]
struct SlowDisk {
    begun: Sender<()>,
    goes_on: Mutex<Receiver<()>>,
}

impl Disk for SlowDisk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<File> {
        RealDisk.open(path, mode)
    }
    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        RealDisk.write_at(file, bytes, position)
    }
    fn allocate(&self, file: &File, start: u64, end: u64) -> io::Result<()> {
        RealDisk.allocate(file, start, end)
    }
    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        RealDisk.set_len(file, len)
    }
    fn sync_data(&self, file: &File) -> io::Result<()> {
        RealDisk.sync_data(file)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_directory(path)
    }
    fn sync_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let is_slow = [".log", "checkpoint.tmp"].iter().any(|end| {
            from.to_str().is_some_and(|from| from.ends_with(end) && !from.contains("epoch"))
        });
        if is_slow {
            let _ = self.begun.send(());
            let let_go = self.goes_on.lock().recv_timeout(PATIENCE);
            let_go.map_err(|_| io::Error::other("nobody got on meanwhile"))?;
        }
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_directory(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }
}

/// Producers and consumers of a partition would wait for the disk while DeleteRecords and
/// retention write names.
#[test]
fn appends_go_on_while_the_start_moves() {
    let root = tempfile::tempdir().unwrap();
    let (begun, has_begun) = channel();
    let (let_go, goes_on) = channel();
    let disk = SlowDisk { begun, goes_on: Mutex::new(goes_on) };
    let directory = open_directory(root.path(), Arc::new(disk));
    let mut log = open_log(&directory, LogConfig::default());
    append(&mut log, &[vec![1]]).unwrap();
    log.roll(NOW).unwrap();
    append(&mut log, &[vec![2]]).unwrap();
    log.update_high_watermark(Offset(2));
    let start = log.start_handle();
    let mut number = 2;
    let mut beside = |work: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| {
            let worker = scope.spawn(work);
            has_begun.recv().unwrap();
            let appended = append(&mut log, &[vec![3]]).unwrap();
            assert_eq!(appended.base_offset, Offset(number));
            number += 1;
            let_go.send(()).unwrap();
            worker.join().unwrap();
        });
    };
    beside(&|| start.advance(Offset(1)).unwrap());
    beside(&|| assert_eq!(start.retain(NOW).unwrap().len(), 1));
    assert_eq!(log.log_start_offset(), Offset(1));
}
