//! Replicas that are copied only so fast (KIP-73), in the time of the runtime.

use milena_cluster::metadata::image::ConfigResource;
use milena_protocol::ids::{BrokerEpoch, NodeId};
use milena_protocol::metadata_record::{ConfigRecord, PartitionRecord, TopicRecord};
use tokio::time::{Instant, interval_at};

use super::*;

const OF_LEADER: (&str, &str) = ("leader.replication.throttled.replicas", "0:1,0:2");
const OF_FOLLOWER: (&str, &str) = ("follower.replication.throttled.replicas", "0:3");
const OF_ALL: [(&str, &str); 2] = [
    ("leader.replication.throttled.replicas", "*"),
    ("follower.replication.throttled.replicas", "*"),
];
const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
/// What a record of these tests takes, without its frame.
const RECORD_BYTES: usize = 10_000;

fn set(cluster: &Cluster, (resource_type, resource): (i8, &str), name: &str, value: Option<&str>) {
    let (resource_name, name) = (resource.into(), name.into());
    let value = value.map(Into::into);
    cluster.world.write(&[ConfigRecord { resource_type, resource_name, name, value }.into()]);
}

fn set_for_all_brokers(cluster: &Cluster, name: &str, value: Option<&str>) {
    set(cluster, (ConfigResource::BROKER, ""), name, value);
}

fn set_for_topic(cluster: &Cluster, name: &str, value: Option<&str>) {
    set(cluster, (ConfigResource::TOPIC, TOPIC), name, value);
}

fn have_replicas(cluster: &Cluster, nodes: &[i32], isr: Option<&[i32]>) {
    let of = |nodes: &[i32]| nodes.iter().copied().map(NodeId).collect::<Vec<_>>();
    cluster.change(PartitionChangeRecord {
        replicas: Some(of(nodes)),
        isr: isr.map(of),
        directories: Some(vec![Uuid::UNASSIGNED_DIRECTORY; nodes.len()]),
        ..Default::default()
    });
}

/// Nodes 1 and 2 have so many records, and 3 has no replica.
async fn filled(configs: &[(&str, &str)], records: usize) -> Cluster {
    let cluster = Cluster::new(configs);
    have_replicas(&cluster, &[1, 2], Some(&[1, 2]));
    let value = "x".repeat(RECORD_BYTES);
    for _ in 0..records {
        cluster.produce(1, &value).await;
    }
    cluster
}

fn copied_bytes(cluster: &Cluster) -> f64 {
    cluster.partition(3).reader().size_bytes() as f64
}

/// Lets 3 have a replica; tells what it has after each of so many seconds, and how often it asked.
async fn copy(cluster: &Cluster, seconds: u64) -> (Vec<f64>, usize) {
    let asked_before = cluster.world.fetches(3);
    have_replicas(cluster, &[1, 2, 3], None);
    let second = Duration::from_secs(1);
    let mut clock = interval_at(Instant::now() + second, second);
    let mut copied = Vec::new();
    for _ in 0..seconds {
        clock.tick().await;
        copied.push(copied_bytes(cluster));
    }
    (copied, cluster.world.fetches(3) - asked_before)
}

