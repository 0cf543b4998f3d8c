//! A seed from its beginning to its end.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, SystemTime};

use milena_client::tcp;
use milena_storage::disk::Fault as DiskFault;
use turmoil::{Builder, Sim};

use crate::check::{self, Violation};
use crate::clients::{self, Phase, Progress, READERS, WRITERS};
use crate::history::{History, Seen};
use crate::host::{End, Host, name};
use crate::plan::{self, FAULTY, Fault, NODES, Planned};
use crate::planted::Bug;

/// How much time goes by between two deliveries of the network.
const TICK: Duration = Duration::from_millis(2);
/// How long the whole may take, in virtual time, until the cluster must be well.
const LONGEST: Duration = Duration::from_secs(180);
/// When all simulations begin, in seconds since 1970.
const EPOCH: u64 = 1_800_000_000;

/// Set to anything, the directories of the nodes are kept, to be looked at.
const KEEP: &str = "BROKERS_KEEP";

thread_local! {
    /// What panicked on this thread since a run began.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// What was seen.
    pub seen: Seen,
    /// What did not hold.
    pub violation: Option<Violation>,
}

/// Plays a seed.
///
/// # Errors
/// When the machine that this runs on has no room.
pub fn play(seed: u64, bug: Option<Bug>) -> std::io::Result<Outcome> {
    play_plan(seed, plan::of(seed), bug)
}

/// Plays a plan; the seed is left the network and whatever chance there is in brokers.
///
/// # Errors
/// When the machine that this runs on has no room.
pub fn play_plan(seed: u64, plan: Vec<Planned>, bug: Option<Bug>) -> std::io::Result<Outcome> {
    catch_panics();
    milena_client::simulation::seed(seed);
    let below = directory()?;
    let history = History::default();
    let mut builder = Builder::new();
    builder
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH))
        .tick_duration(TICK)
        .simulation_duration(LONGEST)
        .min_message_latency(Duration::from_millis(0))
        .max_message_latency(Duration::from_millis(plan::FAST_MILLIS))
        .tcp_capacity(1 << 14);
    let mut sim = builder.build();
    let mut world = World::new(&mut sim, below.path(), (seed, plan), bug, &history)?;
    let ended = world.run(&mut sim)?;
    let elapsed = sim.elapsed();
    let roots: Vec<PathBuf> = world.hosts.iter().map(|host| host.root().to_owned()).collect();
    drop((sim, world));
    let mut seen = history.into_seen();
    seen.ended_at = elapsed;
    let violation = judge(&seen, ended, &roots).err();
    if std::env::var_os(KEEP).is_some() {
        println!("the nodes' directories: {}", below.keep().display());
    }
    Ok(Outcome { seen, violation })
}

fn judge(seen: &Seen, ended: Result<(), String>, roots: &[PathBuf]) -> Result<(), Violation> {
    if let Some(panic) = PANICS.with_borrow(|panics| panics.first().cloned()) {
        return Err(Violation(format!("a panic: {panic}")));
    }
    let logs = roots.iter().enumerate().map(|(node, root)| {
        check::logs(root, node).map_err(|error| Violation(format!("{}: {error}", name(node))))
    });
    let logs = logs.collect::<Result<Vec<_>, _>>()?;
    check::somebody_has_what_was_acknowledged(seen, &logs)?;
    ended.map_err(Violation)?;
    check::check(seen, &logs)
}

/// On a file system in memory where there is one: nothing here needs a disk.
fn directory() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// A bug in a broker is a panic, which would end its process. Within a task it ends the task only,
/// so it is kept here.
fn catch_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if turmoil::in_simulation() {
                PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}

