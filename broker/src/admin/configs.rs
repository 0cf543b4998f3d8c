//! Configurations of topics and brokers.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use milena_protocol::api::describe_configs::{
    DescribeConfigsConfig, DescribeConfigsRequest, DescribeConfigsResource,
};
use milena_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
};
use milena_protocol::codec::Text;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::error::Failure;
use crate::handlers::{describe_configs, incremental_alter_configs};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// A resource, and where its configurations stand.
struct Place {
    kind: i8,
    name: String,
    path: String,
    list: &'static str,
    item: &'static str,
}

impl Place {
    fn topic(name: &str) -> Self {
        Self {
            kind: TOPIC,
            name: name.to_owned(),
            path: format!("/topics/{name}/configs"),
            list: "KafkaTopicConfigList",
            item: "KafkaTopicConfig",
        }
    }

    fn broker(id: &str) -> Self {
        Self {
            kind: BROKER,
            name: id.to_owned(),
            path: format!("/brokers/{id}/configs"),
            list: "KafkaBrokerConfigList",
            item: "KafkaBrokerConfig",
        }
    }

    fn all_brokers() -> Self {
        Self {
            kind: BROKER,
            name: String::new(),
            path: "/broker-configs".to_owned(),
            list: "KafkaClusterConfigList",
            item: "KafkaClusterConfig",
        }
    }
}

/// A list of changes.
#[derive(Debug, Deserialize)]
pub struct Alterations {
    data: Vec<Alteration>,
    #[serde(default)]
    validate_only: bool,
}

/// One change.
#[derive(Debug, Deserialize)]
struct Alteration {
    name: String,
    value: Option<String>,
    #[serde(default)]
    operation: Option<String>,
}

/// A new value.
#[derive(Debug, Deserialize)]
pub struct NewValue {
    value: Option<String>,
}

type Body<T> = Result<Json<T>, axum::extract::rejection::JsonRejection>;

impl Admin {
    async fn describe(
        &self,
        place: &Place,
        only: Option<&str>,
    ) -> Result<Vec<DescribeConfigsConfig>, Failure> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: place.kind,
                resource_name: place.name.as_str().into(),
                configuration_keys: only.map(|name| vec![Text::from(name)]),
            }],
            include_synonyms: true,
            include_documentation: false,
        };
        let context = self.context::<DescribeConfigsRequest>();
        let response = describe_configs::handle(self.broker.clone(), context, request).await;
        let result = response.results.into_iter().next();
        let result = result.ok_or_else(|| Failure::no_topic(&place.name))?;
        if result.error_code.is_none() {
            return Ok(result.configs);
        }
        let message = result.error_message.map(|message| message.to_string());
        Err(Failure::of_wire(result.error_code, message))
    }

    async fn alter(
        &self,
        place: &Place,
        changes: Vec<(String, i8, Option<String>)>,
        validate_only: bool,
    ) -> Result<StatusCode, Failure> {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![IncrementalAlterConfigsResource {
                resource_type: place.kind,
                resource_name: place.name.as_str().into(),
                configs: changes
                    .into_iter()
                    .map(|(name, config_operation, value)| IncrementalAlterConfigsConfig {
                        name: name.into(),
                        config_operation,
                        value: value.map(Text::from),
                    })
                    .collect(),
            }],
            validate_only,
        };
        let context = self.context::<IncrementalAlterConfigsRequest>();
        let response =
            incremental_alter_configs::handle(self.broker.clone(), context, request).await;
        match response.responses.first() {
            Some(result) if !result.error_code.is_none() => {
                let message = result.error_message.as_ref().map(ToString::to_string);
                Err(Failure::of_wire(result.error_code, message))
            }
            _ => Ok(StatusCode::NO_CONTENT),
        }
    }

    async fn alter_many(
        &self,
        place: &Place,
        body: Body<Alterations>,
    ) -> Result<StatusCode, Failure> {
        let Json(alterations) = body.map_err(|error| Failure::bad_request(error.body_text()))?;
        let changes = alterations
            .data
            .into_iter()
            .map(|change| match change.operation.as_deref().unwrap_or("SET") {
                "SET" => Ok((change.name, SET, change.value)),
                "DELETE" => Ok((change.name, DELETE, None)),
                other => Err(Failure::bad_request(format!(
                    "the operation {other} does not exist; SET and DELETE do"
                ))),
            })
            .collect::<Result<_, _>>()?;
        self.alter(place, changes, alterations.validate_only).await
    }

    fn config(&self, place: &Place, config: &DescribeConfigsConfig) -> Value {
        let source = |number: i8| match number {
            1 => "DYNAMIC_TOPIC_CONFIG",
            2 => "DYNAMIC_BROKER_CONFIG",
            3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            4 => "STATIC_BROKER_CONFIG",
            5 => "DEFAULT_CONFIG",
            _ => "UNKNOWN",
        };
        let owner = match (place.kind, place.name.as_str()) {
            (TOPIC, name) => ("topic_name", json!(name)),
            (_, "") => ("config_type", json!("BROKER")),
            (_, id) => ("broker_id", json!(id.parse::<i32>().ok())),
        };
        let mut item = json!({
            "kind": place.item,
            "metadata": {
                "self": self.url(&format!("{}/{}", place.path, config.name)),
                "resource_name": self.name(&format!("{}={}", place.path, config.name)),
            },
            "cluster_id": self.broker.cluster_id.as_str(),
            "name": config.name.as_str(),
            "value": config.value.as_deref(),
            "is_default": config.config_source == 5,
            "is_read_only": config.read_only,
            "is_sensitive": config.is_sensitive,
            "source": source(config.config_source),
            "synonyms": config.synonyms.iter().map(|synonym| json!({
                "name": synonym.name.as_str(),
                "value": synonym.value.as_deref(),
                "source": source(synonym.source),
            })).collect::<Vec<_>>(),
        });
        if let Some(fields) = item.as_object_mut() {
            fields.insert(owner.0.to_owned(), owner.1);
        }
        item
    }

    async fn config_list(&self, place: &Place) -> Result<Json<Value>, Failure> {
        let configs = self.describe(place, None).await?;
        let data = configs.iter().map(|config| self.config(place, config)).collect();
        Ok(self.list(place.list, &place.path, data))
    }
}

