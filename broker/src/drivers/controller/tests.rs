//! Drivers of one quorum on real directories, with a network that is a list.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena_cluster::configs::Values;
use milena_cluster::controller::Decision;
use milena_cluster::quorum::{
    CorrelationId, Envelope, Message, ReplicaKey, Request, Response, ResponseBody, Timing, Voter,
};
use milena_cluster::wire::{Carried, Link};
use milena_protocol::ids::{NodeId, Offset, Timestamp, Uuid};
use milena_protocol::metadata_record::{MetadataRecord, TopicRecord};
use milena_storage::{DirectoryOptions, LogDirectory, RealDisk};
use parking_lot::Mutex;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::{Beginning, Driver, Outgoing, SnapshotRules, restore};
use crate::drivers::metadata_log::DIRECTORY;
use crate::machine::Machine;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const NODES: i32 = 3;

type Mailbox = Arc<Mutex<VecDeque<(NodeId, Outgoing)>>>;

/// A request that was delivered, and the answer on its way back.
struct UnderWay {
    asker: NodeId,
    asked: NodeId,
    correlation: CorrelationId,
    answer: oneshot::Receiver<Response>,
}

/// Drivers and what is between them.
struct Cluster {
    root: tempfile::TempDir,
    /// A snapshot is taken after so many bytes.
    snapshot_bytes: u64,
    drivers: BTreeMap<NodeId, Driver>,
    mailbox: Mailbox,
    /// Who asked, as what it knows the request, by the number under which it was handed on.
    calls: Vec<UnderWay>,
    /// Nodes that nobody hears.
    cut_off: BTreeSet<NodeId>,
    topics: u128,
}

fn key(node: NodeId) -> ReplicaKey {
    // Configured voters' directories are unknown.
    ReplicaKey { id: node, directory_id: Uuid::ZERO }
}

fn nodes() -> impl Iterator<Item = NodeId> {
    (1..=NODES).map(NodeId)
}

