//! Three real nodes: one quorum, one metadata, whoever is asked.

mod process;

use milena_protocol::error_code::ErrorCode;
use process::broker::{create, until};
use process::cluster::{Cluster, describe, quorum, topic};

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
