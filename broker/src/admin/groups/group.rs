//! Groups of consumers: listed, shown, forgotten.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use milena_protocol::api::delete_groups::DeleteGroupsRequest;
use milena_protocol::api::list_groups::ListGroupsRequest;
use serde::Serialize;
use utoipa::ToSchema;

use super::found::{CONSUMERS, Found};
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::admin::path::{At, ClusterPath, GroupPath};
use crate::admin::resource::{List, Relationship, ResourceMetadata, segment};
use crate::handlers::{delete_groups, list_groups};

/// A group of consumers.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsumerGroup {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    consumer_group_id: String,
    /// Whether it only keeps offsets, and its consumers assign themselves.
    is_simple: bool,
    /// How its members share; empty where nobody is in it.
    partition_assignor: String,
    /// `EMPTY`, `PREPARING_REBALANCE`, `COMPLETING_REBALANCE`, `ASSIGNING`, `RECONCILING`, `STABLE`
    /// or `DEAD`.
    #[schema(example = "STABLE")]
    state: String,
    /// `CLASSIC` or `CONSUMER`.
    #[schema(example = "CLASSIC")]
    r#type: &'static str,
    /// Whether members of both protocols are in it.
    is_mixed_consumer_group: bool,
    coordinator: Relationship,
    consumers: Relationship,
    lag_summary: Relationship,
}

impl ConsumerGroup {
    fn of(call: &Call, group: Found) -> Self {
        let id = segment(&group.id);
        let path = format!("/consumer-groups/{id}");
        Self {
            kind: "KafkaConsumerGroup",
            metadata: call.resource(&path, &format!("/consumer-group={id}")),
            cluster_id: call.broker.cluster_id.to_string(),
            is_simple: group.is_simple,
            partition_assignor: group.assignor,
            state: screaming(&group.state),
            r#type: group.kind,
            is_mixed_consumer_group: group.is_mixed,
            // Only the coordinator itself can describe it.
            coordinator: call.link(&format!("/brokers/{}", call.broker.node_id)),
            consumers: call.link(&format!("{path}/consumers")),
            lag_summary: call.link(&format!("{path}/lag-summary")),
            consumer_group_id: group.id,
        }
    }
}

/// A name as Confluent writes it: `PreparingRebalance` is `PREPARING_REBALANCE`.
fn screaming(name: &str) -> String {
    let mut screamed = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_uppercase() && !screamed.is_empty() {
            screamed.push('_');
        }
        screamed.extend(letter.to_uppercase());
    }
    screamed
}

/// The groups of consumers that this node coordinates.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/consumer-groups",
    operation_id = "listConsumerGroups", tag = "Consumer groups", params(ClusterPath),
    responses((status = 200, description = "The groups.", body = List<ConsumerGroup>), Failure))]
pub async fn list(at: At<ClusterPath>) -> Result<Response, Failure> {
    let context = at.context::<ListGroupsRequest>();
    let request = ListGroupsRequest::default();
    let response = list_groups::handle(at.broker.clone(), context, request).await;
    Failure::unless_none(response.error_code, None)?;
    let is_of_consumers = |kind: &str| kind.is_empty() || kind == CONSUMERS;
    let listed = response.groups.into_iter().filter(|group| is_of_consumers(&group.protocol_type));
    let mut ids: Vec<_> = listed.map(|group| group.group_id).collect();
    ids.sort_unstable();
    let list = at.list::<ConsumerGroup>("KafkaConsumerGroupList", "/consumer-groups", Vec::new());
    let parts = stream::iter(ids).then(move |id| {
        let call = at.clone();
        // A group that is gone by now, or not for the caller, has nothing to show.
        async move {
            call.group(&id).await.map(|group| ConsumerGroup::of(&call, group)).into_iter().collect()
        }
    });
    Ok(list.written(parts))
}

/// A group of consumers.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}",
    operation_id = "getConsumerGroup", tag = "Consumer groups", params(GroupPath),
    responses((status = 200, description = "The group.", body = ConsumerGroup), Failure))]
pub async fn one(at: At<GroupPath>) -> Result<Json<ConsumerGroup>, Failure> {
    let group = at.group(&at.path.consumer_group_id).await?;
    Ok(Json(ConsumerGroup::of(&at, group)))
}

/// Forgets a group without members, and its offsets.
///
/// Refused while somebody is in it.
#[utoipa::path(delete, path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}",
    operation_id = "deleteConsumerGroup", tag = "Consumer groups", params(GroupPath),
    responses((status = 204, description = "It is gone."), Failure))]
pub async fn delete(at: At<GroupPath>) -> Result<StatusCode, Failure> {
    let id = at.path.consumer_group_id.as_str();
    at.group(id).await?;
    let request = DeleteGroupsRequest { groups_names: vec![id.into()] };
    let context = at.context::<DeleteGroupsRequest>();
    let response = delete_groups::handle(at.broker.clone(), context, request).await;
    for result in &response.results {
        Failure::unless_none(result.error_code, None)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::screaming;

    /// A client that knows Confluent's states would not know ours.
    #[test]
    fn states_are_written_as_confluent_does() {
        assert_eq!(screaming("PreparingRebalance"), "PREPARING_REBALANCE");
        assert_eq!(screaming("Stable"), "STABLE");
        assert_eq!(screaming(""), "");
    }
}
