//! A cluster over HTTP: who votes, who is missed, what moves, asked of any node.

mod process;
mod rest_client;

use milena_protocol::error_code::ErrorCode;
use process::MILENA;
use process::broker::{create_replicated, until};
use process::cluster::{Cluster, Node, topic, voters};
use rest_client::{Answer, call, cluster_path};
use serde_json::{Value, json};

const HTTP: &str = "http.listeners=http://127.0.0.1:0";

fn ask(node: &Node, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(node, method, &format!("{}{path}", cluster_path(node)), &body)
}

fn get(node: &Node, path: &str) -> Value {
    let answer = ask(node, "GET", path, &Value::Null);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// A field of everything in a list.
fn each(list: &Value, field: &str) -> Vec<Value> {
    list.as_array().expect("a list").iter().map(|item| item[field].clone()).collect()
}

fn in_state(node: &Node, state: &str) -> usize {
    let list = get(node, &format!("/topics/-/partitions?state={state}"));
    list["data"].as_array().expect("a list").len()
}

fn kinds(health: &Value) -> Vec<Value> {
    each(&health["findings"], "kind")
}

/// Makes a topic and waits until every node knows it.
fn make(cluster: &Cluster, name: &str, replicas: i16, configs: &[(&str, &str)]) {
    let mut connection = cluster.connect();
    until("a topic", || {
        let code = create_replicated(&mut connection, name, 1, replicas, configs);
        code == ErrorCode::NONE || code == ErrorCode::TOPIC_ALREADY_EXISTS
    });
    for node in cluster.up() {
        let mut connection = node.connect();
        until("the topic is known", || topic(&mut connection, name).error_code.is_none());
    }
}

fn metric(node: &Node, name: &str) -> i64 {
    let page = call(node, "GET", "/metrics", "").body;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name}: {page}"))
}

