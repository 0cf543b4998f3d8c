//! Reassignments of replicas: those that go on, new ones, and the end of one.

use axum::Json;
use axum::http::StatusCode;
use milena_protocol::api::alter_partition_reassignments::{
    AlterPartitionReassignmentsPartition, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsTopic,
};
use milena_protocol::api::list_partition_reassignments::{
    ListPartitionReassignmentsPartitionResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopic,
};
use milena_protocol::ids::{NodeId, PartitionIndex};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::call::Call;
use super::error::Failure;
use super::path::{At, ClusterPath, PartitionPath, TopicPath};
use super::resource::{List, Relationship, ResourceMetadata};
use crate::handlers::{decided, list_partition_reassignments};

/// How long the request may take.
const TIMEOUT_MS: i32 = 30_000;

/// A partition whose replicas move.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reassignment {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    /// Brokers that get a replica.
    adding_replicas: Vec<i32>,
    /// Brokers that lose theirs.
    removing_replicas: Vec<i32>,
    replicas: Relationship,
}

impl Reassignment {
    fn of(call: &Call, topic: &str, moved: &ListPartitionReassignmentsPartitionResponse) -> Self {
        let index = moved.partition_index;
        let path = format!("/topics/{topic}/partitions/{index}");
        let name = format!("/topic={topic}/partition={index}/reassignment");
        let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
        Self {
            kind: "KafkaReassignment",
            metadata: call.resource(&format!("{path}/reassignment"), &name),
            cluster_id: call.broker.cluster_id.to_string(),
            topic_name: topic.to_owned(),
            partition_id: index.0,
            adding_replicas: ids(&moved.adding_replicas),
            removing_replicas: ids(&moved.removing_replicas),
            replicas: call.link(&format!("{path}/replicas")),
        }
    }
}

impl Call {
    /// What moves, in all topics or in some partitions of one.
    async fn reassignments(
        &self,
        only: Option<(&str, Vec<PartitionIndex>)>,
    ) -> Result<Vec<Reassignment>, Failure> {
        let topics = only.map(|(name, partition_indexes)| {
            vec![ListPartitionReassignmentsTopic { name: name.into(), partition_indexes }]
        });
        let request = ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics };
        let context = self.context::<ListPartitionReassignmentsRequest>();
        let broker = self.broker.clone();
        let response = list_partition_reassignments::handle(broker, context, request).await;
        Failure::unless_none(response.error_code, response.error_message.as_ref())?;
        let moved = response.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|moved| Reassignment::of(self, &topic.name, moved))
        });
        Ok(moved.collect())
    }
}

/// All reassignments that go on.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics/-/partitions/-/reassignment",
    operation_id = "listReassignments", tag = "Reassignments", params(ClusterPath),
    responses((status = 200, description = "What moves.", body = List<Reassignment>), Failure))]
pub async fn list(at: At<ClusterPath>) -> Result<Json<List<Reassignment>>, Failure> {
    let data = at.reassignments(None).await?;
    let path = "/topics/-/partitions/-/reassignment";
    Ok(Json(at.list("KafkaReassignmentList", path, data)))
}

/// The reassignments of a topic that go on.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/-/reassignment",
    operation_id = "listTopicReassignments", tag = "Reassignments", params(TopicPath),
    responses((status = 200, description = "What moves.", body = List<Reassignment>), Failure))]
pub async fn of_topic(at: At<TopicPath>) -> Result<Json<List<Reassignment>>, Failure> {
    let name = at.path.topic_name.as_str();
    let topic = at.topic(name).await?;
    let all = topic.partitions.iter().map(|partition| partition.partition_index).collect();
    let data = at.reassignments(Some((name, all))).await?;
    let path = format!("/topics/{name}/partitions/-/reassignment");
    Ok(Json(at.list("KafkaReassignmentList", &path, data)))
}

/// Where the replicas of a partition shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReassignment {
    /// The brokers, the preferred leader first.
    #[schema(example = json!([1, 2, 3]))]
    replicas: Vec<i32>,
}

impl Call {
    /// Has a partition's replicas be elsewhere, or stay where they were.
    async fn reassign(
        &self,
        path: &PartitionPath,
        replicas: Option<Vec<NodeId>>,
    ) -> Result<StatusCode, Failure> {
        let partition_index = PartitionIndex(path.partition_id);
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: TIMEOUT_MS,
            allow_replication_factor_change: true,
            topics: vec![AlterPartitionReassignmentsTopic {
                name: path.topic_name.as_str().into(),
                partitions: vec![AlterPartitionReassignmentsPartition {
                    partition_index,
                    replicas,
                }],
            }],
        };
        let context = self.context::<AlterPartitionReassignmentsRequest>();
        let response = decided::of_client(self.broker.clone(), context, request).await;
        Failure::unless_none(response.error_code, response.error_message.as_ref())?;
        for one in response.responses.iter().flat_map(|topic| &topic.partitions) {
            Failure::unless_none(one.error_code, one.error_message.as_ref())?;
        }
        Ok(StatusCode::NO_CONTENT)
    }
}

/// Moves the replicas of a partition to other brokers.
///
/// It has begun when this is answered, and ends once the new replicas have everything.
#[utoipa::path(put,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/reassignment",
    operation_id = "alterReassignment", tag = "Reassignments", params(PartitionPath),
    request_body = NewReassignment,
    responses((status = 204, description = "It has begun."), Failure))]
pub async fn alter(
    at: At<PartitionPath>,
    Body(new): Body<NewReassignment>,
) -> Result<StatusCode, Failure> {
    at.reassign(&at.path, Some(new.replicas.into_iter().map(NodeId).collect())).await
}

/// Has the replicas of a partition that move stay where they were.
#[utoipa::path(delete,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/reassignment",
    operation_id = "cancelReassignment", tag = "Reassignments", params(PartitionPath),
    responses((status = 204, description = "They stay."), Failure))]
pub async fn cancel(at: At<PartitionPath>) -> Result<StatusCode, Failure> {
    at.reassign(&at.path, None).await
}

/// The reassignment of a partition, if one goes on.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/topics/{topic_name}/partitions/{partition_id}/reassignment",
    operation_id = "getReassignment", tag = "Reassignments", params(PartitionPath),
    responses((status = 200, description = "What moves.", body = Reassignment), Failure))]
pub async fn of_partition(at: At<PartitionPath>) -> Result<Json<Reassignment>, Failure> {
    let PartitionPath { topic_name: name, partition_id: index, .. } = &at.path;
    at.topic(name).await?;
    let moved = at.reassignments(Some((name, vec![PartitionIndex(*index)]))).await?;
    let missing = || Failure::missing(format!("no replica of {name}-{index} moves"));
    Ok(Json(moved.into_iter().next().ok_or_else(missing)?))
}
