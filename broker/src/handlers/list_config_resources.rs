//! ListConfigResources (74), versions 0–1: resources that can be configured. Version 0 asks for
//! client metrics only.

use std::sync::Arc;

use milena_cluster::controller::alter_configs::resources_of_kind;
use milena_protocol::api::list_config_resources::{
    ListConfigResourcesRequest, ListConfigResourcesResource, ListConfigResourcesResponse,
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

/// Lists resources of the types asked for; none asked means all.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let image = broker.metadata.image_owned();
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::DescribeConfigs, Resource::Cluster) {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
            ..Default::default()
        };
    }
    let mut kinds = match (context.version, request.resource_types.as_slice()) {
        (0, _) => vec![CLIENT_METRICS],
        (_, []) => vec![TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP],
        (_, kinds) => kinds.to_vec(),
    };
    // Each kind once: the answer would be as many times as large.
    kinds.sort_unstable();
    kinds.dedup();
    let mut config_resources = Vec::new();
    for kind in kinds {
        let names: Vec<_> = match kind {
            TOPIC => image.topics().map(|topic| topic.name().clone()).collect(),
            BROKER | BROKER_LOGGER => {
                image.brokers().map(|broker| broker.id.to_string().into()).collect()
            }
            CLIENT_METRICS | GROUP => resources_of_kind(&image, kind).into_keys().collect(),
            _ => {
                return ListConfigResourcesResponse {
                    error_code: ErrorCode::UNSUPPORTED_VERSION,
                    ..Default::default()
                };
            }
        };
        config_resources.extend(names.into_iter().map(|resource_name| {
            ListConfigResourcesResource { resource_name, resource_type: kind }
        }));
    }
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}
