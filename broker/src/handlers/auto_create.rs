//! Creating topics that a client names and that do not exist (`auto.create.topics.enable`).

use std::collections::BTreeSet;
use std::sync::Arc;

use milena_cluster::metadata::image::INTERNAL_TOPICS;
use milena_protocol::api::create_topics::{CreateTopicsRequest, CreateTopicsTopic};
use milena_protocol::codec::Text;
use milena_protocol::message::Message;

use super::create_topics;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// How long a Metadata request waits for the topics that it makes.
const TIMEOUT_MS: i32 = 30_000;

/// Creates the topics that are named, allowed and missing, with the cluster's defaults.
pub async fn create_missing<'a>(
    broker: &Arc<Broker>,
    context: &Context,
    names: impl Iterator<Item = &'a Text>,
) {
    let image = broker.metadata.image_owned();
    let missing: BTreeSet<&Text> = names.filter(|name| image.topic(name).is_none()).collect();
    // The coordinators' topics have a shape of their own.
    let is_missing = |name: &'static str| missing.contains(&Text::from_static(name));
    let (groups, transactions) = (&broker.groups, &broker.transactions);
    let mut made = Vec::new();
    if is_missing(groups.topic()) {
        made.push((groups.topic(), groups.ensure_topic().await));
    }
    if is_missing(transactions.topic()) {
        made.push((transactions.topic(), transactions.ensure_topic().await));
    }
    for (topic, made) in made {
        if let Err(code) = made {
            tracing::debug!(topic, %code, "topic not auto-created");
        }
    }
    let topics: Vec<CreateTopicsTopic> = missing
        .into_iter()
        .filter(|name| !INTERNAL_TOPICS.contains(&name.as_str()))
        .filter(|name| {
            let principal = &context.peer.principal;
            broker.authorizer.allows(principal, Operation::Create, Resource::Topic(name))
        })
        .map(|name| CreateTopicsTopic {
            name: name.detach(),
            num_partitions: -1,
            replication_factor: -1,
            ..Default::default()
        })
        .collect();
    if topics.is_empty() {
        return;
    }
    let request = CreateTopicsRequest { topics, timeout_ms: TIMEOUT_MS, validate_only: false };
    // It may be passed on to another node, which reads it in the version that is named.
    let context = Context { version: CreateTopicsRequest::VERSIONS.max, ..context.clone() };
    let response = create_topics::handle(broker.clone(), context.clone(), request).await;
    for topic in &response.topics {
        if topic.error_code.is_none() {
            tracing::info!(topic = %topic.name, client = %context.client_id, "topic auto-created");
        } else {
            let code = topic.error_code;
            tracing::debug!(topic = %topic.name, %code, "topic not auto-created");
        }
    }
}