/// What `milena cluster health --json` says.
fn health_by_command(node: &Node) -> Value {
    let address = &node.process().address;
    let command = ["cluster", "health", "--json", "-b", address];
    let output = std::process::Command::new(MILENA).args(command).output().expect("it runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A dead voter would be seen at the leader only, or nobody know who leads.
#[test]
fn every_node_tells_of_the_quorum() {
    let cluster = Cluster::start(3, &[HTTP]);
    cluster.until_live(&[1, 2, 3]);
    let leader = cluster.controller();
    for node in &cluster.nodes {
        let quorum = get(node, "/quorum");
        assert_eq!(quorum["leader_id"], leader, "node {}", node.id);
        assert_eq!(each(&quorum["voters"], "node_id"), [1, 2, 3]);
        assert_eq!(quorum["observers"], json!([]));
        for voter in quorum["voters"].as_array().expect("a list") {
            assert_eq!(voter["addresses"].as_array().map(Vec::len), Some(1), "{voter}");
            assert!(voter["lag"].as_i64().is_some_and(|lag| lag >= 0), "{voter}");
            assert!(voter["last_caught_up_timestamp"].as_i64().is_some_and(|at| at > 0), "{voter}");
        }
        let brokers = get(node, "/brokers");
        let controllers = each(&brokers["data"], "is_controller");
        assert_eq!(controllers, [1, 2, 3].map(|id| json!(id == leader)), "node {}", node.id);
    }
    until("the leader's figures tell of all voters", || {
        let node = cluster.nodes.iter().find(|node| node.id == leader).expect("a node");
        let page = call(node, "GET", "/metrics", "").body;
        let lags = page.lines().filter(|line| line.starts_with("milena_quorum_replica_lag{"));
        lags.filter(|line| line.contains("role=\"voter\"")).count() == 3
    });
}

/// An operator would look for what is wrong in three places and find it in none.
#[test]
fn a_dead_broker_is_seen_everywhere() {
    let mut cluster = Cluster::start(3, &[HTTP]);
    cluster.until_live(&[1, 2, 3]);
    make(&cluster, "all", 3, &[("min.insync.replicas", "2")]);
    make(&cluster, "pair", 2, &[("min.insync.replicas", "2")]);
    let healthy = json!({ "healthy": true, "findings": [], "reassignments": 0 });
    until("all is well", || cluster.nodes.iter().all(|node| get(node, "/health") == healthy));
    let pair = get(&cluster.nodes[0], "/topics/pair/partitions/0");
    let dead = pair["assigned_replicas"][1].as_i64().expect("a broker");
    cluster.node(dead as i32).kill();
    let wanted = [
        "fenced brokers",
        "partitions under min.insync.replicas",
        "under-replicated partitions",
        "voters behind",
    ];
    for node in cluster.up() {
        until("all is told", || kinds(&get(node, "/health")) == wanted);
        let told = get(node, "/health");
        assert_eq!(health_by_command(node), told, "node {}", node.id);
        assert_eq!(told["findings"][1]["which"], json!(["pair-0"]));
        let states = ["offline", "under-replicated", "under-min-isr", "at-min-isr"];
        assert_eq!(states.map(|state| in_state(node, state)), [0, 2, 1, 1], "node {}", node.id);
        let pair = get(node, "/topics/pair/partitions/0");
        assert_eq!(pair["offline_replicas"], json!([dead]));
        assert_eq!(pair["eligible_leader_replicas"], json!([dead]), "{pair}");
        let replica = get(node, &format!("/topics/pair/partitions/0/replicas/{dead}"));
        let flags = ["is_in_sync", "is_eligible_leader", "is_offline"];
        assert_eq!(flags.map(|flag| replica[flag].clone()), [false, true, true].map(Value::from));
        assert_eq!(get(node, "/brokers")["data"].as_array().map(Vec::len), Some(2));
        let all = get(node, "/brokers?include_fenced_brokers=true");
        let fenced = [1, 2, 3].map(|id| json!(id == dead));
        assert_eq!(each(&all["data"], "is_fenced"), fenced);
        assert_eq!(
            get(node, &format!("/brokers/{dead}/partition-replicas"))["data"][0]["broker_id"],
            dead
        );
    }
    let low: i64 = cluster
        .up()
        .map(|node| metric(node, "kafka_server_replicamanager_underminisrpartitioncount"))
        .sum();
    assert_eq!(low, 1, "its leader counts it, and nobody else");
    let live = cluster.up().next().expect("a node").id;
    let refused = ask(cluster.node(live), "DELETE", &format!("/brokers/{live}"), &Value::Null);
    assert_eq!(refused.status, 400, "{}", refused.body);

    // Without a majority nothing is decided, and whoever is asked says so.
    let last = cluster.up().last().expect("a node").id;
    cluster.node(last).kill();
    let node = cluster.up().next().expect("a node");
    until("the quorum is missed", || {
        kinds(&get(node, "/health")).contains(&json!("the metadata quorum"))
    });
    let answer = ask(node, "GET", "/quorum", &Value::Null);
    assert_eq!((answer.status, &answer.json()["error_code"]), (503, &json!(50302)));
}

/// Replicas could be moved by the command line only, or a move that hangs be stopped by nobody.
#[test]
fn replicas_are_moved_over_http() {
    let mut cluster = Cluster::start(3, &[HTTP]);
    cluster.until_live(&[1, 2, 3]);
    make(&cluster, "moved", 2, &[]);
    let path = "/topics/moved/partitions/0";
    let reassignment = format!("{path}/reassignment");
    let assigned = |node: &Node| get(node, path)["assigned_replicas"].clone();
    let node = &cluster.nodes[0];
    let before = assigned(node);
    let ids = |list: &Value| each_number(list);
    let others = [1, 2, 3].into_iter().filter(|id| !ids(&before).contains(id));
    let third = others.collect::<Vec<_>>()[0];
    let target = json!([ids(&before)[0], third]);
    let answer = ask(node, "PUT", &reassignment, &json!({ "replicas": target }));
    assert_eq!(answer.status, 204, "{}", answer.body);
    until("it has moved", || cluster.nodes.iter().all(|node| assigned(node) == target));
    until("nothing moves", || cluster.nodes.iter().all(|node| in_state(node, "reassigning") == 0));
    assert_eq!(ask(node, "DELETE", &reassignment, &Value::Null).status, 404);

    // To a broker that is gone the move does not end, until it is called off.
    let gone = ids(&before)[1];
    cluster.node(gone).kill();
    let up: Vec<i32> = cluster.up().map(|node| node.id).collect();
    cluster.until_live(&up);
    let node = cluster.up().next().expect("a node");
    let back = json!({ "replicas": [ids(&before)[0], gone] });
    until("it begins", || ask(node, "PUT", &reassignment, &back).status == 204);
    for node in cluster.up() {
        until("it is told", || in_state(node, "reassigning") == 1);
        assert_eq!(in_state(node, "under-replicated"), 0, "who comes is not missed yet");
        assert_eq!(get(node, "/health")["reassignments"], 1);
        let replica = get(node, &format!("{path}/replicas/{gone}"));
        assert_eq!((&replica["is_adding"], &replica["is_offline"]), (&json!(true), &json!(true)));
    }
    assert_eq!(ask(node, "DELETE", &reassignment, &Value::Null).status, 204);
    until("it is back", || cluster.up().all(|node| assigned(node) == target));
}

fn each_number(list: &Value) -> Vec<i32> {
    let numbers = list.as_array().expect("a list").iter();
    numbers.map(|one| one.as_i64().expect("a number") as i32).collect()
}

/// A node could be taken out, or be let vote, only by who has the command line.
#[test]
fn voters_and_brokers_go_over_http() {
    let mut cluster = Cluster::alone(&[HTTP]);
    cluster.grow(1, &[HTTP]);
    cluster.grow(1, &[HTTP]);
    cluster.until_voters(&[1, 2, 3]);
    let node = &cluster.nodes[1];
    let third = json!({ "node_id": 3 });
    let answer = ask(node, "POST", "/quorum/voters:remove", &third);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(each(&answer.json()["voters"], "node_id"), [1, 2]);
    let mut connection = cluster.connect();
    until("it observes", || each(&get(node, "/quorum")["observers"], "node_id") == [3]);
    // As whoever asks whose first answer was lost.
    assert_eq!(ask(node, "POST", "/quorum/voters:remove", &third).status, 200);
    until("it votes again", || {
        let answer = ask(node, "POST", "/quorum/voters:add", &third);
        answer.status == 200 && voters(&mut connection) == [1, 2, 3]
    });
    let elsewhere = json!({ "node_id": 3, "address": "127.0.0.1:1" });
    assert_eq!(ask(node, "POST", "/quorum/voters:add", &elsewhere).status, 400);
    let nobody = json!({ "node_id": 9 });
    assert_eq!(ask(node, "POST", "/quorum/voters:remove", &nobody).status, 404);
    assert_eq!(ask(node, "POST", "/quorum/voters:remove", &third).status, 200);
    cluster.node(3).kill();
    cluster.until_live(&[1, 2]);
    let node = &cluster.nodes[1];
    until("it is forgotten", || {
        let answer = ask(node, "DELETE", "/brokers/3", &Value::Null);
        [204, 404].contains(&answer.status)
    });
    for node in cluster.up() {
        until("nobody misses it", || kinds(&get(node, "/health")).is_empty());
    }
}
