use std::collections::BTreeSet;
use std::time::Duration;

use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex};

use super::*;
use crate::telemetry::state::{
    GroupPartitionState, GroupState, GroupsState, Latency, LogDirectoryState, Pace,
    QuorumReplicaState, QuorumState,
};

fn node() -> NodeState {
    NodeState {
        node_id: NodeId(1),
        cluster_id: "c".to_owned(),
        address: "127.0.0.1:9092".to_owned(),
        is_active_controller: true,
        active_brokers: 1,
        topics: vec![("orders".to_owned(), 1)],
        quorum: QuorumState {
            leader: NodeId(1),
            epoch: LeaderEpoch(4),
            voted_for: NodeId(1),
            role: "leader",
            pace: Pace {
                append_records_rate: 2.5,
                fetch_records_rate: 0.5,
                commit_latency: Latency { avg_ms: 1.5, max_ms: 4.5 },
                election_latency: Latency { avg_ms: f64::NAN, max_ms: f64::NAN },
            },
            high_watermark: Offset(10),
            log_end_offset: Offset(11),
            voters: 2,
            replicas: vec![
                QuorumReplicaState { node: NodeId(1), is_voter: true, lag: 0 },
                QuorumReplicaState { node: NodeId(4), is_voter: false, lag: 5 },
            ],
        },
        log_directories: vec![LogDirectoryState {
            path: "/data \"x\"".into(),
            total_bytes: 100,
            free_bytes: 60,
            is_offline: false,
        }],
        partitions: vec![PartitionState {
            topic: "orders".to_owned(),
            partition: PartitionIndex(0),
            leader: NodeId(1),
            is_leader: true,
            leader_is_preferred: true,
            standing: Standing {
                has_leader: true,
                replicas: 3,
                adding: 0,
                in_sync: 1,
                min_in_sync: 2,
                is_moving: true,
            },
            leader_epoch: LeaderEpoch(6),
            eligible_leaders: 1,
            log_start_offset: Offset(5),
            high_watermark: Offset(9),
            log_bytes: 77,
            replica_lags: vec![(NodeId(2), 3)],
            fetch_lag: None,
            has_failed: false,
        }],
        leader_throttled_byte_rate: 512.5,
        groups: GroupsState {
            groups: vec![
                GroupState { group: "billing".to_owned(), members: 2, partitions: progress() },
                GroupState { group: "idle".to_owned(), ..GroupState::default() },
            ],
            rows_left_out: 5,
            coordinators_left_out: 6,
            ages_left_out: 1,
        },
        ..NodeState::default()
    }
}

/// A group is 4 offsets and 1.5 s behind, and 2 more of which nobody knows the age.
fn progress() -> Vec<GroupPartitionState> {
    let one = |partition, current_offset, lag, lag_seconds| GroupPartitionState {
        topic: "orders".to_owned(),
        partition: PartitionIndex(partition),
        current_offset: Offset(current_offset),
        lag,
        lag_seconds,
    };
    vec![one(0, 5, 4, Some(1.5)), one(1, 10, 2, None)]
}

fn page() -> String {
    let metrics = Metrics::new();
    metrics.produced("orders", 3, 300);
    metrics.request(ApiKey::Produce, Duration::from_micros(70), 350, 40);
    metrics.connection_opened();
    metrics.encode(node())
}

