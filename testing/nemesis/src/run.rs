//! A run: a cluster, clients, faults one after the other, the last read, and the verdict.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cluster::broker::Broker;
use crate::cluster::members::Members;
use crate::cluster::plan::{self, Node, NodeId};
use crate::cluster::properties::min_in_sync;
use crate::cluster::watch::Watch;
use crate::fault::injector::Injector;
use crate::fault::kind::Kind;
use crate::fault::schedule::{Planned, Schedule, Span, Target};
use crate::fault::{disk, sync};
use crate::history::check::verdict::Verdict;
use crate::history::file;
use crate::history::operation::Key;
use crate::history::recorder::Recorder;
use crate::network::faults::Network;
use crate::random::Random;
use crate::report::figures::Acknowledged;
use crate::report::outcome::{Outcome, Setting};
use crate::report::rounds::Round;
use crate::workload::clients::{Clients, Counts};
use crate::workload::probe::Probe;
use crate::workload::settings::{Settings, TOPIC};
use crate::workload::{final_read, topics};

/// What can go wrong apart from the cluster.
pub type Failure = Box<dyn Error + Send + Sync>;

/// How long a cluster may take to be whole after a fault.
const RECOVERY: Duration = Duration::from_secs(120);
/// How often the cluster is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);
/// How long clients run before the first fault, once each partition has a record.
const CALM: Duration = Duration::from_secs(2);

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose broker.
    pub broker: Broker,
    /// How many nodes.
    pub nodes: usize,
    /// Which faults.
    pub faults: Vec<Kind>,
    /// How long faults go on.
    pub seconds: u64,
    /// How many faults at most.
    pub rounds: usize,
    /// What decides chance.
    pub seed: u64,
    /// Records a second.
    pub rate: u64,
    /// Partitions of the topic.
    pub partitions: u32,
    /// Bytes of a record.
    pub size: usize,
    /// The clients.
    pub counts: Counts,
    /// How long a fault lasts.
    pub lasting: Span,
    /// How long there is rest between faults.
    pub rest: Span,
    /// Whether records are synced before they count.
    pub is_durable: bool,
    /// The size of a node's disk in MiB where it is to fill up.
    pub disk_mib: u64,
    /// More settings of the nodes.
    pub settings: Vec<String>,
    /// Where everything goes.
    pub directory: PathBuf,
    /// Where the history is written.
    pub history: Option<PathBuf>,
}

/// Runs it. Everything that was started has ended when it returns.
///
/// # Errors
/// When the cluster does not begin, or a fault cannot be made here.
pub fn run(plan: &Plan) -> Result<Outcome, Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut random = Random::of(plan.seed);
    let members = members(plan)?;
    let is_disturbed = plan.faults.iter().any(|kind| kind.is_of_network());
    let network =
        is_disturbed.then(|| Network::begin(runtime.handle(), &members, &mut random.branch()));
    let settings =
        Settings { bootstrap: members.bootstrap(), partitions: plan.partitions, size: plan.size };
    let mut injector = Injector::new(members, network);
    injector.start()?;
    let made = topics::create(&settings, plan.nodes, min_in_sync(plan.nodes), plan.is_durable);
    runtime.block_on(made).map_err(|why| told(&injector.members, &why))?;

    let recorder = Recorder::default();
    let watch = Watch::begin(runtime.handle(), injector.members.nodes(), TOPIC);
    let probe = Probe::begin(runtime.handle(), &settings.bootstrap, &recorder);
    let mut stage = Stage { plan, injector, watch, recorder: recorder.clone() };
    stage.wait_until_whole();
    let clients =
        Clients::start(&settings, &recorder, &plan.counts, plan.rate, &mut random.branch());
    stage.wait_until_busy();
    std::thread::sleep(CALM);
    let rounds = stage.play(random.branch());
    clients.stop()?;
    let was_read_to_the_end = final_read::run(&settings, &recorder)?;
    let changes = probe.acknowledged();
    runtime.shutdown_background();
    let nodes = stage.injector.members.nodes().to_vec();
    drop(stage);
    if plan.faults.contains(&Kind::DiskFull) {
        nodes.iter().for_each(|node| disk::unmount(&node.directory));
    }

    let history = recorder.take();
    if let Some(path) = &plan.history {
        file::write(path, &history)?;
    }
    let rounds = rounds?;
    Ok(Outcome {
        setting: Setting {
            broker: plan.broker.name(),
            nodes: plan.nodes,
            partitions: plan.partitions,
            rate: plan.rate,
            seed: plan.seed,
            seconds: plan.seconds,
        },
        verdict: Verdict::of(&history),
        was_read_to_the_end,
        not_whole: rounds.iter().filter(|round| round.whole.is_none()).count(),
        ended_by_itself: rounds.iter().map(|round| round.ended.len()).sum(),
        figures: Acknowledged::of(&history, changes).figures(&rounds),
        rounds,
    })
}

fn members(plan: &Plan) -> Result<Members, Failure> {
    let is_disturbed = plan.faults.iter().any(|kind| kind.is_of_network());
    let nodes = plan::nodes(plan.nodes, &plan.directory, is_disturbed)?;
    if plan.faults.contains(&Kind::Fsync) {
        sync::check()?;
    }
    if plan.faults.contains(&Kind::DiskFull) {
        let directories = nodes.iter().map(|node: &Node| -> &Path { &node.directory });
        for directory in directories {
            disk::mount_small(directory, plan.disk_mib)?;
        }
    }
    Ok(Members::prepare(plan.broker.clone(), nodes, &plan.settings)?)
}