/// A replica that is moved would take all there is of the network, or never arrive.
#[tokio::test(start_paused = true)]
async fn a_leader_gives_a_new_replica_so_much_a_second() {
    let cluster = filled(&[], 300).await;
    set_for_topic(&cluster, OF_LEADER.0, Some(OF_LEADER.1));
    set_for_all_brokers(&cluster, LEADER_RATE, Some("50000"));
    let (copied, asked) = copy(&cluster, 30).await;
    for (at, bytes) in copied.iter().enumerate() {
        let allowed = 50_000.0 * (at + 2) as f64 + 2.0 * RECORD_BYTES as f64;
        assert!(*bytes <= allowed, "after {} s: {bytes} of {allowed}", at + 1);
    }
    let part = copied[29] / (30.0 * 50_000.0);
    assert!((0.8..1.1).contains(&part), "{copied:?}");
    assert!(asked < 30 * 15, "no room is asked for again and again: {asked}");
    let now = cluster.broker(1).replicas.shared().clock().now();
    let rate = cluster.broker(1).replicas.shared().throttles().leader.rate(now);
    assert!((40_000.0..60_000.0).contains(&rate), "{rate}");
    // Who is in sync has what it wants at once.
    let before = Instant::now();
    cluster.produce(1, "in sync").await;
    assert!(before.elapsed() < Duration::from_millis(50), "{:?}", before.elapsed());
    assert_eq!(cluster.isr(), [1, 2]);
    set_for_all_brokers(&cluster, LEADER_RATE, None);
    let before = Instant::now();
    eventually("it is in sync", || cluster.isr() == [1, 2, 3]).await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    is_copied(&cluster, &[1, 2, 3]).await;
}

/// A new replica would take more than its broker has room for, or forget to ask again.
#[tokio::test(start_paused = true)]
async fn a_follower_takes_so_much_a_second() {
    let cluster = filled(&[OF_FOLLOWER], 900).await;
    set_for_all_brokers(&cluster, FOLLOWER_RATE, Some("250000"));
    let (copied, asked) = copy(&cluster, 24).await;
    let answer = f64::from(1 << 20);
    for (at, bytes) in copied.iter().enumerate() {
        let (taken, limit) = (*bytes, 250_000.0 * (at + 1) as f64);
        assert!(taken <= limit + answer, "after {} s: {taken}", at + 1);
    }
    let part = copied[23] / (24.0 * 250_000.0);
    assert!((0.8..1.2).contains(&part), "{copied:?}");
    assert!(asked < 50, "no room is asked for again and again: {asked}");
    // Lifting the throttle from the topic is enough.
    let before = Instant::now();
    set_for_topic(&cluster, OF_FOLLOWER.0, None);
    eventually("it is in sync", || cluster.isr() == [1, 2, 3]).await;
    assert!(before.elapsed() < Duration::from_millis(500), "{:?}", before.elapsed());
    is_copied(&cluster, &[1, 2, 3]).await;
}

/// What is acknowledged would wait for a throttle, and replicas fall out of sync.
#[tokio::test(start_paused = true)]
async fn who_is_in_sync_is_never_held_back() {
    let cluster = Cluster::new(&OF_ALL);
    for name in [LEADER_RATE, FOLLOWER_RATE] {
        set_for_all_brokers(&cluster, name, Some("1"));
    }
    let value = "x".repeat(RECORD_BYTES);
    let before = Instant::now();
    for _ in 0..50 {
        cluster.produce(1, &value).await;
    }
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(cluster.isr(), [1, 2, 3]);
}

/// What a follower asks for that waits for a minute.
fn patient(node: i32, offset: i64) -> FetchRequest {
    let mut request = consume("", offset);
    request.replica_state.replica_id = NodeId(node);
    request.replica_state.replica_epoch = BrokerEpoch(100 + i64::from(node));
    request.max_wait_ms = 60_000;
    request.min_bytes = 1;
    request
}

/// Of several that wait for room one would get it, and the others sleep through all that comes.
#[tokio::test(start_paused = true)]
async fn all_who_wait_for_room_are_given_some() {
    let cluster = Cluster::new(&[OF_LEADER]);
    for node in [2, 3] {
        cluster.cut_off(node);
    }
    have_replicas(&cluster, &[1], Some(&[1]));
    let value = "x".repeat(RECORD_BYTES);
    for _ in 0..5 {
        cluster.append(1, &value, 1);
    }
    have_replicas(&cluster, &[1, 2, 3], None);
    set_for_all_brokers(&cluster, LEADER_RATE, Some("10000"));
    let before = Instant::now();
    let follow = async |node| {
        for offset in 0..5 {
            let response = fetch(cluster.broker(1), patient(node, offset)).await;
            let records = response.responses[0].partitions[0].records.clone().unwrap();
            assert!(records.0.len() > RECORD_BYTES, "{node} at {offset}: {}", records.0.len());
        }
    };
    tokio::join!(follow(2), follow(3));
    let elapsed = before.elapsed();
    assert!((7..14).contains(&elapsed.as_secs()), "{elapsed:?}");
}

