//! DeleteTopics (20), versions 1–6: by name, and from version 6 on by id.
//!
//! A topic is gone when its record is committed; its files are renamed and unlinked later.

use std::sync::Arc;

use milena_cluster::controller::topics::TopicRef;
use milena_protocol::api::delete_topics::{
    DeleteTopicsRequest, DeleteTopicsResponse, DeleteTopicsResult,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::Uuid;

use super::forward;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Deletes topics.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), Uuid::ZERO));
    let by_either = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    let asked: Vec<(Option<Text>, Uuid)> = by_name.chain(by_either).collect();
    let mut results: Vec<DeleteTopicsResult> = asked
        .iter()
        .map(|(name, topic_id)| DeleteTopicsResult {
            name: name.clone(),
            topic_id: *topic_id,
            error_code: refusal(&broker, &context, name.as_ref(), *topic_id),
            ..Default::default()
        })
        .collect();
    let wanted: Vec<TopicRef> = results
        .iter()
        .filter(|result| result.error_code.is_none())
        .map(|result| match &result.name {
            Some(name) => TopicRef::Name(name.detach()),
            None => TopicRef::Id(result.topic_id),
        })
        .collect();
    let decided =
        broker.controller.call(move |controller, _| controller.delete_topics(&wanted)).await;
    let open = results.iter_mut().filter(|result| result.error_code.is_none());
    match decided {
        Err(code) => open.for_each(|result| result.error_code = code),
        Ok(answers) => {
            for (result, answer) in open.zip(answers) {
                match answer {
                    Ok((name, topic_id)) => {
                        result.name = Some(name);
                        result.topic_id = topic_id;
                    }
                    Err(refused) => {
                        result.error_code = refused.code;
                        result.error_message = Some(refused.message.into());
                    }
                }
            }
        }
    }
    DeleteTopicsResponse { responses: results, ..Default::default() }
}

/// What can be refused without the controller; NONE where nothing can.
fn refusal(broker: &Broker, context: &Context, name: Option<&Text>, topic_id: Uuid) -> ErrorCode {
    if !broker.config.delete_topic_enable {
        return if context.version < 3 {
            ErrorCode::INVALID_REQUEST
        } else {
            ErrorCode::TOPIC_DELETION_DISABLED
        };
    }
    // Exactly one of name and id.
    if name.is_some() == (topic_id != Uuid::ZERO) {
        return ErrorCode::INVALID_REQUEST;
    }
    let image = broker.metadata.image();
    let topic = match name {
        Some(name) => Some(name.clone()),
        None => image.topic_by_id(topic_id).map(|topic| topic.name().clone()),
    };
    let allowed = topic.is_none_or(|name| {
        let principal = &context.peer.principal;
        broker.authorizer.allows(principal, Operation::Delete, Resource::Topic(&name))
    });
    if allowed { ErrorCode::NONE } else { ErrorCode::TOPIC_AUTHORIZATION_FAILED }
}
