//! Who is in a group.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::found::Member;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::admin::path::{At, ConsumerPath, GroupPath};
use crate::admin::resource::{List, Relationship, ResourceMetadata, segment};

/// A consumer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Consumer {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    consumer_group_id: String,
    consumer_id: String,
    /// Its name, if it is static.
    instance_id: Option<String>,
    /// What the client calls itself.
    client_id: String,
    assignments: Relationship,
}

impl Consumer {
    fn of(call: &Call, group: &str, member: &Member) -> Self {
        let (id, consumer) = (segment(group), segment(&member.id));
        let path = format!("/consumer-groups/{id}/consumers/{consumer}");
        let name = format!("/consumer-group={id}/consumer={consumer}");
        Self {
            kind: "KafkaConsumer",
            metadata: call.resource(&path, &name),
            cluster_id: call.broker.cluster_id.to_string(),
            consumer_group_id: group.to_owned(),
            consumer_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            assignments: call.link(&format!("{path}/assignments")),
        }
    }
}

/// The consumers of a group.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/consumers",
    operation_id = "listConsumers", tag = "Consumer groups", params(GroupPath),
    responses((status = 200, description = "The consumers.", body = List<Consumer>), Failure))]
pub async fn list(at: At<GroupPath>) -> Result<Json<List<Consumer>>, Failure> {
    let id = at.path.consumer_group_id.as_str();
    let group = at.group(id).await?;
    let data = group.members.iter().map(|member| Consumer::of(&at, id, member)).collect();
    let path = format!("/consumer-groups/{}/consumers", segment(id));
    Ok(Json(at.list("KafkaConsumerList", &path, data)))
}

/// A consumer of a group.
#[utoipa::path(get,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}\
        /consumers/{consumer_id}",
    operation_id = "getConsumer", tag = "Consumer groups", params(ConsumerPath),
    responses((status = 200, description = "The consumer.", body = Consumer), Failure))]
pub async fn one(at: At<ConsumerPath>) -> Result<Json<Consumer>, Failure> {
    let id = at.path.consumer_group_id.as_str();
    let group = at.group(id).await?;
    Ok(Json(Consumer::of(&at, id, group.member(&at.path.consumer_id)?)))
}