impl Cluster {
    fn new(snapshot_bytes: u64) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            snapshot_bytes,
            drivers: BTreeMap::new(),
            mailbox: Mailbox::default(),
            calls: Vec::new(),
            cut_off: BTreeSet::new(),
            topics: 0,
        }
    }

    fn path(&self, node: NodeId) -> PathBuf {
        self.root.path().join(node.to_string())
    }

    fn metadata_directory(&self, node: NodeId) -> PathBuf {
        self.path(node).join(DIRECTORY)
    }

    fn start(&mut self, node: NodeId) {
        let path = self.path(node);
        std::fs::create_dir_all(&path).unwrap();
        let options = DirectoryOptions { runs_threads: false, ..DirectoryOptions::new(node) };
        let directory = LogDirectory::open(&path, options, Arc::new(RealDisk)).unwrap();
        let beginning = Beginning {
            node,
            cluster_id: "cluster",
            directory: &directory,
            segment_bytes: 1 << 20,
            me: Voter::bare(ReplicaKey { id: node, directory_id: directory.id() }),
            voters: nodes().map(|node| Voter::bare(key(node))).collect(),
            timing: Timing {
                election_timeout: Duration::from_millis(150),
                fetch_timeout: Duration::from_millis(300),
                request_timeout: Duration::from_millis(200),
                retry_backoff: Duration::from_millis(5),
                fetch_max_wait: Duration::from_millis(20),
                ..Timing::default()
            },
            seed: node.0 as u64,
            static_values: &Values::default(),
            bootstrap_count: 0,
            rules: SnapshotRules {
                max_bytes: self.snapshot_bytes,
                max_interval: Duration::from_secs(3600),
            },
            clock: || Timestamp(1_000),
            machine: Machine::real(),
        };
        let mut driver = restore(beginning).unwrap();
        let mailbox = Arc::clone(&self.mailbox);
        driver.connect(Box::new(move |request| mailbox.lock().push_back((node, request))));
        driver.begin().unwrap();
        self.drivers.insert(node, driver);
    }

    /// A step of everybody, and everything that is on its way.
    fn turn(&mut self) {
        for driver in self.drivers.values_mut() {
            driver.tick().unwrap();
            driver.commit().unwrap();
            driver.snapshot_if_due().unwrap();
        }
        let sent: Vec<(NodeId, Outgoing)> = self.mailbox.lock().drain(..).collect();
        for (from, outgoing) in sent {
            self.deliver(from, outgoing);
        }
        self.answer();
    }

    fn is_lost(&self, one: NodeId, other: NodeId) -> bool {
        self.cut_off.contains(&one) || self.cut_off.contains(&other)
    }

    fn deliver(&mut self, asker: NodeId, outgoing: Outgoing) {
        let Outgoing { to: asked, correlation, request, .. } = outgoing;
        if self.is_lost(asker, asked) {
            return;
        }
        if let Some(driver) = self.drivers.get_mut(&asked) {
            let (sender, answer) = oneshot::channel();
            driver.ask(carried(&request), sender).unwrap();
            self.calls.push(UnderWay { asker, asked, correlation, answer });
        }
    }

    /// Delivers the answers that are there.
    fn answer(&mut self) {
        for mut call in std::mem::take(&mut self.calls) {
            match call.answer.try_recv() {
                Err(TryRecvError::Empty) => self.calls.push(call),
                Err(TryRecvError::Closed) => {}
                Ok(_) if self.is_lost(call.asker, call.asked) => {}
                Ok(response) => {
                    let message = Message::Response(carried_answer(&response));
                    let (peer, correlation) = (call.asked, call.correlation);
                    if let Some(driver) = self.drivers.get_mut(&call.asker) {
                        driver.answered(Envelope { peer, correlation, message }).unwrap();
                    }
                }
            }
        }
    }

    /// Lets time go by until something holds.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "never came: {what}");
            self.turn();
        }
    }

    /// The leader that others can hear, once there is one.
    fn leader(&mut self) -> NodeId {
        let leads = |cluster: &Self| {
            let mut heard = cluster.drivers.iter().filter(|(id, _)| !cluster.cut_off.contains(id));
            heard.find(|(_, driver)| driver.is_leading()).map(|(id, _)| *id)
        };
        self.until("a leader", |cluster| leads(cluster).is_some());
        leads(self).unwrap()
    }

    /// Lets a node decide on a topic; answers the topic's id.
    fn decide(&mut self, node: NodeId) -> Uuid {
        self.topics += 1;
        let topic_id = Uuid::from_u128(self.topics << 64);
        let record = TopicRecord { name: format!("topic-{}", self.topics).into(), topic_id };
        let records = vec![MetadataRecord::from(record)];
        let driver = self.drivers.get_mut(&node).unwrap();
        driver.decide(|_| Decision { records, answer: () }).unwrap();
        topic_id
    }

    fn has(&self, node: NodeId, topic: Uuid) -> bool {
        self.drivers[&node].image().topic_by_id(topic).is_some()
    }

    /// Everybody has the same metadata, committed, and controllers that agree with it.
    fn agree(&mut self) {
        self.until("everybody agrees", |cluster| {
            let mut images = cluster.drivers.values().map(|driver| driver.image());
            let first = images.next().unwrap();
            images.all(|image| image == first)
                && cluster.drivers.values().all(|it| *it.controller().image() == **it.image())
        });
        self.drivers.values().for_each(|driver| driver.controller().check_invariants());
    }
}

/// What becomes of a request on the wire.
fn carried(request: &Request) -> Request {
    fn over<M: Carried>(message: &M) -> M {
        let Ok(arrived) = M::unpack(message.carry(&link()), &link()) else {
            panic!("what one sends another understands")
        };
        arrived
    }
    match request {
        Request::Vote(it) => Request::Vote(over(it)),
        Request::BeginQuorumEpoch(it) => Request::BeginQuorumEpoch(over(it)),
        Request::EndQuorumEpoch(it) => Request::EndQuorumEpoch(over(it)),
        Request::Fetch(it) => Request::Fetch(over(it)),
        Request::FetchSnapshot(it) => Request::FetchSnapshot(over(it)),
        Request::UpdateVoter(it) => Request::UpdateVoter(over(it)),
        other => panic!("the machine never sends {other:?}"),
    }
}

/// What becomes of an answer on the wire.
fn carried_answer(response: &Response) -> Response {
    use milena_cluster::quorum as q;
    fn over<M: Carried>(response: &Response) -> Response {
        M::unpack_answer(M::carry_answer(response, &link()), &link()).unwrap()
    }
    match response.body {
        ResponseBody::Vote { .. } => over::<q::VoteRequest>(response),
        ResponseBody::BeginQuorumEpoch => over::<q::BeginQuorumEpochRequest>(response),
        ResponseBody::EndQuorumEpoch => over::<q::EndQuorumEpochRequest>(response),
        ResponseBody::Fetch(_) => over::<q::FetchRequest>(response),
        ResponseBody::FetchSnapshot(_) => over::<q::FetchSnapshotRequest>(response),
        _ => response.clone(),
    }
}

fn link() -> Link {
    Link { cluster_id: "cluster".into(), listener: "CONTROLLER".into() }
}