/// Nodes, clients and what happens to them.
struct World {
    hosts: Vec<Host>,
    plan: Vec<Planned>,
    done: usize,
    progress: Progress,
    history: History,
    /// When the cluster began to serve.
    began_at: Option<Duration>,
    /// Hosts of clients.
    clients: Vec<String>,
    /// Who lost something last, or may yet, and when it came back: until it is in sync again nobody
    /// else may lose anything.
    loss: Option<(usize, Option<Duration>)>,
    /// Links that drop, as who does not reach whom.
    dropping: Vec<(IpAddr, IpAddr)>,
}

impl World {
    fn new(
        sim: &mut Sim<'_>,
        below: &Path,
        (seed, plan): (u64, Vec<Planned>),
        bug: Option<Bug>,
        history: &History,
    ) -> std::io::Result<Self> {
        let progress = Progress::default();
        let hosts = (0..NODES).map(|node| Host::new(sim, below, node, seed, bug, history));
        let hosts = hosts.collect::<Result<_, _>>()?;
        let mut clients = vec!["watcher".to_owned()];
        sim.client("watcher", clients::watch(bug, progress.clone(), history.clone()));
        for writer in 0..WRITERS {
            let client = format!("writer-{writer}");
            let writing = clients::write(writer, bug, progress.clone(), history.clone());
            sim.client(client.as_str(), writing);
            clients.push(client);
        }
        for node in 0..NODES {
            let client = format!("asker-{node}");
            sim.client(client.as_str(), clients::ask_after(node, progress.clone()));
            clients.push(client);
        }
        for reader in 0..READERS {
            let client = format!("reader-{reader}");
            sim.client(client.as_str(), clients::read(reader, progress.clone(), history.clone()));
            clients.push(client);
        }
        let history = history.clone();
        let dropping = Vec::new();
        Ok(Self {
            hosts,
            plan,
            done: 0,
            progress,
            history,
            began_at: None,
            clients,
            loss: None,
            dropping,
        })
    }

    /// Runs until everybody is done, or the time is over.
    fn run(&mut self, sim: &mut Sim<'_>) -> std::io::Result<Result<(), String>> {
        loop {
            match sim.step() {
                Ok(true) => return Ok(Ok(())),
                Ok(false) => {}
                Err(error) => return Ok(Err(format!("no end: {error}"))),
            }
            if PANICS.with_borrow(|panics| !panics.is_empty()) {
                return Ok(Ok(()));
            }
            self.bury(sim)?;
            self.go_on(sim)?;
        }
    }

