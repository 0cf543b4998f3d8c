//! Configurations of topics.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use milena_protocol::api::create_topics::{CreateTopicsRequest, CreateTopicsTopic};
use milena_protocol::api::describe_configs::DescribeConfigsConfig;

use super::alter::{Alteration, Alterations, NewValue};
use super::describe::Config;
use super::owner::Owner;
use crate::admin::body::Body;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::admin::path::{At, ClusterPath, TopicConfigPath, TopicPath};
use crate::admin::resource::List;
use crate::entropy::new_uuid;
use crate::handlers::create_topics;

fn topic(name: &str) -> Owner {
    Owner::Topic(name.to_owned())
}

/// The configurations of a topic.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/configs",
    operation_id = "listTopicConfigs", tag = "Configs", params(TopicPath),
    responses((status = 200, description = "Values in force.", body = List<Config>), Failure))]
pub async fn list(at: At<TopicPath>) -> Result<Json<List<Config>>, Failure> {
    let owner = topic(&at.path.topic_name);
    Ok(Json(at.config_list(&owner).await?))
}

/// Changes configurations of a topic, all or none.
#[utoipa::path(post, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/configs:alter",
    operation_id = "alterTopicConfigs", tag = "Configs", params(TopicPath),
    request_body = Alterations,
    responses((status = 204, description = "They are changed."), Failure))]
pub async fn alter(
    at: At<TopicPath>,
    Body(changes): Body<Alterations>,
) -> Result<StatusCode, Failure> {
    let owner = topic(&at.path.topic_name);
    at.alter(&owner, changes).await
}

/// A configuration of a topic.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/configs/{name}",
    operation_id = "getTopicConfig", tag = "Configs", params(TopicConfigPath),
    responses((status = 200, description = "The value in force.", body = Config), Failure))]
pub async fn one(at: At<TopicConfigPath>) -> Result<Json<Config>, Failure> {
    let owner = topic(&at.path.topic_name);
    Ok(Json(at.config(&owner, &at.path.name).await?))
}

/// Sets a configuration of a topic.
#[utoipa::path(put, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/configs/{name}",
    operation_id = "updateTopicConfig", tag = "Configs",
    params(TopicConfigPath), request_body = NewValue,
    responses((status = 204, description = "It is set."), Failure))]
pub async fn set(
    at: At<TopicConfigPath>,
    Body(new): Body<NewValue>,
) -> Result<StatusCode, Failure> {
    let owner = topic(&at.path.topic_name);
    at.alter_one(&owner, Alteration::set(&at.path.name, new)).await
}

/// Takes a configuration of a topic back to its default.
#[utoipa::path(delete, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/configs/{name}",
    operation_id = "resetTopicConfig", tag = "Configs", params(TopicConfigPath),
    responses((status = 204, description = "The default counts again."), Failure))]
pub async fn reset(at: At<TopicConfigPath>) -> Result<StatusCode, Failure> {
    let owner = topic(&at.path.topic_name);
    at.alter_one(&owner, Alteration::delete(&at.path.name)).await
}

/// The configurations of all topics.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics/-/configs",
    operation_id = "listAllTopicsConfigs", tag = "Configs", params(ClusterPath),
    responses((status = 200, description = "Values in force.", body = List<Config>), Failure))]
pub async fn list_all(at: At<ClusterPath>) -> Response {
    let names: Vec<_> = at.topics().await.into_iter().filter_map(|topic| topic.name).collect();
    let list = at.list::<Config>("KafkaTopicConfigList", "/topics/-/configs", Vec::new());
    let parts = stream::iter(names).then(move |name| {
        let call = at.clone();
        // A topic that is gone by now, or not for the caller, has nothing to show.
        async move { call.configs(&topic(&name)).await.unwrap_or_default() }
    });
    list.written(parts)
}

/// The configurations that a topic has, or would have, without any of its own.
#[utoipa::path(get, path = "/v3/clusters/{cluster_id}/topics/{topic_name}/default-configs",
    operation_id = "listTopicDefaultConfigs", tag = "Configs", params(TopicPath),
    responses((status = 200, description = "Defaults.", body = List<Config>), Failure))]
pub async fn list_defaults(at: At<TopicPath>) -> Result<Json<List<Config>>, Failure> {
    let owner = topic(&at.path.topic_name);
    let exists = at.topic(&at.path.topic_name).await.is_ok();
    // The defaults are the same whatever the name; that of a topic that exists would be refused.
    let name = if exists { new_uuid().to_string() } else { at.path.topic_name.clone() };
    let described = imagined(&at, &name).await?;
    let data = described.into_iter().map(|config| Config::of(&at, &owner, config)).collect();
    let path = format!("/topics/{}/default-configs", at.path.topic_name);
    Ok(Json(at.list("KafkaTopicConfigList", &path, data)))
}

/// The configurations of a topic that does not exist: what its creation would answer.
async fn imagined(call: &Call, name: &str) -> Result<Vec<DescribeConfigsConfig>, Failure> {
    let topic = CreateTopicsTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], validate_only: true, timeout_ms: 0 };
    let context = call.context::<CreateTopicsRequest>();
    let response = create_topics::handle(call.broker.clone(), context, request).await;
    let result = response.topics.into_iter().next();
    let result = result.ok_or_else(|| Failure::missing(format!("there is no topic {name}")))?;
    Failure::unless_none(result.error_code, result.error_message.as_ref())?;
    let configs = result.configs.unwrap_or_default().into_iter();
    Ok(configs
        .map(|config| DescribeConfigsConfig {
            name: config.name,
            value: config.value,
            read_only: config.read_only,
            config_source: config.config_source,
            is_sensitive: config.is_sensitive,
            ..Default::default()
        })
        .collect())
}
