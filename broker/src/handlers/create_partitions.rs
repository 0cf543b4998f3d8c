//! CreatePartitions (37), versions 0–3: a topic grows; it cannot shrink.

use std::sync::Arc;

use milena_cluster::controller::topics::MorePartitions;
use milena_protocol::api::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::forward;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Adds partitions, or says whether they could be.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let validate_only = request.validate_only;
    let may_alter = |name: &str| {
        let principal = &context.peer.principal;
        broker.authorizer.allows(principal, Operation::Alter, Resource::Topic(name))
    };
    let (allowed, refused): (Vec<_>, Vec<_>) =
        request.topics.into_iter().partition(|topic| may_alter(&topic.name));
    let names: Vec<Text> = allowed.iter().map(|topic| topic.name.clone()).collect();
    let wanted: Vec<MorePartitions> = allowed
        .into_iter()
        .map(|topic| MorePartitions {
            name: topic.name.detach(),
            count: topic.count,
            assignments: topic
                .assignments
                .map(|list| list.into_iter().map(|assignment| assignment.broker_ids).collect()),
        })
        .collect();
    let decided = broker
        .controller
        .call(move |controller, _| controller.create_partitions(&wanted, validate_only))
        .await;
    let mut results: Vec<CreatePartitionsTopicResult> = match decided {
        Ok(answers) => names
            .into_iter()
            .zip(answers)
            .map(|(name, answer)| match answer {
                Ok(()) => result(name, ErrorCode::NONE, None),
                Err(refused) => result(name, refused.code, Some(refused.message)),
            })
            .collect(),
        Err(code) => names.into_iter().map(|name| result(name, code, None)).collect(),
    };
    let denied = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    results.extend(refused.into_iter().map(|topic| result(topic.name, denied, None)));
    CreatePartitionsResponse { results, ..Default::default() }
}

fn result(
    name: Text,
    error_code: ErrorCode,
    message: Option<String>,
) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult { name, error_code, error_message: message.map(Text::from) }
}
