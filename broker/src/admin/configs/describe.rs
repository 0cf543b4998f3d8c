//! Configurations as they are shown.

use milena_cluster::configs::Source;
use milena_protocol::api::describe_configs::{
    DescribeConfigsConfig, DescribeConfigsRequest, DescribeConfigsResource,
};
use milena_protocol::codec::Text;
use serde::Serialize;
use utoipa::ToSchema;

use super::owner::Owner;
use crate::admin::call::Call;
use crate::admin::error::Failure;
use crate::admin::resource::{List, ResourceMetadata};
use crate::handlers::describe_configs;

/// A configuration: the value in force and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Config {
    kind: &'static str,
    metadata: ResourceMetadata,
    cluster_id: String,
    /// The topic, where it is a topic's.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_name: Option<String>,
    /// The broker, where it is one broker's.
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_id: Option<i32>,
    /// `BROKER`, where it is all brokers'.
    #[serde(skip_serializing_if = "Option::is_none")]
    config_type: Option<&'static str>,
    name: String,
    /// Null where there is none, and where it is secret.
    value: Option<String>,
    /// Whether nobody set it.
    is_default: bool,
    /// Whether only a restart changes it.
    is_read_only: bool,
    is_sensitive: bool,
    source: &'static str,
    /// All places that give a value, the one in force first.
    synonyms: Vec<Synonym>,
}

/// A place that gives a value.
#[derive(Debug, Serialize, ToSchema)]
pub struct Synonym {
    name: String,
    value: Option<String>,
    source: &'static str,
}

fn source_name(number: i8) -> &'static str {
    const NAMES: [(Source, &str); 6] = [
        (Source::Topic, "DYNAMIC_TOPIC_CONFIG"),
        (Source::DynamicBroker, "DYNAMIC_BROKER_CONFIG"),
        (Source::DynamicDefaultBroker, "DYNAMIC_DEFAULT_BROKER_CONFIG"),
        (Source::StaticBroker, "STATIC_BROKER_CONFIG"),
        (Source::Default, "DEFAULT_CONFIG"),
        (Source::Group, "DYNAMIC_GROUP_CONFIG"),
    ];
    let known = NAMES.into_iter().find(|(source, _)| *source as i8 == number);
    known.map_or("UNKNOWN", |(_, name)| name)
}

impl Config {
    /// A configuration of an owner.
    #[must_use]
    pub fn of(call: &Call, owner: &Owner, config: DescribeConfigsConfig) -> Self {
        let name = config.name.as_str();
        let (topic_name, broker_id, config_type) = match owner {
            Owner::Topic(topic) => (Some(topic.clone()), None, None),
            Owner::Broker(id) => (None, Some(*id), None),
            Owner::AllBrokers => (None, None, Some("BROKER")),
        };
        let path = format!("{}/{name}", owner.path());
        Self {
            kind: owner.kind(),
            metadata: call.resource(&path, &owner.config_name(name)),
            cluster_id: call.broker.cluster_id.to_string(),
            topic_name,
            broker_id,
            config_type,
            name: name.to_owned(),
            value: config.value.map(|value| value.to_string()),
            is_default: config.config_source == Source::Default as i8,
            is_read_only: config.read_only,
            is_sensitive: config.is_sensitive,
            source: source_name(config.config_source),
            synonyms: config
                .synonyms
                .iter()
                .map(|synonym| Synonym {
                    name: synonym.name.to_string(),
                    value: synonym.value.as_ref().map(ToString::to_string),
                    source: source_name(synonym.source),
                })
                .collect(),
        }
    }
}

impl Call {
    /// The configurations of an owner as the wire describes them, all or one.
    pub(super) async fn describe(
        &self,
        owner: &Owner,
        only: Option<&str>,
    ) -> Result<Vec<DescribeConfigsConfig>, Failure> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: owner.resource_type(),
                resource_name: owner.resource_name().into(),
                configuration_keys: only.map(|name| vec![Text::from(name)]),
            }],
            include_synonyms: true,
            include_documentation: false,
        };
        let context = self.context::<DescribeConfigsRequest>();
        let response = describe_configs::handle(self.broker.clone(), context, request).await;
        let result = response.results.into_iter().next();
        let result = result.ok_or_else(|| Failure::missing("nothing was described"))?;
        Failure::unless_none(result.error_code, result.error_message.as_ref())?;
        Ok(result.configs)
    }

    /// All configurations of an owner.
    pub(super) async fn configs(&self, owner: &Owner) -> Result<Vec<Config>, Failure> {
        let described = self.describe(owner, None).await?;
        Ok(described.into_iter().map(|config| Config::of(self, owner, config)).collect())
    }

    /// The list of an owner's configurations.
    pub(super) async fn config_list(&self, owner: &Owner) -> Result<List<Config>, Failure> {
        let data = self.configs(owner).await?;
        Ok(self.list(owner.list_kind(), &owner.path(), data))
    }

    /// One configuration of an owner.
    pub(super) async fn config(&self, owner: &Owner, name: &str) -> Result<Config, Failure> {
        let found = self.describe(owner, Some(name)).await?.into_iter().next();
        let config = found.ok_or_else(|| missing(owner, name))?;
        Ok(Config::of(self, owner, config))
    }
}

/// The failure of a request about a configuration that is not there.
pub(super) fn missing(owner: &Owner, name: &str) -> Failure {
    Failure::missing(format!("there is no configuration {name} of {}", owner.in_words()))
}
