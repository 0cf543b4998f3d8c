//! Nodes that are only controllers and nodes that are only brokers, and a cluster of five.

mod process;
mod rest_client;

use milena_protocol::error_code::ErrorCode;
use process::broker::{batch, create_replicated, fetch_request, produce, records_of, until};
use process::cluster::{Cluster, FindBy, Node, quorum, topic};
use process::{Connection, MILENA};
use rest_client::{call, cluster_path};
use serde_json::json;

const HTTP: &str = "http.listeners=http://127.0.0.1:0";

/// Makes a topic of one partition, and waits until every broker knows it.
fn make(cluster: &Cluster, name: &str, replicas: i16) {
    let mut connection = cluster.connect();
    until("a topic", || {
        let code = create_replicated(&mut connection, name, 1, replicas, &[]);
        code == ErrorCode::NONE || code == ErrorCode::TOPIC_ALREADY_EXISTS
    });
    for node in cluster.brokers() {
        let mut connection = node.connect();
        until("the topic is known", || topic(&mut connection, name).error_code.is_none());
    }
}

fn in_sync(connection: &mut Connection, name: &str) -> usize {
    topic(connection, name).partitions[0].isr_nodes.len()
}

/// Produces until it is acknowledged by all in sync, wherever the leader is by then.
fn acknowledged(cluster: &Cluster, name: &str) -> i64 {
    let mut offset = -1;
    until("an acknowledgement", || {
        let mut connection = cluster.connect();
        let leader = topic(&mut connection, name).partitions[0].leader_id.0;
        let Some(node) = cluster.brokers().find(|node| node.id == leader) else { return false };
        let answer = produce(&mut node.connect(), name, batch(&[1]), -1);
        offset = answer.base_offset.0;
        answer.error_code.is_none()
    });
    offset
}

fn records(cluster: &Cluster, name: &str) -> usize {
    let mut bytes = 0;
    until("records", || {
        let mut connection = cluster.connect();
        let leader = topic(&mut connection, name).partitions[0].leader_id.0;
        let Some(node) = cluster.brokers().find(|node| node.id == leader) else { return false };
        let answer = node.connect().ask(&fetch_request(name, 0, 0), 12);
        bytes = records_of(&answer.responses[0].partitions[0]).len();
        bytes > 0
    });
    bytes
}

