//! Partitions, the offsets in them, and their replicas.

use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use milena_cluster::configs::Resolver;
use milena_cluster::metadata::image::{MetadataImage, PartitionImage};
use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use milena_protocol::api::metadata::{MetadataPartition, MetadataTopic};
use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::brokers;
use super::call::Call;
use super::elsewhere::Asked;
use super::error::Failure;
use super::path::{At, BrokerPath, ClusterPath, PartitionPath, ReplicaPath, TopicPath};
use super::ranges::{EARLIEST, LATEST};
use super::resource::{List, Relationship, ResourceMetadata};
use crate::broker::Broker;
use crate::diagnosis::Standing;
use crate::handlers::list_offsets;
use crate::security::{Operation, Resource};

/// A partition.
#[derive(Debug, Serialize, ToSchema)]
pub struct Partition {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    /// The replica that takes records; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<Relationship>,
    /// Grows with every election.
    leader_epoch: i32,
    /// Grows with every change of the partition.
    partition_epoch: i32,
    /// Brokers that have a replica, the preferred leader first.
    assigned_replicas: Vec<i32>,
    /// Those that have every acknowledged record and are asked for new ones.
    in_sync_replicas: Vec<i32>,
    /// How many have to be in sync for acks=all: `min.insync.replicas`.
    min_in_sync_replicas: usize,
    /// Those that are not in sync and have every acknowledged record all the same (KIP-966).
    eligible_leader_replicas: Vec<i32>,
    /// Those that were the last to be eligible.
    last_known_eligible_leader_replicas: Vec<i32>,
    /// Those on brokers that are fenced or gone.
    offline_replicas: Vec<i32>,
    /// Whether nobody leads it: it takes no records and gives none.
    is_offline: bool,
    /// Whether fewer replicas are in sync than shall be.
    is_under_replicated: bool,
    /// Whether writes with acks=all are refused.
    is_under_min_isr: bool,
    /// Whether they are refused as soon as one more replica is lost.
    is_at_min_isr: bool,
    /// Whether a reassignment is moving it.
    is_reassigning: bool,
    replicas: Relationship,
    reassignment: Relationship,
}

fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

impl Partition {
    fn of(call: &Call, look: &Look, topic: &str, partition: &MetadataPartition) -> Self {
        let (index, leader) = (partition.partition_index, partition.leader_id);
        let standing = look.standing(topic, partition);
        let kept = look.kept(topic, index);
        let eligible =
            |of: fn(&PartitionImage) -> &Vec<NodeId>| kept.map_or(Vec::new(), |kept| ids(of(kept)));
        let path = format!("/topics/{topic}/partitions/{index}");
        Self {
            kind: "KafkaPartition",
            metadata: call.resource(&path, &format!("/topic={topic}/partition={index}")),
            cluster_id: call.broker.cluster_id.to_string(),
            topic_name: topic.to_owned(),
            partition_id: index.0,
            leader: (leader != NodeId::NONE)
                .then(|| call.link(&format!("{path}/replicas/{leader}"))),
            leader_epoch: partition.leader_epoch.0,
            partition_epoch: kept.map_or(-1, |kept| kept.partition_epoch),
            assigned_replicas: ids(&partition.replica_nodes),
            in_sync_replicas: ids(&partition.isr_nodes),
            min_in_sync_replicas: standing.min_in_sync,
            eligible_leader_replicas: eligible(|kept| &kept.elr),
            last_known_eligible_leader_replicas: eligible(|kept| &kept.last_known_elr),
            offline_replicas: ids(&partition.offline_replicas),
            is_offline: !standing.has_leader,
            is_under_replicated: standing.is_under_replicated(),
            is_under_min_isr: standing.is_under_min_isr(),
            is_at_min_isr: standing.is_at_min_isr(),
            is_reassigning: standing.is_moving,
            replicas: call.link(&format!("{path}/replicas")),
            reassignment: call.link(&format!("{path}/reassignment")),
        }
    }
}

/// What the metadata says of partitions beyond what clients are told.
struct Look {
    broker: Arc<Broker>,
    image: Arc<MetadataImage>,
}

impl Look {
    fn at(call: &Call) -> Self {
        Self { broker: call.broker.clone(), image: call.broker.metadata.image_owned() }
    }

    /// A partition as it is kept; nothing where it has just gone.
    fn kept(&self, topic: &str, index: PartitionIndex) -> Option<&PartitionImage> {
        self.image.topic(topic)?.partition(index)
    }