/// `GET …/topics/{topic}/configs`
pub async fn of_topic(
    State(admin): State<Admin>,
    Path((cluster, topic)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    admin.config_list(&Place::topic(&topic)).await
}

/// `POST …/topics/{topic}/configs:alter`
pub async fn alter_topic(
    State(admin): State<Admin>,
    Path((cluster, topic)): Path<(String, String)>,
    body: Body<Alterations>,
) -> Result<StatusCode, Failure> {
    admin.check_cluster(&cluster)?;
    admin.alter_many(&Place::topic(&topic), body).await
}

/// `GET …/topics/{topic}/configs/{name}`
pub async fn one_of_topic(
    State(admin): State<Admin>,
    Path((cluster, topic, name)): Path<(String, String, String)>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    let place = Place::topic(&topic);
    let configs = admin.describe(&place, Some(&name)).await?;
    let config = configs.first().ok_or_else(|| {
        let message = format!("a topic has no configuration {name}");
        Failure::new(StatusCode::NOT_FOUND, 40404, message)
    })?;
    Ok(Json(admin.config(&place, config)))
}

/// `PUT …/topics/{topic}/configs/{name}`
pub async fn set_of_topic(
    State(admin): State<Admin>,
    Path((cluster, topic, name)): Path<(String, String, String)>,
    body: Body<NewValue>,
) -> Result<StatusCode, Failure> {
    admin.check_cluster(&cluster)?;
    let Json(new) = body.map_err(|error| Failure::bad_request(error.body_text()))?;
    admin.alter(&Place::topic(&topic), vec![(name, SET, new.value)], false).await
}

/// `DELETE …/topics/{topic}/configs/{name}`
pub async fn reset_of_topic(
    State(admin): State<Admin>,
    Path((cluster, topic, name)): Path<(String, String, String)>,
) -> Result<StatusCode, Failure> {
    admin.check_cluster(&cluster)?;
    admin.alter(&Place::topic(&topic), vec![(name, DELETE, None)], false).await
}

/// `GET …/brokers/{broker}/configs`
pub async fn of_broker(
    State(admin): State<Admin>,
    Path((cluster, id)): Path<(String, String)>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    admin.config_list(&Place::broker(&id)).await
}

/// `POST …/brokers/{broker}/configs:alter`
pub async fn alter_broker(
    State(admin): State<Admin>,
    Path((cluster, id)): Path<(String, String)>,
    body: Body<Alterations>,
) -> Result<StatusCode, Failure> {
    admin.check_cluster(&cluster)?;
    admin.alter_many(&Place::broker(&id), body).await
}

/// `GET …/broker-configs`
pub async fn of_all_brokers(
    State(admin): State<Admin>,
    Path(cluster): Path<String>,
) -> Result<Json<Value>, Failure> {
    admin.check_cluster(&cluster)?;
    admin.config_list(&Place::all_brokers()).await
}

/// `POST …/broker-configs:alter`
pub async fn alter_all_brokers(
    State(admin): State<Admin>,
    Path(cluster): Path<String>,
    body: Body<Alterations>,
) -> Result<StatusCode, Failure> {
    admin.check_cluster(&cluster)?;
    admin.alter_many(&Place::all_brokers(), body).await
}
