//! Groups over HTTP, at nodes that do not coordinate them and do not lead what they read.

mod process;
mod rest_client;

use std::collections::BTreeMap;

use milena_protocol::error_code::ErrorCode;
use process::broker::{batch, create_replicated, now_ms, produce, until};
use process::cluster::{Cluster, Node, topic};
use rest_client::{call, cluster_path};
use serde_json::{Value, json};

/// Each node coordinates some groups, and nothing has two replicas.
const SETTINGS: [&str; 3] = [
    "http.listeners=http://127.0.0.1:0",
    "offsets.topic.num.partitions=3",
    "offsets.topic.replication.factor=1",
];
const GROUPS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// The address of the groups of a cluster.
fn groups_path(node: &Node) -> String {
    format!("{}/consumer-groups", cluster_path(node))
}

fn get(node: &Node, path: &str) -> Value {
    let answer = call(node, "GET", &format!("{}{path}", groups_path(node)), "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// The groups that a node lists, with their coordinators, and whose it could not.
fn listed(node: &Node) -> (BTreeMap<String, i32>, Option<String>) {
    let answer = call(node, "GET", &groups_path(node), "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answered = answer.json();
    let groups = answered["data"].as_array().expect("a list").iter().map(|group| {
        let coordinator = group["coordinator"]["related"].as_str().expect("a link");
        let coordinator = coordinator.rsplit('/').next().and_then(|id| id.parse().ok());
        let id = group["consumer_group_id"].as_str().expect("an id").to_owned();
        (id, coordinator.expect("a broker"))
    });
    (groups.collect(), answer.header("missing-coordinators").map(ToOwned::to_owned))
}

/// Three nodes, a topic of ten records on one of them, and groups that have read four.
fn cluster() -> Cluster {
    let cluster = Cluster::start(3, &SETTINGS);
    cluster.until_live(&[1, 2, 3]);
    let mut connection = cluster.connect();
    until("a topic", || {
        let code = create_replicated(&mut connection, "read", 1, 1, &[]);
        code == ErrorCode::NONE || code == ErrorCode::TOPIC_ALREADY_EXISTS
    });
    for node in &cluster.nodes {
        let mut connection = node.connect();
        until("the topic is known", || topic(&mut connection, "read").error_code.is_none());
    }
    let leader = topic(&mut connection, "read").partitions[0].leader_id.0;
    let leader = cluster.nodes.iter().find(|node| node.id == leader).expect("a node");
    produce(&mut leader.connect(), "read", batch(&[now_ms(); 10]), -1);
    let body = json!({ "topic_name": "read", "to": { "type": "OFFSET", "offset": 4 } });
    for (group, node) in GROUPS.iter().zip(cluster.nodes.iter().cycle()) {
        let path = format!("{}/{group}/offsets:alter", groups_path(node));
        until("a group", || call(node, "POST", &path, &body.to_string()).status == 200);
    }
    cluster
}

/// Who asks one node would see a third of the groups, and of the rest that they are elsewhere.
#[test]
fn every_node_tells_of_every_group() {
    let cluster = cluster();
    let (groups, missing) = listed(&cluster.nodes[0]);
    assert_eq!(groups.keys().collect::<Vec<_>>(), GROUPS.iter().collect::<Vec<_>>());
    assert_eq!(missing, None);
    let mut coordinators: Vec<i32> = groups.values().copied().collect();
    coordinators.dedup();
    assert!(coordinators.len() > 1, "several coordinate: {groups:?}");
    for node in &cluster.nodes {
        assert_eq!(listed(node), (groups.clone(), None));
        for group in GROUPS {
            assert_eq!(get(node, &format!("/{group}"))["state"], "EMPTY");
            assert_eq!(get(node, &format!("/{group}/consumers"))["data"], json!([]));
            let lag = get(node, &format!("/{group}/lags/read/partitions/0"));
            let told = ["current_offset", "log_end_offset", "lag"].map(|field| lag[field].clone());
            assert_eq!(told, [json!(4), json!(10), json!(6)], "{group} at node {}", node.id);
            assert_eq!(get(node, &format!("/{group}/lag-summary"))["total_lag"], 6);
        }
    }
}

/// A lag would be told by no node where the coordinator has no replica of what the group reads.
#[test]
fn scrapes_of_all_nodes_tell_every_lag_once() {
    let cluster = cluster();
    let told = cluster.nodes.iter().map(|node| call(node, "GET", "/metrics", "").body);
    let told = told.collect::<String>();
    for group in GROUPS {
        let group = format!("consumergroup=\"{group}\"");
        let lags = told
            .lines()
            .filter(|line| line.starts_with("kafka_consumergroup_lag{") && line.contains(&group));
        let lags: Vec<&str> = lags.filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(lags, ["6"], "{group}: {told}");
    }
}

/// A group could only be forgotten by whoever knows where it is kept.
#[test]
fn every_node_forgets_every_group() {
    let cluster = cluster();
    for (group, node) in GROUPS.iter().zip(cluster.nodes.iter().cycle().skip(1)) {
        let path = format!("{}/{group}", groups_path(node));
        let offsets = call(node, "DELETE", &format!("{path}/offsets/read/partitions/0"), "");
        assert_eq!(offsets.status, 204, "{}", offsets.body);
        // Without an offset nothing is left of it, unless its coordinator keeps it for a while.
        let forgotten = call(node, "DELETE", &path, "");
        assert!([204, 404].contains(&forgotten.status), "{}", forgotten.body);
    }
    for node in &cluster.nodes {
        assert_eq!(listed(node), (BTreeMap::new(), None));
    }
}

/// With one node down nobody would be told of any group.
#[test]
fn the_groups_of_others_are_listed_without_one_coordinator() {
    let mut cluster = cluster();
    let (groups, _) = listed(&cluster.nodes[0]);
    let dead = *groups.values().next().expect("a coordinator");
    cluster.node(dead).kill();
    let rest: BTreeMap<String, i32> =
        groups.into_iter().filter(|(_, coordinator)| *coordinator != dead).collect();
    for node in cluster.up() {
        let (found, missing) = listed(node);
        assert_eq!(found, rest, "node {}", node.id);
        // The broker itself, or nobody once it is fenced.
        let named = [dead.to_string(), "-1".to_owned()];
        assert!(missing.as_ref().is_some_and(|it| named.contains(it)), "{missing:?}");
    }
}
