//! A broker that is drained with a limit: it holds while things move, and what an operator had set
//! before is there again afterwards.

mod process;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use milena_client::admin::{Admin, ConfigChange, ConfigEntry, ConfigSource, Resource};
use milena_client::client::{Client, ClientOptions};
use milena_client::producer::{NewRecord, Producer, ProducerOptions};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex};
use process::MILENA;
use process::broker::{create_replicated, until};
use process::cluster::{Cluster, topic};

const OF_LEADERS: &str = "leader.replication.throttled.replicas";
const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const TOPIC: &str = "two";
const PARTITIONS: i32 = 6;

fn ask<T>(address: &str, ask: impl AsyncFnOnce(Admin) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(ClientOptions::new(address)).await.expect("a broker");
        ask(Admin::new(client)).await
    })
}

/// What somebody has set about throttles.
fn limits(address: &str, resource: &Resource) -> BTreeMap<String, String> {
    let entries = ask(address, async |admin| admin.describe_configs(resource, false).await);
    let is_set = |entry: &ConfigEntry| {
        let is_own = matches!(entry.source, ConfigSource::Topic | ConfigSource::Broker);
        is_own && entry.name.contains("throttled")
    };
    let set = entries.expect("an answer").into_iter().filter(is_set);
    set.map(|entry| (entry.name, entry.value.unwrap_or_default())).collect()
}

fn set(address: &str, resource: &Resource, settings: &[(&str, &str)]) {
    let change =
        |(name, value): &(&str, &str)| ConfigChange::Set((*name).to_owned(), (*value).to_owned());
    let changes: Vec<_> = settings.iter().map(change).collect();
    ask(address, async |admin| admin.alter_configs(resource, &changes, false).await).expect("set");
}

fn is_moving(address: &str) -> bool {
    !ask(address, async |admin| admin.reassignments().await).expect("an answer").is_empty()
}

fn on_topic() -> Resource {
    Resource::Topic(TOPIC.to_owned())
}

fn on_broker(id: i32) -> Resource {
    Resource::Broker(NodeId(id))
}

/// Three nodes, and a topic of several batches a partition, with a replica on two of them each.
fn filled() -> Cluster {
    let mut cluster = Cluster::alone(&[]);
    cluster.grow(1, &[]);
    cluster.grow(1, &[]);
    cluster.until_voters(&[1, 2, 3]);
    let mut connection = cluster.node(1).connect();
    assert_eq!(create_replicated(&mut connection, TOPIC, PARTITIONS, 2, &[]), ErrorCode::NONE);
    for node in &cluster.nodes {
        until("the topic is known", || topic(&mut node.connect(), TOPIC).error_code.is_none());
    }
    ask(&cluster.node(1).address(), async |admin| {
        let producer = Producer::new(admin.client().clone(), ProducerOptions::default());
        for number in 0..3 * PARTITIONS {
            let partition = Some(PartitionIndex(number % PARTITIONS));
            let record = NewRecord { partition, ..NewRecord::new(TOPIC).value(vec![7; 1000]) };
            producer.send(record).await.unwrap().wait().await.unwrap();
        }
    });
    cluster
}

/// Begins to drain node 3, so slowly that it does not end; returns once things move.
fn begin(address: &str) -> Child {
    let mut command = Command::new(MILENA);
    command.args(["cluster", "drain", "3", "--throttle", "1", "-b", address]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    until("something moves", || is_moving(address));
    child
}

fn end(child: Child) -> (bool, String) {
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Moves would take the whole network in spite of the limit, or an operator's own limits be gone
/// with them.
#[test]
fn a_limit_holds_during_a_drain_and_gives_way_to_those_of_before() {
    let mut cluster = filled();
    let address = cluster.node(1).address();
    set(&address, &on_topic(), &[(OF_LEADERS, "0:9")]);
    set(&address, &on_broker(1), &[(LEADER_RATE, "5000000")]);
    let resources = || [on_topic(), on_broker(1), on_broker(2), on_broker(3)];
    let before = resources().map(|resource| limits(&address, &resource));

    let draining = begin(&address);
    for id in 1..=3 {
        let limits = limits(&address, &on_broker(id));
        for rate in [LEADER_RATE, FOLLOWER_RATE] {
            assert_eq!(limits.get(rate).map(String::as_str), Some("1"), "broker {id}: {limits:?}");
        }
    }
    let lists = limits(&address, &on_topic());
    assert!(lists[OF_LEADERS].starts_with("0:9,"), "{lists:?}");
    assert_eq!(lists.len(), 2, "{lists:?}");
    assert!(is_moving(&address), "a byte a second is not enough");

    // Whoever finds it too slow may change that.
    for id in 1..=3 {
        set(&address, &on_broker(id), &[(LEADER_RATE, "100000000"), (FOLLOWER_RATE, "100000000")]);
    }
    let (done, said) = end(draining);
    assert!(done && said.contains("broker 3 has no replica any more"), "{said}");
    assert!(said.contains("brokers 1 have the limits again"), "{said}");
    assert_eq!(resources().map(|resource| limits(&address, &resource)), before);
}

/// A command that gives up would set free what it began.
#[test]
fn a_drain_that_fails_leaves_its_limit_and_says_so() {
    let mut cluster = filled();
    let address = cluster.node(1).address();
    let draining = begin(&address);
    // There is no other broker for what is on all three.
    let mut connection = cluster.node(1).connect();
    assert_eq!(create_replicated(&mut connection, "three", 1, 3, &[]), ErrorCode::NONE);
    let (done, said) = end(draining);
    assert!(!done && said.contains("the limit of 1 bytes a second stays"), "{said}");
    for id in 1..=3 {
        assert_eq!(limits(&address, &on_broker(id)).len(), 2, "broker {id}");
    }
    assert!(is_moving(&address), "a byte a second is not enough");

    // What begins nothing sets nothing.
    let before = limits(&address, &on_broker(1));
    let mut command = Command::new(MILENA);
    command.args(["cluster", "drain", "3", "--throttle", "7", "-b", &address]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let (done, said) = end(child);
    assert!(!done && !said.contains("the limit of 7"), "{said}");
    assert_eq!(limits(&address, &on_broker(1)), before);
}
