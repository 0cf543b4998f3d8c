//! AlterConfigs (33), versions 0–2: replaces all overrides of a resource (deprecated by 44).

use std::sync::Arc;

use milena_cluster::metadata::image::ConfigResource;
use milena_protocol::api::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::forward;
use super::incremental_alter_configs::may_alter;
use crate::broker::Broker;
use crate::request::Context;

/// Replaces configurations.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let validate_only = request.validate_only;
    let mut responses: Vec<AlterConfigsResourceResponse> = request
        .resources
        .iter()
        .map(|resource| AlterConfigsResourceResponse {
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
    let wanted: Vec<_> = request
        .resources
        .into_iter()
        .zip(&responses)
        .filter(|(_, response)| response.error_code.is_none())
        .map(|(resource, _)| {
            let configs = resource
                .configs
                .into_iter()
                .map(|config| (config.name.detach(), config.value.map(|value| value.detach())))
                .collect();
            let name = resource.resource_name.detach();
            (ConfigResource { kind: resource.resource_type, name }, configs)
        })
        .collect();
    let decided = broker
        .controller
        .call(move |controller, _| controller.replace_configs(&wanted, validate_only))
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
    AlterConfigsResponse { responses, ..Default::default() }
}
