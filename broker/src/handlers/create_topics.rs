//! CreateTopics (19), versions 2–7.
//!
//! One request is one atomic batch of metadata; topics that fail are reported one by one, the
//! others are created (fact D2). Success is answered when the partitions are led here, so a client
//! need not wait for its metadata.

use std::sync::Arc;

use milena_cluster::configs::Described;
use milena_cluster::controller::topics::{CreatedTopic, NewTopic};
use milena_cluster::controller::{Decision, Refused};
use milena_protocol::api::create_topics::{
    CreateTopicsConfigResult, CreateTopicsRequest, CreateTopicsResponse, CreateTopicsTopic,
    CreateTopicsTopicResult,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;

use super::forward;
use crate::broker::Broker;
use crate::entropy::new_uuid;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Creates topics, or says whether they could be.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    forward::at_the_controller(broker, context, request, decide).await
}

async fn decide(
    broker: Arc<Broker>,
    context: Context,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let validate_only = request.validate_only;
    let may_create = |name: &str| {
        let principal = &context.peer.principal;
        broker.authorizer.allows(principal, Operation::Create, Resource::Cluster)
            || broker.authorizer.allows(principal, Operation::Create, Resource::Topic(name))
    };
    let (allowed, refused): (Vec<_>, Vec<_>) =
        request.topics.into_iter().partition(|topic| may_create(&topic.name));
    let names: Vec<Text> = allowed.iter().map(|topic| topic.name.clone()).collect();
    let new: Vec<NewTopic> = allowed.into_iter().map(new_topic).collect();
    let decided = broker
        .controller
        .call(move |controller, _| {
            let Decision { records, answer } = controller.create_topics(&new, validate_only);
            let described = new.iter().map(|topic| controller.describe_new_topic(topic));
            let answer: Vec<_> = answer.into_iter().zip(described).collect();
            Decision { records, answer }
        })
        .await;
    let mut topics: Vec<CreateTopicsTopicResult> = match decided {
        Ok(results) => names
            .into_iter()
            .zip(results)
            .map(|(name, (result, described))| answer(name, result, described))
            .collect(),
        Err(code) => names.into_iter().map(|name| fault(name, code, None)).collect(),
    };
    let denied = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    topics.extend(refused.into_iter().map(|topic| fault(topic.name, denied, None)));
    CreateTopicsResponse { topics, ..Default::default() }
}

fn new_topic(topic: CreateTopicsTopic) -> NewTopic {
    NewTopic {
        name: topic.name.detach(),
        id: new_uuid(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|assignment| (assignment.partition_index, assignment.broker_ids))
            .collect(),
        configs: topic
            .configs
            .into_iter()
            .map(|config| (config.name.detach(), config.value.map(|value| value.detach())))
            .collect(),
    }
}

fn answer(
    name: Text,
    result: Result<CreatedTopic, Refused>,
    described: Vec<Described>,
) -> CreateTopicsTopicResult {
    match result {
        Ok(created) => CreateTopicsTopicResult {
            name,
            topic_id: created.id,
            num_partitions: created.partitions,
            replication_factor: created.replication_factor,
            configs: Some(described.into_iter().map(config_result).collect()),
            ..Default::default()
        },
        Err(refused) => fault(name, refused.code, Some(refused.message)),
    }
}

fn config_result(described: Described) -> CreateTopicsConfigResult {
    CreateTopicsConfigResult {
        name: described.name.into(),
        value: described.value.map(Text::from),
        read_only: described.is_read_only,
        config_source: described.source as i8,
        is_sensitive: described.is_sensitive,
    }
}

fn fault(name: Text, error_code: ErrorCode, message: Option<String>) -> CreateTopicsTopicResult {
    CreateTopicsTopicResult {
        name,
        error_code,
        error_message: message.map(Text::from),
        ..Default::default()
    }
}
