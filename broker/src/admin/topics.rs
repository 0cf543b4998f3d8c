//! Topics: listed, created, described, grown, deleted.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use milena_protocol::api::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use milena_protocol::api::create_topics::{
    CreateTopicsConfig, CreateTopicsReplicaAssignment, CreateTopicsRequest, CreateTopicsTopic,
    CreateTopicsTopicResult,
};
use milena_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsTopic};
use milena_protocol::api::metadata::MetadataTopic;
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::Body;
use super::call::Call;
use super::error::Failure;
use super::path::{At, ClusterPath, TopicPath};
use super::resource::{List, Relationship, ResourceMetadata};
use crate::handlers::{create_partitions, create_topics, delete_topics};

/// How long an administrative request may take.
const TIMEOUT_MS: i32 = 30_000;

/// A topic.
#[derive(Debug, Serialize, ToSchema)]
pub struct Topic {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    topic_name: String,
    /// Whether it is one of Kafka's own.
    is_internal: bool,
    /// Replicas of its first partition.
    replication_factor: usize,
    partitions_count: usize,
    partitions: Relationship,
    configs: Relationship,
    partition_reassignments: Relationship,
    /// What the caller may do to it, if that is asked.
    authorized_operations: Vec<&'static str>,
}

/// Names of operations, by their numbers in the protocol.
const OPERATIONS: [(u32, &str); 8] = [
    (3, "READ"),
    (4, "WRITE"),
    (5, "CREATE"),
    (6, "DELETE"),
    (7, "ALTER"),
    (8, "DESCRIBE"),
    (10, "DESCRIBE_CONFIGS"),
    (11, "ALTER_CONFIGS"),
];

/// What to say of topics.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Shown {
    /// Whether to say what the caller may do to them.
    #[serde(default, alias = "includeAuthorizedOperations")]
    include_authorized_operations: bool,
}

impl Topic {
    fn of(call: &Call, topic: &MetadataTopic, shown: &Shown) -> Self {
        let name = topic.name.as_deref().unwrap_or_default();
        let replicas = topic.partitions.first().map_or(0, |first| first.replica_nodes.len());
        let operations =
            if shown.include_authorized_operations { topic.topic_authorized_operations } else { 0 };
        Self {
            authorized_operations: OPERATIONS
                .iter()
                .filter(|(bit, _)| operations & (1 << bit) != 0)
                .map(|(_, name)| *name)
                .collect(),
            ..Self::new(call, name, topic.partitions.len(), replicas, topic.is_internal)
        }
    }

    /// A topic that would have been created.
    fn imagined(call: &Call, result: &CreateTopicsTopicResult) -> Self {
        let partitions = usize::try_from(result.num_partitions).unwrap_or(0);
        let replicas = usize::try_from(result.replication_factor).unwrap_or(0);
        Self::new(call, &result.name, partitions, replicas, false)
    }

    fn new(
        call: &Call,
        name: &str,
        partitions_count: usize,
        replication_factor: usize,
        is_internal: bool,
    ) -> Self {
        let path = format!("/topics/{name}");
        Self {
            kind: "KafkaTopic",
            metadata: call.resource(&path, &format!("/topic={name}")),
            cluster_id: call.broker.cluster_id.to_string(),
            topic_name: name.to_owned(),
            is_internal,
            replication_factor,
            partitions_count,
            partitions: call.link(&format!("{path}/partitions")),
            configs: call.link(&format!("{path}/configs")),
            partition_reassignments: call.link(&format!("{path}/partitions/-/reassignment")),
            authorized_operations: Vec::new(),
        }
    }
}

/// A topic to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTopic {
    /// Its name.
    #[schema(example = "orders")]
    topic_name: String,
    /// How many partitions; without it `num.partitions`.
    partitions_count: Option<i32>,
    /// How many replicas of each; without it `default.replication.factor`.
    replication_factor: Option<i16>,
    /// Brokers of each partition, the preferred leader first, instead of the two counts.
    #[serde(default)]
    replicas_assignments: BTreeMap<String, Vec<i32>>,
    /// Configurations that differ from the defaults.
    #[serde(default)]
    configs: Vec<NewConfig>,
    /// Only say whether it could be created.
    #[serde(default)]
    validate_only: bool,
}

/// A configuration of a topic to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConfig {
    /// Its name.
    #[schema(example = "retention.ms")]
    name: String,
    /// Its value.
    #[schema(example = "86400000")]
    value: Option<String>,
}

