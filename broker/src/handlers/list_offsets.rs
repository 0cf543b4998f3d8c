//! ListOffsets (2), versions 1–11.
//!
//! Sentinels: −1 latest, −2 earliest, −3 the record with the largest timestamp, −4 earliest local,
//! −5 latest tiered, −6 earliest not yet tiered. Nothing is tiered here, so −4 is −2, and −5 and
//! −6 answer as Kafka does for a topic without a remote tier.

use std::collections::HashSet;
use std::sync::Arc;

use milena_protocol::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{LeaderEpoch, Offset, Timestamp, Uuid};

use super::resolve;
use crate::blocking;
use crate::broker::Broker;
use crate::replicas::partition::Partition;
use crate::request::Context;
use crate::security::{Operation, Resource};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// A place found: its timestamp, its offset and the epoch it was written in.
type Place = (Timestamp, Offset, LeaderEpoch);

/// Answers offsets by time or sentinel.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let mut seen = HashSet::new();
    let mut doubled = HashSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            if !seen.insert(key.clone()) {
                doubled.insert(key);
            }
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let index = asked.partition_index;
            let found = if doubled.contains(&(topic.name.clone(), index)) {
                Err(ErrorCode::INVALID_REQUEST)
            } else {
                let look = Look {
                    broker: broker.clone(),
                    version: context.version,
                    committed_only: request.isolation_level == 1,
                    is_consumer: request.replica_id.0 == -1,
                };
                match look.find(&context, &topic.name, &asked) {
                    Ok(partition) => look.place(partition, asked).await,
                    Err(code) => Err(code),
                }
            };
            partitions.push(answer(index, found));
        }
        topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

fn answer(
    partition_index: milena_protocol::ids::PartitionIndex,
    found: Result<Place, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let none = (Timestamp::NONE, Offset::NONE, LeaderEpoch::NONE);
    let (error_code, (timestamp, offset, leader_epoch)) = match found {
        Ok(place) => (ErrorCode::NONE, place),
        Err(code) => (code, none),
    };
    ListOffsetsPartitionResponse { partition_index, error_code, timestamp, offset, leader_epoch }
}

struct Look {
    broker: Arc<Broker>,
    version: i16,
    committed_only: bool,
    is_consumer: bool,
}

impl Look {
    fn find(
        &self,
        context: &Context,
        topic: &milena_protocol::codec::Text,
        asked: &ListOffsetsPartition,
    ) -> Result<Arc<Partition>, ErrorCode> {
        let principal = &context.peer.principal;
        let resource = Resource::Topic(topic);
        if !self.broker.authorizer.allows(principal, Operation::Describe, resource) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        // A sentinel newer than the request's version (fact L7).
        let needs = match asked.timestamp.0 {
            MAX_TIMESTAMP => 7,
            EARLIEST_LOCAL => 8,
            LATEST_TIERED => 9,
            EARLIEST_PENDING_UPLOAD => 11,
            timestamp if timestamp < EARLIEST_PENDING_UPLOAD => i16::MAX,
            _ => 0,
        };
        if self.version < needs {
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        let topic = resolve::topic(&self.broker, false, topic, Uuid::ZERO)?;
        let partition = self.broker.replicas.leading(&topic.id, asked.partition_index)?;
        partition.check_epoch(asked.current_leader_epoch)?;
        Ok(partition)
    }

    async fn place(
        &self,
        partition: Arc<Partition>,
        asked: ListOffsetsPartition,
    ) -> Result<Place, ErrorCode> {
        let offsets = partition.reader().offsets();
        let epoch = partition.leader_epoch();
        let looks_back = matches!(asked.timestamp.0, EARLIEST | EARLIEST_LOCAL);
        if self.is_consumer && !looks_back && partition.is_catching_up() {
            // Offsets that were shown before another leader was elected would be so no more (L8).
            return Err(match self.version {
                ..5 => ErrorCode::LEADER_NOT_AVAILABLE,
                _ => ErrorCode::OFFSET_NOT_AVAILABLE,
            });
        }
        let upper = if !self.is_consumer {
            offsets.log_end_offset
        } else if self.committed_only {
            partition.last_stable_offset()
        } else {
            offsets.high_watermark
        };
        let none = (Timestamp::NONE, Offset::NONE, LeaderEpoch::NONE);
        match asked.timestamp.0 {
            LATEST => Ok((Timestamp::NONE, upper, epoch)),
            EARLIEST | EARLIEST_LOCAL => {
                let start = offsets.log_start_offset;
                // Where nothing lies yet, the next record will be of the leader's epoch.
                let is_written = start < offsets.log_end_offset;
                let epoch = if is_written { partition.reader().epoch_at(start) } else { epoch };
                Ok((Timestamp::NONE, start, epoch))
            }
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(none),
            timestamp => {
                // Looking through segments may touch cold pages.
                let looked = blocking::spawn(move || match timestamp {
                    MAX_TIMESTAMP => partition.reader().max_timestamp_offset(),
                    _ => partition.reader().offset_for_timestamp(Timestamp(timestamp), upper),
                })
                .await;
                match looked {
                    Ok(Ok(place)) => {
                        // What is not acknowledged yet is not there (fact L5).
                        let place = place.filter(|place| place.offset < upper);
                        Ok(place.map_or(none, |p| (p.timestamp, p.offset, p.leader_epoch)))
                    }
                    Ok(Err(error)) => {
                        tracing::error!(%error, "cannot look up a timestamp");
                        Err(ErrorCode::KAFKA_STORAGE_ERROR)
                    }
                    Err(_) => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
                }
            }
        }
    }
}
