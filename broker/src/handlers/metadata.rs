//! Metadata (3), versions 0–13.
//!
//! Unknown topics named by a client that allows it are created. Kafka answers
//! UNKNOWN_TOPIC_OR_PARTITION at first and lets the client ask again; here creation is waited for,
//! so that the answer already knows the topic. A client cannot tell it from a topic that another
//! client created a moment before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use milena_cluster::metadata::image::{MetadataImage, TopicImage};
use milena_protocol::api::metadata::{
    MetadataBroker, MetadataPartition, MetadataRequest, MetadataRequestTopic, MetadataResponse,
    MetadataTopic,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, Uuid};

use super::auto_create;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// A broken connection is noticed within this time on a busy machine.
const NEWS: Duration = Duration::from_millis(3);
/// Clients ask for metadata first of all.
const BEGINNING: Duration = Duration::from_millis(100);

/// Answers brokers and topics.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: MetadataRequest,
) -> MetadataResponse {
    let all = match &request.topics {
        None => true,
        Some(topics) => context.version == 0 && topics.is_empty(),
    };
    let asked = request.topics.unwrap_or_default();
    if let Some(refused) = refuse(&context, &asked) {
        return refused;
    }
    if request.allow_auto_topic_creation && broker.config.auto_create_topics_enable {
        let names = asked.iter().filter(|topic| !is_by_id(topic)).filter_map(|t| t.name.as_ref());
        auto_create::create_missing(&broker, &context, names).await;
    }
    // Who asks for brokers alone is told of no leader.
    if all || !asked.is_empty() {
        hear_news(&broker, &context).await;
    }
    let image = broker.metadata.image_owned();
    let look = Look {
        broker: &broker,
        context: &context,
        image: &image,
        with_operations: request.include_topic_authorized_operations,
    };
    let topics = if all {
        image
            .topics()
            .filter(|topic| look.may_describe(topic.name()))
            .map(|t| look.topic(t))
            .collect()
    } else {
        distinct(&asked).map(|topic| look.asked(topic)).collect()
    };
    let brokers = broker.endpoints.live_brokers(&image, &context.peer);
    let controller_id = brokers.first().map_or(NodeId::NONE, |broker| broker.node_id);
    MetadataResponse {
        brokers: brokers
            .into_iter()
            .map(|broker| MetadataBroker {
                node_id: broker.node_id,
                host: broker.host,
                port: broker.port,
                rack: broker.rack,
            })
            .collect(),
        cluster_id: Some(broker.cluster_id.clone()),
        controller_id,
        topics,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            broker.authorizer.cluster_operations(&context.peer.principal)
        } else {
            i32::MIN
        },
        ..Default::default()
    }
}

/// Waits for what this broker is about to hear of leaders. That a leader's process has ended is
/// told to its clients and to the brokers that follow it in the same moment, and a client asks at
/// once: named the dead leader, librdkafka asks again only after up to a second. Who has just
/// connected begins, and has lost nobody.
async fn hear_news(broker: &Broker, context: &Context) {
    let is_new = context.peer.since.elapsed() < BEGINNING;
    if !is_new && broker.replicas.lanes().has_any() {
        tokio::time::sleep(NEWS).await;
    }
}

/// Each topic once, however often it is named: the answer would be as many times as large.
fn distinct(asked: &[MetadataRequestTopic]) -> impl Iterator<Item = &MetadataRequestTopic> {
    let mut seen = BTreeSet::new();
    asked.iter().filter(move |topic| seen.insert((&topic.name, topic.topic_id)))
}

/// Version 12 and later name a topic by name or by id; earlier ones by name only. Where there is an
/// id the name says nothing: the Java client sends an empty one.
fn refuse(context: &Context, asked: &[MetadataRequestTopic]) -> Option<MetadataResponse> {
    let is_unnamed = |topic: &MetadataRequestTopic| topic.name.is_none() || is_by_id(topic);
    let is_refused = context.version < 12 && asked.iter().any(is_unnamed);
    is_refused.then(|| MetadataResponse {
        topics: asked
            .iter()
            .map(|topic| MetadataTopic {
                error_code: ErrorCode::INVALID_REQUEST,
                // Before version 12 a name may not be null.
                name: Some(topic.name.clone().unwrap_or_default()),
                topic_id: topic.topic_id,
                ..Default::default()
            })
            .collect(),
        error_code: ErrorCode::INVALID_REQUEST,
        ..Default::default()
    })
}

/// Whether a topic is asked for by its id.
fn is_by_id(topic: &MetadataRequestTopic) -> bool {
    topic.topic_id != Uuid::ZERO
}

struct Look<'a> {
    broker: &'a Broker,
    context: &'a Context,
    image: &'a MetadataImage,
    with_operations: bool,
}

impl Look<'_> {
    fn may_describe(&self, topic: &str) -> bool {
        let principal = &self.context.peer.principal;
        self.broker.authorizer.allows(principal, Operation::Describe, Resource::Topic(topic))
    }

    fn asked(&self, topic: &MetadataRequestTopic) -> MetadataTopic {
        match &topic.name {
            Some(name) if !is_by_id(topic) => self.by_name(name),
            _ => self.by_id(topic.topic_id),
        }
    }

    fn by_name(&self, name: &Text) -> MetadataTopic {
        let fault = |error_code| MetadataTopic {
            error_code,
            name: Some(name.clone()),
            ..Default::default()
        };
        if !self.may_describe(name) {
            return fault(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        if !milena_cluster::controller::topics::is_valid_name(name) {
            return fault(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        match self.image.topic(name) {
            Some(topic) => self.topic(topic),
            None => fault(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        }
    }

    fn by_id(&self, topic_id: Uuid) -> MetadataTopic {
        let fault =
            |error_code| MetadataTopic { error_code, name: None, topic_id, ..Default::default() };
        match self.image.topic_by_id(topic_id) {
            None => fault(ErrorCode::UNKNOWN_TOPIC_ID),
            Some(topic) if !self.may_describe(topic.name()) => {
                fault(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
            }
            Some(topic) => self.topic(topic),
        }
    }

    fn topic(&self, topic: &TopicImage) -> MetadataTopic {
        let principal = &self.context.peer.principal;
        MetadataTopic {
            error_code: ErrorCode::NONE,
            name: Some(topic.name().clone()),
            topic_id: topic.id(),
            is_internal: topic.is_internal(),
            partitions: topic
                .partitions()
                .map(|(index, partition)| {
                    let leader_gone = !self.broker.is_there(self.image, partition.leader);
                    MetadataPartition {
                        error_code: if leader_gone {
                            ErrorCode::LEADER_NOT_AVAILABLE
                        } else {
                            ErrorCode::NONE
                        },
                        partition_index: index,
                        leader_id: if leader_gone { NodeId::NONE } else { partition.leader },
                        leader_epoch: partition.leader_epoch,
                        replica_nodes: partition.replicas.to_vec(),
                        isr_nodes: partition.isr.to_vec(),
                        offline_replicas: partition
                            .replicas
                            .iter()
                            .copied()
                            .filter(|node| !self.image.is_live(*node))
                            .collect(),
                    }
                })
                .collect(),
            topic_authorized_operations: if self.with_operations {
                self.broker.authorizer.topic_operations(principal)
            } else {
                i32::MIN
            },
        }
    }
}
