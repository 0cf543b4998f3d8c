//! The node's state for a scrape.

use std::sync::atomic::Ordering;

use milena_cluster::metadata::image::{MetadataImage, PartitionImage};
use milena_cluster::quorum::{ReplicaDescription, Request, Response, ResponseBody};
use milena_protocol::ids::NodeId;

use crate::diagnosis::Standing;
use crate::telemetry::state::{
    GroupsState, LogDirectoryState, NodeState, PartitionState, QuorumReplicaState, QuorumState,
};

use super::call::Call;
use super::watched;

/// What there is to say at this moment.
pub(super) async fn of_node(call: &Call) -> NodeState {
    let groups = watched::groups(&call.broker).await;
    let mut state = NodeState { groups, ..without_groups(call) };
    if state.is_active_controller {
        state.quorum.replicas = quorum_replicas(call).await;
    }
    state
}

/// How far everybody is in the metadata, as the leader of the quorum knows.
async fn quorum_replicas(call: &Call) -> Vec<QuorumReplicaState> {
    let answer = call.broker.controller.ask(Request::DescribeQuorum).await;
    let Ok(Response { body: ResponseBody::DescribeQuorum(described), .. }) = answer else {
        return Vec::new();
    };
    let all = || described.voters.iter().chain(&described.observers);
    let end = all().map(|replica| replica.log_end_offset.0).max().unwrap_or(-1);
    let state = |is_voter: bool| {
        move |replica: &ReplicaDescription| QuorumReplicaState {
            node: replica.key.id,
            is_voter,
            lag: if replica.log_end_offset.0 < 0 { -1 } else { end - replica.log_end_offset.0 },
        }
    };
    let voters = described.voters.iter().map(state(true));
    voters.chain(described.observers.iter().map(state(false))).collect()
}

fn without_groups(call: &Call) -> NodeState {
    let broker = &call.broker;
    let image = broker.metadata.image_owned();
    let quorum = broker.controller.quorum();
    let shared = broker.replicas.shared();
    let (isr_changes, throttles, now) =
        (shared.isr_changes(), shared.throttles(), shared.clock().now());
    let default_min_in_sync = usize::try_from(broker.config.min_insync_replicas).unwrap_or(1);
    let partitions: Vec<PartitionState> = broker
        .replicas
        .all()
        .iter()
        .filter_map(|partition| {
            // One that is being made or deleted is in no trouble, and nobody's yet or any more.
            let described = image.partition(partition.topic_id(), partition.index())?;
            let offsets = partition.reader().offsets();
            let lead = partition.lead_view();
            let min_in_sync = lead.as_ref().map_or(default_min_in_sync, |lead| lead.min_in_sync);
            Some(PartitionState {
                topic: partition.topic().to_string(),
                partition: partition.index(),
                leader: partition.leader(),
                is_leader: partition.is_leading(),
                leader_epoch: described.leader_epoch,
                leader_is_preferred: described.replicas.first() == Some(&partition.leader()),
                standing: Standing::of(described, min_in_sync),
                eligible_leaders: described.elr.len(),
                log_start_offset: offsets.log_start_offset,
                high_watermark: offsets.high_watermark,
                log_bytes: partition.reader().size_bytes(),
                fetch_lag: partition.fetch_lag(),
                has_failed: partition.failure().is_some(),
                replica_lags: lead.map(|lead| lead.lags).unwrap_or_default(),
            })
        })
        .collect();
    NodeState {
        node_id: broker.node_id,
        cluster_id: broker.cluster_id.to_string(),
        address: call.kafka_address().unwrap_or_default(),
        is_active_controller: quorum.leader == broker.node_id,
        active_brokers: image.brokers().filter(|node| !node.fenced).count(),
        fenced_brokers: image.brokers().filter(|node| node.fenced).count(),
        topics: image
            .topics()
            .map(|topic| (topic.name().to_string(), topic.partitions().len()))
            .collect(),
        offline_partitions: count(&image, |one| one.leader == NodeId::NONE),
        preferred_replica_imbalance: count(&image, |one| one.replicas.first() != Some(&one.leader)),
        unclean_leader_elections: broker.metadata.unclean_elections(),
        quorum: QuorumState {
            leader: quorum.leader,
            epoch: quorum.epoch,
            voted_for: quorum.voted_for,
            role: quorum.role,
            pace: broker.controller.pace(),
            high_watermark: quorum.high_watermark,
            log_end_offset: quorum.log_end_offset,
            voters: quorum.members.len(),
            replicas: Vec::new(),
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
        isr_shrinks: isr_changes.shrinks.load(Ordering::Relaxed),
        isr_expands: isr_changes.expands.load(Ordering::Relaxed),
        failed_isr_updates: isr_changes.failures.load(Ordering::Relaxed),
        leader_throttled_byte_rate: throttles.leader.rate(now),
        follower_throttled_byte_rate: throttles.follower.rate(now),
        groups: GroupsState::default(),
        fetch_sessions: broker.sessions.count(),
        request_bytes_held: broker.request_budget.held_bytes(),
    }
}

/// Partitions of the cluster of which something holds.
fn count(image: &MetadataImage, holds: impl Fn(&PartitionImage) -> bool) -> usize {
    let partitions = image.topics().flat_map(|topic| topic.partitions());
    partitions.filter(|(_, partition)| holds(partition)).count()
}

#[cfg(test)]
mod tests {
    use milena_cluster::metadata::delta::Delta;
    use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Uuid};
    use milena_protocol::metadata_record::{PartitionRecord, TopicRecord};

    use super::*;

    /// Partitions that nobody can write to would not be seen on any dashboard.
    #[test]
    fn partitions_in_trouble_are_counted() {
        let topic_id = Uuid::from_u128(7);
        let mut delta = Delta::new(&MetadataImage::default());
        let topic = TopicRecord { name: "t".into(), topic_id };
        delta.replay(Offset(0), LeaderEpoch(1), &topic.into()).unwrap();
        for (index, leader) in (0..).zip([1, 2, -1, 1]) {
            let partition = PartitionRecord {
                partition_id: PartitionIndex(index),
                topic_id,
                replicas: vec![NodeId(1), NodeId(2)],
                directories: vec![Uuid::ZERO; 2],
                isr: vec![NodeId(1), NodeId(2)],
                leader: NodeId(leader),
                ..Default::default()
            };
            delta.replay(Offset(1), LeaderEpoch(1), &partition.into()).unwrap();
        }
        let image = delta.image();
        assert_eq!(count(image, |one| one.leader == NodeId::NONE), 1);
        assert_eq!(count(image, |one| one.replicas.first() != Some(&one.leader)), 2);
    }
}
