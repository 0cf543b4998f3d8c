//! What the consumers of a group read.

use axum::Json;
use milena_protocol::codec::Text;
use serde::Serialize;
use utoipa::ToSchema;

use super::found::Place;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::admin::path::{AssignmentPath, At, ConsumerPath};
use crate::admin::resource::{List, Relationship, ResourceMetadata, segment};

/// A partition that a consumer reads.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsumerAssignment {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    consumer_group_id: String,
    consumer_id: String,
    topic_name: String,
    partition_id: i32,
    partition: Relationship,
    lag: Relationship,
}

impl ConsumerAssignment {
    fn of(call: &Call, group: &str, consumer: &str, (topic, index): &Place) -> Self {
        let (id, member) = (segment(group), segment(consumer));
        let partition = format!("{topic}/partitions/{index}");
        let path = format!("/consumer-groups/{id}/consumers/{member}/assignments/{partition}");
        let name =
            format!("/consumer-group={id}/consumer={member}/assignment={topic}/partition={index}");
        Self {
            kind: "KafkaConsumerAssignment",
            metadata: call.resource(&path, &name),
            cluster_id: call.broker.cluster_id.to_string(),
            consumer_group_id: group.to_owned(),
            consumer_id: consumer.to_owned(),
            topic_name: topic.to_string(),
            partition_id: *index,
            partition: call.link(&format!("/topics/{partition}")),
            lag: call.link(&format!("/consumer-groups/{id}/lags/{partition}")),
        }
    }
}

/// What a consumer reads.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}\
        /consumers/{consumer_id}/assignments",
    operation_id = "listConsumerAssignments", tag = "Consumer groups", params(ConsumerPath),
    responses(
        (status = 200, description = "The partitions.", body = List<ConsumerAssignment>),
        Failure,
    ))]
pub async fn list(at: At<ConsumerPath>) -> Result<Json<List<ConsumerAssignment>>, Failure> {
    let ConsumerPath { consumer_group_id: id, consumer_id: consumer, .. } = &at.path;
    let group = at.group(id).await?;
    let assigned = group.member(consumer)?.assigned.iter();
    let data = assigned.map(|place| ConsumerAssignment::of(&at, id, consumer, place)).collect();
    let (id, consumer) = (segment(id), segment(consumer));
    let path = format!("/consumer-groups/{id}/consumers/{consumer}/assignments");
    Ok(Json(at.list("KafkaConsumerAssignmentList", &path, data)))
}

/// A partition that a consumer reads.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}\
        /consumers/{consumer_id}/assignments/{topic_name}/partitions/{partition_id}",
    operation_id = "getConsumerAssignment", tag = "Consumer groups", params(AssignmentPath),
    responses(
        (status = 200, description = "The partition.", body = ConsumerAssignment),
        Failure,
    ))]
pub async fn one(at: At<AssignmentPath>) -> Result<Json<ConsumerAssignment>, Failure> {
    let AssignmentPath { consumer_group_id: id, consumer_id: consumer, .. } = &at.path;
    let AssignmentPath { topic_name: topic, partition_id: index, .. } = &at.path;
    let group = at.group(id).await?;
    let place = (Text::from(topic.as_str()), *index);
    if !group.member(consumer)?.assigned.contains(&place) {
        return Err(Failure::missing(format!("consumer {consumer} does not read {topic}-{index}")));
    }
    Ok(Json(ConsumerAssignment::of(&at, id, consumer, &place)))
}