/// Dashboards and alerts that people have would show nothing.
#[test]
fn the_names_are_those_of_the_dashboards() {
    let page = page();
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total 3",
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"} 3",
        "kafka_server_brokertopicmetrics_bytesin_total 300",
        "kafka_server_brokertopicmetrics_bytesout_total 0",
        "kafka_server_brokertopicmetrics_totalproducerequests_total 1",
        "kafka_server_brokertopicmetrics_totalfetchrequests_total 0",
        "kafka_server_brokertopicmetrics_failedproducerequests_total 0",
        "kafka_server_brokertopicmetrics_failedfetchrequests_total 0",
        "kafka_server_replicamanager_leadercount 1",
        "kafka_server_replicamanager_partitioncount 1",
        "kafka_server_replicamanager_underreplicatedpartitions 1",
        "kafka_server_replicamanager_underminisrpartitioncount 1",
        "kafka_controller_kafkacontroller_activecontrollercount 1",
        "kafka_controller_kafkacontroller_offlinepartitionscount 0",
        "kafka_controller_controllerstats_uncleanleaderelections_total 0",
        "kafka_cluster_partition_replicascount{topic=\"orders\",partition=\"0\"} 3",
        "kafka_cluster_partition_underminisr{topic=\"orders\",partition=\"0\"} 1",
        "kafka_cluster_partition_atminisr{topic=\"orders\",partition=\"0\"} 0",
        "kafka_log_log_size{topic=\"orders\",partition=\"0\"} 77",
        "kafka_log_logmanager_offlinelogdirectorycount 0",
        "kafka_server_socket_server_metrics_connection_count 1",
        "kafka_server_raftmetrics_current_leader 1",
        "kafka_server_raftmetrics_current_epoch 4",
        "kafka_server_raftmetrics_current_vote 1",
        "kafka_server_raftmetrics_current_state{current_state=\"leader\"} 1",
        "kafka_server_raftmetrics_high_watermark 10",
        "kafka_server_raftmetrics_log_end_offset 11",
        "kafka_server_raftmetrics_append_records_rate 2.5",
        "kafka_server_raftmetrics_fetch_records_rate 0.5",
        "kafka_server_raftmetrics_commit_latency_avg 1.5",
        "kafka_server_raftmetrics_commit_latency_max 4.5",
        "kafka_server_raftmetrics_election_latency_avg NaN",
        "kafka_server_raftmetrics_number_of_voters 2",
        "kafka_server_raftmetrics_number_of_observers 1",
        "milena_quorum_replica_lag{node=\"4\",role=\"observer\"} 5",
        "milena_partition_eligible_leaders{topic=\"orders\",partition=\"0\"} 1",
        "milena_partition_leader_epoch{topic=\"orders\",partition=\"0\"} 6",
        "milena_partition_reassigning{topic=\"orders\",partition=\"0\"} 1",
        "kafka_server_replicamanager_reassigningpartitions 1",
        "kafka_server_leaderreplication_byte_rate 512.5",
        "kafka_server_followerreplication_byte_rate 0.0",
        "kafka_topic_partitions{topic=\"orders\"} 1",
        "kafka_topic_partition_current_offset{topic=\"orders\",partition=\"0\"} 9",
        "kafka_topic_partition_oldest_offset{topic=\"orders\",partition=\"0\"} 5",
        "kafka_topic_partition_under_replicated_partition{topic=\"orders\",partition=\"0\"} 1",
        "kafka_broker_info{id=\"1\",address=\"127.0.0.1:9092\"} 1",
        "kafka_consumergroup_members{consumergroup=\"billing\"} 2",
        "kafka_consumergroup_members{consumergroup=\"idle\"} 0",
        "kafka_consumergroup_max_lag_seconds{consumergroup=\"billing\"} 1.5",
        "kafka_consumergroup_current_offset_sum{consumergroup=\"billing\",topic=\"orders\"} 15",
        "kafka_consumergroup_lag_sum{consumergroup=\"billing\",topic=\"orders\"} 6",
        "kafka_consumergroup_current_offset\
            {consumergroup=\"billing\",topic=\"orders\",partition=\"0\"} 5",
        "kafka_consumergroup_lag{consumergroup=\"billing\",topic=\"orders\",partition=\"1\"} 2",
        "kafka_consumergroup_lag_seconds\
            {consumergroup=\"billing\",topic=\"orders\",partition=\"0\"} 1.5",
        "milena_consumergroup_rows_left_out 5",
        "milena_consumergroup_coordinators_left_out 6",
        "milena_consumergroup_lag_seconds_left_out 1",
        "kafka_network_requestmetrics_requests_total{request=\"Produce\"} 1",
        "milena_request_duration_seconds_bucket{le=\"0.0001\",request=\"Produce\"} 1",
        "milena_request_duration_seconds_count{request=\"Produce\"} 1",
        "milena_log_directory_free_bytes{path=\"/data \\\"x\\\"\"} 60",
    ] {
        assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    }
    for name in [
        "kafka_network_socketserver_networkprocessoravgidle_percent ",
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent ",
        "process_cpu_seconds_total ",
        "process_start_time_seconds ",
    ] {
        assert!(page.lines().any(|line| line.starts_with(name)), "{name}\n{page}");
    }
}

/// Prometheus would refuse the whole page.
#[test]
fn the_page_is_well_formed() {
    let page = page();
    assert!(page.ends_with("# EOF\n"));
    let types: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let unique: BTreeSet<_> = types.iter().collect();
    assert_eq!(types.len(), unique.len(), "a family is there twice");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

/// A node with very many partitions would answer with a page that nobody can take.
#[test]
fn partitions_are_capped() {
    let mut state = node();
    let one = state.partitions[0].clone();
    state.partitions = (0..MAX_PARTITIONS as i32 + 7)
        .map(|index| PartitionState { partition: PartitionIndex(index), ..one.clone() })
        .collect();
    let page = Metrics::new().encode(state);
    let told = page.lines().filter(|line| line.starts_with("kafka_log_log_size{")).count();
    assert_eq!(told, MAX_PARTITIONS);
    assert!(page.contains("milena_partitions_left_out 7\n"));
}

/// Sums over all nodes would count every partition as often as it has replicas.
#[test]
fn only_the_leader_counts_a_partition_for_the_cluster() {
    let mut state = node();
    for partition in &mut state.partitions {
        partition.is_leader = false;
    }
    let page = Metrics::new().encode(state);
    let told = page.lines().filter(|line| line.starts_with("kafka_cluster_partition_"));
    assert_eq!(told.clone().count(), 5);
    assert!(told.clone().all(|line| line.ends_with(" 0")), "{page}");
}