    /// Ends what has ended.
    fn bury(&mut self, sim: &mut Sim<'_>) -> std::io::Result<()> {
        for (node, host) in self.hosts.iter_mut().enumerate() {
            match host.has_ended() {
                Some(End::Itself) => {
                    self.history.note(Some(sim.elapsed()), format_args!("{} ended", name(node)));
                    host.kill(sim);
                    if self.progress.phase() >= Phase::Healing {
                        host.start(sim);
                    }
                }
                Some(End::Disk) => {
                    self.history.note(Some(sim.elapsed()), format_args!("{} is torn", name(node)));
                    host.cut_power(sim)?;
                    if self.progress.phase() >= Phase::Healing {
                        host.start(sim);
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    fn go_on(&mut self, sim: &mut Sim<'_>) -> std::io::Result<()> {
        if self.progress.phase() != Phase::Faulty {
            return Ok(());
        }
        let now = sim.elapsed();
        let began_at = *self.began_at.get_or_insert(now);
        while let Some((at, fault)) = self.plan.get(self.done).copied()
            && began_at + at <= now
        {
            self.done += 1;
            let fault = self.permitted(fault);
            self.history.note(Some(now), format_args!("{fault:?}"));
            self.inflict(sim, fault)?;
        }
        if now >= began_at + FAULTY {
            self.heal(sim);
        }
        Ok(())
    }

    /// What is done instead of a fault that would lose more than is promised to be survived.
    fn permitted(&mut self, fault: Fault) -> Fault {
        let (Fault::CutPower(node) | Fault::TearStep(node, _) | Fault::FailStep(node, _)) = fault
        else {
            return fault;
        };
        let is_made_good = self.loss.is_none_or(|(node, back_at)| {
            back_at.is_some_and(|back_at| self.progress.sound_at(node) > back_at)
        });
        if is_made_good {
            self.loss = Some((node, None));
            return fault;
        }
        Fault::Kill(node)
    }

    fn start(&mut self, sim: &mut Sim<'_>, node: usize) {
        // What was going to fail and has not fails no more: from here on nothing is lost.
        self.hosts[node].disk.calm();
        self.hosts[node].start(sim);
        if let Some((loser, back_at @ None)) = &mut self.loss
            && *loser == node
        {
            *back_at = Some(sim.elapsed());
        }
    }

    fn inflict(&mut self, sim: &mut Sim<'_>, fault: Fault) -> std::io::Result<()> {
        match fault {
            Fault::Kill(node) => self.hosts[node].kill(sim),
            Fault::CutPower(node) => self.hosts[node].cut_power(sim)?,
            Fault::Start(node) => self.start(sim, node),
            Fault::Hold(one, other) => sim.hold(name(one), name(other)),
            Fault::Release(one, other) => sim.release(name(one), name(other)),
            Fault::Isolate(node) => self.others(node).for_each(|other| sim.hold(name(node), other)),
            Fault::Rejoin(node) => {
                self.others(node).for_each(|other| sim.release(name(node), other));
            }
            Fault::Drop(one, other) => {
                self.cut(sim, one, other);
                self.cut(sim, other, one);
                sim.partition(name(one), name(other));
            }
            Fault::DropOneWay(from, to) => {
                self.cut(sim, from, to);
                sim.partition_oneway(name(from), name(to));
            }
            Fault::Repair(one, other) => self.repair(sim, one, other),
            Fault::Slow(one, other, millis) => {
                sim.set_link_max_message_latency(
                    name(one),
                    name(other),
                    Duration::from_millis(millis),
                );
            }
            Fault::Fill(node) => self.hosts[node].disk.limit_space(Some(0)),
            Fault::Empty(node) => self.hosts[node].disk.limit_space(None),
            Fault::FailStep(node, step) => {
                let fault = DiskFault::Error(rustix::io::Errno::IO);
                self.hosts[node].disk.fail_in(step, fault);
            }
            Fault::TearStep(node, step) => {
                self.hosts[node].disk.fail_in(step, DiskFault::Torn);
            }
        }
        Ok(())
    }

    /// Everybody but a node.
    fn others(&self, node: usize) -> impl Iterator<Item = String> {
        let nodes = (0..NODES).filter(move |other| *other != node).map(name);
        nodes.chain(self.clients.clone())
    }

    fn cut(&mut self, sim: &Sim<'_>, from: usize, to: usize) {
        let way = (sim.lookup(name(from)), sim.lookup(name(to)));
        self.dropping.push(way);
        tcp::cut(way.1);
    }

    fn repair(&mut self, sim: &Sim<'_>, one: usize, other: usize) {
        sim.repair(name(one), name(other));
        let (one, other) = (sim.lookup(name(one)), sim.lookup(name(other)));
        self.dropping.retain(|way| {
            let is_over = *way == (one, other) || *way == (other, one);
            if is_over {
                tcp::mend(way.1);
            }
            !is_over
        });
    }

    /// From here on nothing more happens to anybody.
    fn heal(&mut self, sim: &mut Sim<'_>) {
        for one in 0..NODES {
            for other in self.others(one) {
                sim.release(name(one), other);
            }
            for other in (0..NODES).filter(|other| *other != one) {
                self.repair(sim, one, other);
            }
        }
        for host in &mut self.hosts {
            host.disk.limit_space(None);
            host.disk.calm();
            host.start(sim);
        }
        self.history.note(Some(sim.elapsed()), "no more faults");
        self.progress.reach(Phase::Healing);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for (_, to) in self.dropping.drain(..) {
            tcp::mend(to);
        }
    }
}
