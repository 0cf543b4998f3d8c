//! Three real nodes: one quorum, one metadata, whoever is asked.

mod process;

use milena_protocol::error_code::ErrorCode;
use process::broker::{
    batch, create, create_replicated, fetch_request, produce, records_of, until,
};
use process::cluster::{Cluster, describe, made, quorum, topic};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// A client would see another cluster at each node, or be told to look for the controller.
#[test]
fn every_node_takes_and_tells_the_same() {
    let cluster = Cluster::start(3, &[]);
    cluster.until_live(&[1, 2, 3]);
    for (node, name) in cluster.nodes.iter().zip(NAMES) {
        let mut connection = node.connect();
        until("a topic is made", || {
            let code = create(&mut connection, name, 3, &[]);
            assert!(matches!(
                code,
                ErrorCode::NONE | ErrorCode::NOT_CONTROLLER | ErrorCode::TOPIC_ALREADY_EXISTS
            ));
            code != ErrorCode::NOT_CONTROLLER
        });
    }
    let mut cluster_ids = std::collections::BTreeSet::new();
    for node in &cluster.nodes {
        let mut connection = node.connect();
        cluster_ids.insert(describe(&mut connection).cluster_id);
        for name in NAMES {
            until("the topic is known", || topic(&mut connection, name).error_code.is_none());
            let mut leaders: Vec<i32> = topic(&mut connection, name)
                .partitions
                .iter()
                .map(|partition| partition.leader_id.0)
                .collect();
            leaders.sort_unstable();
            assert_eq!(leaders, [1, 2, 3], "spread over all brokers");
        }
    }
    assert_eq!(cluster_ids.len(), 1, "one cluster");
}

/// A client that writes to a new topic would wait for it in vain at all nodes but one.
#[test]
fn every_node_makes_the_topics_that_are_asked_for() {
    let cluster = Cluster::start(3, &[]);
    cluster.until_live(&[1, 2, 3]);
    for (node, name) in cluster.nodes.iter().zip(NAMES) {
        let mut connection = node.connect();
        until("the topic is made", || made(&mut connection, name).error_code.is_none());
    }
}

/// What was decided would be lost with the controller, or nothing be decided any more.
#[test]
fn another_controller_takes_over() {
    let mut cluster = Cluster::start(3, &[]);
    cluster.until_live(&[1, 2, 3]);
    let first = cluster.controller();
    assert_eq!(create(&mut cluster.node(first).connect(), "before", 1, &[]), ErrorCode::NONE);
    cluster.node(first).kill();
    let second = cluster.controller();
    assert_ne!(second, first);
    let mut connection = cluster.connect();
    until("a topic is made", || {
        create(&mut connection, "after", 1, &[]) != ErrorCode::NOT_CONTROLLER
    });
    cluster.node(first).start();
    cluster.until_live(&[1, 2, 3]);
    let mut connection = cluster.node(first).connect();
    for name in ["before", "after"] {
        until("the topic is known", || topic(&mut connection, name).error_code.is_none());
    }
    let described = quorum(&mut connection);
    assert_eq!((described.current_voters.len(), described.observers.len()), (3, 0));
}

/// Brokers would wait for a controller that is paused, and be fenced by the one that decides.
#[test]
fn a_paused_controller_holds_nobody_up() {
    let mut cluster = Cluster::start(3, &[]);
    cluster.until_live(&[1, 2, 3]);
    let paused = cluster.controller();
    // Everybody has a connection to it by now.
    for (node, name) in cluster.nodes.iter().zip(NAMES) {
        until("a topic is made", || made(&mut node.connect(), name).error_code.is_none());
    }
    let held = cluster.node(paused).pause();
    let next = cluster.controller();
    assert_ne!(next, paused);
    let others: Vec<i32> = [1, 2, 3].into_iter().filter(|id| *id != paused).collect();
    for id in &others {
        let mut connection = cluster.node(*id).connect();
        let name = format!("after-{id}");
        until("a topic is made", || {
            create(&mut connection, &name, 1, &[]) != ErrorCode::NOT_CONTROLLER
        });
    }
    // The paused one is fenced when its session ends, and none of the others is.
    cluster.until_live(&others);
    drop(held);
}

