//! OffsetDelete (47), versions 0: forgets offsets of a group (KIP-496).
//!
//! Topics and partitions that do not exist, or may not be read, are refused here one by one; the
//! other rules are the coordinator's: `milena_cluster::group`.

use std::sync::Arc;

use milena_cluster::group::Request;
use milena_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse,
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use super::groups;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Topics that the group reads keep theirs.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let group = request.group_id.clone();
    let (refused, topics): (Vec<_>, Vec<_>) =
        request.topics.into_iter().map(|topic| admit(&broker, &context, topic)).unzip();
    let topics = topics.into_iter().filter(|topic| !topic.partitions.is_empty()).collect();
    let request = Request::DeleteOffsets(OffsetDeleteRequest { topics, ..request });
    // Also where nothing is left to ask: the group may be none, or none of the client's.
    let asked = groups::ask(&broker, &context, Operation::Delete, &group, request);
    let answer: Result<OffsetDeleteResponse, _> = asked.await;
    let mut answer = answer
        .unwrap_or_else(|error_code| OffsetDeleteResponse { error_code, ..Default::default() });
    if answer.error_code.is_none() {
        join(&mut answer.topics, refused);
    }
    answer
}

/// What is refused of a topic, and what is to be asked for.
fn admit(
    broker: &Broker,
    context: &Context,
    topic: OffsetDeleteRequestTopic,
) -> (OffsetDeleteResponseTopic, OffsetDeleteRequestTopic) {
    let principal = &context.peer.principal;
    let is_allowed =
        broker.authorizer.allows(principal, Operation::Read, Resource::Topic(&topic.name));
    let image = broker.metadata.image();
    let known = image.topic(&topic.name);
    let refusal = |index: PartitionIndex| {
        let exists = known.is_some_and(|topic| topic.partition(index).is_some());
        match (is_allowed, exists) {
            (false, _) => Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            (true, false) => Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            (true, true) => None,
        }
    };
    let mut refused = Vec::new();
    let mut admitted = Vec::new();
    for partition in topic.partitions {
        let partition_index = partition.partition_index;
        match refusal(partition_index) {
            Some(error_code) => {
                refused.push(OffsetDeleteResponsePartition { partition_index, error_code });
            }
            None => admitted.push(partition),
        }
    }
    (
        OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: refused },
        OffsetDeleteRequestTopic { name: topic.name, partitions: admitted },
    )
}

/// Adds what was refused to what was answered, topic by topic.
fn join(answered: &mut Vec<OffsetDeleteResponseTopic>, refused: Vec<OffsetDeleteResponseTopic>) {
    for topic in refused.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        match answered.iter_mut().find(|known| known.name == topic.name) {
            Some(known) => known.partitions.extend(topic.partitions),
            None => answered.push(topic),
        }
    }
}