impl NewTopic {
    fn into_request(self) -> Result<CreateTopicsRequest, Failure> {
        let assignments = self
            .replicas_assignments
            .into_iter()
            .map(|(index, replicas)| {
                let index = index.parse().map_err(|_| {
                    Failure::bad_request(format!("{index} is not the number of a partition"))
                })?;
                Ok(CreateTopicsReplicaAssignment {
                    partition_index: PartitionIndex(index),
                    broker_ids: replicas.into_iter().map(NodeId).collect(),
                })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let configs = self.configs.into_iter().map(|config| CreateTopicsConfig {
            name: config.name.into(),
            value: config.value.map(Into::into),
        });
        let topic = CreateTopicsTopic {
            name: self.topic_name.into(),
            num_partitions: self.partitions_count.unwrap_or(-1),
            replication_factor: self.replication_factor.unwrap_or(-1),
            assignments,
            configs: configs.collect(),
        };
        let validate_only = self.validate_only;
        Ok(CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only })
    }
}

/// The topics that the caller may see.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics", operation_id = "listTopics",
    tag = "Topics", params(ClusterPath, Shown),
    responses((status = 200, description = "The topics.", body = List<Topic>), Failure))]
pub async fn list(
    at: At<ClusterPath>,
    query: Result<Query<Shown>, QueryRejection>,
) -> Result<Json<List<Topic>>, Failure> {
    let Query(shown) = query.map_err(Failure::bad_query)?;
    let data = at.topics().await.iter().map(|topic| Topic::of(&at, topic, &shown)).collect();
    Ok(Json(at.list("KafkaTopicList", "/topics", data)))
}

/// Creates a topic.
///
/// When this is answered, the topic is led and can be written to.
#[utoipa::path(post, path = "/v3/clusters/{cluster_id}/topics", operation_id = "createTopic",
    tag = "Topics", params(ClusterPath), request_body = NewTopic,
    responses(
        (status = 201, description = "The topic.", body = Topic,
            headers(("Location" = String, description = "Its address."))),
        (status = 200, description = "What `validate_only` would have made.", body = Topic),
        Failure,
    ))]
pub async fn create(at: At<ClusterPath>, Body(new): Body<NewTopic>) -> Result<Response, Failure> {
    let request = new.into_request()?;
    let validate_only = request.validate_only;
    let context = at.context::<CreateTopicsRequest>();
    let response = create_topics::handle(at.broker.clone(), context, request).await;
    let result = response.topics.into_iter().next();
    let result = result.ok_or_else(|| Failure::bad_request("no topic was created"))?;
    Failure::unless_none(result.error_code, result.error_message.as_ref())?;
    if validate_only {
        return Ok(Json(Topic::imagined(&at, &result)).into_response());
    }
    let topic = Topic::of(&at, &at.topic(&result.name).await?, &Shown::default());
    let location = at.url(&format!("/topics/{}", result.name));
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(topic)).into_response())
}

/// A topic.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics/{topic_name}",
    operation_id = "getTopic", tag = "Topics", params(TopicPath, Shown),
    responses((status = 200, description = "The topic.", body = Topic), Failure))]
pub async fn one(
    at: At<TopicPath>,
    query: Result<Query<Shown>, QueryRejection>,
) -> Result<Json<Topic>, Failure> {
    let Query(shown) = query.map_err(Failure::bad_query)?;
    let topic = at.topic(&at.path.topic_name).await?;
    Ok(Json(Topic::of(&at, &topic, &shown)))
}

/// Deletes a topic with all its records.
#[utoipa::path(delete, path = "/v3/clusters/{cluster_id}/topics/{topic_name}",
    operation_id = "deleteTopic", tag = "Topics", params(TopicPath),
    responses((status = 204, description = "It is gone."), Failure))]
pub async fn delete(at: At<TopicPath>) -> Result<StatusCode, Failure> {
    let name = at.path.topic_name.as_str();
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicsTopic { name: Some(name.into()), topic_id: Uuid::ZERO }],
        timeout_ms: TIMEOUT_MS,
        ..Default::default()
    };
    let context = at.context::<DeleteTopicsRequest>();
    let response = delete_topics::handle(at.broker.clone(), context, request).await;
    for result in &response.responses {
        Failure::unless_none(result.error_code, result.error_message.as_ref())?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// More partitions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// How many partitions there shall be; more than there are.
    #[schema(example = 4)]
    partitions_count: i32,
    /// Only say whether it could be done.
    #[serde(default)]
    validate_only: bool,
}

/// Gives a topic more partitions.
///
/// Records of a key may go to another partition than before.
#[utoipa::path(patch, path = "/v3/clusters/{cluster_id}/topics/{topic_name}",
    operation_id = "growTopic", tag = "Topics", params(TopicPath), request_body = Growth,
    responses((status = 200, description = "The topic.", body = Topic), Failure))]
pub async fn grow(at: At<TopicPath>, Body(growth): Body<Growth>) -> Result<Json<Topic>, Failure> {
    let name = at.path.topic_name.as_str();
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: name.into(),
            count: growth.partitions_count,
            assignments: None,
        }],
        timeout_ms: TIMEOUT_MS,
        validate_only: growth.validate_only,
    };
    let context = at.context::<CreatePartitionsRequest>();
    let response = create_partitions::handle(at.broker.clone(), context, request).await;
    for result in &response.results {
        Failure::unless_none(result.error_code, result.error_message.as_ref())?;
    }
    let topic = at.topic(name).await?;
    Ok(Json(Topic::of(&at, &topic, &Shown::default())))
}
