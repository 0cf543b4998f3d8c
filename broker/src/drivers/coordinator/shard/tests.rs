//! One coordinator on a disk whose syncs wait for the test.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use milena_cluster::coordinator::Record;
use milena_cluster::metadata::image::MetadataImage;
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};
use milena_storage::disk::{Entry, Mode, Space};
use milena_storage::{DirectoryOptions, Disk, LogConfig, LogDirectory, RealDisk};
use parking_lot::Condvar;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// How long what has to come is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Syncs wait until it is opened.
#[derive(Debug, Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, is_open: bool) {
        *self.is_open.lock() = is_open;
        self.opened.notify_all();
    }
}

#[derive(Debug)]
struct GatedDisk(Arc<Gate>);

impl Disk for GatedDisk {
    fn sync_data(&self, file: &File) -> io::Result<()> {
        let mut is_open = self.0.is_open.lock();
        self.0.opened.wait_while(&mut is_open, |is_open| !*is_open);
        drop(is_open);
        RealDisk.sync_data(file)
    }
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
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_directory(path)
    }
    fn sync_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
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

/// Records what it is asked, answers, and wants it told once that is committed.
pub struct Echo;

impl Machine for Echo {
    type Request = u8;
    type Answer = u8;
    type Effect = u8;

    fn handle(&mut self, _: Now, ticket: Ticket, request: u8, outputs: &mut Outputs<Self>) {
        let record = Record { key: Bytes::from(vec![request]), value: None };
        let (records, on_failure) = (vec![record], OnFailure::Refuse);
        outputs.push(Output::Append(Append { records, transaction: None, on_failure }));
        outputs.push(Output::Answer(ticket, request));
        outputs.push(Output::Effect(request));
    }
    fn tick(&mut self, _: Now, _: &mut Outputs<Self>) {}
    fn deadline(&self) -> Option<Instant> {
        None
    }
    fn replay(&mut self, _: Replayed<'_>) {}
    fn replay_marker(&mut self, _: Producer, _: bool) {}
    fn loaded(&mut self, _: Now, _: &mut Outputs<Self>) {}
    fn check_invariants(&self) {}
}

struct Case {
    gate: Arc<Gate>,
    shard: Arc<Shard<Echo>>,
    effects: UnboundedReceiver<u8>,
    _root: TempDir,
}

/// The next effect; none once nobody is left who could want one.
async fn next(effects: &mut UnboundedReceiver<u8>) -> Option<u8> {
    let next = timeout(PATIENCE, effects.recv()).await;
    next.expect("neither an effect nor the end of the coordinator")
}

/// A coordinator on a topic that is durable, whose answers wait for no time at all.
fn begin() -> Case {
    let root = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(NodeId(1)) };
    let disk = Arc::new(GatedDisk(Arc::clone(&gate)));
    let directory = LogDirectory::open(root.path(), options, disk).unwrap();
    let (id, index) = (Uuid::from_u128(9 << 64), PartitionIndex(0));
    let config = LogConfig { flush_messages: 1, ..LogConfig::default() };
    let log = directory.open_log("t", id, index, config).unwrap();
    let partition = Partition::led_alone(directory.id(), log);
    let (sender, effects) = unbounded_channel();
    let surroundings = Surroundings {
        metadata: Arc::new(Published::new(Arc::new(MetadataImage::default()))),
        effects: Arc::new(move |_, effect| sender.send(effect).unwrap()),
        commit_timeout: Duration::ZERO,
        started_at: tokio::time::Instant::now(),
    };
    let epoch = partition.leader_epoch();
    let shard = Shard::begin(Arc::new(partition), epoch, Echo, surroundings);
    Case { gate, shard, effects, _root: root }
}

/// The markers of a transaction were not written, ever, if the disk took longer to commit the
/// decision than its producer waited.
#[tokio::test]
async fn an_effect_waits_for_the_commit_longer_than_whoever_asked() {
    let mut case = begin();
    case.gate.set(false);
    assert_eq!(case.shard.ask(7).await, Err(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    assert!(case.effects.try_recv().is_err(), "nothing is committed");
    case.gate.set(true);
    assert_eq!(next(&mut case.effects).await, Some(7));
}

/// What a coordinator wanted that is over would be done beside what the next one wants, or be kept
/// in memory as long as the disk hangs.
#[tokio::test]
async fn a_coordinator_that_is_over_has_no_effects() {
    let mut case = begin();
    case.gate.set(false);
    assert_eq!(case.shard.ask(7).await, Err(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    case.shard.end();
    drop(case.shard);
    assert_eq!(next(&mut case.effects).await, None);
    case.gate.set(true);
}

/// A transaction that is decided would get no markers, because a replica has left the ISR between
/// the decision's commit and the moment at which somebody looked.
#[test]
fn what_is_committed_counts_however_few_are_in_sync_by_then() {
    let told = |code| counts_all_the_same(NotAcknowledged::Refused(code));
    assert!(told(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND).is_ok());
    assert!(told(ErrorCode::NOT_LEADER_OR_FOLLOWER).is_err());
}
