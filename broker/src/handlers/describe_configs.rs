//! DescribeConfigs (32), versions 1–4: values in force, with where they come from.

use std::collections::BTreeSet;
use std::sync::Arc;

use milena_cluster::configs::{
    Described, Resolver, describe_broker, describe_group_of, describe_topic,
};
use milena_protocol::api::describe_configs::{
    DescribeConfigsConfig, DescribeConfigsRequest, DescribeConfigsResource,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use milena_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Answers the configurations of each resource.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let image = broker.metadata.image_owned();
    let resolver = Resolver {
        node: broker.node_id,
        static_values: broker.config.static_values(),
        image: &image,
    };
    let show =
        Show { synonyms: request.include_synonyms, documentation: request.include_documentation };
    // Each resource once: the answer would be as many times as large.
    let mut seen = BTreeSet::new();
    let results = request
        .resources
        .into_iter()
        .filter(|asked| seen.insert((asked.resource_type, asked.resource_name.clone())))
        .map(|asked| {
            let found = describe(&broker, &context, &resolver, &asked);
            let (error_code, error_message, configs) = match found {
                Ok(configs) => {
                    let configs = configs.into_iter().map(|config| show.config(config)).collect();
                    (ErrorCode::NONE, None, configs)
                }
                Err((code, message)) => (code, Some(message.into()), Vec::new()),
            };
            DescribeConfigsResult {
                error_code,
                error_message,
                resource_type: asked.resource_type,
                resource_name: asked.resource_name,
                configs,
            }
        })
        .collect();
    DescribeConfigsResponse { results, ..Default::default() }
}

fn describe(
    broker: &Broker,
    context: &Context,
    resolver: &Resolver<'_>,
    asked: &DescribeConfigsResource,
) -> Result<Vec<Described>, (ErrorCode, String)> {
    let name = &asked.resource_name;
    let wanted = asked.configuration_keys.as_deref();
    let (resource, denied) = match asked.resource_type {
        TOPIC => (Resource::Topic(name), ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        GROUP => (Resource::Group(name), ErrorCode::GROUP_AUTHORIZATION_FAILED),
        _ => (Resource::Cluster, ErrorCode::CLUSTER_AUTHORIZATION_FAILED),
    };
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::DescribeConfigs, resource) {
        return Err((denied, "not allowed".into()));
    }
    match asked.resource_type {
        TOPIC => {
            if !milena_cluster::controller::topics::is_valid_name(name) {
                let message = format!("{name} cannot be the name of a topic");
                return Err((ErrorCode::INVALID_TOPIC_EXCEPTION, message));
            }
            if resolver.image.topic(name).is_none() {
                let message = format!("there is no topic {name}");
                return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
            }
            Ok(describe_topic(resolver, name, wanted))
        }
        BROKER if name.is_empty() => Ok(describe_broker(resolver, true, wanted)),
        BROKER if name.parse() == Ok(broker.node_id.0) => {
            Ok(describe_broker(resolver, false, wanted))
        }
        BROKER | BROKER_LOGGER if name.parse() != Ok(broker.node_id.0) => {
            let message = format!(
                "Unexpected broker id, expected {} or an empty string, but received {name}",
                broker.node_id
            );
            Err((ErrorCode::INVALID_REQUEST, message))
        }
        // Levels are set at start here, by --log-level.
        BROKER_LOGGER => Ok(Vec::new()),
        CLIENT_METRICS => Ok(Vec::new()),
        GROUP if name.is_empty() => {
            Err((ErrorCode::INVALID_REQUEST, "a group needs a name".into()))
        }
        GROUP => Ok(describe_group_of(resolver, name, wanted)),
        kind => {
            let message = format!("there are no resources of type {kind}");
            Err((ErrorCode::INVALID_REQUEST, message))
        }
    }
}

#[derive(Clone, Copy)]
struct Show {
    synonyms: bool,
    documentation: bool,
}

impl Show {
    fn config(self, described: Described) -> DescribeConfigsConfig {
        let synonyms = if self.synonyms {
            described
                .synonyms
                .into_iter()
                .map(|synonym| DescribeConfigsSynonym {
                    name: synonym.name.into(),
                    value: synonym.value.map(Into::into),
                    source: synonym.source as i8,
                })
                .collect()
        } else {
            Vec::new()
        };
        let documentation = described
            .declaration
            .filter(|_| self.documentation)
            .map(|declaration| declaration.doc.into());
        DescribeConfigsConfig {
            name: described.name.into(),
            value: described.value.map(Into::into),
            read_only: described.is_read_only,
            config_source: described.source as i8,
            is_sensitive: described.is_sensitive,
            synonyms,
            config_type: described.declaration.map_or(0, |d| d.kind.number()),
            documentation,
        }
    }
}
