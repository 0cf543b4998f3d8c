//! A cluster that forms without ceremony: a node that is told nothing, and others that are told
//! one address.

mod process;

use milena_protocol::api::add_raft_voter::{AddRaftVoterListener, AddRaftVoterRequest};
use milena_protocol::api::api_versions::ApiVersionsRequest;
use milena_protocol::api::describe_cluster::DescribeClusterRequest;
use milena_protocol::api::remove_raft_voter::RemoveRaftVoterRequest;
use milena_protocol::api::unregister_broker::UnregisterBrokerRequest;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Uuid};
use process::broker::{
    batch, create, create_replicated, fetch_request, produce, records_of, until,
};
use process::cluster::{Cluster, describe, quorum, topic, voters};
use process::{Connection, MILENA, Process};

/// The directory of a voter or an observer of the metadata quorum.
fn directory_of(connection: &mut Connection, node: i32) -> Uuid {
    let described = quorum(connection);
    let mut replicas = described.current_voters.iter().chain(&described.observers);
    replicas.find(|it| it.replica_id.0 == node).expect("a replica").replica_directory_id
}

fn remove_voter(connection: &mut Connection, node: i32, directory: Uuid) -> ErrorCode {
    let request = RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: NodeId(node),
        voter_directory_id: directory,
    };
    connection.ask(&request, 0).error_code
}

fn add_voter(connection: &mut Connection, node: i32, directory: Uuid, address: &str) -> ErrorCode {
    let (host, port) = address.split_once(':').expect("HOST:PORT");
    let request = AddRaftVoterRequest {
        cluster_id: None,
        timeout_ms: 10_000,
        voter_id: NodeId(node),
        voter_directory_id: directory,
        listeners: vec![AddRaftVoterListener {
            name: "PLAINTEXT".into(),
            host: host.into(),
            port: port.parse().expect("a port"),
        }],
        ack_when_committed: true,
    };
    connection.ask(&request, 1).error_code
}

fn acknowledged(cluster: &mut Cluster, name: &str) -> i64 {
    let mut offset = -1;
    until("an acknowledgement", || {
        let leader = topic(&mut cluster.connect(), name).partitions[0].leader_id.0;
        let Some(node) = cluster.up().find(|node| node.id == leader) else { return false };
        let answer = produce(&mut node.connect(), name, batch(&[1]), -1);
        offset = answer.base_offset.0;
        answer.error_code.is_none()
    });
    offset
}

fn in_sync(cluster: &Cluster, name: &str) -> usize {
    topic(&mut cluster.connect(), name).partitions[0].isr_nodes.len()
}

/// A second and a third machine would need a configuration, or the first one stay indispensable.
#[test]
fn nodes_that_join_vote_and_go_on_without_the_first() {
    let mut cluster = Cluster::alone(&[]);
    assert_eq!(create(&mut cluster.connect(), "early", 1, &[]), ErrorCode::NONE);
    assert_eq!(acknowledged(&mut cluster, "early"), 0);
    cluster.grow(1, &[]);
    cluster.grow(1, &[]);
    cluster.until_voters(&[1, 2, 3]);
    let mut connection = cluster.node(3).connect();
    assert_eq!(create_replicated(&mut connection, "kept", 1, 3, &[]), ErrorCode::NONE);
    for node in &cluster.nodes {
        until("the topic is known", || topic(&mut node.connect(), "kept").error_code.is_none());
    }
    assert_eq!(acknowledged(&mut cluster, "kept"), 0);
    until("all are in sync", || in_sync(&cluster, "kept") == 3);

    cluster.node(1).kill();
    assert_ne!(cluster.controller(), 1);
    assert_eq!(acknowledged(&mut cluster, "kept"), 1);

    cluster.node(1).start();
    cluster.until_live(&[1, 2, 3]);
    cluster.until_voters(&[1, 2, 3]);
    let mut connection = cluster.node(1).connect();
    let mut records = bytes::Bytes::new();
    until("the first topic is back", || {
        let answer = connection.ask(&fetch_request("early", 0, 0), 12);
        records = records_of(&answer.responses[0].partitions[0]);
        !records.is_empty()
    });
}

/// Two machines that are started together would take each other's place.
#[test]
fn nodes_that_join_at_once_are_different_nodes() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow(3, &[]);
    let mut ids: Vec<i32> = cluster.nodes.iter().map(|node| node.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4]);
    let mut connection = cluster.connect();
    until("three vote", || voters(&mut connection).len() >= 3);
    assert!(voters(&mut connection).contains(&1));
}

