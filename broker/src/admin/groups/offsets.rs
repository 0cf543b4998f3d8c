//! Forgetting how far a group has read.

use axum::http::StatusCode;
use milena_protocol::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use milena_protocol::ids::PartitionIndex;

use crate::admin::call::Call;
use crate::admin::elsewhere::Asked;
use crate::admin::error::Failure;
use crate::admin::path::{At, GroupPartitionPath, GroupTopicPath};
use crate::handlers::offset_delete;
use crate::lag::Committed;
use crate::security::Operation;

impl Call {
    /// Forgets what a group has committed of a topic, as far as `is_asked`.
    ///
    /// # Errors
    /// 404 where there is nothing of the kind; refused while somebody in the group reads the topic.
    async fn forget(
        &self,
        group: &str,
        topic: &str,
        is_asked: impl Fn(&Committed) -> bool,
    ) -> Result<StatusCode, Failure> {
        self.group(group).await?;
        let committed = self.committed(group).await?;
        let asked = committed.iter().filter(|one| *one.topic == *topic && is_asked(one));
        let partitions: Vec<PartitionIndex> = asked.map(|one| one.partition).collect();
        if partitions.is_empty() {
            let message = format!("group {group} has committed no such offset");
            return Err(Failure::missing(message));
        }
        let partitions = partitions
            .into_iter()
            .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
            .collect();
        let request = OffsetDeleteRequest {
            group_id: group.into(),
            topics: vec![OffsetDeleteRequestTopic { name: topic.into(), partitions }],
        };
        let (right, asked) = ((Operation::Delete, group), Asked::newest(request));
        let response = self.coordinate(right, asked, offset_delete::handle).await?;
        Failure::unless_none(response.error_code, None)?;
        for result in response.topics.iter().flat_map(|topic| &topic.partitions) {
            Failure::unless_none(result.error_code, None)?;
        }
        Ok(StatusCode::NO_CONTENT)
    }
}

/// Forgets how far a group has read a topic.
///
/// Refused while somebody in the group reads the topic.
#[utoipa::path(delete,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}/offsets/{topic_name}",
    operation_id = "deleteConsumerGroupTopicOffsets", tag = "Consumer groups",
    params(GroupTopicPath),
    responses((status = 204, description = "They are gone."), Failure))]
pub async fn delete_topic(at: At<GroupTopicPath>) -> Result<StatusCode, Failure> {
    at.forget(&at.path.consumer_group_id, &at.path.topic_name, |_| true).await
}

/// Forgets how far a group has read a partition.
///
/// Refused while somebody in the group reads the topic.
#[utoipa::path(delete,
    path = "/v3/clusters/{cluster_id}/consumer-groups/{consumer_group_id}\
        /offsets/{topic_name}/partitions/{partition_id}",
    operation_id = "deleteConsumerGroupOffset", tag = "Consumer groups",
    params(GroupPartitionPath),
    responses((status = 204, description = "It is gone."), Failure))]
pub async fn delete_partition(at: At<GroupPartitionPath>) -> Result<StatusCode, Failure> {
    let GroupPartitionPath { consumer_group_id: id, topic_name, partition_id, .. } = &at.path;
    at.forget(id, topic_name, |one| one.partition.0 == *partition_id).await
}
