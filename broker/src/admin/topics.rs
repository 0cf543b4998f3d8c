//! Topics and partitions.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use milena_cluster::metadata::image::TopicImage;
use milena_protocol::api::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use milena_protocol::api::create_topics::{
    CreateTopicsConfig, CreateTopicsReplicaAssignment, CreateTopicsRequest, CreateTopicsTopic,
};
use milena_protocol::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsTopic};
use milena_protocol::ids::{NodeId, PartitionIndex, Uuid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::error::Failure;
use crate::handlers::{create_partitions, create_topics, delete_topics};

/// How long an administrative request may take.
const TIMEOUT_MS: i32 = 30_000;

impl Admin {
    fn topic(&self, topic: &TopicImage) -> Value {
        let name = topic.name().as_str();
        let path = format!("/topics/{name}");
        let replicas = topic.partitions().next().map_or(0, |(_, first)| first.replicas.len());
        json!({
            "kind": "KafkaTopic",
            "metadata": {
                "self": self.url(&path),
                "resource_name": self.name(&format!("/topic={name}")),
            },
            "cluster_id": self.broker.cluster_id.as_str(),
            "topic_name": name,
            "is_internal": topic.is_internal(),
            "replication_factor": replicas,
            "partitions_count": topic.partitions().len(),
            "partitions": { "related": self.url(&format!("{path}/partitions")) },
            "configs": { "related": self.url(&format!("{path}/configs")) },
            "partition_reassignments": {
                "related": self.url(&format!("{path}/partitions/-/reassignment")),
            },
            "authorized_operations": [],
        })
    }

    fn partition(&self, topic: &TopicImage, index: PartitionIndex, leader: NodeId) -> Value {
        let name = topic.name().as_str();
        let path = format!("/topics/{name}/partitions/{index}");
        json!({
            "kind": "KafkaPartition",
            "metadata": {
                "self": self.url(&path),
                "resource_name": self.name(&format!("/topic={name}/partition={index}")),
            },
            "cluster_id": self.broker.cluster_id.as_str(),
            "topic_name": name,
            "partition_id": index.0,
            "leader": { "related": self.url(&format!("{path}/replicas/{leader}")) },
            "replicas": { "related": self.url(&format!("{path}/replicas")) },
            "reassignment": { "related": self.url(&format!("{path}/reassignment")) },
        })
    }
}

/// A topic to be created.
#[derive(Debug, Deserialize)]
pub struct NewTopic {
    topic_name: String,
    #[serde(default)]
    partitions_count: Option<i32>,
    #[serde(default)]
    replication_factor: Option<i16>,
    #[serde(default)]
    replicas_assignments: std::collections::BTreeMap<String, Vec<i32>>,
    #[serde(default)]
    configs: Vec<NewConfig>,
    #[serde(default)]
    validate_only: bool,
}

/// A configuration of a topic to be created.
#[derive(Debug, Deserialize)]
pub struct NewConfig {
    name: String,
    value: Option<String>,
}

/// `GET …/topics`
pub async fn list(
    State(admin): State<Admin>,
    Path(cluster): Path<String>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let image = admin.broker.metadata.image_owned();
    let data = image.topics().map(|topic| admin.topic(topic)).collect();
    Ok(admin.list("KafkaTopicList", "/topics", data))
}

/// `POST …/topics`
pub async fn create(
    State(admin): State<Admin>,
    Path(cluster): Path<String>,
    body: Result<Json<NewTopic>, axum::extract::rejection::JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    admin.check_cluster(&cluster)?;
    let Json(new) = body.map_err(|error| Failure::bad_request(error.body_text()))?;
    let assignments = new
        .replicas_assignments
        .iter()
        .map(|(index, replicas)| {
            let index = index.parse().map_err(|_| {
                Failure::bad_request(format!("{index} is not the number of a partition"))
            })?;
            Ok(CreateTopicsReplicaAssignment {
                partition_index: PartitionIndex(index),
                broker_ids: replicas.iter().copied().map(NodeId).collect(),
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let request = CreateTopicsRequest {
        topics: vec![CreateTopicsTopic {
            name: new.topic_name.as_str().into(),
            num_partitions: new.partitions_count.unwrap_or(-1),
            replication_factor: new.replication_factor.unwrap_or(-1),
            assignments,
            configs: new
                .configs
                .into_iter()
                .map(|config| CreateTopicsConfig {
                    name: config.name.into(),
                    value: config.value.map(Into::into),
                })
                .collect(),
        }],
        timeout_ms: TIMEOUT_MS,
        validate_only: new.validate_only,
    };
    let context = admin.context::<CreateTopicsRequest>();
    let response = create_topics::handle(admin.broker.clone(), context, request).await;
    let result = response.topics.into_iter().next().ok_or_else(|| Failure::no_topic(""))?;
    if !result.error_code.is_none() {
        let message = result.error_message.map(|message| message.to_string());
        return Err(Failure::of_wire(result.error_code, message));
    }
    if new.validate_only {
        return Ok((StatusCode::OK, Json(json!({ "topic_name": new.topic_name }))));
    }
    let image = admin.broker.metadata.image_owned();
    let topic = image.topic(&new.topic_name).ok_or_else(|| Failure::no_topic(&new.topic_name))?;
    Ok((StatusCode::CREATED, Json(admin.topic(topic))))
}

/// `GET …/topics/{topic}`
pub async fn one(
    State(admin): State<Admin>,
    Path((cluster, name)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let image = admin.broker.metadata.image_owned();
    let topic = image.topic(&name).ok_or_else(|| Failure::no_topic(&name))?;
    Ok(Json(admin.topic(topic)))
}

/// `DELETE …/topics/{topic}`
pub async fn delete(
    State(admin): State<Admin>,
    Path((cluster, name)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    admin.check_cluster(&cluster)?;
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicsTopic { name: Some(name.into()), topic_id: Uuid::ZERO }],
        timeout_ms: TIMEOUT_MS,
        ..Default::default()
    };
    let context = admin.context::<DeleteTopicsRequest>();
    let response = delete_topics::handle(admin.broker.clone(), context, request).await;
    match response.responses.first() {
        Some(result) if !result.error_code.is_none() => {
            let message = result.error_message.as_ref().map(ToString::to_string);
            Err(Failure::of_wire(result.error_code, message))
        }
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// More partitions.
#[derive(Debug, Deserialize)]
pub struct Growth {
    partitions_count: i32,
}

/// `PATCH …/topics/{topic}`
pub async fn grow(
    State(admin): State<Admin>,
    Path((cluster, name)): Path<(String, String)>,
    body: Result<Json<Growth>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let Json(growth) = body.map_err(|error| Failure::bad_request(error.body_text()))?;
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: name.as_str().into(),
            count: growth.partitions_count,
            assignments: None,
        }],
        timeout_ms: TIMEOUT_MS,
        validate_only: false,
    };
    let context = admin.context::<CreatePartitionsRequest>();
    let response = create_partitions::handle(admin.broker.clone(), context, request).await;
    if let Some(result) = response.results.first().filter(|r| !r.error_code.is_none()) {
        let message = result.error_message.as_ref().map(ToString::to_string);
        return Err(Failure::of_wire(result.error_code, message));
    }
    let image = admin.broker.metadata.image_owned();
    let topic = image.topic(&name).ok_or_else(|| Failure::no_topic(&name))?;
    Ok(Json(admin.topic(topic)))
}

/// `GET …/topics/{topic}/partitions`
pub async fn partitions(
    State(admin): State<Admin>,
    Path((cluster, name)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let image = admin.broker.metadata.image_owned();
    let topic = image.topic(&name).ok_or_else(|| Failure::no_topic(&name))?;
    let data = topic
        .partitions()
        .map(|(index, partition)| admin.partition(topic, index, partition.leader))
        .collect();
    Ok(admin.list("KafkaPartitionList", &format!("/topics/{name}/partitions"), data))
}

/// `GET …/partitions/{partition}`
pub async fn partition(
    State(admin): State<Admin>,
    Path((cluster, name, index)): Path<(String, String, i32)>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let image = admin.broker.metadata.image_owned();
    let missing = || Failure::no_topic(&format!("{name}-{index}"));
    let topic = image.topic(&name).ok_or_else(missing)?;
    let index = PartitionIndex(index);
    let partition = topic.partition(index).ok_or_else(missing)?;
    Ok(Json(admin.partition(topic, index, partition.leader)))
}

/// `GET …/partitions/{partition}/replicas`
pub async fn replicas(
    State(admin): State<Admin>,
    Path((cluster, name, index)): Path<(String, String, i32)>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let image = admin.broker.metadata.image_owned();
    let missing = || Failure::no_topic(&format!("{name}-{index}"));
    let topic = image.topic(&name).ok_or_else(missing)?;
    let partition = topic.partition(PartitionIndex(index)).ok_or_else(missing)?;
    let path = format!("/topics/{name}/partitions/{index}/replicas");
    let data = partition
        .replicas
        .iter()
        .map(|replica| {
            json!({
                "kind": "KafkaReplica",
                "metadata": {
                    "self": admin.url(&format!("{path}/{replica}")),
                    "resource_name": admin
                        .name(&format!("/topic={name}/partition={index}/replica={replica}")),
                },
                "cluster_id": admin.broker.cluster_id.as_str(),
                "topic_name": name,
                "partition_id": index,
                "broker_id": replica.0,
                "is_leader": *replica == partition.leader,
                "is_in_sync": partition.isr.contains(replica),
                "broker": { "related": admin.url(&format!("/brokers/{replica}")) },
            })
        })
        .collect();
    Ok(admin.list("KafkaReplicaList", &path, data))
}
