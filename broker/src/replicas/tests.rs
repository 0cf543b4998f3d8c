//! Replication between brokers on real directories. Time is the runtime's, and stands still while
//! anybody has something to do.

mod cluster;
mod throttle;

use std::time::Duration;

use cluster::*;
use milena_protocol::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};
use milena_protocol::metadata_record::{PartitionChangeRecord, RemoveTopicRecord};

use super::partition::{NotAcknowledged, ProduceError};

const DURABLE: (&str, &str) = ("flush.messages", "1");
const MIN_TWO: (&str, &str) = ("min.insync.replicas", "2");

async fn is_copied(cluster: &Cluster, nodes: &[i32]) {
    let ends = || nodes.iter().map(|node| cluster.ends(*node)).collect::<Vec<_>>();
    let what = || format!("all logs end and are acknowledged at the same offset: {:?}", ends());
    eventually_told(what, || {
        let ends = ends();
        ends.iter().all(|(end, high_watermark)| (end, high_watermark) == (&ends[0].0, end))
    })
    .await;
    let bytes = cluster.bytes(nodes[0]);
    assert!(nodes.iter().all(|node| cluster.bytes(*node) == bytes));
}

/// A record would be acknowledged that only its leader has.
#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_on_every_replica_in_sync() {
    let cluster = Cluster::new(&[]);
    for number in 0..50 {
        let placed = cluster.produce(1, &format!("value {number}")).await;
        let end = placed.acknowledgement.end;
        for node in [1, 2, 3] {
            assert!(cluster.ends(node).0 >= end, "node {node} at {number}");
        }
    }
    is_copied(&cluster, &[1, 2, 3]).await;
}

/// A power cut of all nodes would take what a durable topic has acknowledged.
#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_on_a_durable_topic_is_synced_everywhere() {
    let cluster = Cluster::new(&[DURABLE]);
    for number in 0..10 {
        let placed = cluster.produce(1, &format!("value {number}")).await;
        for node in [1, 2, 3] {
            let offsets = cluster.partition(node).reader().offsets();
            assert!(offsets.flushed_offset >= placed.acknowledgement.end, "node {node}");
        }
    }
    is_copied(&cluster, &[1, 2, 3]).await;
}

/// A leader that was deposed would keep records that nobody else has, and serve them.
#[tokio::test(start_paused = true)]
async fn what_the_next_leader_does_not_have_is_cut_off() {
    let cluster = Cluster::new(&[]);
    cluster.produce(1, "kept").await;
    cluster.cut_off(1);
    cluster.append(1, "lost", 1);
    cluster.append(1, "lost too", 1);
    cluster.elect(2, &[2, 3]);
    cluster.produce(2, "kept too").await;
    cluster.heal(1);
    is_copied(&cluster, &[2, 1, 3]).await;
    assert_eq!(cluster.ends(1).0, Offset(2));
    eventually("it is in sync again", || cluster.isr() == [1, 2, 3]).await;
    let epochs = cluster.partition(1).reader().epochs();
    let epochs: Vec<_> = epochs.iter().map(|entry| (entry.epoch.0, entry.start_offset.0)).collect();
    assert_eq!(epochs, [(0, 0), (1, 1)]);
}

/// A leader that wrote nothing in its epoch would refuse as a follower what the next one kept of
/// an older epoch.
#[tokio::test(start_paused = true)]
async fn an_epoch_in_which_nothing_was_written_is_in_nobodys_way() {
    let cluster = Cluster::new(&[]);
    cluster.produce(1, "kept").await;
    is_copied(&cluster, &[1, 2, 3]).await;
    cluster.cut_off(2);
    cluster.append(1, "kept though not acknowledged", 1);
    eventually("3 has it", || cluster.ends(3).0 == Offset(2)).await;
    cluster.heal(2);
    cluster.cut_off(1);
    cluster.cut_off(3);
    cluster.elect(2, &[2, 3]);
    cluster.cut_off(2);
    cluster.world.write(&[]);
    cluster.elect(3, &[3]);
    for node in [3, 1, 2] {
        cluster.heal(node);
    }
    is_copied(&cluster, &[3, 1, 2]).await;
    assert_eq!(cluster.ends(2).0, Offset(2));
}

