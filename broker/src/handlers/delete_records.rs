//! DeleteRecords (21), versions 0–2: moves a partition's log start offset forward (KIP-107).
//!
//! Offset −1 means the high watermark. A log that is only compacted refuses. It is answered once
//! every replica that is there has moved its start too (fact G7).

use std::sync::Arc;
use std::time::Duration;

use milena_protocol::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::{Offset, Uuid};

use super::error::storage_code;
use super::resolve;
use crate::blocking;
use crate::broker::Broker;
use crate::replicas::partition::{DeleteRecordsError, Partition};
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Deletes everything before the offsets given.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = tokio::time::Instant::now() + timeout;
    // Each offset is written down before it is answered.
    let deleted = blocking::spawn(move || delete_all(&broker, &context, request));
    // It does not end only if the broker does.
    let (mut response, deleted) = deleted.await.unwrap_or_default();
    let results = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for (result, partition) in results.zip(deleted) {
        let Some(partition) = partition else { continue };
        let everywhere = partition.deleted_everywhere(result.low_watermark);
        let everywhere = tokio::time::timeout_at(deadline, everywhere).await;
        match everywhere.unwrap_or(Err(ErrorCode::REQUEST_TIMED_OUT)) {
            Ok(low_watermark) => result.low_watermark = low_watermark,
            Err(code) => {
                result.error_code = code;
                result.low_watermark = Offset::NONE;
            }
        }
    }
    response
}

fn delete_all(
    broker: &Broker,
    context: &Context,
    request: DeleteRecordsRequest,
) -> (DeleteRecordsResponse, Vec<Option<Arc<Partition>>>) {
    let mut partitions = Vec::new();
    let topics = request
        .topics
        .into_iter()
        .map(|topic| DeleteRecordsTopicResult {
            partitions: topic
                .partitions
                .iter()
                .map(|asked| match delete(broker, context, &topic.name, asked) {
                    Ok((partition, low_watermark)) => {
                        partitions.push(Some(partition));
                        DeleteRecordsPartitionResult {
                            partition_index: asked.partition_index,
                            low_watermark,
                            error_code: ErrorCode::NONE,
                        }
                    }
                    Err(error_code) => {
                        partitions.push(None);
                        DeleteRecordsPartitionResult {
                            partition_index: asked.partition_index,
                            low_watermark: Offset::NONE,
                            error_code,
                        }
                    }
                })
                .collect(),
            name: topic.name,
        })
        .collect();
    (DeleteRecordsResponse { topics, ..Default::default() }, partitions)
}

fn delete(
    broker: &Broker,
    context: &Context,
    topic: &Text,
    asked: &DeleteRecordsPartition,
) -> Result<(Arc<Partition>, Offset), ErrorCode> {
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::Delete, Resource::Topic(topic)) {
        return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    }
    let topic = resolve::topic(broker, false, topic, Uuid::ZERO)?;
    if topic.is_internal {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let partition = broker.replicas.leading(&topic.id, asked.partition_index)?;
    let deleted = partition.delete_records_before(asked.offset).map_err(|error| match error {
        DeleteRecordsError::OutOfRange => ErrorCode::OFFSET_OUT_OF_RANGE,
        DeleteRecordsError::OnlyCompacted => ErrorCode::POLICY_VIOLATION,
        DeleteRecordsError::Storage(error) => storage_code(&error),
    })?;
    Ok((partition, deleted))
}
