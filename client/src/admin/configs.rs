//! Configurations of topics and brokers.

use std::collections::BTreeMap;

use milena_protocol::api::describe_configs::{
    DescribeConfigsConfig, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResult,
};
use milena_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsConfig, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource,
};
use milena_protocol::ids::NodeId;

use super::ask::Admin;
use crate::error::{ClientError, Refused};

/// Something that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A broker.
    Broker(NodeId),
    /// What holds for every broker that has no setting of its own.
    AllBrokers,
}

impl Resource {
    fn kind(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) | Self::AllBrokers => 4,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.clone(),
            Self::Broker(node_id) => node_id.to_string(),
            Self::AllBrokers => String::new(),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Topic(name) => format!("topic {name}"),
            Self::Broker(node_id) => format!("broker {node_id}"),
            Self::AllBrokers => "all brokers".to_owned(),
        }
    }
}

/// Who set a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Somebody, for this topic.
    Topic,
    /// Somebody, for this broker while it ran.
    Broker,
    /// Somebody, for all brokers while they ran.
    AllBrokers,
    /// The broker's file, environment or command line.
    Static,
    /// Nobody.
    Default,
    /// Another source, by its number.
    Other(i8),
}

impl ConfigSource {
    fn from_number(number: i8) -> Self {
        match number {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::AllBrokers,
            4 => Self::Static,
            5 => Self::Default,
            other => Self::Other(other),
        }
    }

    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::AllBrokers => "all brokers",
            Self::Static => "static",
            Self::Default => "default",
            Self::Other(_) => "other",
        }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it is a secret or not set.
    pub value: Option<String>,
    /// Who set it.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the broker runs.
    pub is_read_only: bool,
    /// Whether it is a secret.
    pub is_sensitive: bool,
    /// What it means, where that was asked for.
    pub documentation: Option<String>,
}

/// A change of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets a value.
    Set(String, String),
    /// Goes back to what holds without a setting.
    Delete(String),
    /// Adds to a list.
    Append(String, String),
    /// Takes from a list.
    Subtract(String, String),
}

impl Admin {
    /// The configuration of something, with what every setting means if that is wanted.
    ///
    /// # Errors
    /// When there is no answer, or no such thing.
    pub async fn describe_configs(
        &self,
        resource: &Resource,
        documented: bool,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.kind(),
                resource_name: resource.name().into(),
                configuration_keys: None,
            }],
            include_synonyms: false,
            include_documentation: documented,
        };
        // A broker's own configuration is known to itself alone.
        let connection = match resource {
            Resource::Broker(node_id) => self.client.broker(*node_id).await?,
            Resource::Topic(_) | Resource::AllBrokers => self.client.any().await?,
        };
        let response = connection.ask(&request).await?;
        let mut entries = Vec::new();
        for result in &response.results {
            Refused::check(result.error_code, result.error_message.as_deref())
                .map_err(|refused| refused.of(resource.shown()))?;
            entries.extend(result.configs.iter().map(entry));
        }
        Ok(entries)
    }

    /// The value of one setting for each of several topics, where they have it.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn topics_setting(
        &self,
        topics: &[&str],
        key: &str,
    ) -> Result<BTreeMap<String, String>, ClientError> {
        let resource = |topic: &&str| DescribeConfigsResource {
            resource_type: Resource::Topic(String::new()).kind(),
            resource_name: (*topic).into(),
            configuration_keys: Some(vec![key.into()]),
        };
        let request = DescribeConfigsRequest {
            resources: topics.iter().map(resource).collect(),
            ..Default::default()
        };
        let response = self.client.ask_any(&request).await?;
        let value = |result: &DescribeConfigsResult| {
            let found = result.configs.iter().find(|config| *config.name == *key)?;
            Some((result.resource_name.to_string(), found.value.as_ref()?.to_string()))
        };
        Ok(response.results.iter().filter_map(value).collect())
    }

    /// Changes settings, all or none; with `validate_only` it only says whether that is possible.
    ///
    /// # Errors
    /// When there is no answer, or the broker refuses.
    pub async fn alter_configs(
        &self,
        resource: &Resource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![IncrementalAlterConfigsResource {
                resource_type: resource.kind(),
                resource_name: resource.name().into(),
                configs: changes.iter().map(change).collect(),
            }],
            validate_only,
        };
        let response = self.client.ask_controller(&request).await?;
        for result in &response.responses {
            Refused::check(result.error_code, result.error_message.as_deref())
                .map_err(|refused| refused.of(resource.shown()))?;
        }
        Ok(())
    }
}

fn entry(config: &DescribeConfigsConfig) -> ConfigEntry {
    ConfigEntry {
        name: config.name.to_string(),
        value: config.value.as_ref().map(ToString::to_string),
        source: ConfigSource::from_number(config.config_source),
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        documentation: config.documentation.as_ref().map(ToString::to_string),
    }
}

fn change(change: &ConfigChange) -> IncrementalAlterConfigsConfig {
    let (name, config_operation, value) = match change {
        ConfigChange::Set(name, value) => (name, 0, Some(value)),
        ConfigChange::Delete(name) => (name, 1, None),
        ConfigChange::Append(name, value) => (name, 2, Some(value)),
        ConfigChange::Subtract(name, value) => (name, 3, Some(value)),
    };
    IncrementalAlterConfigsConfig {
        name: name.as_str().into(),
        config_operation,
        value: value.map(|value| value.as_str().into()),
    }
}