/// Producers would wait for a leader that is none until they time out.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_leader_that_is_deposed_is_told() {
    let cluster = Cluster::new(&[]);
    cluster.produce(1, "first").await;
    cluster.cut_off(2);
    cluster.cut_off(3);
    let placed = cluster.append(1, "second", -1);
    let partition = cluster.partition(1);
    let waiting = tokio::spawn({
        let partition = partition.clone();
        async move { partition.acknowledged(placed.acknowledgement).await }
    });
    tokio::task::yield_now().await;
    let before = tokio::time::Instant::now();
    cluster.elect(2, &[2, 3]);
    let refused = tokio::time::timeout(PATIENCE, waiting).await.expect("told").unwrap();
    let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert!(matches!(refused, Err(NotAcknowledged::Refused(it)) if it == code), "{refused:?}");
    assert_eq!(before.elapsed(), Duration::ZERO);
    let appended = partition.append_as_leader(&batch("third"), 1, Timestamp(1));
    assert!(matches!(appended, Err(ProduceError::Refused(it)) if it == code), "{appended:?}");
}

/// One replica that is away would stop all writes for ever, or never come back.
#[tokio::test(start_paused = true)]
async fn a_replica_that_lags_leaves_and_comes_back() {
    let cluster = Cluster::new(&[MIN_TWO]);
    cluster.produce(1, "first").await;
    cluster.cut_off(3);
    let before = tokio::time::Instant::now();
    cluster.produce(1, "second").await;
    let took = before.elapsed();
    assert!(took >= MAX_LAG / 2 && took <= MAX_LAG * 2, "{took:?}");
    assert_eq!(cluster.isr(), [1, 2]);
    cluster.heal(3);
    eventually("it is in sync again", || cluster.isr() == [1, 2, 3]).await;
    is_copied(&cluster, &[1, 2, 3]).await;
    let changes = cluster.broker(1);
    let changes = changes.replicas.shared().isr_changes();
    let counted = [&changes.shrinks, &changes.expands];
    assert_eq!(counted.map(|it| it.load(std::sync::atomic::Ordering::Relaxed)), [1, 1]);
}

/// Fact P3: a write would be acknowledged that fewer replicas have than the topic wants.
#[tokio::test(start_paused = true)]
async fn too_few_in_sync_refuse_writes() {
    let cluster = Cluster::new(&[MIN_TWO]);
    cluster.produce(1, "first").await;
    cluster.cut_off(2);
    cluster.cut_off(3);
    cluster.append(1, "second", 1);
    eventually("only the leader is in sync", || cluster.isr() == [1]).await;
    let refused = cluster.partition(1).append_as_leader(&batch("third"), -1, Timestamp(1));
    let code = ErrorCode::NOT_ENOUGH_REPLICAS;
    assert!(matches!(refused, Err(ProduceError::Refused(it)) if it == code), "{refused:?}");
    assert_eq!(cluster.ends(1), (Offset(2), Offset(1)), "nothing more is acknowledged");
    cluster.heal(2);
    eventually("it is acknowledged after all", || cluster.ends(1).1 == Offset(2)).await;
}

