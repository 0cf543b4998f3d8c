//! The node's state for a scrape.

use crate::telemetry::state::{LogDirectoryState, NodeState, PartitionState, QuorumState};

use super::call::Call;

/// What there is to say at this moment.
pub(super) fn of_node(call: &Call) -> NodeState {
    let broker = &call.broker;
    let image = broker.metadata.image_owned();
    let quorum = broker.controller.quorum();
    let min_isr = usize::try_from(broker.config.min_insync_replicas).unwrap_or(1);
    let partitions: Vec<PartitionState> = broker
        .replicas
        .all()
        .iter()
        .map(|partition| {
            let topic = image.topic_by_id(partition.topic_id());
            let described = topic.and_then(|topic| topic.partition(partition.index()));
            let offsets = partition.reader().offsets();
            PartitionState {
                topic: partition.topic().to_string(),
                partition: partition.index(),
                leader: partition.leader(),
                is_leader: partition.leader() == broker.node_id,
                leader_is_preferred: described
                    .is_some_and(|d| d.replicas.first() == Some(&partition.leader())),
                replicas: described.map_or(1, |d| d.replicas.len()),
                in_sync_replicas: described.map_or(1, |d| d.isr.len()),
                min_in_sync_replicas: min_isr,
                log_start_offset: offsets.log_start_offset,
                high_watermark: offsets.high_watermark,
                log_bytes: partition.reader().size_bytes(),
            }
        })
        .collect();
    NodeState {
        node_id: broker.node_id,
        cluster_id: broker.cluster_id.to_string(),
        address: call.address().to_string(),
        is_active_controller: quorum.leader == broker.node_id,
        active_brokers: image.brokers().filter(|node| !node.fenced).count(),
        fenced_brokers: image.brokers().filter(|node| node.fenced).count(),
        topics: image
            .topics()
            .map(|topic| (topic.name().to_string(), topic.partitions().len()))
            .collect(),
        quorum: QuorumState {
            leader: quorum.leader,
            epoch: quorum.epoch,
            voted_for: quorum.leader,
            role: "leader",
            high_watermark: quorum.high_watermark,
            log_end_offset: quorum.log_end_offset,
        },
        log_directories: broker
            .replicas
            .directories()
            .iter()
            .map(|directory| {
                let usage = directory.usage();
                LogDirectoryState {
                    path: directory.path().to_owned(),
                    is_offline: directory.is_offline(),
                    total_bytes: usage.space.map_or(0, |space| space.total_bytes),
                    free_bytes: usage.space.map_or(0, |space| space.usable_bytes),
                }
            })
            .collect(),
        partitions,
        fetch_sessions: broker.sessions.count(),
        request_bytes_held: broker.request_budget.held_bytes(),
        ..Default::default()
    }
}