    /// How safe a partition is. Its leader may be lost already, and not be replaced yet.
    fn standing(&self, topic: &str, partition: &MetadataPartition) -> Standing {
        let static_values = self.broker.config.static_values();
        let resolver = Resolver { node: self.broker.node_id, static_values, image: &self.image };
        let min_in_sync = resolver.topic_number(topic, "min.insync.replicas");
        let adding = self
            .kept(topic, partition.partition_index)
            .map(|kept| (kept.adding_replicas.len(), kept.is_moving()));
        let (adding, is_moving) = adding.unwrap_or_default();
        Standing {
            has_leader: partition.leader_id != NodeId::NONE,
            replicas: partition.replica_nodes.len(),
            adding,
            in_sync: partition.isr_nodes.len(),
            min_in_sync: usize::try_from(min_in_sync).unwrap_or(1),
            is_moving,
        }
    }
}

/// Which partitions are asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Only those of which this holds; without it, all.
    #[param(inline)]
    state: Option<PartitionState>,
}

/// What a partition may be.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionState {
    /// Nobody leads it.
    Offline,
    /// Fewer replicas are in sync than shall be.
    UnderReplicated,
    /// Writes with acks=all are refused.
    UnderMinIsr,
    /// They are refused as soon as one more replica is lost.
    AtMinIsr,
    /// A reassignment is moving it.
    Reassigning,
}

impl PartitionState {
    fn holds(self, standing: &Standing) -> bool {
        match self {
            Self::Offline => !standing.has_leader,
            Self::UnderReplicated => standing.is_under_replicated(),
            Self::UnderMinIsr => standing.is_under_min_isr(),
            Self::AtMinIsr => standing.is_at_min_isr(),
            Self::Reassigning => standing.is_moving,
        }
    }
}

impl Wanted {
    /// Those of a topic's partitions that are asked for.
    fn of_topic(&self, call: &Call, look: &Look, topic: &MetadataTopic) -> Vec<Partition> {
        let name = topic.name.as_deref().unwrap_or_default();
        let is_wanted = |found: &&MetadataPartition| {
            self.state.is_none_or(|state| state.holds(&look.standing(name, found)))
        };
        let wanted = topic.partitions.iter().filter(is_wanted);
        wanted.map(|found| Partition::of(call, look, name, found)).collect()
    }
}

/// A copy of a partition on a broker.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replica {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    broker_id: i32,
    /// Whether it takes records.
    is_leader: bool,
    /// Whether it has every acknowledged record.
    is_in_sync: bool,
    /// Whether it has them although it is not in sync (KIP-966).
    is_eligible_leader: bool,
    /// Whether it leads where it can.
    is_preferred_leader: bool,
    /// Whether its broker is fenced or gone.
    is_offline: bool,
    /// Whether a reassignment adds it.
    is_adding: bool,
    /// Whether a reassignment removes it.
    is_removing: bool,
    broker: Relationship,
}

impl Replica {
    fn of(
        call: &Call,
        look: &Look,
        (topic, partition): (&str, &MetadataPartition),
        node: NodeId,
    ) -> Self {
        let index = partition.partition_index;
        let kept = look.kept(topic, index);
        let is_among = |of: fn(&PartitionImage) -> &Vec<NodeId>| {
            kept.is_some_and(|kept| of(kept).contains(&node))
        };
        let path = format!("/topics/{topic}/partitions/{index}/replicas/{node}");
        let name = format!("/topic={topic}/partition={index}/replica={node}");
        Self {
            kind: "KafkaReplica",
            metadata: call.resource(&path, &name),
            cluster_id: call.broker.cluster_id.to_string(),
            topic_name: topic.to_owned(),
            partition_id: index.0,
            broker_id: node.0,
            is_leader: node == partition.leader_id,
            is_in_sync: partition.isr_nodes.contains(&node),
            is_eligible_leader: is_among(|kept| &kept.elr),
            is_preferred_leader: partition.replica_nodes.first() == Some(&node),
            is_offline: partition.offline_replicas.contains(&node),
            is_adding: is_among(|kept| &kept.adding_replicas),
            is_removing: is_among(|kept| &kept.removing_replicas),
            broker: call.link(&format!("/brokers/{node}")),
        }
    }
}