/// A reassignment would leave the disk full of what nobody needs, or delete what somebody does.
#[tokio::test(start_paused = true)]
async fn who_is_no_replica_any_more_deletes_its_log() {
    let cluster = Cluster::new(&[]);
    cluster.produce(1, "first").await;
    let nodes = Some([1, 2].map(NodeId).to_vec());
    cluster.change(PartitionChangeRecord {
        replicas: nodes.clone(),
        isr: nodes,
        directories: Some(vec![Uuid::UNASSIGNED_DIRECTORY; 2]),
        ..Default::default()
    });
    let hosted = cluster.broker(3).replicas.hosting(&TOPIC_ID, PARTITION);
    assert_eq!(hosted.unwrap_err(), ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert!(!cluster.log_path(3).exists() && cluster.log_path(2).exists());
    cluster.produce(1, "second").await;
    cluster.world.write(&[RemoveTopicRecord { topic_id: TOPIC_ID }.into()]);
    assert!(!cluster.log_path(1).exists() && !cluster.log_path(2).exists());
}

/// A replica that joins late would be without what came before it.
#[tokio::test(start_paused = true)]
async fn who_becomes_a_replica_gets_everything() {
    let cluster = Cluster::new(&[]);
    let of = |nodes: &[i32]| Some(nodes.iter().copied().map(NodeId).collect::<Vec<_>>());
    cluster.change(PartitionChangeRecord {
        replicas: of(&[1, 2]),
        isr: of(&[1, 2]),
        directories: Some(vec![Uuid::UNASSIGNED_DIRECTORY; 2]),
        ..Default::default()
    });
    for number in 0..20 {
        cluster.produce(1, &format!("value {number}")).await;
    }
    cluster.change(PartitionChangeRecord {
        replicas: of(&[1, 2, 3]),
        directories: Some(vec![Uuid::UNASSIGNED_DIRECTORY; 3]),
        ..Default::default()
    });
    eventually("it is in sync", || cluster.isr() == [1, 2, 3]).await;
    is_copied(&cluster, &[1, 2, 3]).await;
}

/// A kill would take acknowledged records, or leave a replica behind.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_over_kills() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(1, "first").await;
    cluster.kill(1).await;
    cluster.elect(2, &[2, 3]);
    cluster.produce(2, "second").await;
    cluster.start(1);
    eventually("it is in sync again", || cluster.isr() == [1, 2, 3]).await;
    cluster.kill(3).await;
    cluster.kill(2).await;
    cluster.elect(1, &[1, 2, 3]);
    cluster.start(2);
    cluster.start(3);
    cluster.produce(1, "third").await;
    is_copied(&cluster, &[1, 2, 3]).await;
    assert_eq!(cluster.ends(1).0, Offset(3));
}

/// A bit that flips on the way would stop a replica for ever, or be stored.
#[tokio::test(start_paused = true)]
async fn a_damaged_answer_is_asked_for_again() {
    let cluster = Cluster::new(&[]);
    *cluster.world.damaged.lock() = 2;
    cluster.produce(1, "first").await;
    assert_eq!(*cluster.world.damaged.lock(), 0);
    is_copied(&cluster, &[1, 2, 3]).await;
}

/// A replica that was away longer than records are kept would never come back.
#[tokio::test(start_paused = true)]
async fn who_was_away_too_long_begins_where_the_leader_does() {
    let cluster = Cluster::new(&[]);
    cluster.cut_off(3);
    for number in 0..5 {
        cluster.produce(1, &format!("value {number}")).await;
    }
    cluster.partition(1).delete_records_before(Offset(4)).unwrap();
    cluster.heal(3);
    eventually("it is in sync again", || cluster.isr() == [1, 2, 3]).await;
    let start = || cluster.partition(3).reader().offsets().log_start_offset;
    assert_eq!((start(), cluster.ends(3).0), (Offset(4), Offset(5)));
    cluster.partition(1).delete_records_before(Offset(5)).unwrap();
    eventually("it follows the leader's start", || start() == Offset(5)).await;
}

