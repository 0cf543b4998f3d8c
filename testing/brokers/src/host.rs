//! One node: a broker and controller as it ships, on a disk of its own.
//!
//! A *kill* ends the process: what it wrote is there, synced or not, and its machine refuses
//! connections. A *power cut* ends the machine: what was not synced is gone, the kernel is another
//! one, and nobody answers at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use milena_broker::config::{Config, Sources};
use milena_broker::machine::{Machine, Threads};
use milena_broker::node::Node;
use milena_protocol::ids::Uuid;
use milena_storage::Disk;
use milena_storage::disk::{FaultDisk, Mode};
use tokio::sync::watch;
use turmoil::Sim;

use crate::history::History;
use crate::plan::NODES;
use crate::planted::Bug;

/// Where brokers listen for clients and each other.
pub const PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;
const CLUSTER_ID: &str = "c2ltdWxhdGlvbi0wMDAwMA";
const WITNESS: &str = "loss-witness";

/// The name of a node on the network.
#[must_use]
pub fn name(node: usize) -> String {
    format!("broker-{}", node + 1)
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Up,
    /// The process has ended, its machine is there.
    Killed,
    /// The machine is off.
    Off,
}

/// A node.
pub struct Host {
    node: usize,
    root: PathBuf,
    /// The disk that fails on purpose.
    pub disk: FaultDisk,
    /// Whether its process may start.
    starts: watch::Sender<bool>,
    ended: Arc<AtomicBool>,
    life: Life,
    power_cuts: usize,
    bug: Option<Bug>,
}

impl Host {
    /// Sets a node up; its process starts at once.
    pub fn new(
        sim: &mut Sim<'_>,
        below: &Path,
        node: usize,
        seed: u64,
        bug: Option<Bug>,
        history: &History,
    ) -> std::io::Result<Self> {
        let root = below.join(name(node));
        let disk = FaultDisk::new();
        format(&disk, &root, node, seed)?;
        let (starts, may_start) = watch::channel(true);
        let ended = Arc::new(AtomicBool::new(false));
        let machine = Machine {
            disk: crate::planted::disk(&disk, bug),
            threads: Threads::None,
            end: {
                let ended = Arc::clone(&ended);
                Arc::new(move || ended.store(true, Ordering::SeqCst))
            },
        };
        let config = config(node, &root, bug);
        let process = Process { node, machine, config, may_start, history: history.clone() };
        sim.host(name(node), move || process.clone().run());
        Ok(Self { node, root, disk, starts, ended, life: Life::Up, power_cuts: 0, bug })
    }

    /// Where its data is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether its process ended by itself, or its disk ended the world, since anybody looked.
    pub fn has_ended(&mut self) -> Option<End> {
        let has_ended = self.ended.swap(false, Ordering::SeqCst);
        match self.life {
            Life::Up if self.disk.has_crashed() => Some(End::Disk),
            Life::Up if has_ended => Some(End::Itself),
            _ => None,
        }
    }

    /// Ends the process.
    pub fn kill(&mut self, sim: &mut Sim<'_>) {
        if self.life == Life::Up {
            self.starts.send_replace(false);
            sim.crash(name(self.node));
            // The machine is there: whoever connects is refused.
            sim.bounce(name(self.node));
            self.life = Life::Killed;
        }
    }

    /// Ends the machine.
    pub fn cut_power(&mut self, sim: &mut Sim<'_>) -> std::io::Result<()> {
        if self.life == Life::Off {
            return Ok(());
        }
        self.starts.send_replace(false);
        sim.crash(name(self.node));
        self.life = Life::Off;
        self.power_cuts += 1;
        self.disk.cut_power(&self.root)?;
        if self.bug != Some(Bug::LossyRestartKeepsItsPlace) {
            be_of_another_kernel(&self.root.join(WITNESS), self.power_cuts)?;
        }
        Ok(())
    }

    /// Starts the process, and the machine where that is off.
    pub fn start(&mut self, sim: &mut Sim<'_>) {
        if self.life == Life::Up {
            return;
        }
        self.ended.store(false, Ordering::SeqCst);
        self.starts.send_replace(true);
        if self.life == Life::Off {
            sim.bounce(name(self.node));
        }
        self.life = Life::Up;
    }
}

/// Why a process is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It gave up.
    Itself,
    /// Its disk did, and its machine with it.
    Disk,
}