/// What nodes printed before they did not do as they should.
fn told(members: &Members, why: &str) -> String {
    let words = |node: &Node| format!("node {}:\n{}", node.id.0, members.last_words(node.id));
    let words: Vec<String> = members.nodes().iter().map(words).collect();
    format!("the cluster did not begin: {why}\n{}", words.join("\n"))
}

struct Stage<'a> {
    plan: &'a Plan,
    injector: Injector,
    watch: Watch,
    recorder: Recorder,
}

impl Stage<'_> {
    fn play(&mut self, random: Random) -> Result<Vec<Round>, Failure> {
        let plan = self.plan;
        let schedule = Schedule {
            kinds: plan.faults.clone(),
            nodes: plan.nodes,
            partitions: plan.partitions,
            lasting: plan.lasting,
            rest: plan.rest,
            random,
        };
        let deadline = Instant::now() + Duration::from_secs(plan.seconds);
        let mut rounds = Vec::new();
        for planned in schedule.take(plan.rounds) {
            if Instant::now() >= deadline {
                break;
            }
            let round = self.round(&planned)?;
            eprintln!("{}", words(rounds.len() + 1, &round));
            let is_whole = round.whole.is_some();
            rounds.push(round);
            // What does not come back by itself will not either after one more fault.
            if !is_whole {
                return Ok(rounds);
            }
            std::thread::sleep(planned.rest);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if plan.faults.is_empty() {
            std::thread::sleep(left);
        }
        Ok(rounds)
    }

    fn victim(&self, target: Target) -> NodeId {
        let nth = |index: usize| {
            let nodes = self.injector.members.nodes();
            nodes.get(index).or(nodes.first()).map_or(NodeId(1), |node| node.id)
        };
        let found = match target {
            Target::Leader(partition) => self.watch.leader(i32::try_from(partition).unwrap_or(0)),
            Target::Controller => self.watch.controller(None),
            Target::Node(index) => Some(nth(index)),
        };
        found.unwrap_or_else(|| nth(0))
    }

    fn round(&mut self, planned: &Planned) -> Result<Round, Failure> {
        let node = self.victim(planned.target);
        let keys = |indexes: Vec<i32>| {
            indexes.into_iter().filter_map(|index| u32::try_from(index).ok().map(Key)).collect()
        };
        let mut round = Round {
            kind: planned.kind,
            node,
            led: keys(self.watch.led_by(node)),
            followed: keys(self.watch.followed_by(node)),
            was_controller: self.watch.controller(None) == Some(node),
            began: self.recorder.now(),
            elected: None,
            healed: self.recorder.now(),
            in_sync: None,
            whole: None,
            ended: Vec::new(),
        };
        self.injector.inject(planned, node)?;
        let over = Instant::now() + planned.lasting;
        while Instant::now() < over {
            self.look(&mut round)?;
            std::thread::sleep(LOOK);
        }
        round.healed = self.recorder.now();
        self.injector.heal(planned.kind, node)?;
        let deadline = Instant::now() + RECOVERY;
        while Instant::now() < deadline && round.whole.is_none() {
            std::thread::sleep(LOOK);
            self.look(&mut round)?;
            self.injector.start()?;
            if round.in_sync.is_none() && self.watch.is_in_sync(node) {
                round.in_sync = Some(self.recorder.now());
            }
            if self.watch.is_whole(self.plan.nodes) {
                round.whole = Some(self.recorder.now());
            }
        }
        Ok(round)
    }

    fn look(&mut self, round: &mut Round) -> Result<(), Failure> {
        for (node, status) in self.injector.members.ended()? {
            round.ended.push((node, status.to_string()));
        }
        if round.elected.is_none() && round.was_controller {
            let controller = self.watch.controller(Some(round.node));
            if controller.is_some_and(|controller| controller != round.node) {
                round.elected = Some(self.recorder.now());
            }
        }
        Ok(())
    }

    /// A fault before the first records would measure how clients begin.
    fn wait_until_busy(&self) {
        let deadline = Instant::now() + RECOVERY;
        while self.recorder.acknowledged().len() < self.plan.partitions as usize
            && Instant::now() < deadline
        {
            std::thread::sleep(LOOK * 10);
        }
    }

    fn wait_until_whole(&self) {
        let deadline = Instant::now() + RECOVERY;
        while !self.watch.is_whole(self.plan.nodes) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }
}

fn words(number: usize, round: &Round) -> String {
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
    let healed = round.healed.0;
    let after = |at: Option<crate::history::operation::Instant>| match at {
        Some(at) => format!("{:.2} s", seconds(healed, at.0)),
        None => "NEVER".to_owned(),
    };
    let led: Vec<String> = round.led.iter().map(|key| key.0.to_string()).collect();
    format!(
        "{number}: {} of node {} (leads {}{}) for {:.1} s; in sync after {}, whole after {}{}",
        round.kind.name(),
        round.node.0,
        led.join(" "),
        if round.was_controller { ", controller" } else { "" },
        seconds(round.began.0, healed),
        after(round.in_sync),
        after(round.whole),
        if round.ended.is_empty() { String::new() } else { format!("; ended: {:?}", round.ended) }
    )
}
