//! IncrementalAlterConfigs (44), versions 0–1: sets, deletes, appends, subtracts (KIP-339).

use std::sync::Arc;

use milena_cluster::controller::alter_configs::{Alteration, Operation as Change};
use milena_cluster::metadata::image::ConfigResource;
use milena_protocol::api::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResourceResponse,
    IncrementalAlterConfigsResponse,
};
use milena_protocol::error_code::ErrorCode;

use super::forward;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Changes configurations; a resource with a bad change keeps everything.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let validate_only = request.validate_only;
    let mut responses: Vec<IncrementalAlterConfigsResourceResponse> = request
        .resources
        .iter()
        .map(|resource| IncrementalAlterConfigsResourceResponse {
            error_code: may_alter(
                &broker,
                &context,
                resource.resource_type,
                &resource.resource_name,
            ),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        })
        .collect();
    let wanted: Vec<Alteration> = request
        .resources
        .into_iter()
        .zip(&responses)
        .filter(|(_, response)| response.error_code.is_none())
        .map(|(resource, _)| Alteration {
            resource: ConfigResource {
                kind: resource.resource_type,
                name: resource.resource_name.detach(),
            },
            changes: resource
                .configs
                .into_iter()
                .map(|config| {
                    let operation = Change::from_number(config.config_operation);
                    (config.name.detach(), operation, config.value.map(|value| value.detach()))
                })
                .collect(),
        })
        .collect();
    let decided = broker
        .controller
        .call(move |controller, _| controller.incremental_alter_configs(&wanted, validate_only))
        .await;
    let open = responses.iter_mut().filter(|response| response.error_code.is_none());
    match decided {
        Err(code) => open.for_each(|response| response.error_code = code),
        Ok(answers) => {
            for (response, answer) in open.zip(answers) {
                if let Err(refused) = answer {
                    response.error_code = refused.code;
                    response.error_message = Some(refused.message.into());
                }
            }
        }
    }
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
}

/// NONE where the caller may change the resource's configuration.
pub(super) fn may_alter(broker: &Broker, context: &Context, kind: i8, name: &str) -> ErrorCode {
    let (resource, denied) = if kind == ConfigResource::TOPIC {
        (Resource::Topic(name), ErrorCode::TOPIC_AUTHORIZATION_FAILED)
    } else {
        (Resource::Cluster, ErrorCode::CLUSTER_AUTHORIZATION_FAILED)
    };
    let principal = &context.peer.principal;
    if broker.authorizer.allows(principal, Operation::AlterConfigs, resource) {
        ErrorCode::NONE
    } else {
        denied
    }
}