fn consume(rack: &str, offset: i64) -> FetchRequest {
    FetchRequest {
        rack_id: rack.into(),
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic_id: TOPIC_ID,
            partitions: vec![FetchPartition {
                partition: PARTITION,
                fetch_offset: Offset(offset),
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// KIP-392: consumers would read from afar, or be shown what is not acknowledged.
#[tokio::test(start_paused = true)]
async fn consumers_read_from_the_replica_in_their_rack() {
    let cluster = Cluster::new(&[]);
    cluster.produce(1, "first").await;
    is_copied(&cluster, &[1, 2, 3]).await;
    let ask = async |node: i32, rack: &str, offset: i64| {
        let response = fetch(cluster.broker(node), consume(rack, offset)).await;
        response.responses[0].partitions[0].clone()
    };
    let sent = ask(1, "rack-3", 0).await;
    assert_eq!(sent.preferred_read_replica, NodeId(3));
    assert!(sent.records.is_none_or(|records| records.0.is_empty()));
    assert_eq!(ask(1, "rack-1", 0).await.preferred_read_replica, NodeId::NONE);
    let read = ask(3, "rack-3", 0).await;
    assert_eq!((read.error_code, read.high_watermark), (ErrorCode::NONE, Offset(1)));
    assert_eq!(&read.records.unwrap().0[..], cluster.bytes(1));
    assert_eq!(ask(3, "rack-3", 7).await.error_code, ErrorCode::OFFSET_NOT_AVAILABLE);
    assert_eq!(ask(1, "", 7).await.error_code, ErrorCode::OFFSET_OUT_OF_RANGE);
    // What nobody else has is in the log of the follower, and shown to nobody.
    cluster.cut_off(2);
    cluster.append(1, "second", 1);
    eventually("3 has it", || cluster.ends(3).0 == Offset(2)).await;
    let read = ask(3, "rack-3", 1).await;
    assert!(read.records.is_none_or(|records| records.0.is_empty()));
}

/// KIP-951: clients would have to ask for metadata first.
#[tokio::test(start_paused = true)]
async fn whoever_asks_the_wrong_broker_is_told_who_leads() {
    let cluster = Cluster::new(&[]);
    let mut request = consume("", 0);
    request.replica_state.replica_id = NodeId(3);
    let response = fetch(cluster.broker(2), request).await;
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let leader = &partition.current_leader;
    assert_eq!((leader.leader_id, leader.leader_epoch), (NodeId(1), LeaderEpoch(0)));
    let named: Vec<_> = response.node_endpoints.iter().map(|at| (at.node_id, &*at.host)).collect();
    assert_eq!(named, [(NodeId(1), "host-1")]);
}

/// KIP-903: what a broker had before it was started again would count for what it has now.
#[tokio::test(start_paused = true)]
async fn an_earlier_incarnation_of_a_follower_does_not_count() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(1, "first").await;
    cluster.kill(3).await;
    cluster.start(3);
    let mut request = consume("", 1);
    request.replica_state.replica_id = NodeId(3);
    request.replica_state.replica_epoch = milena_protocol::ids::BrokerEpoch(103);
    let response = fetch(cluster.broker(1), request).await;
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
}

/// What the machines agree on would not be what stands on the wire.
#[tokio::test]
async fn followers_fetch_over_the_wire() {
    let cluster = Cluster::wired();
    for number in 0..20 {
        cluster.produce(1, &format!("value {number}")).await;
    }
    is_copied(&cluster, &[1, 2, 3]).await;
    let lead = cluster.partition(1).lead_view().unwrap();
    assert_eq!(lead.lags, [(NodeId(2), 0), (NodeId(3), 0)]);
    assert_eq!(cluster.partition(2).fetch_lag(), Some(0));
}

/// Waiting for a leader to hear of its own election, or to come back, would take a second.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_there_again_is_asked_at_once() {
    let cluster = Cluster::new(&[]);
    cluster.produce(1, "first").await;
    // 2 hears of an election before the elected does.
    cluster.cut_off(3);
    cluster.elect(3, &[1, 2, 3]);
    let before = tokio::time::Instant::now();
    cluster.heal(3);
    cluster.produce(3, "second").await;
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
}

/// A coordinator that was read in another leader epoch would write what it takes for the truth.
#[tokio::test(start_paused = true)]
async fn what_was_read_in_an_earlier_epoch_writes_nothing() {
    let cluster = Cluster::new(&[]);
    let partition = cluster.partition(1);
    let epoch = partition.leader_epoch();
    partition.append_as_coordinator(&batch("first"), epoch, Timestamp(1)).unwrap();
    cluster.elect(2, &[1, 2, 3]);
    cluster.elect(1, &[1, 2, 3]);
    assert!(partition.is_leading());
    let refused = partition.append_as_coordinator(&batch("second"), epoch, Timestamp(1));
    let code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert!(matches!(refused, Err(ProduceError::Refused(it)) if it == code), "{refused:?}");
}

/// Fact G7: what is said to be deleted would be shown again by the next leader.
#[tokio::test(start_paused = true)]
async fn records_are_deleted_everywhere_before_that_is_said() {
    let cluster = Cluster::new(&[]);
    for number in 0..3 {
        cluster.produce(1, &format!("value {number}")).await;
    }
    is_copied(&cluster, &[1, 2, 3]).await;
    let partition = cluster.partition(1);
    partition.delete_records_before(Offset(2)).unwrap();
    assert_eq!(partition.deleted_everywhere(Offset(2)).await, Ok(Offset(2)));
    for node in [2, 3] {
        let start = cluster.partition(node).reader().offsets().log_start_offset;
        assert_eq!(start, Offset(2), "node {node}");
    }
    let waiting = partition.deleted_everywhere(Offset(3));
    cluster.elect(2, &[1, 2, 3]);
    assert_eq!(waiting.await, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
}
