//! Groups of consumers: listed, shown, forgotten.

use std::collections::BTreeSet;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use milena_protocol::api::delete_groups::DeleteGroupsRequest;
use milena_protocol::api::list_groups::ListGroupsRequest;
use milena_protocol::codec::Text;
use milena_protocol::ids::NodeId;
use serde::Serialize;
use utoipa::ToSchema;

use super::found::{CONSUMERS, Found};
use crate::admin::call::Call;
use crate::admin::elsewhere::Asked;
use crate::admin::error::Failure;
use crate::admin::path::{At, ClusterPath, GroupPath};
use crate::admin::resource::{List, Relationship, ResourceMetadata, segment};
use crate::handlers::{delete_groups, list_groups};
use crate::security::{Operation, Resource};

/// Names the brokers whose groups are missing in a list.
const MISSING_COORDINATORS: HeaderName = HeaderName::from_static("missing-coordinators");

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
            coordinator: call.link(&format!("/brokers/{}", call.coordinator(&group.id))),
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

/// What all coordinators list.
#[derive(Debug, Default)]
struct Listed {
    /// The groups of consumers.
    ids: BTreeSet<Text>,
    /// The brokers that did not tell all of theirs; −1 where nobody coordinates some groups.
    missing: Vec<NodeId>,
}

impl Call {
    async fn listed(&self) -> Listed {
        let mut listed = Listed::default();
        let is_of_consumers = |kind: &str| kind.is_empty() || kind == CONSUMERS;
        for coordinator in self.coordinators() {
            let (right, asked) = (
                (Operation::Describe, Resource::Cluster),
                Asked::newest(ListGroupsRequest::default()),
            );
            let response = match self.put(coordinator, right, asked, list_groups::handle).await {
                Ok(response) => response,
                Err(_) => {
                    listed.missing.push(coordinator);
                    continue;
                }
            };
            if !response.error_code.is_none() {
                listed.missing.push(coordinator);
            }
            let groups = response.groups.into_iter();
            let groups = groups.filter(|group| is_of_consumers(&group.protocol_type));
            listed.ids.extend(groups.map(|group| group.group_id));
        }
        listed
    }
}

/// The groups of consumers, whoever coordinates them.
///
/// Where a coordinator does not answer, the groups of the others are listed, and the header
/// `Missing-Coordinators` names it.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/consumer-groups",
    operation_id = "listConsumerGroups", tag = "Consumer groups", params(ClusterPath),
    responses(
        (status = 200, description = "The groups.", body = List<ConsumerGroup>,
            headers(("Missing-Coordinators" = String, description =
                "Brokers whose groups are not all in the list, with commas; -1 stands for groups \
                that nobody coordinates now. Left out where all are."))),
        Failure,
    ))]
pub async fn list(at: At<ClusterPath>) -> Result<Response, Failure> {
    let Listed { ids, missing } = at.listed().await;
    let list = at.list::<ConsumerGroup>("KafkaConsumerGroupList", "/consumer-groups", Vec::new());
    let parts = stream::iter(ids).then(move |id| {
        let call = at.clone();
        // A group that is gone by now, or not for the caller, has nothing to show.
        async move {
            call.group(&id).await.map(|group| ConsumerGroup::of(&call, group)).into_iter().collect()
        }
    });
    let mut response = list.written(parts);
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    match HeaderValue::from_str(&missing.join(", ")) {
        Ok(named) if !missing.is_empty() => {
            response.headers_mut().insert(MISSING_COORDINATORS, named);
        }
        _ => {}
    }
    Ok(response)
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
    let (right, asked) = ((Operation::Delete, id), Asked::newest(request));
    let response = at.coordinate(right, asked, delete_groups::handle).await?;
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