/// Setting a limit would take the connection and the fetch session of every replica in sync, which
/// all say everything anew.
#[tokio::test(start_paused = true)]
async fn who_fetches_keeps_its_connection_when_limits_change() {
    let cluster = Cluster::new(&[]);
    cluster.produce(1, "before").await;
    // Every follower has a fetch under way.
    let before = [2, 3].map(|node| cluster.world.connections(node));
    let mut produced = 1;
    for value in [Some("1000000"), Some("2000000"), None] {
        for name in [LEADER_RATE, FOLLOWER_RATE] {
            set_for_all_brokers(&cluster, name, value);
        }
        for (name, replicas) in OF_ALL {
            set_for_topic(&cluster, name, value.map(|_| replicas));
        }
        cluster.produce(1, "after").await;
        produced += 1;
    }
    assert_eq!([2, 3].map(|node| cluster.world.connections(node)), before);
    assert_eq!(cluster.partition(1).reader().offsets().high_watermark, Offset(produced));
}

/// Where only other replicas are throttled, a broker would be slow for nothing.
#[tokio::test(start_paused = true)]
async fn who_is_not_named_is_not_held_back() {
    let of_others = [(OF_LEADER.0, "0:2,0:3,1:1"), (OF_FOLLOWER.0, "0:1,0:2,1:3")];
    let cluster = filled(&of_others, 100).await;
    for name in [LEADER_RATE, FOLLOWER_RATE] {
        set_for_all_brokers(&cluster, name, Some("1"));
    }
    have_replicas(&cluster, &[1, 2, 3], None);
    let before = Instant::now();
    eventually("it is in sync", || cluster.isr() == [1, 2, 3]).await;
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

/// One replica that is moved would slow down everything that its broker has from the same leader.
#[tokio::test(start_paused = true)]
async fn other_partitions_of_a_lane_go_on() {
    let cluster = filled(&[], 100).await;
    let (other, nodes) = (Uuid::from_u128(11 << 64), [1, 2, 3].map(NodeId).to_vec());
    let partition = PartitionRecord {
        partition_id: PARTITION,
        topic_id: other,
        replicas: nodes.clone(),
        directories: vec![Uuid::UNASSIGNED_DIRECTORY; 3],
        isr: nodes,
        leader: NodeId(1),
        ..Default::default()
    };
    let topic = TopicRecord { name: "other".into(), topic_id: other };
    cluster.world.write(&[topic.into(), partition.into()]);
    for (name, replicas) in OF_ALL {
        set_for_topic(&cluster, name, Some(replicas));
    }
    set_for_all_brokers(&cluster, LEADER_RATE, Some("20000"));
    have_replicas(&cluster, &[1, 2, 3], None);
    eventually("it is being copied", || copied_bytes(&cluster) > 0.0).await;
    let partition = cluster.broker(1).replicas.leading(&other, PARTITION).unwrap();
    let before = Instant::now();
    for _ in 0..50 {
        let placed = partition.append_as_leader(&batch("value"), -1, Timestamp(1)).unwrap();
        partition.acknowledged(placed.acknowledgement).await.unwrap();
    }
    assert!(before.elapsed() < Duration::from_millis(500), "{:?}", before.elapsed());
    assert_eq!(cluster.isr(), [1, 2], "the throttled replica is not there yet");
    set_for_all_brokers(&cluster, LEADER_RATE, None);
    eventually("it is in sync", || cluster.isr() == [1, 2, 3]).await;
}