/// What `milena cluster info` says.
fn info(node: &Node) -> String {
    let arguments = ["cluster", "info", "-b", &node.process().address];
    let output = std::process::Command::new(MILENA).args(arguments).output().expect("it runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Controllers of their own, the usual shape of a large cluster, would not form one, or it would
/// end with one of them.
fn controllers_apart(key: FindBy) {
    let mut cluster = Cluster::split(3, 2, key, &[HTTP]);
    cluster.until_live(&[4, 5]);
    make(&cluster, "kept", 2);
    assert_eq!(acknowledged(&cluster, "kept"), 0);
    let before = records(&cluster, "kept");

    let broker = cluster.brokers().next().expect("a broker");
    let mut connection = broker.connect();
    let described = quorum(&mut connection);
    let voters: Vec<i32> = described.current_voters.iter().map(|it| it.replica_id.0).collect();
    let observers: Vec<i32> = described.observers.iter().map(|it| it.replica_id.0).collect();
    assert_eq!((voters, observers), (vec![1, 2, 3], vec![4, 5]));
    let said = info(broker);
    for role in ["leader", "voter", "observer"] {
        assert!(said.contains(role), "{said}");
    }

    let active = described.leader_id.0;
    cluster.node(active).kill();
    make(&cluster, "later", 2);
    assert_eq!(acknowledged(&cluster, "kept"), 1);
    assert_eq!(acknowledged(&cluster, "later"), 0);
    assert!(records(&cluster, "kept") > before);

    let broker = cluster.brokers().next().expect("a broker").id;
    cluster.node(broker).kill();
    make(&cluster, "alone", 1);
    assert_eq!(acknowledged(&cluster, "kept"), 2);
    cluster.node(broker).start();
    cluster.node(active).start();
    cluster.until_live(&[4, 5]);
    let mut connection = cluster.node(broker).connect();
    until("all are in sync", || in_sync(&mut connection, "kept") == 2);
    assert_eq!(acknowledged(&cluster, "kept"), 3);
}

/// Brokers that are told who votes would not find the controllers.
#[test]
fn controllers_apart_serve_brokers_that_know_the_voters() {
    controllers_apart(FindBy::Voters);
}

/// Brokers that are told where to ask would not find the controllers.
#[test]
fn controllers_apart_serve_brokers_that_know_where_to_ask() {
    controllers_apart(FindBy::BootstrapServers);
}

/// A controller would be taken out of service by whoever looks at it, for it serves no clients.
#[test]
fn a_controller_alone_is_ready_and_tells_of_the_cluster() {
    let cluster = Cluster::split(1, 1, FindBy::Voters, &[HTTP]);
    cluster.until_live(&[2]);
    make(&cluster, "t", 1);
    for node in &cluster.nodes {
        until("it is ready", || call(node, "GET", "/readyz", "").status == 200);
        let at = cluster_path(node);
        let get = |path: &str| call(node, "GET", &format!("{at}{path}"), "").json();
        let brokers = get("/brokers");
        assert_eq!(brokers["data"].as_array().map(Vec::len), Some(1), "node {}", node.id);
        assert_eq!(brokers["data"][0]["broker_id"], 2);
        until("it knows the topic", || get("/topics/t")["topic_name"] == "t");
        let healthy = json!({ "healthy": true, "findings": [], "reassignments": 0 });
        assert_eq!(get("/health"), healthy, "node {}", node.id);
        assert_eq!(get("/quorum")["leader_id"], 1, "node {}", node.id);
        assert_eq!(call(node, "GET", "/metrics", "").status, 200, "node {}", node.id);
    }
}

/// A node that joins a cluster as a broker only would want to vote, or not get in.
#[test]
fn a_broker_joins_and_never_votes() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow(1, &["process.roles=broker"]);
    make(&cluster, "kept", 2);
    assert_eq!(acknowledged(&cluster, "kept"), 0);
    let described = quorum(&mut cluster.connect());
    assert_eq!((described.current_voters.len(), described.observers.len()), (1, 1));
    cluster.node(2).kill();
    cluster.node(2).forget_whom_to_join();
    cluster.node(2).start();
    cluster.until_live(&[1, 2]);
    let mut connection = cluster.node(2).connect();
    until("all are in sync", || in_sync(&mut connection, "kept") == 2);
    assert_eq!(quorum(&mut connection).current_voters.len(), 1);
}

/// A broker could not be given voters beside it, or they not go on without it.
#[test]
fn controllers_join_a_broker_and_vote() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow_controllers(2);
    cluster.until_voters(&[1, 2, 3]);
    cluster.until_live(&[1]);
    cluster.node(1).kill();
    let mut connection = cluster.nodes[1].connect();
    until("another one leads", || [2, 3].contains(&quorum(&mut connection).leader_id.0));
    cluster.node(1).start();
    cluster.until_live(&[1]);
    make(&cluster, "kept", 1);
    assert_eq!(acknowledged(&cluster, "kept"), 0);
}

/// Two controllers that join at once would be one voter with two logs, which loses what it voted.
#[test]
fn a_controller_alone_is_not_given_an_id() {
    let cluster = Cluster::alone(&[]);
    let directory = tempfile::tempdir().expect("a directory");
    let output = std::process::Command::new(MILENA)
        .args(["serve", "--join", &cluster.nodes[0].address()])
        .args(["--set", &format!("log.dirs={}", directory.path().display())])
        .args(["--set", "http.listeners=", "--set", "listeners=PLAINTEXT://127.0.0.1:0"])
        .args(["--set", "process.roles=controller"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("--set node.id=2"), "{said}");
}

/// Five nodes would be no safer than three: two may be lost.
#[test]
fn five_nodes_write_on_without_two() {
    let mut cluster = Cluster::start(5, &["min.insync.replicas=3"]);
    cluster.until_live(&[1, 2, 3, 4, 5]);
    make(&cluster, "kept", 5);
    assert_eq!(acknowledged(&cluster, "kept"), 0);
    let mut connection = cluster.connect();
    until("all are in sync", || in_sync(&mut connection, "kept") == 5);
    let leader = topic(&mut connection, "kept").partitions[0].leader_id.0;
    let active = cluster.controller();
    let another = [1, 2].into_iter().find(|id| *id != active).expect("another one");
    cluster.node(active).kill();
    cluster.node(if leader == active { another } else { leader }).kill();
    assert_eq!(acknowledged(&cluster, "kept"), 1);
    assert_eq!(acknowledged(&cluster, "kept"), 2);
    cluster.start_all();
    cluster.until_live(&[1, 2, 3, 4, 5]);
    let mut connection = cluster.connect();
    until("all are in sync", || in_sync(&mut connection, "kept") == 5);
    assert_eq!(acknowledged(&cluster, "kept"), 3);
}