/// Where a partition begins and ends.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartitionWithOffsets {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    /// The offset of the first record that is kept.
    earliest_offset: i64,
    /// The offset that the next record gets, as consumers see it.
    latest_offset: i64,
}

impl Call {
    /// A partition of a topic.
    async fn partition(&self, topic: &str, index: i32) -> Result<MetadataPartition, Failure> {
        let found = self.topic(topic).await?;
        let mut partitions = found.partitions.into_iter();
        let partition = partitions.find(|partition| partition.partition_index.0 == index);
        partition.ok_or_else(|| Failure::no_partition(topic, index))
    }

    /// Who leads a partition; this node where nobody does, which says so.
    fn leader(&self, topic: &str, index: i32) -> NodeId {
        let image = self.broker.metadata.image_owned();
        let partition = image.topic(topic).and_then(|it| it.partition(PartitionIndex(index)));
        let leader = partition.map(|partition| partition.leader);
        leader.filter(|leader| *leader != NodeId::NONE).unwrap_or(self.broker.node_id)
    }

    /// An offset of a partition by a time or a sentinel of ListOffsets.
    ///
    /// # Errors
    /// When the partition does not exist or cannot be read.
    pub async fn offset_at(
        &self,
        topic: &str,
        index: i32,
        timestamp: Timestamp,
    ) -> Result<i64, Failure> {
        let request = ListOffsetsRequest {
            replica_id: NodeId::NONE,
            topics: vec![ListOffsetsTopic {
                name: topic.into(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: PartitionIndex(index),
                    current_leader_epoch: LeaderEpoch::NONE,
                    timestamp,
                }],
            }],
            ..Default::default()
        };
        let leader = self.leader(topic, index);
        let right = (Operation::Describe, Resource::Topic(topic));
        let asked = Asked::newest(request);
        let response = self.put(leader, right, asked, list_offsets::handle).await?;
        let found = response.topics.first().and_then(|topic| topic.partitions.first());
        let found = found.ok_or_else(|| Failure::no_partition(topic, index))?;
        Failure::unless_none(found.error_code, None)?;
        Ok(found.offset.0)
    }

    /// The first offset of a partition.
    ///
    /// # Errors
    /// As [`Call::offset_at`].
    pub async fn earliest_offset(&self, topic: &str, index: i32) -> Result<i64, Failure> {
        self.offset_at(topic, index, EARLIEST).await
    }

    /// The offset behind the last record of a partition.
    ///
    /// # Errors
    /// As [`Call::offset_at`].
    pub async fn latest_offset(&self, topic: &str, index: i32) -> Result<i64, Failure> {
        self.offset_at(topic, index, LATEST).await
    }
}

/// The partitions of a topic.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions",
    operation_id = "listPartitions", tag = "Partitions", params(TopicPath, Wanted),
    responses((status = 200, description = "The partitions.", body = List<Partition>), Failure))]
pub async fn list(
    at: At<TopicPath>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<List<Partition>>, Failure> {
    let Query(wanted) = query.map_err(Failure::bad_query)?;
    let name = at.path.topic_name.as_str();
    let topic = at.topic(name).await?;
    let data = wanted.of_topic(&at, &Look::at(&at), &topic);
    Ok(Json(at.list("KafkaPartitionList", &format!("/topics/{name}/partitions"), data)))
}

/// The partitions of all topics that the caller may see, or those that are in some trouble.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics/-/partitions",
    operation_id = "listAllPartitions", tag = "Partitions", params(ClusterPath, Wanted),
    responses((status = 200, description = "The partitions.", body = List<Partition>), Failure))]
pub async fn list_all(
    at: At<ClusterPath>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<List<Partition>>, Failure> {
    let Query(wanted) = query.map_err(Failure::bad_query)?;
    let topics = at.topics().await;
    let look = Look::at(&at);
    let data = topics.iter().flat_map(|topic| wanted.of_topic(&at, &look, topic)).collect();
    Ok(Json(at.list("KafkaPartitionList", "/topics/-/partitions", data)))
}

/// A partition.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}",
    operation_id = "getPartition", tag = "Partitions", params(PartitionPath),
    responses((status = 200, description = "The partition.", body = Partition), Failure))]
pub async fn one(at: At<PartitionPath>) -> Result<Json<Partition>, Failure> {
    let name = at.path.topic_name.as_str();
    let partition = at.partition(name, at.path.partition_id).await?;
    Ok(Json(Partition::of(&at, &Look::at(&at), name, &partition)))
}

