//! DescribeProducers (61), version 0: the producers that a partition remembers (KIP-664).

use std::collections::BTreeSet;
use std::sync::Arc;

use milena_protocol::api::describe_producers::{
    DescribeProducersPartitionResponse, DescribeProducersProducer, DescribeProducersRequest,
    DescribeProducersResponse, DescribeProducersTopicResponse,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, PartitionIndex, Uuid};

use super::resolve;
use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Answers the active producers of each partition.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let look = |topic: &Text, index: PartitionIndex| {
        let principal = &context.peer.principal;
        if !broker.authorizer.allows(principal, Operation::Read, Resource::Topic(topic)) {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        let topic = resolve::topic(&broker, false, topic, Uuid::ZERO)?;
        // Whoever has the log remembers them, and may be asked for its own view.
        Ok(broker.replicas.hosting(&topic.id, index)?.producers())
    };
    // Each partition once: the answer would be as many times as large.
    let mut seen = BTreeSet::new();
    let topics = request
        .topics
        .iter()
        .map(|topic| DescribeProducersTopicResponse {
            name: topic.name.clone(),
            partitions: topic
                .partition_indexes
                .iter()
                .filter(|index| seen.insert((&topic.name, **index)))
                .map(|index| answer(*index, look(&topic.name, *index)))
                .collect(),
        })
        .collect();
    DescribeProducersResponse { topics, ..Default::default() }
}

fn answer(
    partition_index: PartitionIndex,
    found: Result<Vec<milena_storage::ActiveProducer>, ErrorCode>,
) -> DescribeProducersPartitionResponse {
    match found {
        Ok(producers) => DescribeProducersPartitionResponse {
            partition_index,
            active_producers: producers
                .into_iter()
                .map(|producer| DescribeProducersProducer {
                    producer_id: producer.producer_id,
                    producer_epoch: i32::from(producer.producer_epoch.0),
                    last_sequence: producer.last_sequence,
                    last_timestamp: producer.last_timestamp,
                    coordinator_epoch: producer.coordinator_epoch,
                    current_txn_start_offset: producer
                        .transaction_start_offset
                        .unwrap_or(Offset::NONE),
                })
                .collect(),
            ..Default::default()
        },
        Err(error_code) => {
            DescribeProducersPartitionResponse { partition_index, error_code, ..Default::default() }
        }
    }
}
