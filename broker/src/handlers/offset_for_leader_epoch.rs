//! OffsetForLeaderEpoch (23), versions 2–4: where an epoch ended, for truncation detection.

use milena_protocol::api::offset_for_leader_epoch::{
    OffsetForLeaderEpochPartitionResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, OffsetForLeaderEpochTopicResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, Uuid};

use super::resolve;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Answers the largest epoch not above the one asked, and its end offset (fact L10).
#[must_use]
pub fn handle(
    broker: &Broker,
    context: &Context,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let principal = &context.peer.principal;
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let resource = Resource::Topic(&topic.topic);
            let allowed = broker.authorizer.allows(principal, Operation::Describe, resource);
            let found = if allowed {
                resolve::topic(broker, false, &topic.topic, Uuid::ZERO)
            } else {
                Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
            };
            let partitions = topic
                .partitions
                .into_iter()
                .map(|asked| {
                    let looked = found.as_ref().map_err(|code| *code).and_then(|topic| {
                        let partition = broker.replicas.leading(&topic.id, asked.partition)?;
                        partition.check_epoch(asked.current_leader_epoch)?;
                        let unknown = (LeaderEpoch::NONE, Offset::NONE);
                        let known = partition.reader().end_offset_for_epoch(asked.leader_epoch);
                        Ok(known.unwrap_or(unknown))
                    });
                    let (error_code, leader_epoch, end_offset) = match looked {
                        Ok((epoch, end)) => (ErrorCode::NONE, epoch, end),
                        Err(code) => (code, LeaderEpoch::NONE, Offset::NONE),
                    };
                    OffsetForLeaderEpochPartitionResponse {
                        error_code,
                        partition: asked.partition,
                        leader_epoch,
                        end_offset,
                    }
                })
                .collect();
            OffsetForLeaderEpochTopicResponse { topic: topic.topic, partitions }
        })
        .collect();
    OffsetForLeaderEpochResponse { topics, ..Default::default() }
}