/// Which offsets are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OffsetType {
    /// Only `earliest_and_latest`.
    offset_type: Option<String>,
}

/// Where a partition begins and ends.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/offset",
    operation_id = "getPartitionOffsets", tag = "Partitions", params(PartitionPath, OffsetType),
    responses(
        (status = 200, description = "The offsets.", body = PartitionWithOffsets),
        Failure,
    ))]
pub async fn offset(
    at: At<PartitionPath>,
    query: Result<Query<OffsetType>, QueryRejection>,
) -> Result<Json<PartitionWithOffsets>, Failure> {
    let Query(asked) = query.map_err(Failure::bad_query)?;
    let kind = asked.offset_type.as_deref().unwrap_or("earliest_and_latest");
    if kind != "earliest_and_latest" {
        let message = format!("offset_type {kind} is not served; earliest_and_latest is");
        return Err(Failure::bad_request(message));
    }
    let PartitionPath { topic_name: name, partition_id: index, .. } = &at.path;
    at.partition(name, *index).await?;
    let earliest_offset = at.earliest_offset(name, *index).await?;
    let latest_offset = at.latest_offset(name, *index).await?;
    let path = format!("/topics/{name}/partitions/{index}/offset");
    let resource_name = format!("/topic={name}/partition={index}/offset_type={kind}");
    Ok(Json(PartitionWithOffsets {
        kind: "KafkaPartitionWithOffsets",
        metadata: at.resource(&path, &resource_name),
        cluster_id: at.broker.cluster_id.to_string(),
        topic_name: name.clone(),
        partition_id: *index,
        earliest_offset,
        latest_offset,
    }))
}

/// The replicas of a partition, the preferred leader first.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/replicas",
    operation_id = "listReplicas", tag = "Replicas", params(PartitionPath),
    responses((status = 200, description = "The replicas.", body = List<Replica>), Failure))]
pub async fn replicas(at: At<PartitionPath>) -> Result<Json<List<Replica>>, Failure> {
    let PartitionPath { topic_name: name, partition_id: index, .. } = &at.path;
    let partition = at.partition(name, *index).await?;
    let look = Look::at(&at);
    let nodes = partition.replica_nodes.iter();
    let data = nodes.map(|node| Replica::of(&at, &look, (name, &partition), *node)).collect();
    let path = format!("/topics/{name}/partitions/{index}/replicas");
    Ok(Json(at.list("KafkaReplicaList", &path, data)))
}

/// A replica of a partition.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}\
        /partitions/{partition_id}/replicas/{broker_id}",
    operation_id = "getReplica", tag = "Replicas", params(ReplicaPath),
    responses((status = 200, description = "The replica.", body = Replica), Failure))]
pub async fn replica(at: At<ReplicaPath>) -> Result<Json<Replica>, Failure> {
    let ReplicaPath { topic_name: name, partition_id: index, broker_id, .. } = &at.path;
    let partition = at.partition(name, *index).await?;
    let node = NodeId(*broker_id);
    if !partition.replica_nodes.contains(&node) {
        let message = format!("broker {node} has no replica of {name}-{index}");
        return Err(Failure::missing(message));
    }
    Ok(Json(Replica::of(&at, &Look::at(&at), (name, &partition), node)))
}

/// The replicas on a broker, by topic and partition.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}/partition-replicas",
    operation_id = "listBrokerReplicas", tag = "Replicas", params(BrokerPath),
    responses((status = 200, description = "The replicas.", body = List<Replica>), Failure))]
pub async fn replicas_of_broker(at: At<BrokerPath>) -> Result<Json<List<Replica>>, Failure> {
    let id = at.path.broker_id;
    let node = NodeId(id);
    if at.broker.metadata.image().broker(node).is_none() {
        return Err(brokers::missing(id));
    }
    let mut data = Vec::new();
    let topics = at.topics().await;
    let look = Look::at(&at);
    for topic in topics {
        let name = topic.name.as_deref().unwrap_or_default();
        let here = topic.partitions.iter().filter(|found| found.replica_nodes.contains(&node));
        data.extend(here.map(|partition| Replica::of(&at, &look, (name, partition), node)));
    }
    let path = format!("/brokers/{id}/partition-replicas");
    Ok(Json(at.list("KafkaReplicaList", &path, data)))
}
