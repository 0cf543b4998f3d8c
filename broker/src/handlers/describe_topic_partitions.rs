//! DescribeTopicPartitions (75), version 0: topics page by page (KIP-966, fact M10).
//!
//! Topics are sorted by name. A page ends after the smaller of the request's and the broker's
//! limit of partitions, and the cursor says where the next one begins.

use std::collections::BTreeSet;
use std::sync::Arc;

use milena_cluster::metadata::image::{MetadataImage, TopicImage};
use milena_protocol::api::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponseCursor, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{NodeId, PartitionIndex};

use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Answers one page.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = broker.metadata.image_owned();
    let limit =
        broker.config.max_request_partition_size_limit.min(request.response_partition_limit);
    let mut left = usize::try_from(limit).unwrap_or(0).max(1);
    let all = request.topics.is_empty();
    let names: BTreeSet<Text> = if all {
        image.topics().map(|topic| topic.name().clone()).collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    let (from_topic, from_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.clone(), cursor.partition_index),
        None => (Text::default(), PartitionIndex(0)),
    };
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.range(from_topic.clone()..) {
        let first = if *name == from_topic { from_partition } else { PartitionIndex(0) };
        let resource = Resource::Topic(name);
        let allowed =
            broker.authorizer.allows(&context.peer.principal, Operation::Describe, resource);
        if !allowed && all {
            continue;
        }
        if left == 0 {
            response.next_cursor = Some(cursor(name, first));
            break;
        }
        if !allowed {
            response.topics.push(fault(name, ErrorCode::TOPIC_AUTHORIZATION_FAILED));
            continue;
        }
        let Some(topic) = image.topic(name) else {
            response.topics.push(fault(name, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
            continue;
        };
        let page = describe(&broker, &context, &image, topic, first, left);
        left -= page.partitions.len().min(left);
        let next = page.partitions.last().map(|p| PartitionIndex(p.partition_index.0 + 1));
        response.topics.push(page);
        if let Some(next) = next.filter(|next| topic.partition(*next).is_some()) {
            response.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    response
}

fn cursor(name: &Text, partition_index: PartitionIndex) -> DescribeTopicPartitionsResponseCursor {
    DescribeTopicPartitionsResponseCursor { topic_name: name.clone(), partition_index }
}

fn fault(name: &Text, error_code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code,
        name: Some(name.clone()),
        ..Default::default()
    }
}

fn describe(
    broker: &Broker,
    context: &Context,
    image: &MetadataImage,
    topic: &TopicImage,
    first: PartitionIndex,
    limit: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = topic
        .partitions()
        .filter(|(index, _)| *index >= first)
        .take(limit)
        .map(|(index, partition)| {
            let live = broker.is_there(image, partition.leader);
            DescribeTopicPartitionsResponsePartition {
                error_code: if live { ErrorCode::NONE } else { ErrorCode::LEADER_NOT_AVAILABLE },
                partition_index: index,
                leader_id: if live { partition.leader } else { NodeId::NONE },
                leader_epoch: partition.leader_epoch,
                replica_nodes: partition.replicas.to_vec(),
                isr_nodes: partition.isr.to_vec(),
                eligible_leader_replicas: Some(partition.elr.to_vec()),
                last_known_elr: Some(partition.last_known_elr.to_vec()),
                offline_replicas: partition
                    .replicas
                    .iter()
                    .copied()
                    .filter(|node| !image.is_live(*node))
                    .collect(),
            }
        })
        .collect();
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::NONE,
        name: Some(topic.name().clone()),
        topic_id: topic.id(),
        is_internal: topic.is_internal(),
        partitions,
        topic_authorized_operations: broker.authorizer.topic_operations(&context.peer.principal),
    }
}