/// Nodes would hold different metadata.
#[test]
fn what_the_leader_decides_everybody_learns() {
    let mut cluster = Cluster::new(u64::MAX);
    nodes().for_each(|node| cluster.start(node));
    let leader = cluster.leader();
    let topic = cluster.decide(leader);
    assert!(!cluster.has(leader, topic), "what nobody else has does not count");
    cluster.until("it counts", |cluster| nodes().all(|node| cluster.has(node, topic)));
    cluster.agree();
}

/// What was committed would be lost with its leader, or what was not would come back.
#[test]
fn a_leader_that_was_alone_gives_up_what_only_it_has() {
    let mut cluster = Cluster::new(u64::MAX);
    nodes().for_each(|node| cluster.start(node));
    let old = cluster.leader();
    let kept = cluster.decide(old);
    cluster.until("it counts", |cluster| nodes().all(|node| cluster.has(node, kept)));
    cluster.cut_off.insert(old);
    let lost = cluster.decide(old);
    let new = cluster.leader();
    assert_ne!(new, old);
    let next = cluster.decide(new);
    cluster.until("it counts", |cluster| cluster.has(new, next));
    assert!(!cluster.has(old, lost) && !cluster.has(old, next));
    cluster.cut_off.clear();
    cluster.agree();
    for node in nodes() {
        assert!(cluster.has(node, kept) && cluster.has(node, next) && !cluster.has(node, lost));
    }
}

/// A node that was killed would come back with another history.
#[test]
fn whoever_was_away_catches_up() {
    let mut cluster = Cluster::new(u64::MAX);
    nodes().for_each(|node| cluster.start(node));
    let leader = cluster.leader();
    let before = cluster.decide(leader);
    cluster.until("it counts", |cluster| nodes().all(|node| cluster.has(node, before)));
    cluster.drivers.remove(&leader);
    let next = cluster.leader();
    let meanwhile = cluster.decide(next);
    cluster.until("it counts", |cluster| cluster.has(next, meanwhile));
    cluster.start(leader);
    assert!(!cluster.has(leader, before), "what counts the quorum says");
    cluster.agree();
    assert!(cluster.has(leader, before) && cluster.has(leader, meanwhile));
}

/// A node that starts after the log was trimmed would never have what was in it.
#[test]
fn a_snapshot_stands_for_the_log_that_is_gone() {
    let mut cluster = Cluster::new(1_000);
    let late = NodeId(NODES);
    nodes().filter(|node| *node != late).for_each(|node| cluster.start(node));
    let leader = cluster.leader();
    let topics: Vec<Uuid> = (0..100).map(|_| cluster.decide(leader)).collect();
    cluster.until("all count", |cluster| cluster.has(leader, topics[99]));
    cluster.until("a snapshot", |cluster| !checkpoints(cluster, leader).is_empty());
    cluster.start(late);
    cluster.agree();
    assert!(topics.iter().all(|topic| cluster.has(late, *topic)));
    assert!(!checkpoints(&cluster, late).is_empty(), "it came as a snapshot");
    // And it is there after a kill.
    cluster.drivers.remove(&late);
    cluster.start(late);
    assert!(cluster.drivers[&late].image().offset() > Offset(50));
    cluster.agree();
}

/// A node that was killed right after its snapshot had come would not start any more.
#[test]
fn a_log_that_a_snapshot_was_to_replace_is_replaced() {
    let mut cluster = Cluster::new(1_000);
    nodes().for_each(|node| cluster.start(node));
    let leader = cluster.leader();
    let topics: Vec<Uuid> = (0..100).map(|_| cluster.decide(leader)).collect();
    let victim = nodes().find(|node| *node != leader).unwrap();
    cluster.until("all count", |cluster| cluster.has(victim, topics[99]));
    cluster.until("a snapshot", |cluster| !checkpoints(cluster, leader).is_empty());
    cluster.drivers.remove(&victim);
    std::fs::remove_dir_all(cluster.path(victim)).unwrap();
    let directory = cluster.metadata_directory(victim);
    std::fs::create_dir_all(&directory).unwrap();
    let newest = checkpoints(&cluster, leader).pop().unwrap();
    std::fs::copy(&newest, directory.join(newest.file_name().unwrap())).unwrap();
    cluster.start(victim);
    assert!(cluster.drivers[&victim].image().offset() > Offset(0), "the snapshot counts");
    cluster.agree();
    assert!(topics.iter().all(|topic| cluster.has(victim, *topic)));
}

/// The snapshots of a node, oldest first.
fn checkpoints(cluster: &Cluster, node: NodeId) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cluster.metadata_directory(node)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "checkpoint")).collect();
    found.sort();
    found
}