/// What a process is made of, each time anew.
#[derive(Clone)]
struct Process {
    node: usize,
    machine: Machine,
    config: Config,
    may_start: watch::Receiver<bool>,
    history: History,
}

impl Process {
    async fn run(mut self) -> turmoil::Result {
        // Whoever could start it is gone only with the simulation.
        let _ = self.may_start.wait_for(|may_start| *may_start).await;
        let who = name(self.node);
        self.history.note(None, format_args!("{who} starts"));
        let end = Arc::clone(&self.machine.end);
        match Node::start_on(self.machine, self.config, Instant::now()).await {
            Ok(node) => {
                let history = self.history.clone();
                let ready = |_: &_| history.note(None, format_args!("{} serves", name(self.node)));
                let served = node.serve_until(std::future::pending, ready).await;
                self.history.note(None, format_args!("{who} stops: {served:?}"));
            }
            Err(error) => self.history.note(None, format_args!("{who} does not start: {error}")),
        }
        end();
        std::future::pending::<()>().await;
        Ok(())
    }
}

/// Whose a directory is, so that no id is drawn.
fn format(disk: &FaultDisk, root: &Path, node: usize, seed: u64) -> std::io::Result<()> {
    std::fs::create_dir_all(root)?;
    let id = Uuid::from_u128((u128::from(seed) << 64) | 0x8000_0000_0000_0000 | (node as u128 + 1));
    let text =
        format!("version=1\nnode.id={}\ndirectory.id={id}\ncluster.id={CLUSTER_ID}\n", node + 1);
    let file = disk.open(&root.join("meta.properties"), Mode::CreateNew)?;
    disk.write_at(&file, text.as_bytes(), 0)?;
    disk.sync_data(&file)?;
    disk.sync_directory(root)
}

fn config(node: usize, root: &Path, bug: Option<Bug>) -> Config {
    let voter = |node| format!("{}@{}:{CONTROLLER_PORT}", node + 1, name(node));
    let voters: Vec<String> = (0..NODES).map(voter).collect();
    let host = name(node);
    let unclean = bug == Some(Bug::UncleanElections);
    let settings = [
        "process.roles=broker,controller".to_owned(),
        format!("node.id={}", node + 1),
        format!("controller.quorum.voters={}", voters.join(",")),
        format!("listeners=PLAINTEXT://0.0.0.0:{PORT},CONTROLLER://0.0.0.0:{CONTROLLER_PORT}"),
        format!(
            "advertised.listeners=PLAINTEXT://{host}:{PORT},CONTROLLER://{host}:{CONTROLLER_PORT}"
        ),
        "controller.listener.names=CONTROLLER".to_owned(),
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".to_owned(),
        "http.listeners=".to_owned(),
        format!("log.dirs={}", root.display()),
        "default.replication.factor=3".to_owned(),
        "min.insync.replicas=2".to_owned(),
        "auto.create.topics.enable=false".to_owned(),
        "broker.session.timeout.ms=3000".to_owned(),
        "broker.heartbeat.interval.ms=500".to_owned(),
        "replica.lag.time.max.ms=4000".to_owned(),
        "replica.socket.timeout.ms=3000".to_owned(),
        "request.timeout.ms=2000".to_owned(),
        "controller.quorum.request.timeout.ms=1000".to_owned(),
        "log.cleaner.enable=false".to_owned(),
        "metadata.log.max.record.bytes.between.snapshots=4000".to_owned(),
        format!("unclean.leader.election.enable={unclean}"),
    ];
    let set = settings.map(milena_broker::config::Secret::new).into();
    Config::load(&Sources { set, ..Sources::default() }).expect("these settings are fine")
}

/// What a machine that was switched off cannot say of itself: its kernel is another one.
fn be_of_another_kernel(witness: &Path, time: usize) -> std::io::Result<()> {
    let Ok(text) = std::fs::read_to_string(witness) else { return Ok(()) };
    let body = text.split_inclusive('\n').filter(|line| !line.starts_with("crc="));
    let body: String = body
        .map(|line| match line.strip_prefix("boot.id=") {
            Some(_) => format!("boot.id=earlier-{time}\n"),
            None => line.to_owned(),
        })
        .collect();
    let crc = crc32fast::hash(body.as_bytes());
    std::fs::write(witness, format!("{body}crc={crc:08x}\n"))
}