/// Who was taken out would come back by itself, and who is missed could not be put back.
#[test]
fn who_is_removed_stays_out_until_added() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow(1, &[]);
    cluster.grow(1, &[]);
    cluster.until_voters(&[1, 2, 3]);
    let mut connection = cluster.node(2).connect();
    let directory = directory_of(&mut connection, 3);
    assert_eq!(remove_voter(&mut connection, 3, Uuid::from_u128(700)), ErrorCode::VOTER_NOT_FOUND);
    assert_eq!(remove_voter(&mut connection, 3, directory), ErrorCode::NONE);
    cluster.until_voters(&[1, 2]);
    cluster.node(3).kill();
    // It knows where its cluster is.
    cluster.node(3).forget_whom_to_join();
    cluster.node(3).start();
    cluster.until_live(&[1, 2, 3]);
    cluster.until_voters(&[1, 2]);
    let address = cluster.node(3).address();
    assert_eq!(add_voter(&mut connection, 3, directory, &address), ErrorCode::NONE);
    cluster.until_voters(&[1, 2, 3]);
    assert_eq!(add_voter(&mut connection, 3, directory, &address), ErrorCode::DUPLICATE_VOTER);
}

/// Tools that are told a controller could not look at the cluster (KIP-919).
#[test]
fn controllers_are_described_and_their_level_told() {
    let mut cluster = Cluster::alone(&[]);
    let mut connection = cluster.connect();
    let level = |connection: &mut Connection| {
        let request = ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
        };
        let versions = connection.ask(&request, 4);
        let mut features = versions.finalized_features.iter();
        features.find(|it| &*it.name == "kraft.version").map(|it| it.max_version_level)
    };
    assert_eq!(level(&mut connection), None);
    cluster.grow(1, &[]);
    cluster.until_voters(&[1, 2]);
    assert_eq!(level(&mut connection), Some(1));
    let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    let described = connection.ask(&request, 1);
    let ids: Vec<i32> = described.brokers.iter().map(|node| node.broker_id.0).collect();
    assert_eq!((ids, described.endpoint_type), (vec![1, 2], 2));
    assert_eq!(described.controller_id, quorum(&mut connection).leader_id);
    assert_eq!(described.cluster_id, describe(&mut connection).cluster_id);
}

/// A directory of one cluster would be filled with the data of another.
#[test]
fn a_directory_of_another_cluster_is_refused() {
    let (first, other) = (Cluster::alone(&[]), Cluster::alone(&[]));
    let mut other = other;
    let place = other.nodes[0].directory().display().to_string();
    other.node(1).kill();
    let output = std::process::Command::new(MILENA)
        .args(["serve", "--join", &first.nodes[0].address()])
        .args(["--set", &format!("log.dirs={place}"), "--set", "http.listeners="])
        .args(["--set", "listeners=PLAINTEXT://127.0.0.1:0"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("belongs to cluster") && said.contains("empty directory"), "{said}");
}

/// A node would wait for ever, and nobody know for what.
#[test]
fn a_server_that_does_not_answer_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(MILENA)
        .args(["serve", "--join", "127.0.0.1:1"])
        .args(["--set", &format!("log.dirs={}", directory.path().display())])
        .args(["--set", "http.listeners=", "--set", "listeners=PLAINTEXT://127.0.0.1:0"])
        .args(["--set", "initial.broker.registration.timeout.ms=300"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("no answer from 127.0.0.1:1"), "{said}");
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "nothing was made");
}

/// A broker that lost its registration while it was cut off would ask in vain for ever, and serve
/// nobody.
#[test]
fn a_broker_that_was_forgotten_ends_and_comes_back() {
    let cluster = Cluster::alone(&["broker.session.timeout.ms=1000"]);
    let (directory, said) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let start = || {
        let mut command = std::process::Command::new(MILENA);
        command.env("MILENA_JOIN", cluster.nodes[0].address());
        command.stderr(said.reopen().unwrap());
        let settings = ["process.roles=broker", "broker.heartbeat.interval.ms=200"];
        Process::launch(command, directory.path(), &settings)
    };
    let mut broker = start();
    cluster.until_live(&[1, 2]);
    broker.pause();
    cluster.until_live(&[1]);
    let request = UnregisterBrokerRequest { broker_id: NodeId(2) };
    let answer = cluster.connect().ask(&request, 0);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    broker.resume();
    until("it ends", || broker.ended().is_some());
    assert!(!broker.ended().unwrap().success());
    let told = std::fs::read_to_string(said.path()).unwrap();
    assert!(told.contains("broker 2 is forgotten") && told.contains("Start it again"), "{told}");
    let _again = start();
    cluster.until_live(&[1, 2]);
}

/// Two nodes that were given the same id would take each other's vote in turn, or the second one
/// that of the first, which lives.
#[test]
fn a_voter_that_lives_is_not_replaced_by_its_namesake() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow_controllers(1);
    cluster.until_voters(&[1, 2]);
    let directory_id = directory_of(&mut cluster.connect(), 2);
    let (directory, said) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let mut command = std::process::Command::new(MILENA);
    command.env("MILENA_JOIN", cluster.nodes[0].address()).stderr(said.reopen().unwrap());
    let settings = ["process.roles=controller", "node.id=2"];
    let mut namesake = Process::launch(command, directory.path(), &settings);
    until("it ends", || namesake.ended().is_some());
    let told = std::fs::read_to_string(said.path()).unwrap();
    assert!(told.contains("node.id=2") && told.contains("is alive"), "{told}");
    cluster.until_voters(&[1, 2]);
    assert_eq!(directory_of(&mut cluster.connect(), 2), directory_id);
}