/// A controller notices the end of a process by the connection of its heartbeats. Would a broker
/// not send one to a new controller at once, its partitions would wait for its session after all.
#[test]
fn a_new_controller_notices_at_once_that_a_process_has_ended() {
    const LONG: [&str; 2] =
        ["broker.heartbeat.interval.ms=300000", "broker.session.timeout.ms=600000"];
    let mut cluster = Cluster::start(3, &LONG);
    cluster.until_live(&[1, 2, 3]);
    let first = cluster.controller();
    cluster.node(first).kill();
    let second = cluster.controller();
    cluster.node(first).start();
    cluster.until_live(&[1, 2, 3]);
    let third = 6 - first - second;
    cluster.node(third).kill();
    let mut others = [first, second];
    others.sort_unstable();
    cluster.until_live(&others);
}

/// A client whose leader has died asks another broker at once, and would not ask again before long
/// if it were told of the dead one.
#[test]
fn a_leader_that_was_lost_is_not_named() {
    let mut cluster = Cluster::start(3, &[]);
    cluster.until_live(&[1, 2, 3]);
    let mut connection = cluster.connect();
    assert_eq!(create_replicated(&mut connection, "lost", 3, 3, &[]), ErrorCode::NONE);
    for node in &cluster.nodes {
        let mut connection = node.connect();
        until("the topic is known", || topic(&mut connection, "lost").error_code.is_none());
    }
    // Without a majority nobody can decide on other leaders.
    cluster.node(1).kill();
    cluster.node(2).kill();
    let mut connection = cluster.node(3).connect();
    until("only who is there is named", || {
        let named = topic(&mut connection, "lost").partitions;
        let is_lost = |code: ErrorCode| code == ErrorCode::LEADER_NOT_AVAILABLE;
        named.iter().any(|partition| is_lost(partition.error_code))
            && named.iter().all(|partition| match partition.leader_id.0 {
                -1 => is_lost(partition.error_code),
                leader => leader == 3,
            })
    });
}

fn leader_of(cluster: &Cluster, name: &str) -> i32 {
    let mut leader = -1;
    until("a leader that lives", || {
        leader = topic(&mut cluster.connect(), name).partitions[0].leader_id.0;
        cluster.up().any(|node| node.id == leader)
    });
    leader
}

fn in_sync(cluster: &Cluster, name: &str) -> Vec<i32> {
    let described = topic(&mut cluster.connect(), name);
    let mut isr: Vec<i32> = described.partitions[0].isr_nodes.iter().map(|id| id.0).collect();
    isr.sort_unstable();
    isr
}

/// Produces until it is acknowledged by all, wherever the leader is by then.
fn acknowledged(cluster: &mut Cluster, name: &str, count: i64) -> i64 {
    let mut base = -1;
    until("an acknowledgement", || {
        let leader = leader_of(cluster, name);
        let mut connection = cluster.node(leader).connect();
        let answer = produce(&mut connection, name, batch(&vec![1; count as usize]), -1);
        base = answer.base_offset.0;
        answer.error_code.is_none()
    });
    base
}

fn records_at(cluster: &mut Cluster, name: &str, offset: i64) -> bytes::Bytes {
    let leader = leader_of(cluster, name);
    let mut connection = cluster.node(leader).connect();
    let response = connection.ask(&fetch_request(name, offset, 0), 12);
    records_of(&response.responses[0].partitions[0])
}

/// An acknowledged record would be gone with its leader, or the partition be stuck without it.
#[test]
fn another_replica_leads_on_with_every_acknowledged_record() {
    let mut cluster = Cluster::start(3, &["min.insync.replicas=2"]);
    cluster.until_live(&[1, 2, 3]);
    let controller = cluster.controller();
    let mut connection = cluster.node(controller).connect();
    assert_eq!(create_replicated(&mut connection, "kept", 1, 3, &[]), ErrorCode::NONE);
    for node in &cluster.nodes {
        let mut connection = node.connect();
        until("the topic is known", || topic(&mut connection, "kept").error_code.is_none());
    }
    let mut end = 0;
    for round in 0..3 {
        let offset = acknowledged(&mut cluster, "kept", 5);
        assert!(offset >= end, "round {round}: offsets go on");
        end = offset + 5;
        let before = records_at(&mut cluster, "kept", offset);
        let leader = leader_of(&cluster, "kept");
        cluster.node(leader).kill();
        let next = acknowledged(&mut cluster, "kept", 1);
        assert_eq!(next, end, "round {round}: nothing is lost and nothing is twice");
        end = next + 1;
        assert_eq!(records_at(&mut cluster, "kept", offset)[..before.len()], before[..]);
        cluster.node(leader).start();
        until("all are in sync", || in_sync(&cluster, "kept") == [1, 2, 3]);
    }
}
