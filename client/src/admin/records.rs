//! Where logs begin and end, and removing what is old.

use std::collections::BTreeMap;

use milena_protocol::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use milena_protocol::ids::{LeaderEpoch, NodeId, Offset, PartitionIndex};

use super::ask::Admin;
use crate::error::{ClientError, Refused};
use crate::metadata::Topic;
use crate::offsets::{FoundOffset, Isolation, OffsetSpec, missing, read, request};

impl Admin {
    /// An offset in every partition of a topic, by partition.
    ///
    /// # Errors
    /// When there is no such topic, or a leader does not answer.
    pub async fn list_offsets(
        &self,
        topic: &str,
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<Vec<FoundOffset>, ClientError> {
        self.of_leaders(async || {
            let known = self.describe_topic(topic).await?;
            Ok(self.try_list_offsets(topic, &known, spec, isolation).await)
        })
        .await
    }

    async fn try_list_offsets(
        &self,
        topic: &str,
        known: &Topic,
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<Vec<FoundOffset>, ClientError> {
        let mut of_leaders: BTreeMap<NodeId, Vec<PartitionIndex>> = BTreeMap::new();
        for partition in &known.partitions {
            let leader = self.client.leader(topic, partition.index).await?;
            of_leaders.entry(leader.node_id).or_default().push(partition.index);
        }
        let mut found = BTreeMap::new();
        for (node_id, partitions) in of_leaders {
            let wanted = partitions.iter().map(|index| (*index, LeaderEpoch::NONE));
            let request = request(topic, wanted, spec, isolation);
            let response = self.client.broker(node_id).await?.ask(&request).await?;
            for answer in response.topics.iter().flat_map(|topic| &topic.partitions) {
                found.insert(answer.partition_index, read(topic, answer)?);
            }
        }
        // Whoever asks counts on every partition to be in its place.
        if let Some(silent) = known.partitions.iter().find(|one| !found.contains_key(&one.index)) {
            return Err(missing().of(format!("offsets of {topic} {}", silent.index)));
        }
        Ok(found.into_values().collect())
    }

    /// Removes the records before an offset, and returns where the log begins then. `None` removes
    /// all there are now.
    ///
    /// # Errors
    /// When there is no such partition, or its leader refuses.
    pub async fn delete_records(
        &self,
        topic: &str,
        partition: PartitionIndex,
        before: Option<Offset>,
    ) -> Result<Offset, ClientError> {
        // −1 stands for the high watermark.
        let offset = before.unwrap_or(Offset::NONE);
        let wanted = DeleteRecordsPartition { partition_index: partition, offset };
        let topics = vec![DeleteRecordsTopic { name: topic.into(), partitions: vec![wanted] }];
        let request = DeleteRecordsRequest { topics, timeout_ms: self.timeout_ms() };
        self.of_leader(topic, partition, async |leader| {
            let response = leader.connection.ask(&request).await?;
            let results = response.topics.iter().flat_map(|topic| &topic.partitions);
            let what = || format!("trimming {topic} {partition}");
            let result = results.into_iter().next().ok_or_else(|| missing().of(what()))?;
            Refused::check(result.error_code, None).map_err(|refused| refused.of(what()))?;
            Ok(result.low_watermark)
        })
        .await
    }
}
