//! Whose configurations are meant, and where they stand.

use milena_cluster::metadata::image::ConfigResource;

/// The resource type of brokers; the empty name means all of them.
const BROKER: i8 = 4;

/// What has configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A topic.
    Topic(String),
    /// One broker.
    Broker(i32),
    /// All brokers: what each takes over where it has nothing of its own.
    AllBrokers,
}

impl Owner {
    /// The type of resource in the protocol.
    #[must_use]
    pub fn resource_type(&self) -> i8 {
        match self {
            Self::Topic(_) => ConfigResource::TOPIC,
            Self::Broker(_) | Self::AllBrokers => BROKER,
        }
    }

    /// The name of the resource in the protocol.
    #[must_use]
    pub fn resource_name(&self) -> String {
        match self {
            Self::Topic(name) => name.clone(),
            Self::Broker(id) => id.to_string(),
            Self::AllBrokers => String::new(),
        }
    }

    /// Its path below the cluster.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Topic(name) => format!("/topics/{name}/configs"),
            Self::Broker(id) => format!("/brokers/{id}/configs"),
            Self::AllBrokers => "/broker-configs".to_owned(),
        }
    }

    /// What Confluent calls one of its configurations below the cluster.
    #[must_use]
    pub fn config_name(&self, config: &str) -> String {
        match self {
            Self::Topic(name) => format!("/topic={name}/config={config}"),
            Self::Broker(id) => format!("/broker={id}/config={config}"),
            Self::AllBrokers => format!("/broker-config={config}"),
        }
    }

    /// The kind of its configurations.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Topic(_) => "KafkaTopicConfig",
            Self::Broker(_) => "KafkaBrokerConfig",
            Self::AllBrokers => "KafkaClusterConfig",
        }
    }

    /// The kind of a list of them.
    #[must_use]
    pub fn list_kind(&self) -> &'static str {
        match self {
            Self::Topic(_) => "KafkaTopicConfigList",
            Self::Broker(_) => "KafkaBrokerConfigList",
            Self::AllBrokers => "KafkaClusterConfigList",
        }
    }

    /// It in a sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Topic(name) => format!("topic {name}"),
            Self::Broker(id) => format!("broker {id}"),
            Self::AllBrokers => "all brokers".to_owned(),
        }
    }
}