/// A voter whose disk was lost could never vote again, for its old self stands in its way.
#[test]
fn a_voter_that_lost_its_disk_votes_with_another() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow_controllers(2);
    cluster.until_voters(&[1, 2, 3]);
    let before = directory_of(&mut cluster.connect(), 2);
    cluster.node(2).kill();
    let directory = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(MILENA);
    command.env("MILENA_JOIN", cluster.nodes[0].address());
    let settings =
        ["process.roles=controller", "node.id=2", "controller.quorum.fetch.timeout.ms=500"];
    let _again = Process::launch(command, directory.path(), &settings);
    let mut connection = cluster.connect();
    until("it votes with another directory", || {
        let voters = quorum(&mut connection).current_voters;
        let has_moved = |id: NodeId, place: Uuid| id == NodeId(2) && place != before;
        voters.iter().any(|voter| has_moved(voter.replica_id, voter.replica_directory_id))
    });
    cluster.until_voters(&[1, 2, 3]);
}

/// A node that is told to join itself, as all of a set are told the same, would wait for itself.
#[test]
fn a_node_that_is_told_to_join_itself_is_the_first() {
    let mut cluster = Cluster::alone(&[]);
    let address = cluster.nodes[0].address();
    cluster.node(1).kill();
    let directory = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(MILENA);
    command.env("MILENA_JOIN", &address);
    let listeners = format!("listeners=PLAINTEXT://{address}");
    let process = Process::launch(command, directory.path(), &[&listeners]);
    assert_eq!(voters(&mut process.connect()), [1]);
}

fn milena(arguments: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(MILENA).args(arguments).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A cluster would be gone with the majority of its voters, although a copy of everything is left.
#[test]
fn a_survivor_recovers_without_a_majority() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow(1, &[]);
    cluster.grow(1, &[]);
    cluster.until_voters(&[1, 2, 3]);
    let mut connection = cluster.node(1).connect();
    assert_eq!(create_replicated(&mut connection, "kept", 1, 3, &[]), ErrorCode::NONE);
    assert_eq!(acknowledged(&mut cluster, "kept"), 0);
    until("all are in sync", || in_sync(&cluster, "kept") == 3);
    let place = cluster.node(3).directory().display().to_string();
    let recover = ["quorum", "recover", "--log-dir", &place];
    let accepted = [&recover[..], &["--i-accept-that-metadata-may-be-lost"]].concat();
    let (done, said) = milena(&accepted);
    assert!(!done && said.contains("stop the node first"), "{said}");

    for id in [1, 2, 3] {
        cluster.node(id).kill();
    }
    let (done, said) = milena(&recover);
    assert!(!done && said.contains("is lost") && said.contains("nobody is there"), "{said}");
    let (done, said) = milena(&accepted);
    assert!(done && said.contains("node 3 is the only voter now"), "{said}");
    cluster.node(3).forget_whom_to_join();
    cluster.node(3).start();
    cluster.until_voters(&[3]);
    assert_eq!(acknowledged(&mut cluster, "kept"), 1, "the record of before is there");
    let address = cluster.node(3).address();
    for node in ["1", "2"] {
        let remove = ["cluster", "remove", node, "--fewer-replicas", "-b", &address];
        let (done, said) = milena(&remove);
        assert!(done, "{said}");
    }
    let (done, said) = milena(&["cluster", "health", "-b", &address]);
    assert!(done && said.contains("healthy"), "{said}");
}

/// A broker could not be taken out without losing what it holds, or nobody see that it is gone.
#[test]
fn a_broker_is_drained_and_removed() {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow(1, &[]);
    cluster.grow(1, &[]);
    cluster.until_voters(&[1, 2, 3]);
    let mut connection = cluster.node(1).connect();
    assert_eq!(create_replicated(&mut connection, "two", 6, 2, &[]), ErrorCode::NONE);
    for node in &cluster.nodes {
        until("the topic is known", || topic(&mut node.connect(), "two").error_code.is_none());
    }
    let address = cluster.node(1).address();
    let (done, said) = milena(&["cluster", "remove", "3", "-b", &address]);
    assert!(done && said.contains("node 3 is gone"), "{said}");
    cluster.node(3).kill();
    let described = topic(&mut connection, "two");
    let replicas = described.partitions.iter().map(|partition| {
        let mut ids: Vec<i32> = partition.replica_nodes.iter().map(|id| id.0).collect();
        ids.sort_unstable();
        ids
    });
    assert!(replicas.collect::<Vec<_>>().iter().all(|ids| *ids == [1, 2]));
    cluster.until_voters(&[1, 2]);
    cluster.until_live(&[1, 2]);
    let (done, said) = milena(&["cluster", "health", "-b", &address]);
    assert!(done, "{said}");

    cluster.node(2).kill();
    until("it is told", || {
        let (done, said) = milena(&["cluster", "health", "--timeout", "2", "-b", &address]);
        !done && said.contains("NOT healthy")
    });
}
