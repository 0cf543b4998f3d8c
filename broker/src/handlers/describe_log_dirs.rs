//! DescribeLogDirs (35), versions 1–5: sizes on disk, by directory and partition.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use milena_protocol::api::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use milena_protocol::codec::Text;
use milena_protocol::error_code::ErrorCode;
use milena_protocol::ids::PartitionIndex;

use crate::broker::Broker;
use crate::request::Context;
use crate::security::{Operation, Resource};

/// Answers every directory, with the partitions that were asked for; null asks for all.
pub async fn handle(
    broker: Arc<Broker>,
    context: Context,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let principal = &context.peer.principal;
    if !broker.authorizer.allows(principal, Operation::Describe, Resource::Cluster) {
        let error_code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
        return DescribeLogDirsResponse { error_code, ..Default::default() };
    }
    let wanted: Option<HashMap<Text, Vec<PartitionIndex>>> = request
        .topics
        .map(|topics| topics.into_iter().map(|topic| (topic.topic, topic.partitions)).collect());
    let is_wanted = |topic: &Text, index: PartitionIndex| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.get(topic).is_some_and(|list| list.contains(&index)))
    };
    let partitions = broker.replicas.all();
    let results = broker
        .replicas
        .directories()
        .iter()
        .map(|directory| {
            let mut topics: BTreeMap<Text, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
            for partition in &partitions {
                let here = partition.directory_id() == directory.id();
                if !here || !is_wanted(partition.topic(), partition.index()) {
                    continue;
                }
                topics.entry(partition.topic().clone()).or_default().push(
                    DescribeLogDirsPartition {
                        partition_index: partition.index(),
                        partition_size: partition.reader().size_bytes() as i64,
                        offset_lag: 0,
                        is_future_key: false,
                    },
                );
            }
            let usage = directory.usage();
            let (space, offline) = (usage.space, usage.offline_reason.is_some());
            DescribeLogDirsResult {
                error_code: if offline { ErrorCode::KAFKA_STORAGE_ERROR } else { ErrorCode::NONE },
                log_dir: directory.path().to_string_lossy().as_ref().into(),
                topics: topics
                    .into_iter()
                    .map(|(name, partitions)| DescribeLogDirsTopic { name, partitions })
                    .collect(),
                total_bytes: space.map_or(-1, |space| space.total_bytes as i64),
                usable_bytes: space.map_or(-1, |space| space.usable_bytes as i64),
                is_cordoned: false,
            }
        })
        .collect();
    DescribeLogDirsResponse { results, ..Default::default() }
}
