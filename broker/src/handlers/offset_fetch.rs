//! OffsetFetch (9), versions 1–10: how far groups have consumed.
//!
//! Version 1 names topics, 2 may ask for all of them, 8 asks for several groups, 10 gives topics by
//! id. A partition without an offset is answered −1 without an error (fact O5). An offset of a
//! topic that was deleted and made again is no offset of the new one. Topics that the client may
//! not describe are refused where they are asked for, and left out where all are.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, PartitionIndex};

use super::{groups, resolve};
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// The stored offsets of one group, or from version 8 on of several.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let is_stable = request.require_stable;
    if context.version >= 8 {
        let mut answers = Vec::with_capacity(request.groups.len());
        for group in request.groups {
            answers.push(fetch(&broker, &context, group, is_stable).await);
        }
        return OffsetFetchResponse { groups: answers, ..Default::default() };
    }
    let topics = request.topics.map(|topics| {
        let named = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..Default::default()
        });
        named.collect()
    });
    let group =
        OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
    let group = fetch(&broker, &context, group, is_stable).await;
    OffsetFetchResponse {
        topics: group.topics.into_iter().map(as_before_version_8).collect(),
        error_code: group.error_code,
        ..Default::default()
    }
}

async fn fetch(
    broker: &Broker,
    context: &Context,
    mut asked: OffsetFetchRequestGroup,
    is_stable: bool,
) -> OffsetFetchResponseGroup {
    let by_id = context.version >= 10;
    let group_id = asked.group_id.clone();
    let is_allowed = |topic: &str| {
        let principal = &context.peer.principal;
        broker.authorizer.allows(principal, Operation::Describe, Resource::Topic(topic))
    };
    let asks_for_all = asked.topics.is_none();
    let mut unknown = Vec::new();
    if let Some(topics) = &mut asked.topics {
        topics.retain_mut(|topic| {
            match resolve::topic(broker, by_id, &topic.name, topic.topic_id) {
                Ok(found) if !is_allowed(&found.name) => {
                    unknown.push(refused(topic, ErrorCode::TOPIC_AUTHORIZATION_FAILED));
                    false
                }
                Ok(found) => {
                    topic.name = found.name;
                    topic.topic_id = found.id;
                    true
                }
                // By name the coordinator knows what was committed, topic or not.
                Err(_) if !by_id && is_allowed(&topic.name) => true,
                Err(_) if !by_id => {
                    unknown.push(refused(topic, ErrorCode::TOPIC_AUTHORIZATION_FAILED));
                    false
                }
                Err(code) => {
                    unknown.push(refused(topic, code));
                    false
                }
            }
        });
    }
    // Version 1 has no error for the whole group.
    let asked_topics = asked.topics.clone().filter(|_| context.version < 2);
    let request = Request::Fetch(asked, is_stable);
    let asked = groups::ask(broker, context, Operation::Describe, &group_id, request);
    let answer: Result<OffsetFetchResponseGroup, ErrorCode> = asked.await;
    match answer {
        Ok(mut group) => {
            if asks_for_all {
                group.topics.retain(|topic| is_allowed(&topic.name));
            }
            if by_id {
                add_ids(broker, &mut group);
            }
            group.topics.extend(unknown);
            group
        }
        Err(error_code) => {
            let refused = |topic: &OffsetFetchRequestTopics| refused(topic, error_code);
            let topics = asked_topics.iter().flatten().map(refused).collect();
            OffsetFetchResponseGroup { group_id, topics, error_code }
        }
    }
}

/// Gives topics their ids; one that is not there any more cannot be told.
fn add_ids(broker: &Broker, group: &mut OffsetFetchResponseGroup) {
    let image = broker.metadata.image();
    group.topics.retain_mut(|topic| match image.topic(&topic.name) {
        Some(found) => {
            topic.topic_id = found.id();
            true
        }
        None => false,
    });
}

fn refused(topic: &OffsetFetchRequestTopics, error_code: ErrorCode) -> OffsetFetchResponseTopics {
    let refused = |index: &PartitionIndex| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: Offset::NONE,
        committed_leader_epoch: LeaderEpoch::NONE,
        metadata: Some(Default::default()),
        error_code,
    };
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(refused).collect(),
    }
}

fn as_before_version_8(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let before = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(before).collect(),
    }
}
