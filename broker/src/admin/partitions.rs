//! Partitions, the offsets in them, and their replicas.

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use milena_protocol::api::metadata::MetadataPartition;
use milena_protocol::ids::{LeaderEpoch, NodeId, PartitionIndex, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::brokers;
use super::call::Call;
use super::elsewhere::Asked;
use super::error::Failure;
use super::path::{At, BrokerPath, PartitionPath, ReplicaPath, TopicPath};
use super::ranges::{EARLIEST, LATEST};
use super::resource::{List, Relationship, ResourceMetadata};
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
    replicas: Relationship,
    reassignment: Relationship,
}

impl Partition {
    fn of(call: &Call, topic: &str, partition: &MetadataPartition) -> Self {
        let (index, leader) = (partition.partition_index, partition.leader_id);
        let path = format!("/topics/{topic}/partitions/{index}");
        Self {
            kind: "KafkaPartition",
            metadata: call.resource(&path, &format!("/topic={topic}/partition={index}")),
            cluster_id: call.broker.cluster_id.to_string(),
            topic_name: topic.to_owned(),
            partition_id: index.0,
            leader: (leader != NodeId::NONE)
                .then(|| call.link(&format!("{path}/replicas/{leader}"))),
            replicas: call.link(&format!("{path}/replicas")),
            reassignment: call.link(&format!("{path}/reassignment")),
        }
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
    broker: Relationship,
}

impl Replica {
    fn of(call: &Call, topic: &str, partition: &MetadataPartition, node: NodeId) -> Self {
        let index = partition.partition_index;
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
    operation_id = "listPartitions", tag = "Partitions", params(TopicPath),
    responses((status = 200, description = "The partitions.", body = List<Partition>), Failure))]
pub async fn list(at: At<TopicPath>) -> Result<Json<List<Partition>>, Failure> {
    let name = at.path.topic_name.as_str();
    let topic = at.topic(name).await?;
    let data = topic.partitions.iter().map(|found| Partition::of(&at, name, found)).collect();
    Ok(Json(at.list("KafkaPartitionList", &format!("/topics/{name}/partitions"), data)))
}

/// A partition.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}",
    operation_id = "getPartition", tag = "Partitions", params(PartitionPath),
    responses((status = 200, description = "The partition.", body = Partition), Failure))]
pub async fn one(at: At<PartitionPath>) -> Result<Json<Partition>, Failure> {
    let name = at.path.topic_name.as_str();
    let partition = at.partition(name, at.path.partition_id).await?;
    Ok(Json(Partition::of(&at, name, &partition)))
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
    let nodes = partition.replica_nodes.iter();
    let data = nodes.map(|node| Replica::of(&at, name, &partition, *node)).collect();
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
    Ok(Json(Replica::of(&at, name, &partition, node)))
}

/// The replicas on a broker, by topic and partition.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/brokers/{broker_id}/partition-replicas",
    operation_id = "listBrokerReplicas", tag = "Replicas", params(BrokerPath),
    responses((status = 200, description = "The replicas.", body = List<Replica>), Failure))]
pub async fn replicas_of_broker(at: At<BrokerPath>) -> Result<Json<List<Replica>>, Failure> {
    let id = at.path.broker_id;
    let node = NodeId(id);
    if !at.cluster().await?.brokers.iter().any(|broker| broker.broker_id == node) {
        return Err(brokers::missing(id));
    }
    let mut data = Vec::new();
    for topic in at.topics().await {
        let name = topic.name.as_deref().unwrap_or_default();
        let here = topic.partitions.iter().filter(|found| found.replica_nodes.contains(&node));
        data.extend(here.map(|partition| Replica::of(&at, name, partition, node)));
    }
    let path = format!("/brokers/{id}/partition-replicas");
    Ok(Json(at.list("KafkaReplicaList", &path, data)))
}
