//! OffsetCommit (8), versions 2–10: stores how far a group has consumed.
//!
//! Topics are named up to version 9 and given by id from 10 on. What is committed for a topic that
//! does not exist is refused here, partition by partition (fact O1); the rest is the coordinator's.

use std::sync::Arc;

use milena_cluster::group::{CommitAnswer, Request};
use milena_protocol::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use milena_protocol::error_code::ErrorCode;

use super::{groups, resolve};
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Stores offsets.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let group = request.group_id.clone();
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut known = Vec::new();
    for (topic_at, topic) in request.topics.iter().enumerate() {
        let (answer, admitted) = admit(&broker, &context, topic);
        topics.push(answer);
        known.extend(admitted.map(|admitted| (topic_at, admitted)));
    }
    if !known.is_empty() {
        let sent = known.iter().map(|(_, topic)| topic.clone()).collect();
        let request = OffsetCommitRequest { topics: sent, ..request };
        let request = Request::Commit(groups::caller(&context), request);
        let asked: Result<CommitAnswer, _> =
            groups::ask(&broker, &context, Operation::Read, &group, request).await;
        for (index, (topic_at, sent)) in known.iter().enumerate() {
            let Some(answer) = topics.get_mut(*topic_at) else { continue };
            let codes = asked.as_ref().map(|topics| topics.get(index));
            for (at, partition) in sent.partitions.iter().enumerate() {
                let error_code = match codes {
                    Ok(codes) => codes
                        .and_then(|(_, codes)| codes.get(at))
                        .map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |(_, code)| *code),
                    Err(code) => *code,
                };
                let partition_index = partition.partition_index;
                answer
                    .partitions
                    .push(OffsetCommitResponsePartition { partition_index, error_code });
            }
        }
    }
    OffsetCommitResponse { topics, ..Default::default() }
}

/// The answer so far, and what the coordinator shall store of the topic.
fn admit(
    broker: &Broker,
    context: &Context,
    topic: &OffsetCommitRequestTopic,
) -> (OffsetCommitResponseTopic, Option<OffsetCommitRequestTopic>) {
    let mut answer = OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: Vec::new(),
    };
    let found = find(broker, context, topic);
    let image = broker.metadata.image();
    let exists = |topic: &resolve::Topic, index| {
        image.topic_by_id(topic.id).is_some_and(|topic| topic.partition(index).is_some())
    };
    let mut admitted = Vec::new();
    for partition in &topic.partitions {
        let partition_index = partition.partition_index;
        let refusal = match &found {
            Ok(topic) if exists(topic, partition_index) => None,
            Ok(_) => Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            Err(code) => Some(*code),
        };
        match refusal {
            None => admitted.push(partition.clone()),
            Some(error_code) => answer
                .partitions
                .push(OffsetCommitResponsePartition { partition_index, error_code }),
        }
    }
    let admitted = found.ok().filter(|_| !admitted.is_empty()).map(|found| {
        OffsetCommitRequestTopic { name: found.name, topic_id: found.id, partitions: admitted }
    });
    (answer, admitted)
}

fn find(
    broker: &Broker,
    context: &Context,
    topic: &OffsetCommitRequestTopic,
) -> Result<resolve::Topic, ErrorCode> {
    let found = resolve::topic(broker, context.version >= 10, &topic.name, topic.topic_id)?;
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::Read, Resource::Topic(&found.name)) {
        return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    }
    Ok(found)
}
